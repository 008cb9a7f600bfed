"""MNIST and CIFAR as the sources split, normalise and draw them, where that differs from datasets/images.py. Named, never in the grid.

    mnist_published        S4: all 60,000 images train; less 0.1307, by 0.3081
    cifar10_published      S4: all 50,000, by the same two numbers of MNIST; cifar100_published too
    mnist_affine_published S2: 48,000 train, 12,000 are val, drawn without regard to classes; pixels from 0 to 1; rotated ±60°, scaled
                           0.4 – 1.0, then shifted by whole pixels, up to 8
    mnist_translated_published  the same split and pixels; the digit at a random place of a canvas of 60×60

S4 has no val: here it is 5,000 of the images that train, so what it gives is a training figure; its budgets choose on test, as S4 does.
S2 distorts val and test anew whenever they are scored, here they are drawn once for each seed. An epoch of S2 ends with a batch of 896
and one of S4 with 32 or 16; here batches are equally large and cross the border: 469 steps of 2,048 in place of 480.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

from datasets import register
from datasets.data import Data, Split, generator, stratified
from datasets.distort import Distort, affine, translate
from datasets.images import AFFINE, CANVAS, CIFAR, MNIST, TRANSLATED, official, task
from datasets.task import Budget, Task

MEAN, DEVIATION = 0.1307, 0.3081  # of MNIST's pixels, by S4
VAL = 5_000
STN = Budget("published", samples=20 * 48_000, batch=2048, lr=0.01, optimizer="sgd", momentum=0.9, evaluations=20, seconds=36_000)
RAM = Budget("published", samples=100 * 48_000, batch=2048, lr=1e-3, evaluations=100, seconds=36_000)


def add(name: str, ours: Task, images: int) -> None:
    """S4's data set: 1 epoch on the days of its table, 15 later. On MNIST 14 too: by Adadelta PyTorch's example, by Adam the large ViT."""
    fifteen = replace(ours.budget("published"), samples=15 * images)
    fourteen = replace(fifteen, name="published_14", samples=14 * images, evaluations=14)
    budgets = (
        *(budget for budget in ours.budgets if not budget.name.startswith("published")),
        fifteen,
        replace(fifteen, name="published_1", samples=images, evaluations=1),
        *((fourteen, replace(fourteen, name="published_adadelta", optimizer="adadelta", lr=1.0)) if name == "MNIST" else ()),
    )
    asked = replace(ours, name=f"{ours.name}_published", sizes=(images, VAL, 10_000), budgets=budgets)

    def load(root: Path, seed: int, download: bool) -> Data:
        train, test = (Split((split.x - MEAN) / DEVIATION, split.y) for split in official(name, asked, root, download))
        _, val = stratified(train.y, VAL, f"{asked.name}/val", seed)
        return Data(train, Split(train.x[val], train.y[val]), test)

    register(asked)(load)


add("MNIST", MNIST, 60_000)
add("CIFAR10", task("cifar10", (3, 32, 32), 10, 135_040, CIFAR, "small colour photographs, 10 classes"), 50_000)
add("CIFAR100", task("cifar100", (3, 32, 32), 100, 135_040, CIFAR, "small colour photographs, 100 classes"), 50_000)


def afresh(ours: Task, published: Budget, distort: Distort, border: int = 0) -> None:
    """S2's data set: every image distorted anew for every batch, on a canvas `border` pixels larger on every side."""
    budgets = (*(budget for budget in ours.budgets if budget.name != "published"), published)
    asked = replace(ours, name=f"{ours.name}_published", sizes=(48_000, 12_000, 10_000), budgets=budgets)

    def load(root: Path, seed: int, download: bool) -> Data:
        whole, test = official("MNIST", asked, root, download)
        order = torch.randperm(len(whole), generator=generator(f"{asked.name}/val", seed))
        train, val = order[asked.sizes[1] :], order[: asked.sizes[1]]
        parts = {"train": Split(whole.x[train], whole.y[train]), "val": Split(whole.x[val], whole.y[val]), "test": test}
        large = {part: Split(F.pad(split.x, (border,) * 4), split.y) for part, split in parts.items()}
        drawn = {part: Split(distort(large[part].x, generator(f"{asked.name}/{part}", seed)), large[part].y) for part in ("val", "test")}
        return Data(large["train"], drawn["val"], drawn["test"], lambda x, y, g: (distort(x, g), y))

    register(asked)(load)


afresh(AFFINE, STN, partial(affine, whole=True))
afresh(TRANSLATED, RAM, partial(translate, reach=(CANVAS - 28) // 2), (CANVAS - 28) // 2)
