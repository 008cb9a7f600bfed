"""Scoring a split: a sum over samples divided by their number, never a mean of batch means."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from datasets.data import Split
from datasets.task import Budget, Task

NUMBERS = 2**14  # of input in a batch: larger batches fall out of the cache, smaller ones are all overhead
ANSWERS = 2**24  # of output in a batch: the logits of a sentence are many


class Learner(Protocol):
    """What is scored: answers for x (S, batch, …), and the logits given the true prefix where a model takes one."""

    def forward(self, x: Tensor) -> Tensor: ...
    def taught(self, x: Tensor, y: Tensor) -> Tensor | None: ...


class Scored(NamedTuple):
    """A split scored, all on the CPU: loss and metrics of each sample (S, n, …), float32 but float64 in a probe; what was predicted
    (S, n, …), and the scores of the classes (S, n, classes) where there are classes."""

    scores: dict[str, Tensor]
    predicted: Tensor
    out: Tensor | None


def score(learner: Learner, split: Split, task: Task) -> Scored:
    """Every sample of a split scored.

    The split has S seeds in front: x (S, n, …). Batches only save memory: nothing is averaged here.
    """
    numbers = torch.Size(task.output.shape).numel()
    batch = max(1, min(NUMBERS // split.x[0, 0].numel(), ANSWERS // numbers))
    scores: dict[str, list[Tensor]] = defaultdict(list)
    predictions, outs = [], []
    for x, y in zip(split.x.split(batch, 1), split.y.split(batch, 1), strict=True):
        out, taught = learner.forward(x), learner.taught(x, y)
        shape = y.shape[:2]
        found = task.scores(out.flatten(0, 1), y.flatten(0, 1), None if taught is None else taught.flatten(0, 1))
        for name, values in found.items():
            scores[name].append(values.unflatten(0, shape).to(torch.get_default_dtype()).cpu())
        predictions.append(task.predicted(out.flatten(0, 1)).unflatten(0, shape).cpu())
        if task.output.kind.scored:
            outs.append(out.cpu())
    whole = {name: torch.cat(parts, 1) for name, parts in scores.items()}
    return Scored(whole, torch.cat(predictions, 1), torch.cat(outs, 1) if outs else None)


def means(scores: dict[str, Tensor], task: Task) -> list[dict[str, float]]:
    """For each seed every score of the whole split."""
    seeds = len(next(iter(scores.values())))
    return [{name: task.mean(name, values[i]) for name, values in scores.items()} for i in range(seeds)]


def evaluation_steps(budget: Budget) -> set[int]:
    """Steps after which the validation set is scored: evenly spaced, the last one included."""
    n = min(budget.evaluations, budget.steps)
    return {math.ceil(budget.steps * (i + 1) / n) for i in range(n)}
