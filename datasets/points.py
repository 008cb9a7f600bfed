"""Points in the plane, r = 6, after SimpleAttention (S1 of the suite's sources) and the TensorFlow playground.

    plane          x, y -> (x + y) / 2r                       regression
    gaussian       six bumps of alternating sign on a 3×2 grid   regression
    circle         a disc inside a ring                       two classes
    spiral         two arms, 1.75 turns each                  two classes
    two_gaussians  two clouds at (2, 2) and (-2, -2)          two classes
    xor            opposite quadrants belong together         two classes

A sample: x = [-3.9, 2.4], y = [0.98]  (gaussian: near a positive centre);  x = [-3.9, 2.4], y = 0  (xor).
A label is read at a displaced position, so it is noisy; train, val and test are drawn independently of each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Generator, Tensor

from datasets import register
from datasets.data import Data, drawn
from datasets.task import Budget, Input, Output, Task, budgets

RADIUS = 6.0
NOISE = 0.2
SIZES = (500, 500, 1000)
CENTRES = ((-4, 2.5, 1), (0, 2.5, -1), (4, 2.5, 1), (-4, -2.5, -1), (0, -2.5, 1), (4, -2.5, -1))
BUDGETS = budgets(
    Budget("default", samples=28_672, batch=64, lr=1e-2, schedule="cosine", warmup=0.05, seeds=2),
    Budget("paper", samples=15_000, batch=64, lr=3e-2, init_std=0.02, evaluations=30, seeds=5),
    smoke_samples=1_920,
)

Draw = Callable[[int, Generator], tuple[Tensor, Tensor]]


def uniform(n: int, low: float, high: float, g: Generator) -> Tensor:
    """(n, 2) numbers from U(low, high)."""
    return torch.rand(n, 2, generator=g) * (high - low) + low


def displaced(points: Tensor, noise: float, g: Generator) -> Tensor:
    """The points moved by U(-r, r) × noise along each axis."""
    return points + uniform(len(points), -RADIUS, RADIUS, g) * noise


def polar(radius: Tensor, angle: Tensor) -> Tensor:
    """(n, 2) Cartesian points, the angle counted from the y axis as in the source."""
    return torch.stack([radius * angle.sin(), radius * angle.cos()], 1)


def plane(n: int, g: Generator) -> tuple[Tensor, Tensor]:
    points = uniform(n, -RADIUS, RADIUS, g)
    return points, displaced(points, NOISE, g).sum(1, keepdim=True) / (2 * RADIUS)


def gaussian(n: int, g: Generator, noise: float = 0.01) -> tuple[Tensor, Tensor]:
    points = uniform(n, -RADIUS, RADIUS, g)
    centres = torch.tensor(CENTRES, dtype=torch.float32)
    distance2 = (displaced(points, noise, g)[:, None] - centres[:, :2]).square().sum(2)
    nearest, index = distance2.min(1, keepdim=True)
    return points, centres[index, 2] * (1 - 0.1 * nearest)


def circle(n: int, g: Generator) -> tuple[Tensor, Tensor]:
    share = torch.rand(n, generator=g)
    inner = torch.arange(n) < n // 2
    radius = torch.where(inner, share * RADIUS / 2, RADIUS * (0.7 + 0.3 * share))
    points = polar(radius, torch.rand(n, generator=g) * 2 * math.pi)
    return points, (displaced(points, NOISE, g).norm(dim=1) <= RADIUS / 2).long()


def spiral(n: int, g: Generator) -> tuple[Tensor, Tensor]:
    arm = (torch.arange(n) >= n // 2).long()
    radius = torch.rand(n, generator=g) * RADIUS
    angle = 1.75 * 2 * math.pi * radius / RADIUS + math.pi * arm
    return polar(radius, angle) + uniform(n, -1, 1, g) * NOISE, arm


def two_gaussians(n: int, g: Generator) -> tuple[Tensor, Tensor]:
    label = (torch.arange(n) >= n // 2).long()
    centre = torch.where(label == 0, 2.0, -2.0)[:, None]
    return centre + torch.randn(n, 2, generator=g) * math.sqrt(RADIUS * NOISE + 0.5), label


def xor(n: int, g: Generator) -> tuple[Tensor, Tensor]:
    points = uniform(n, -RADIUS, RADIUS, g)
    points = points + torch.where(points > 0, 0.3, -0.3)
    return points, (displaced(points, NOISE, g).prod(1) >= 0).long()


def add(draw: Draw, output: Output, summary: str) -> None:
    """Register one of the point sets; the function's name is the data set's."""
    name = draw.__name__

    def load(root: Path, seed: int, download: bool) -> Data:
        return drawn(draw, SIZES, name, seed)

    kind = Input("points", (2,))
    register(Task(name, kind, output, SIZES, BUDGETS, source="S1, SimpleAttention", summary=summary))(load)


add(plane, Output("value", 1), "a tilted plane over the square")
add(gaussian, Output("value", 1), "six bumps of alternating sign")
add(circle, Output("classes", 2), "a disc inside a ring")
add(spiral, Output("classes", 2), "two interleaved spiral arms")
add(two_gaussians, Output("classes", 2), "two round clouds that overlap a little")
add(xor, Output("classes", 2), "opposite quadrants belong together")
