"""The signals that the printed losses of "Attention intuition" (S5) belong to, as the source's first commits made them.

    offset = 0; repeat: the shape begins 0 – 9 samples after offset, is 3 – 9 wide and 5 – 49 high; it is left out, and all is
    over, if it ends beyond 100 samples; offset = its end + 10

so 4, 5 or 6 shapes (15, 78, 7 %), none overlapping, anywhere. Triangles rise over the left half of their width and fall over the
right, in whole numbers. Target: the same shapes, each at the mean height of its kind. Noise of deviation 0.3 on both; then each
signal, and each target, is stretched to 0 … 1 by its own least and greatest sample: the target's scale is not the input's.

`shapes` is the kind of data the source's later commits have: four shapes, one in each quarter, neither glued nor across a border,
divided by 50, the targets without noise. Losses on one say nothing of losses on the other. x, y (1, 100).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Generator, Tensor

from datasets import register
from datasets.data import Data, drawn
from datasets.shapes import BUDGETS, LENGTH, NOISE, SIZES
from datasets.task import Budget, Input, Output, Task

STEP, MOST = 10, 8  # at most 8 shapes fit: 3 wide, 10 apart
# 50 epochs, as the source trains; its last batch of an epoch has 16 signals, ours 32, over the border of two epochs.
PUBLISHED = Budget("published", samples=50 * SIZES[0], batch=32, lr=1e-3, evaluations=50)


def draw(triangle: Tensor, base: Tensor, width: Tensor, height: Tensor) -> Tensor:
    """Signals (n, 100) in float64; all arguments (n, shapes), the first sample of a shape, its samples, its height (0 for none)."""
    place = torch.arange(LENGTH).view(1, 1, -1) - base[..., None]
    half, whole = (width // 2)[..., None], width[..., None]
    share = torch.where(place < half, place / half, (whole - place) / (whole - half))
    tall = height[..., None].double()
    profile = torch.where(triangle[..., None], (tall * share.double()).floor(), tall)
    return profile.where((place >= 0) & (place < whole), 0).sum(1)


def stretched(x: Tensor) -> Tensor:
    """Each row from 0 to 1, (n, 100) -> (n, 1, 100) in float32."""
    low, high = x.amin(1, keepdim=True), x.amax(1, keepdim=True)
    return ((x - low) / (high - low)).float()[:, None]


def signals(n: int, g: Generator) -> tuple[Tensor, Tensor]:
    """n inputs and n targets, both (n, 1, 100)."""
    gap, width = torch.randint(10, (n, MOST), generator=g), torch.randint(3, 10, (n, MOST), generator=g)
    height, triangle = torch.randint(5, 50, (n, MOST), generator=g), torch.rand(n, MOST, generator=g) < 0.5
    end = (gap + width).cumsum(1) + STEP * torch.arange(MOST)
    there = (end <= LENGTH).double()  # ends only grow, so these are the first ones
    same = (triangle[:, :, None] == triangle[:, None, :]) * there[:, None]
    mean = (same @ height[..., None].double()).squeeze(2) / same.sum(2).clamp_min(1)
    x, y = (draw(triangle, end - width, width, tall * there) + NOISE * torch.randn(n, LENGTH, generator=g) for tall in (height, mean))
    return stretched(x), stretched(y)


TASK = Task(
    "shapes_published",
    Input("signal", (1, LENGTH)),
    Output("signal", LENGTH),
    SIZES,
    (*BUDGETS, PUBLISHED),
    source="S5, Attention intuition, commits 63ac41a and 0e48ef0",
    summary="level four to six shapes to the mean height of their kind",
)


@register(TASK)
def shapes_published(root: Path, seed: int, download: bool) -> Data:
    return drawn(signals, SIZES, "shapes_published", seed)
