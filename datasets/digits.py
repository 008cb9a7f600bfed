"""Handwritten digits, 8×8 pixels, 1,797 of them. From scikit-learn, which ships the UCI test set.

    digits             x (1, 8, 8)                                                          y = 0 … 9
    digits_translated  x (1, 16, 16): the digit anywhere on an empty canvas                     "
    digits_affine      x (1, 16, 16): enlarged to 16×16, then rotated ±60°, shifted ±30 %,
                       scaled 0.4 – 1.0 (S2's distortion of MNIST)                              "
    digits_shuffled    digits, its pixels in another order: see datasets/shuffle.py             "

350 digits are the test set of every seed; seeds split the others anew. Pixels are standardised by the training split. The two
in the middle are drawn afresh, on the device, for every training batch, once per seed for val and once for test; the training
split itself holds the digit in the middle, undistorted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from datasets import register
from datasets.data import Data, Split, fixed_test, standardise
from datasets.distort import affine, distorted, translate
from datasets.shuffle import shuffled, twin
from datasets.task import Budget, Input, Output, Task, budgets

SIZES = (1_097, 350, 350)
CANVAS = 16
DEFAULT = Budget("default", 9_600, 64, 3e-3, "adamw", "cosine", warmup=0.1, weight_decay=0.01, evaluations=8, seeds=1)
BUDGETS = budgets(
    DEFAULT,
    replace(DEFAULT, name="paper", evaluations=20, samples=200_000, lr=1e-3, seeds=3),
    replace(DEFAULT, name="reference", evaluations=20, samples=128_000, seeds=10),
    smoke_samples=640,
)


def plain(seed: int) -> Data:
    """The digits as they are, pixels from 0 to 1."""
    from sklearn.datasets import load_digits

    raw = load_digits()
    images = torch.from_numpy(raw.images).float()[:, None] / 16
    return fixed_test(images, torch.from_numpy(raw.target).long(), SIZES, "digits", seed)


def resized(data: Data, resize: Callable[[Tensor], Tensor]) -> Data:
    train, val, test = (Split(resize(split.x), split.y) for split in (data.train, data.val, data.test))
    return Data(train, val, test)


def task(name: str, side: int, summary: str) -> Task:
    image, classes = Input("image", (1, side, side)), Output("classes", 10)
    return Task(name, image, classes, SIZES, BUDGETS, version=2, source="UCI digits, scikit-learn", summary=summary)


@register(task("digits", 8, "handwritten digits, 8×8 pixels"))
def digits(root: Path, seed: int, download: bool) -> Data:
    return standardise(plain(seed), (0, 2, 3))[0]


@register(task("digits_translated", CANVAS, "the digits at a random place of a 16×16 canvas"))
def digits_translated(root: Path, seed: int, download: bool) -> Data:
    data = resized(plain(seed), lambda x: F.pad(x, ((CANVAS - 8) // 2,) * 4))
    return distorted(data, "digits_translated", seed, translate, test_seed=0)


@register(task("digits_affine", CANVAS, "the digits rotated, shifted and scaled at random"))
def digits_affine(root: Path, seed: int, download: bool) -> Data:
    data = resized(plain(seed), lambda x: F.interpolate(x, (CANVAS, CANVAS), mode="bilinear", align_corners=False))
    return distorted(data, "digits_affine", seed, affine, test_seed=0)


@register(twin(task("digits_shuffled", 8, "the digits with their pixels in another order, the same for all")))
def digits_shuffled(root: Path, seed: int, download: bool) -> Data:
    return shuffled(standardise(plain(seed), (0, 2, 3))[0], "digits_shuffled")
