"""Handwritten digits, 8×8 pixels, 1,797 of them. From scikit-learn, which ships the UCI test set.

    digits             x (1, 8, 8)                                                          y = 0 … 9
    digits_translated  x (1, 16, 16): the digit anywhere on an empty canvas                     "
    digits_affine      x (1, 16, 16): enlarged to 16×16, then rotated ±60°, shifted ±30 %,
                       scaled 0.4 – 1.0 (S2's distortion of MNIST)                              "

Pixels are standardised by the training split. The last two are drawn afresh, on the device, for every training batch
and once per seed for val and test; the training split itself holds the digit in the middle, undistorted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Generator, Tensor

from datasets import register
from datasets.data import Data, Split, generator, standardise, three_way
from datasets.task import Budget, Input, Output, Task, budgets

SIZES = (1_097, 350, 350)
CANVAS = 16
BUDGETS = budgets(
    Budget("default", samples=12_800, batch=64, lr=3e-3, optimizer="adamw", schedule="cosine", warmup=0.1, weight_decay=0.01),
    Budget("paper", samples=200_000, batch=64, lr=1e-3, optimizer="adamw", schedule="cosine", warmup=0.1, weight_decay=0.01),
    smoke_samples=640,
)

Distort = Callable[[Tensor, Generator], Tensor]


def translate(images: Tensor, g: Generator) -> Tensor:
    """Move every image (batch, 1, side, side) by its own whole number of pixels, up to a quarter of the side; 0 comes in."""
    n, _, side, _ = images.shape
    reach = side // 4
    shift = torch.randint(-reach, reach + 1, (2, n, 1), generator=g, device=images.device)
    rows, cols = torch.arange(side, device=images.device) - shift + reach
    padded = F.pad(images[:, 0], (reach,) * 4)
    batch = torch.arange(n, device=images.device)[:, None, None]
    return padded[batch, rows[:, :, None], cols[:, None, :]][:, None]


def affine(images: Tensor, g: Generator, degrees: float = 60, shift: float = 0.3, smallest: float = 0.4) -> Tensor:
    """Rotate, scale and shift every image (batch, 1, side, side) by its own draw, bilinear; 0 comes in."""
    low_high = torch.rand(4, len(images), generator=g, device=images.device)
    angle, scale = (2 * low_high[0] - 1) * math.radians(degrees), smallest + (1 - smallest) * low_high[1]
    move = (2 * low_high[2:] - 1) * shift * 2  # the grid runs from -1 to 1: a whole side is 2
    cos, sin = angle.cos() / scale, angle.sin() / scale
    # grid_sample wants the way back, from a place on the canvas to a place in the digit.
    back = torch.stack([cos, sin, -cos * move[0] - sin * move[1], -sin, cos, sin * move[0] - cos * move[1]], 1)
    grid = F.affine_grid(back.view(-1, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def plain(seed: int) -> Data:
    """The digits as they are, pixels from 0 to 1."""
    raw = load_digits()
    images = torch.from_numpy(raw.images).float()[:, None] / 16
    return three_way(images, torch.from_numpy(raw.target).long(), SIZES, "digits", seed)


def distorted(data: Data, name: str, seed: int, distort: Distort) -> Data:
    """Standardised splits on the canvas: val and test drawn once, training batches drawn when asked."""
    val, test = (
        Split(distort(split.x, generator(f"{name}/{part}", seed)), split.y) for part, split in (("val", data.val), ("test", data.test))
    )
    data, mean, std = standardise(Data(data.train, val, test), (0, 2, 3))
    empty = float(-mean / std)  # what a black pixel became; distortions bring in 0

    def augment(x: Tensor, y: Tensor, g: Generator) -> tuple[Tensor, Tensor]:
        return distort(x - empty, g) + empty, y

    return Data(data.train, data.val, data.test, augment)


def resized(data: Data, resize: Callable[[Tensor], Tensor]) -> Data:
    train, val, test = (Split(resize(split.x), split.y) for split in (data.train, data.val, data.test))
    return Data(train, val, test)


def task(name: str, side: int, summary: str) -> Task:
    image, classes = Input("image", (1, side, side)), Output("classes", 10)
    return Task(name, image, classes, SIZES, BUDGETS, source="UCI digits, scikit-learn", summary=summary)


@register(task("digits", 8, "handwritten digits, 8×8 pixels"))
def digits(root: Path, seed: int, download: bool) -> Data:
    return standardise(plain(seed), (0, 2, 3))[0]


@register(task("digits_translated", CANVAS, "the digits at a random place of a 16×16 canvas"))
def digits_translated(root: Path, seed: int, download: bool) -> Data:
    data = resized(plain(seed), lambda x: F.pad(x, ((CANVAS - 8) // 2,) * 4))
    return distorted(data, "digits_translated", seed, translate)


@register(task("digits_affine", CANVAS, "the digits rotated, shifted and scaled at random"))
def digits_affine(root: Path, seed: int, download: bool) -> Data:
    data = resized(plain(seed), lambda x: F.interpolate(x, (CANVAS, CANVAS), mode="bilinear", align_corners=False))
    return distorted(data, "digits_affine", seed, affine)
