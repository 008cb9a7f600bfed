"""ConvMixer (2201.09792), "Patches Are All You Need?": patches, then blocks that mix places and channels by turns.

    (batch, c, h, w) -> conv p, stride p, GELU, BN -> depth × [ x + (conv k of each channel alone, GELU, BN) -> conv 1, GELU, BN ]
      -> mean over the map -> classes

    convmixer             width 128, under 32 pixels 64, depth 4, kernel 5, patches of 2, of 1 up to 8 pixels: for a CPU
    convmixer_published   the paper's ConvMixer-256/8 for CIFAR, kernel 5, patches of 2: 594,186 parameters on CIFAR-10

Batch statistics are state, so seeds train one by one.
"""

from __future__ import annotations

from torch import Tensor, nn

from datasets.task import Task
from models import Takes, Unsupported, register, sizes

IMAGES = Takes("image", ("value", "classes"), "cuts an image into patches", "answers with one vector per image")


class Mixed(nn.Module):
    """One block, (batch, width, rows, columns) -> the same."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.places = nn.Sequential(nn.Conv2d(width, width, kernel, groups=width, padding="same"), nn.GELU(), nn.BatchNorm2d(width))
        self.channels = nn.Sequential(nn.Conv2d(width, width, 1), nn.GELU(), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.channels(x + self.places(x))


@register(family="convolution", takes=IMAGES)
def convmixer(task: Task, *, width: int | None = None, depth: int = 4, kernel: int = 5, patch: int | None = None) -> nn.Sequential:
    channels, height, side = task.input.shape
    width = width or sizes.width(task)
    patch = patch or (1 if min(height, side) <= 8 else 2)
    if min(height, side) < patch:
        raise Unsupported(f"an image of {height}×{side} pixels has no patch of {patch}")
    stem = [nn.Conv2d(channels, width, patch, patch), nn.GELU(), nn.BatchNorm2d(width)]
    blocks = [Mixed(width, kernel) for _ in range(depth)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, task.output.size))


@register(family="convolution", takes=IMAGES)
def convmixer_published(task: Task) -> nn.Module:
    return convmixer(task, width=256, depth=8)
