"""The spatial transformer of 1506.02025 as S2 builds it: the network straightens its own input, then looks at it.

    image (batch, c, h, w) ─┬─> localise: conv5 8, BN, ReLU, pool 2 -> conv5 16, BN, ReLU, pool 2 -> 64, ReLU -> affine (2, 3)
                            │                                                                               │
                            └───────────────────────────> sample bilinearly at the places it names <────────┘
                                                                        │
                                        body: the same layers, -> 64, ReLU -> classes

Parameters on MNIST's shape: stn 40,880 (20,310 localise, 20,570 in the body);
stn_cnn, the body alone, widened to 11 and 22 channels and 95 units, 40,919: the plain CNN of equal size.
On other images it has the same channels and as many units as it takes.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.task import Task
from models import Takes, Unsupported, register

IMAGES = Takes("image", "classes", "straightens an image", "answers with a class")
SMALLEST = 16  # pixels along a side that two 5×5 convolutions, each pooled by 2, turn into one


def network(task: Task, channels: int, width: int, outputs: int) -> nn.Sequential:
    """(batch, c, h, w) -> (batch, outputs). Unsupported where the images are too small."""
    colours, *sides = task.input.shape
    if min(sides) < SMALLEST:
        raise Unsupported(f"an image of {sides[0]}×{sides[1]} pixels is too small for two 5×5 convolutions and two poolings")
    pooled = [((side - 4) // 2 - 4) // 2 for side in sides]

    def stage(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 5), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]

    head = [nn.Flatten(), nn.Linear(2 * channels * pooled[0] * pooled[1], width), nn.ReLU(), nn.Linear(width, outputs)]
    return nn.Sequential(*stage(colours, channels), *stage(channels, 2 * channels), *head)


def warp(images: Tensor, affine: Tensor) -> Tensor:
    """What each image (batch, c, h, w) shows at the places its `affine` (batch, 2, 3) sends the output's pixels to, bilinear.

    Places run from -1 to 1 across the image, x first. Outside lies the image's own darkest value, by channel: S2's images
    end in black, which is 0 there but not once they are standardised; grid_sample's zeros would frame a digit in grey, its
    border padding would draw a digit that touches the edge out into stripes.
    """
    dark = images.amin((2, 3), keepdim=True)
    # A place in bfloat16 is a quarter of a pixel off at the far side of 60: autocast must not reach the product in here.
    with torch.autocast(images.device.type, enabled=False):
        grid = F.affine_grid(affine.to(images.dtype), list(images.shape), align_corners=False)
        return F.grid_sample(images - dark, grid, align_corners=False) + dark


class SpatialTransformer(nn.Module):
    """(batch, c, h, w) -> (batch, classes). `straighten` shows what the body gets to see."""

    def __init__(self, task: Task, channels: int, width: int) -> None:
        super().__init__()
        self.localise = network(task, channels, width, 6)
        self.body = network(task, channels, width, task.output.size)
        last = self.localise[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias.copy_(torch.eye(2, 3).flatten())

    def straighten(self, x: Tensor) -> Tensor:
        return warp(x, self.localise(x).view(-1, 2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.straighten(x))


@register(family="attention", takes=IMAGES)
def stn(task: Task, *, channels: int = 8, width: int = 64) -> SpatialTransformer:
    return SpatialTransformer(task, channels, width)


@register(family="convolution", takes=IMAGES)
def stn_cnn(task: Task, *, channels: int = 11, width: int = 0) -> nn.Sequential:
    """`width` 0 stands for the fewest units with which it is no smaller than `stn`, whatever the image."""

    def size(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    if not width:
        with torch.device("meta"):  # counting draws no random numbers
            least, next_, wanted = (size(module) for module in (*(network(task, channels, n, task.output.size) for n in (1, 2)), stn(task)))
        width = 1 + math.ceil((wanted - least) / (next_ - least))
    return network(task, channels, width, task.output.size)
