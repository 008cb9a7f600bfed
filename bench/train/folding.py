"""Few numbers for many: what stands for a tensor in a probe."""

from __future__ import annotations

import torch
from torch import Tensor

FOLDS = 8  # numbers that stand for the weights of a seed


def weights(n: int) -> Tensor:
    """Fixed factors of changing sign and size, so that numbers that trade places are told apart."""
    return torch.cos(1.7 * torch.arange(1, n + 1, dtype=torch.float64) + 0.3)


def folded(values: Tensor) -> float:
    """One number for a tensor."""
    flat = values.detach().cpu().double().flatten()
    return float(flat @ weights(len(flat)))


def of_state(state: dict[str, Tensor]) -> list[float]:
    """`FOLDS` numbers for all weights of one seed."""
    sums = [0.0] * FOLDS
    for i, value in enumerate(state.values()):  # by place, not by name: a parameter may be renamed
        sums[i % FOLDS] += folded(value) * (1 + i / 100)
    return sums
