"""Signals to signals, with and without attention, after "Attention intuition" (S5) and Fleuret's lecture 13.2.

    conv1d             1 -> 64 -> 64 -> 64 -> 64 -> 1, kernel 5, ReLU between                    62,337 parameters
    conv1d_attention   the third convolution replaced by single-head self-attention, unscaled    54,081 parameters

(batch, 1, length) -> (batch, 1, length); zeros beyond the ends. The convolutions alone see 21 of 100 samples.
"""

from __future__ import annotations

from torch import nn

from datasets.task import Task
from models import Unsupported, register
from models.attention import SignalAttention


def stack(task: Task, channels: int, kernel: int, middle: nn.Module) -> nn.Sequential:
    if task.output.kind != "signal":
        raise Unsupported(f"answers with a signal, one number per position; this task asks for {task.output.kind}")
    if task.input.kind != "signal":
        raise Unsupported(f"reads a signal; this task gives {task.input.kind}")
    if task.input.shape[-1] != task.output.size:
        raise Unsupported(f"answers every one of {task.input.shape[-1]} positions; this task asks for {task.output.size}")

    def conv(inputs: int, outputs: int) -> nn.Conv1d:
        return nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2)

    front = [conv(task.input.shape[0], channels), nn.ReLU(), conv(channels, channels), nn.ReLU()]
    back = [nn.ReLU(), conv(channels, channels), nn.ReLU(), conv(channels, 1)]
    return nn.Sequential(*front, middle, *back)


@register(family="convolution")
def conv1d(task: Task, *, channels: int = 64, kernel: int = 5) -> nn.Sequential:
    return stack(task, channels, kernel, nn.Conv1d(channels, channels, kernel, padding=kernel // 2))


@register(family="attention")
def conv1d_attention(task: Task, *, channels: int = 64, kernel: int = 5) -> nn.Sequential:
    return stack(task, channels, kernel, SignalAttention(channels))
