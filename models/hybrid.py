"""The hybrid of S4: the convolutions of its CNN, then its ViT over what they leave.

    (batch, c, h, w) -> conv3 32, ReLU -> conv3 64, ReLU -> max-pool 2 -> (batch, 64, (h - 4) / 2, (w - 4) / 2)
      -> 4 patches of half the side -> vit.py

The map is 12×12 on MNIST and 14×14 on CIFAR. Width, depth and heads are those of a ViT for the image itself.

    parameters           MNIST       CIFAR-10    CIFAR-100
    hybrid               1,506,826   1,615,562   1,627,172
    hybrid_published     1,591,652   1,727,012   1,727,012   100 classes everywhere; 73,216 dead on MNIST, 99,840 on CIFAR

As published, the position table is built for a side of 144 or 196, the numbers of pixels of the map; with 10 classes instead
of 100 that makes 1,580,042 and 1,715,402. Its source takes the largest of all 100 answers; here it is that of the classes that there are.
"""

from __future__ import annotations

from dataclasses import replace

import torch.nn.functional as F
from torch import Generator, Tensor, nn

from datasets.task import Input, Output, Task
from models import Takes, Unsupported, register
from models.vit import pixels, usual, vit

IMAGES = Takes("image", ("classes", "labels"), "starts with convolutions over an image", "classifies images")
CLASSES = 100  # as published, on MNIST and CIFAR-10 as well


def mapped(task: Task, channels: int) -> Task:
    """The task that is left to the ViT: to classify a map of that many channels. Unsupported if there is none to cut up."""
    _, height, width = task.input.shape
    rows, columns = (height - 4) // 2, (width - 4) // 2
    half = min(rows, columns) // 2
    if half < 1 or rows % half or columns % half:
        left = f"{max(rows, 0)}×{max(columns, 0)} of {height}×{width} pixels"
        raise Unsupported(f"two convolutions and a pooling leave {left}, which are no whole number of half-side patches")
    return replace(task, input=Input("image", (channels, rows, columns)))


@register(family="attention", takes=IMAGES)
def hybrid(
    task: Task, *, channels: int = 32, depth: int | None = None, heads: int = 4, dropout: float = 0.1, side: int | None = None
) -> nn.Sequential:
    left = mapped(task, 2 * channels)
    sizes = usual(min(task.input.shape[1:])) | ({"depth": depth} if depth else {})
    front = [nn.Conv2d(task.input.shape[0], channels, 3), nn.ReLU(), nn.Conv2d(channels, 2 * channels, 3), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*front, vit(left, **sizes, heads=heads, dropout=dropout, side=side))


class Hundred(nn.Sequential):
    """Answers with 100 classes and is trained on all of them, on MNIST and CIFAR-10 as well; scored are those that the task has."""

    def loss(self, x: Tensor, y: Tensor, task: Task, generator: Generator) -> Tensor:
        return F.cross_entropy(self(x), y)

    def predict(self, x: Tensor, task: Task) -> Tensor:
        return self(x)[:, : task.output.size]


@register(family="attention", takes=Takes("image", "classes", IMAGES.reads, IMAGES.answers))
def hybrid_published(task: Task, *, depth: int | None = None) -> nn.Module:
    left = mapped(task, 64)
    if task.output.size > CLASSES:
        raise Unsupported(f"always answers with {CLASSES} classes; this task has {task.output.size}")
    return Hundred(*hybrid(replace(task, output=Output("classes", CLASSES)), depth=depth, side=pixels(left)).children())
