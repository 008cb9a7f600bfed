"""Distortions of images drawn afresh for every training batch, on the device; once per seed for val and test."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from datasets.data import Data, Split, generator, standardise

Distort = Callable[[Tensor, Generator], Tensor]


def translate(images: Tensor, g: Generator, reach: int | None = None) -> Tensor:
    """Move every image (batch, 1, side, side) by its own whole number of pixels, up to `reach`, a quarter of the side
    unless given; 0 comes in."""
    n, _, side, _ = images.shape
    reach = side // 4 if reach is None else reach
    shift = torch.randint(-reach, reach + 1, (2, n, 1), generator=g, device=images.device)
    rows, cols = torch.arange(side, device=images.device) - shift + reach
    padded = F.pad(images[:, 0], (reach,) * 4)
    batch = torch.arange(n, device=images.device)[:, None, None]
    return padded[batch, rows[:, :, None], cols[:, None, :]][:, None]


def affine(images: Tensor, g: Generator, degrees: float = 60, shift: float = 0.3, smallest: float = 0.4, whole: bool = False) -> Tensor:
    """Rotate, scale and shift every image (batch, 1, side, side) by its own draw, bilinear; 0 comes in. `whole`: by whole pixels."""
    low_high = torch.rand(4, len(images), generator=g, device=images.device)
    angle, scale = (2 * low_high[0] - 1) * math.radians(degrees), smallest + (1 - smallest) * low_high[1]
    move = (2 * low_high[2:] - 1) * shift * 2  # the grid runs from -1 to 1: a whole side is 2
    if whole:
        move = (move * images.shape[3] / 2).round() * 2 / images.shape[3]
    cos, sin = angle.cos() / scale, angle.sin() / scale
    # grid_sample wants the way back, from a place on the canvas to a place in the digit.
    back = torch.stack([cos, sin, -cos * move[0] - sin * move[1], -sin, cos, sin * move[0] - cos * move[1]], 1)
    grid = F.affine_grid(back.view(-1, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def distorted(data: Data, name: str, seed: int, distort: Distort, test_seed: int | None = None) -> Data:
    """Standardised splits on the canvas: val and test drawn once, training batches drawn when asked.

    `test_seed` in place of `seed` for the test split, where all seeds share one.
    """
    seeds = {"val": seed, "test": seed if test_seed is None else test_seed}
    val, test = (
        Split(distort(split.x, generator(f"{name}/{part}", seeds[part])), split.y)
        for part, split in (("val", data.val), ("test", data.test))
    )
    data, mean, std = standardise(Data(data.train, val, test), (0, 2, 3))
    empty = float(-mean / std)  # what a black pixel became; distortions bring in 0

    def augment(x: Tensor, y: Tensor, g: Generator) -> tuple[Tensor, Tensor]:
        return distort(x - empty, g) + empty, y

    return Data(data.train, data.val, data.test, augment)
