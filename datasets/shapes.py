"""Signals of four shapes, after "Attention intuition" (S5 of the suite's sources) and Fleuret's lecture 13.2.

Each quarter of 100 samples holds a triangle or a rectangle, 3 – 9 wide and 5 – 49 high; noise of deviation 0.3 is added
and everything divided by 50.

    input               /\\    ____          /\\   __
                       /  \\   |    |        /  \\ |  |
    shapes: target     triangles at the mean height of the triangles, rectangles at that of the rectangles
    shapes_pairs       the two left shapes at their mean height, the two right ones at theirs: this needs positions

x (1, 100), y (1, 100). Unlike in the source the target carries no noise, so that the loss has no floor above 0, and shapes
never leave their quarter, so that they cannot overlap.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Generator, Tensor

from datasets import register
from datasets.data import Data, drawn
from datasets.task import Budget, Input, Output, Task, budgets

LENGTH, QUARTER, SHAPES = 100, 25, 4
NOISE, SCALE = 0.3, 50.0
SIZES = (10_000, 500, 1_000)
DEFAULT = Budget("default", samples=4_800, batch=32, lr=3e-3, schedule="cosine", warmup=0.05, evaluations=8, seeds=1)
BUDGETS = budgets(
    DEFAULT,
    Budget("paper", samples=500_000, batch=32, lr=1e-3, evaluations=50),
    replace(DEFAULT, name="reference", samples=128_000, batch=64, optimizer="adamw", weight_decay=0.01, evaluations=20, seeds=10),
    smoke_samples=320,
)


def draw(shape: Tensor, centre: Tensor, width: Tensor, height: Tensor) -> Tensor:
    """Signals (n, 100) of four shapes each; all arguments (n, 4), `shape` true for triangles."""
    distance = (torch.arange(LENGTH).view(1, 1, -1) - centre[..., None]).abs() / (width[..., None] / 2)
    profile = torch.where(shape[..., None], 1 - distance, 1.0).masked_fill_(distance > 1, 0)
    return (profile * height[..., None]).sum(1)


def signals(n: int, pairs: bool, g: Generator) -> tuple[Tensor, Tensor]:
    """n inputs and n targets, both (n, 1, 100)."""
    triangle = torch.rand(n, SHAPES, generator=g) < 0.5
    width = torch.randint(3, 10, (n, SHAPES), generator=g).float()
    height = 5 + 44 * torch.rand(n, SHAPES, generator=g)
    room = QUARTER - 1 - width
    centre = torch.arange(SHAPES) * QUARTER + width / 2 + room * torch.rand(n, SHAPES, generator=g)
    if pairs:
        mean = height.view(n, 2, 2).mean(2).repeat_interleave(2, 1)
    else:
        same = (triangle[:, :, None] == triangle[:, None, :]).float()
        mean = (same @ height[..., None]).squeeze(2) / same.sum(2)
    x = draw(triangle, centre, width, height) + NOISE * torch.randn(n, LENGTH, generator=g)
    return x[:, None] / SCALE, draw(triangle, centre, width, mean)[:, None] / SCALE


def add(name: str, pairs: bool, summary: str) -> None:
    def load(root: Path, seed: int, download: bool) -> Data:
        return drawn(lambda n, g: signals(n, pairs, g), SIZES, name, seed)

    signal, answer = Input("signal", (1, LENGTH)), Output("signal", LENGTH)
    register(Task(name, signal, answer, SIZES, BUDGETS, source="S5, Attention intuition", summary=summary))(load)


add("shapes", False, "level four shapes to the mean height of their kind")
add("shapes_pairs", True, "level the two left shapes and the two right ones")
