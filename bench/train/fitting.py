"""Models that bring `.fit` (models.Fits): called once on whole splits, in place of the loop, and scored as the loop scores."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bench.train.batches import together
from bench.train.evaluation import means, score
from bench.train.learners import Single, check_answer
from bench.train.loop import Progress, Save, fresh, synchronise
from bench.train.trained import Curve, Position, Trained
from datasets.data import Split, TrainingData, generator
from datasets.task import Budget, Task
from models import Fits

MOST = 20_000  # samples that a fit is given where they are drawn afresh


def samples(data: TrainingData, budget: Budget, noise: torch.Generator) -> Split:
    """What is fitted: the training split as it is; where its samples are drawn afresh, as many as the budget allows, at most MOST."""
    most = min(budget.samples, MOST)
    if data.draw is not None:
        return Split(*data.draw(most, noise))
    if data.augment is None:
        return data.train
    passes = [data.augment(data.train.x, data.train.y, noise) for _ in range(max(1, most // len(data.train)))]
    return Split(torch.cat([x for x, _ in passes]), torch.cat([y for _, y in passes]))


class Fitting:
    """One seed of a model that is not trained by gradient: what `Training` offers, with a single evaluation and no checkpoints."""

    def __init__(
        self, build: Callable[[], nn.Module], task: Task, budget: Budget, seeds: list[int], data: list[TrainingData], device: torch.device
    ) -> None:
        (seed,), (self.data,) = seeds, data
        self.task, self.budget, self.seeds, self.device = task, budget, seeds, device
        self.noise = generator("fit", seed, device)
        self.learner = Single(fresh(build, budget, seed), task, budget, device, self.noise)
        self.position = Position(0, 0.0, [Curve()], [0], [0])

    def snapshot(self) -> dict[str, Any]:
        """Nothing to go on from: a fit that was cut off begins anew."""
        raise RuntimeError("a fit has no checkpoints")

    def run(self, progress: Progress = lambda share: None, save: Save | None = None, every: float = 30.0) -> list[Trained]:
        """Fit, then score val and what was fitted. ValueError if the answers have another shape than the task asks for."""
        module, metric = self.learner.module, self.task.metric
        assert isinstance(module, Fits)
        val = Split(self.data.val.x.to(self.device), self.data.val.y.to(self.device))
        train = samples(self.data, self.budget, self.noise)
        train = Split(train.x.to(self.device), train.y.to(self.device))
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []), torch.no_grad():
            synchronise(self.device)
            clock = time.perf_counter()
            module.fit(train, val, self.task, self.noise)
            synchronise(self.device)
            seconds = time.perf_counter() - clock
        check_answer(module, self.task, self.budget, self.device)
        seen, found = (self.scored(split) for split in (train, val))
        state: dict[str, Tensor] = {name: value[0].clone() for name, value in self.learner.state().items()}
        curve = Curve([len(train)], [seconds], [seen["loss"]], [found["loss"]], [found[metric.name]])
        curve.train_metric, curve.last_loss = [seen[metric.name]], [seen["loss"]]
        curve.val_scores = {one.name: [found[one.name]] for one in self.task.metrics}
        if self.data.peek is not None:
            curve.test_metric = [self.scored(self.data.peek)[metric.name]]
        wrong = [name for name in ("loss", metric.name) if not math.isfinite(found[name])]
        status, reason = ("diverged", f"what was fitted has no finite {wrong[0]} on val") if wrong else ("ok", "")
        progress(1.0)
        return [Trained(self.seeds[0], status, reason, curve, len(train), state, state, seconds, 1)]

    def scored(self, split: Split) -> dict[str, float]:
        return means(score(self.learner, together([split], self.device), self.task).scores, self.task)[0]
