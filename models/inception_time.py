"""InceptionTime (1909.04939), one network of its ensemble of five: kernels of three lengths side by side.

    (batch, c, length) -> depth × module, with a shortcut (conv 1, BN) added and a ReLU after every third -> mean -> classes
      module: conv 1 to 32 unless c is 1; of that conv 40, 20, 10, 32 channels each; max-pool 3 then conv 1 of the input, 32;
              all four joined, 128 -> BN, ReLU
    a signal is answered by a convolution of 1 at every position, in place of the mean

No biases but the last layer's. Depth 6 has 421,482 parameters for ten classes of one channel. Signals of up to 100 samples get depth 3,
16 channels and kernels of 20, 10, 5. Batch statistics are state, so seeds train one by one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.task import Task
from models import Takes, Unsupported, register

SIGNALS = Takes("signal", ("value", "classes", "signal"), "reads a signal", "answers with numbers")
SHORT = 100  # samples of a signal for which smaller sizes do


def conv(inputs: int, outputs: int) -> nn.Conv1d:
    return nn.Conv1d(inputs, outputs, 1, bias=False)


def long(channels: int, outputs: int, kernel: int) -> nn.Sequential:
    """As long as its input: of an even kernel the place more is on the right."""
    return nn.Sequential(nn.ConstantPad1d(((kernel - 1) // 2, kernel // 2), 0.0), nn.Conv1d(channels, outputs, kernel, bias=False))


class Inception(nn.Module):
    """One module, (batch, inputs, length) -> (batch, 4 width, length)."""

    def __init__(self, inputs: int, width: int, kernel: int) -> None:
        super().__init__()
        narrow = width if inputs > 1 else inputs
        self.narrow = conv(inputs, width) if inputs > 1 else nn.Identity()
        self.kernels = nn.ModuleList([long(narrow, width, kernel // 2**i) for i in range(3)])
        self.pooled = nn.Sequential(nn.MaxPool1d(3, 1, 1), conv(inputs, width))
        self.norm = nn.BatchNorm1d(4 * width)

    def forward(self, x: Tensor) -> Tensor:
        narrow = self.narrow(x)
        return F.relu(self.norm(torch.cat([*(kernel(narrow) for kernel in self.kernels), self.pooled(x)], 1)))


class Third(nn.Module):
    """Three modules and the shortcut past them, (batch, inputs, length) -> (batch, 4 width, length)."""

    def __init__(self, inputs: int, width: int, kernel: int) -> None:
        super().__init__()
        self.modules_ = nn.Sequential(*(Inception(n, width, kernel) for n in (inputs, 4 * width, 4 * width)))
        self.shortcut = nn.Sequential(conv(inputs, 4 * width), nn.BatchNorm1d(4 * width))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.modules_(x) + self.shortcut(x))


@register(family="convolution", takes=SIGNALS)
def inception_time(task: Task, *, depth: int | None = None, width: int | None = None, kernel: int | None = None) -> nn.Sequential:
    channels, length = task.input.shape
    short = length <= SHORT
    depth, width, kernel = depth or (3 if short else 6), width or (16 if short else 32), kernel or (20 if short else 40)
    if depth % 3 or kernel < 4:
        raise ValueError(f"depth is a multiple of 3 and kernel at least 4, not {depth} and {kernel}")
    body = [Third(channels if i == 0 else 4 * width, width, kernel) for i in range(depth // 3)]
    if task.output.kind == "signal":
        if task.output.size != length:
            raise Unsupported(f"answers every one of {length} positions; this task asks for {task.output.size}")
        return nn.Sequential(*body, nn.Conv1d(4 * width, 1, 1))
    return nn.Sequential(*body, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4 * width, task.output.size))
