"""Shuffled twins: the places of every input permuted alike, so that near and far mean nothing; else the data of the original.

What a model loses on a twin is what locality was worth to it. The twin of a data set has one permutation for all seeds.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from datasets.data import Data, Split, generator
from datasets.task import Task


def twin(task: Task) -> Task:
    """The task as that of a twin, which is run when it is named."""
    return replace(task, role="twin")


def shuffled(data: Data, name: str) -> Data:
    """`data` with the places (all dimensions of x after its channels) in the order of the twin `name`, after augmentation."""
    order = torch.randperm(data.train.x[0, 0].numel(), generator=generator(f"{name}/places", 0))

    def move(x: Tensor) -> Tensor:
        return x.flatten(2)[:, :, order.to(x.device)].view(x.shape)

    train, val, test = (Split(move(split.x), split.y) for split in (data.train, data.val, data.test))
    original = data.augment
    if original is None:
        return Data(train, val, test)
    home = order.argsort()

    def augment(x: Tensor, y: Tensor, g: torch.Generator) -> tuple[Tensor, Tensor]:
        x, y = original(x.flatten(2)[:, :, home.to(x.device)].view(x.shape), y, g)
        return move(x), y

    return Data(train, val, test, augment)
