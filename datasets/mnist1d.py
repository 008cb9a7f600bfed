"""MNIST-1D (2011.14439): ten templates of 12 points, padded, stretched, scaled, moved, sheared and made noisy; 40 samples each.

    mnist1d            x (1, 40)                               y = 0 … 9
    mnist1d_shuffled   the same, its samples in another order  see datasets/shuffle.py

Made by the generator of the package `mnist1d` (Apache-2.0) with its own arguments and seed, the published data: 4,000 signals,
of which each seed sets others aside for val, and the package's 1,000 for test. Published: logistic 32, MLP 68, CNN 94, GRU
91 %; shuffled 32, 68, 56, 57 %.
"""

from __future__ import annotations

import random
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datasets import register
from datasets.data import Data, Missing, Split, stratified
from datasets.once import once
from datasets.shuffle import shuffled, twin
from datasets.task import Budget, Input, Output, Task, budgets

SIZES = (3_500, 500, 1_000)
DEFAULT = Budget("default", 9_600, 64, 3e-3, "adamw", "cosine", warmup=0.1, weight_decay=0.01, evaluations=8, seeds=1)
BUDGETS = budgets(
    DEFAULT,
    Budget("paper", samples=600_000, batch=100, lr=1e-2),
    replace(DEFAULT, name="reference", evaluations=20, samples=192_000, seeds=10),
    smoke_samples=640,
)


def generated() -> dict[str, Tensor]:
    """Signals x (4000, 1, 40) with classes y, and x_test (1000, 1, 40), y_test. Missing without mnist1d.

    The package seeds the generators of `random` and numpy for all: both go on as if nothing had happened.
    """
    try:
        from mnist1d.data import make_dataset
    except ImportError as error:
        raise Missing(f"mnist1d is made by the package mnist1d, which does not import ({error}); pip install mnist1d") from error
    python, numpy = random.getstate(), np.random.get_state()
    try:
        data = make_dataset()
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
    signals = {key: torch.from_numpy(data[key]).float()[:, None] for key in ("x", "x_test")}
    return signals | {key: torch.from_numpy(data[key]).long() for key in ("y", "y_test")}


@lru_cache(maxsize=1)
def made() -> dict[str, Tensor]:
    """`generated()`, which takes seconds."""
    return once("mnist1d", generated)


def split(seed: int) -> Data:
    data = made()
    x, y = data["x"], data["y"]
    train, val = stratified(y, SIZES[1], "mnist1d/val", seed)
    return Data(Split(x[train], y[train]), Split(x[val], y[val]), Split(data["x_test"], data["y_test"]))


def task(name: str, summary: str) -> Task:
    source = "MNIST-1D, Greydanus and Kobak, 2011.14439"
    return Task(name, Input("signal", (1, 40)), Output("classes", 10), SIZES, BUDGETS, source=source, summary=summary, patch=1)


@register(task("mnist1d", "ten templates, stretched, moved and noisy: digits in one dimension"))
def mnist1d(root: Path, seed: int, download: bool) -> Data:
    return split(seed)


@register(twin(task("mnist1d_shuffled", "mnist1d with its samples in another order, the same for all")))
def mnist1d_shuffled(root: Path, seed: int, download: bool) -> Data:
    return shuffled(split(seed), "mnist1d_shuffled")
