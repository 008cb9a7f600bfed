"""The first training samples of a data set as data sets of their own: digits_first_50. Workers import this file as a plugin.

The training split is put in a random order first, another one for every seed: files are often sorted, digits by who wrote them. Larger
sets have all that smaller ones have. Val and test are whole, and inputs are standardised as they are for the whole training split.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

import datasets
from datasets.data import Data, Split, generator

CUT = 1  # raise it when the same seed starts to give other samples


def named(parent: str, size: int) -> str:
    return f"{parent}_first_{size}"


@datasets.family(r"(\w+)_first_(\d+)")
def first(parent: str, size: str) -> None:
    """Register the first `size` training samples of `parent`. It belongs to the parent's file, whose code decides its numbers."""
    whole, n = datasets.task(parent), int(size)

    def load(root: Path, seed: int, download: bool) -> Data:
        data = datasets.load(parent, root, seed, download)
        chosen = torch.randperm(len(data.train), generator=generator(f"{parent}/first", seed))[:n]
        return replace(data, train=Split(data.train.x[chosen], data.train.y[chosen]))

    task = replace(whole, name=named(parent, n), sizes=(n, *whole.sizes[1:]), version=10 * whole.version + CUT)
    datasets.register(task, resplit=datasets.pool(parent) is not None, place=datasets.source(parent))(load)
