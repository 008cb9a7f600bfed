"""Scoring a split: a sum over samples divided by their number, never a mean of batch means."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from datasets.data import Split
from datasets.task import Task

NUMBERS = 2**14  # of input in a batch: larger batches fall out of the cache, smaller ones are all overhead


def outputs(forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """All outputs for x (S, n, …), in batches: (S, n, *output.shape)."""
    batch = max(1, NUMBERS // x[0, 0].numel())
    return torch.cat([forward(part) for part in x.split(batch, 1)], 1)


def score(forward: Callable[[Tensor], Tensor], split: Split, task: Task) -> dict[str, Tensor]:
    """Per-sample loss and metrics, each (S, n) float32 on the CPU. The split has S seeds in front: x (S, n, …)."""
    seeds, n = split.x.shape[:2]
    out = outputs(forward, split.x)
    per_sample = task.scores(out.flatten(0, 1), split.y.flatten(0, 1))
    return {name: values.view(seeds, n).float().cpu() for name, values in per_sample.items()}


def means(scores: dict[str, Tensor]) -> list[dict[str, float]]:
    """For each seed the mean of every score, summed in float64."""
    averaged = {name: (values.double().sum(1) / values.shape[1]).tolist() for name, values in scores.items()}
    return [dict(zip(averaged, row, strict=True)) for row in zip(*averaged.values(), strict=True)]


def predictions(out: Tensor, task: Task) -> np.ndarray:
    """What is kept of one seed's outputs (n, …): classes, or values in half precision; a signal is too long to keep."""
    if task.output.kind == "signal":
        return np.empty(0, "<f2")
    if task.output.kind == "classes":
        return out.argmax(-1).cpu().numpy().astype("u1" if task.output.size <= 256 else "<u2")
    return half(out)


def half(values: Tensor) -> np.ndarray:
    """Half precision, clipped to what it can hold."""
    return values.clamp(-6e4, 6e4).cpu().numpy().astype("<f2")
