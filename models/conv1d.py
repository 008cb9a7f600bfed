"""Signals to signals, with and without attention, after "Attention intuition" (S5) and Fleuret's lecture 13.2.

    conv1d                       1 -> 64 -> 64 -> 64 -> 64 -> 1, kernel 5, ReLU between                    62,337 parameters
    conv1d_attention             the third convolution replaced by single-head self-attention, unscaled    54,081 parameters
    conv1d_attention_heads       the same with 4 heads of 16 channels                                      54,081 parameters
    conv1d_attention_positions   conv1d_attention, told where it is: 2 -> 64 at the start                  54,401 parameters

(batch, 1, length) -> (batch, 1, length); zeros beyond the ends. The convolutions alone see 21 of 100 samples. No ReLU follows
attention. The source's later commits have GELU and scaled scores, and give positions a convolution of their own.

Attention sees all of them and does not know which is where: move the input and the answer moves along. The position channel
is a straight line from -1 to 1, one for every length, about as large as the signal; left and right differ by its sign.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from datasets.task import Task
from models import Takes, Unsupported, register
from models.attention import SignalAttention

SIGNALS = Takes("signal", "signal", "reads a signal", "answers with a signal, one number per position")


class PositionChannel(nn.Module):
    """(batch, channels, length) -> (batch, channels + 1, length): the last channel runs from -1 to 1."""

    line: Tensor

    def __init__(self, length: int) -> None:
        super().__init__()
        self.register_buffer("line", torch.linspace(-1, 1, length), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.line.expand(len(x), 1, -1)], 1)


def stack(task: Task, channels: int, kernel: int, *middle: nn.Module, positions: bool = False) -> nn.Sequential:
    if task.input.shape[-1] != task.output.size:
        raise Unsupported(f"answers every one of {task.input.shape[-1]} positions; this task asks for {task.output.size}")

    def conv(inputs: int, outputs: int) -> nn.Conv1d:
        return nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2)

    where = [PositionChannel(task.output.size)] if positions else []
    front = [conv(task.input.shape[0] + len(where), channels), nn.ReLU(), conv(channels, channels), nn.ReLU()]
    return nn.Sequential(*where, *front, *middle, conv(channels, channels), nn.ReLU(), conv(channels, 1))


@register(family="convolution", takes=SIGNALS)
def conv1d(task: Task, *, channels: int = 64, kernel: int = 5) -> nn.Sequential:
    return stack(task, channels, kernel, nn.Conv1d(channels, channels, kernel, padding=kernel // 2), nn.ReLU())


@register(family="attention", takes=SIGNALS)
def conv1d_attention(task: Task, *, channels: int = 64, kernel: int = 5) -> nn.Sequential:
    return stack(task, channels, kernel, SignalAttention(channels))


@register(family="attention", takes=SIGNALS)
def conv1d_attention_heads(task: Task, *, channels: int = 64, kernel: int = 5, heads: int = 4) -> nn.Sequential:
    return stack(task, channels, kernel, SignalAttention(channels, heads=heads))


@register(family="attention", takes=SIGNALS)
def conv1d_attention_positions(task: Task, *, channels: int = 64, kernel: int = 5) -> nn.Sequential:
    return stack(task, channels, kernel, SignalAttention(channels), positions=True)
