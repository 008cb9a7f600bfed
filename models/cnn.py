"""The convolutional network of S4 (PyTorch's MNIST example), and the same in one dimension.

    image   (batch, c, h, w) -> conv3 32, ReLU -> conv3 64, max-pool 2, ReLU -> dropout ¼ -> 128, ReLU -> dropout ½ -> classes
    else    the same along a line, padded so that nothing is lost; 1×`length` instead of an image, no pooling below 4 positions
            a signal is answered by a convolution at every position, without pooling

Parameters: 1,199,882 on MNIST, 1,626,442 on CIFAR-10, 1,638,052 on CIFAR-100.
"""

from __future__ import annotations

import torch
from torch import nn

from datasets.task import Task
from models import NUMBERS, Unsupported, register
from models.dropout import Dropout


def dense(inputs: int, width: int, outputs: int) -> list[nn.Module]:
    return [Dropout(0.25), nn.Flatten(), nn.Linear(inputs, width), nn.ReLU(), Dropout(0.5), nn.Linear(width, outputs)]


@register(family="convolution", takes=NUMBERS)
def cnn(task: Task, *, channels: int = 32, width: int = 128) -> nn.Sequential:
    kind, shape, size = task.input.kind, task.input.shape, task.output.size
    if task.output.kind == "signal" and kind != "signal":
        raise Unsupported(f"answers a {kind} with one vector; this task asks for a signal")
    if task.output.kind == "signal" and size != shape[-1]:
        raise Unsupported(f"answers every one of {shape[-1]} positions; this task asks for {size}")
    if kind == "image":
        if min(shape[1:]) < 6:
            raise Unsupported(f"an image of {shape[1]}×{shape[2]} pixels is too small for two convolutions and a pooling")
        # Pooling before the ReLU gives the same numbers and gradients, with a quarter of the work for the ReLU.
        front = [nn.Conv2d(shape[0], channels, 3), nn.ReLU(), nn.Conv2d(channels, 2 * channels, 3), nn.MaxPool2d(2), nn.ReLU()]
        pooled = ((shape[1] - 4) // 2) * ((shape[2] - 4) // 2)
        net = nn.Sequential(*front, *dense(2 * channels * pooled, width, size))
        # A pixel's channels side by side: a CPU convolves and pools large images faster so.
        return net.to(memory_format=torch.channels_last) if min(shape[1:]) > 16 else net
    along = shape[0] if kind == "signal" else 1
    line = [nn.Conv1d(along, channels, 3, padding=1), nn.ReLU(), nn.Conv1d(channels, 2 * channels, 3, padding=1), nn.ReLU()]
    if task.output.kind == "signal":
        head = [Dropout(0.25), nn.Conv1d(2 * channels, width, 1), nn.ReLU(), Dropout(0.5), nn.Conv1d(width, 1, 1)]
        return nn.Sequential(*line, *head)
    pool = 2 if shape[-1] >= 4 else 1
    as_line = [] if kind == "signal" else [nn.Unflatten(1, (1, shape[0]))]
    return nn.Sequential(*as_line, *line, nn.MaxPool1d(pool), *dense(2 * channels * (shape[-1] // pool), width, size))
