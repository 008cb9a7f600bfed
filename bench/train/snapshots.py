"""The weights that runs keep: the best of every seed, and for pictures the last of one, and for functions over the plane the way there."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from bench.store.records import LARGEST, PICTURED
from bench.train.fitting import Fitting
from bench.train.loop import Training
from bench.train.trained import Trained
from datasets.task import Task

ON_THE_WAY = 2**21  # bytes of all snapshots; of more every second is kept, or every third, …


def over_the_plane(task: Task) -> bool:
    """Whether a model of this task is a function of two numbers, which can be drawn whole."""
    return task.input.kind == "points"


def halved(value: Tensor) -> Tensor:
    """A copy in half precision where it can hold the values."""
    half = value.half()
    return half.clone() if value.is_floating_point() and bool(half.isfinite().all()) else value.clone()


class Snapshots:
    """Weights of one seed at the start and at every evaluation, in half precision, as {samples seen: {name: weights}}.

    Give `save` and `progress` of `Training.run` through here: what was taken goes into the checkpoint and comes back from it.
    """

    def __init__(self, training: Training | Fitting, task: Task, saved: dict[str, Any] | None) -> None:
        self.training = training
        self.wanted = PICTURED in training.seeds and over_the_plane(task)
        before = saved.get("snapshots") if saved and training.position.step else None
        self.taken: dict[int, dict[str, Tensor]] = before if isinstance(before, dict) else {}
        if training.position.step == 0:
            self.take()

    def take(self) -> None:
        if self.wanted:
            i, samples = self.training.seeds.index(PICTURED), self.training.position.step * self.training.budget.batch
            self.taken[samples] = {name: halved(value[i].detach().cpu()) for name, value in self.training.learner.state().items()}

    def checkpoint(self) -> dict[str, Any]:
        """What `Training.snapshot` gives, and what was taken."""
        return self.training.snapshot() | {"snapshots": self.taken}

    def kept(self, one: Trained, large: bool = False) -> dict[str, Any] | None:
        """The weights of this seed that were best on val, of the pictured seed also those after the last step and the snapshots.

        None for models over 64 MiB unless `large`. Where the last step was best, both are the same tensors, which are stored once.
        """
        if not large and sum(value.nbytes for value in one.last.values()) > LARGEST:
            return None
        best = {name: value.detach().cpu().clone() for name, value in one.best.items()}
        if one.seed != PICTURED:
            return {"best": best}
        size = sum(value.nbytes for weights in self.taken.values() for value in weights.values())
        every = max(1, math.ceil(size / ON_THE_WAY))
        thinned = sorted({*sorted(self.taken)[:1], *sorted(self.taken, reverse=True)[::every]})
        ended_best = one.best_samples == one.curve.samples[-1]
        last = best if ended_best else {name: value.detach().cpu().clone() for name, value in one.last.items()}
        return {"best": best, "last": last, "snapshots": {samples: self.taken[samples] for samples in thinned}}
