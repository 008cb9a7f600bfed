"""Models that see the input as one flat list of numbers.

linear   flatten -> answer                                  the floor
mlp      flatten -> width -> width -> answer, tanh          SimpleAttention (S1): 105 parameters on points with one output,
                                                            114 with two classes; 128 wide elsewhere
"""

from __future__ import annotations

from itertools import pairwise
from math import prod

from torch import nn

from datasets.task import Task
from models import NUMBERS, register


def flat(task: Task, widths: list[int]) -> nn.Sequential:
    """(batch, *input.shape) -> (batch, *output.shape) through layers of `widths`, tanh between them."""
    sizes = [task.input.size, *widths, prod(task.output.shape)]
    layers: list[nn.Module] = [nn.Flatten()] if len(task.input.shape) > 1 else []
    for i, (a, b) in enumerate(pairwise(sizes)):
        layers += [nn.Linear(a, b), nn.Tanh()] if i < len(widths) else [nn.Linear(a, b)]
    if len(task.output.shape) > 1:
        layers.append(nn.Unflatten(1, task.output.shape))
    return nn.Sequential(*layers)


@register(takes=NUMBERS)
def linear(task: Task) -> nn.Sequential:
    return flat(task, [])


@register(family="mlp", takes=NUMBERS)
def mlp(task: Task, *, width: int | None = None, depth: int = 2) -> nn.Sequential:
    return flat(task, [width or (8 if task.input.kind == "points" else 128)] * depth)
