"""Samples in memory: a data set is three splits of whole tensors, and every random draw has its own seed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


class Missing(RuntimeError):
    """The data are not in the data root and no download was asked for. The message says how to get them."""


class Unfetched(Missing):
    """They were to be downloaded, and could not be."""


class Corrupt(RuntimeError):
    """A data file is truncated or altered. The message names the file and the sum expected."""


@dataclass(frozen=True)
class Split:
    """Samples `x`, (n, *input.shape), and their targets `y`: (n,) int64 classes, (n, size) int64 tokens, else (n, *output.shape)."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)


Draw = Callable[[int, torch.Generator], tuple[Tensor, Tensor]]
Augment = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class TrainingData:
    """A data set without its test split: all that a training is handed. See Data.

    `peek` is None but under a `published` budget that chooses on test, as its source did: then the test split, scored and
    written down at every evaluation. It decides nothing in training.
    """

    train: Split
    val: Split
    augment: Augment | None
    peek: Split | None = None
    draw: Draw | None = None


@dataclass(frozen=True)
class Data:
    """Three splits; `augment(x, y, generator)` draws a training batch afresh, on the device the batch is on.

    `draw(n, generator)` is an endless stream of new training samples, on the generator's device, in place of a training split:
    `train` is then empty (see `streamed`), no sample is seen twice, and there are no epochs.
    """

    train: Split
    val: Split
    test: Split
    augment: Augment | None = None
    draw: Draw | None = None

    @property
    def for_training(self) -> TrainingData:
        """What training may see."""
        return TrainingData(self.train, self.val, self.augment, draw=self.draw)


def derive(purpose: str, seed: int) -> int:
    """A 63-bit seed for one purpose ('gaussian/val', 'order/3', …), so that no two draws share a stream."""
    digest = hashlib.sha256(f"{purpose}:{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(purpose: str, seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator on `derive(purpose, seed)`."""
    return torch.Generator(device).manual_seed(derive(purpose, seed))


def stratified(y: Tensor, size: int, purpose: str, seed: int) -> tuple[Tensor, Tensor]:
    """Indices (rest, chosen): `size` samples chosen at random with the classes in proportion, both sorted."""
    from sklearn.model_selection import train_test_split  # a second to import, and whoever only lists data sets needs none of it

    rest, chosen = train_test_split(np.arange(len(y)), test_size=size, stratify=y.numpy(), random_state=derive(purpose, seed) % 2**32)
    return torch.from_numpy(np.sort(rest)), torch.from_numpy(np.sort(chosen))


def three_way(x: Tensor, y: Tensor, sizes: tuple[int, int, int], name: str, seed: int) -> Data:
    """Stratified train, val and test of `sizes` from a set without an official test split."""
    if sum(sizes) != len(y):
        raise ValueError(f"{name}: sizes {sizes} do not add up to {len(y)} samples")
    rest, test = stratified(y, sizes[2], f"{name}/test", seed)
    inner, val = stratified(y[rest], sizes[1], f"{name}/val", seed)
    train, val = rest[inner], rest[val]
    return Data(Split(x[train], y[train]), Split(x[val], y[val]), Split(x[test], y[test]))


def fixed_test(x: Tensor, y: Tensor, sizes: tuple[int, int, int], name: str, seed: int) -> Data:
    """As `three_way`, but every seed has the same test split: seeds differ in what they train on, and are no new examples."""
    if sum(sizes) != len(y):
        raise ValueError(f"{name}: sizes {sizes} do not add up to {len(y)} samples")
    rest, test = stratified(y, sizes[2], f"{name}/test", 0)
    inner, val = stratified(y[rest], sizes[1], f"{name}/val", seed)
    train, val = rest[inner], rest[val]
    return Data(Split(x[train], y[train]), Split(x[val], y[val]), Split(x[test], y[test]))


def standardise(data: Data, dims: tuple[int, ...]) -> tuple[Data, Tensor, Tensor]:
    """Shift and scale every split by the mean and deviation of the training split over `dims`; also returns both."""
    mean = data.train.x.mean(dims, keepdim=True)
    std = data.train.x.std(dims, keepdim=True).clamp_min(1e-6)
    train, val, test = (Split((split.x - mean) / std, split.y) for split in (data.train, data.val, data.test))
    return Data(train, val, test, data.augment), mean, std


def drawn(draw: Draw, sizes: tuple[int, int, int], name: str, seed: int) -> Data:
    """Three splits drawn independently of each other by `draw(n, generator) -> x, y`."""
    train, val, test = (Split(*draw(n, generator(f"{name}/{part}", seed))) for part, n in zip(("train", "val", "test"), sizes, strict=True))
    return Data(train, val, test)


def streamed(draw: Draw, sizes: tuple[int, int, int], name: str, seed: int) -> Data:
    """Val and test as `drawn` has them, and training samples without end; `sizes` begins with 0."""
    if sizes[0]:
        raise ValueError(f"{name}: a stream has no training split; sizes begin with 0, not {sizes[0]}")
    val, test = (Split(*draw(n, generator(f"{name}/{part}", seed))) for part, n in zip(("val", "test"), sizes[1:], strict=True))
    return Data(Split(val.x[:0], val.y[:0]), val, test, draw=draw)
