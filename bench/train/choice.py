"""Which weights a run keeps, put to the test: evaluations whose scores tie, each of other weights. Part of a probe (probe.py)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.train.loop import Curve, Position, Trained, Training

GROWTH = 17 / 16  # of all parameters between two evaluations


class Scaled:
    """A learner whose answers are `factor` times as large: the same classes with other losses, so that scores tie."""

    def __init__(self, learner: Any, factor: float) -> None:
        self.learner, self.factor = learner, factor

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.learner.forward(x)
        return out * self.factor if out.is_floating_point() else out

    def taught(self, x: Tensor, y: Tensor) -> Tensor | None:
        out = self.learner.taught(x, y)
        return None if out is None else out * self.factor

    def state(self) -> dict[str, Tensor]:
        return dict(self.learner.state())


class Replayed:
    """A learner that answers as it did in its first evaluation, whatever has become of its weights."""

    def __init__(self, learner: Any) -> None:
        self.learner = learner
        self.answers: list[Tensor | None] = []
        self.place: int | None = None  # of the next answer; None while they are recorded

    def answer(self, fresh: Any, *asked: Tensor) -> Tensor | None:
        if self.place is None:
            self.answers.append(fresh(*asked))
            return self.answers[-1]
        self.place += 1
        return self.answers[self.place - 1]

    def forward(self, x: Tensor) -> Tensor | None:
        return self.answer(self.learner.forward, x)

    def taught(self, x: Tensor, y: Tensor) -> Tensor | None:
        return self.answer(self.learner.taught, x, y)

    def state(self) -> dict[str, Tensor]:
        return dict(self.learner.state())


def tie(training: Training) -> None:
    """Evaluations after the last step whose scores tie and whose losses do not, or do: which weights are kept is part of a run."""
    learner = training.learner
    for factor in (0.5, 1.0, 1.0, 0.25):
        evaluate(training, Scaled(learner, factor))
    training.learner = learner


def choose(training: Training) -> list[Trained]:
    """What a training would keep of eight evaluations, two of each score, had there been none before. Its weights are used up.

    Whichever score is the best, the first of its two has to be kept, and neither is the last: so the choice and the scoring of
    what was chosen both show.
    """
    learner, n = training.learner, len(training.seeds)
    training.position = Position(0, 0.0, [Curve() for _ in range(n)], [0] * n, [0] * n)
    replayed = Replayed(learner)
    for factor in (0.25, 1.0, 2.0, 0.5):
        for _ in range(2):
            evaluate(training, Scaled(replayed, factor))
            replayed.place = 0
            with torch.no_grad():
                for parameter in learner.parameters:
                    parameter.mul_(GROWTH)
    training.learner = learner
    return training.results()


def evaluate(training: Training, learner: Any) -> None:
    training.learner = learner
    training.position.step += 1
    ones = [1.0] * len(training.seeds)
    training.evaluate(ones, ones, training.val)
