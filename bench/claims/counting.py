"""What a claim about a model's structure comes to: parameters, those that nothing reads, and sums."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import datasets
import models
from bench.claims.claim import Claim
from bench.claims.formula import total
from bench.core.apart import restored
from bench.measure import counts
from datasets.data import generator
from datasets.task import Task

MOST_DRAWS, PATIENCE, BATCH = 64, 2, 8


class Uncountable(ValueError):
    """A computed figure that cannot be computed."""


def dead(module: nn.Module, task: Task) -> int:
    """Elements of parameters that no gradient reaches: exactly 0 for all weights and batches drawn, until `PATIENCE`
    draws reach no new one.

    Weights are redrawn as in `cost.active`, for a ReLU that some shut, others open. That one is more careful, and far slower:
    in float64 it also sees gradients that cancel but for rounding. The tests compare the two.
    """
    module.eval()
    parameters = [p for p in module.parameters() if p.requires_grad]
    unreached: list[Tensor] = [torch.ones_like(p, dtype=torch.bool) for p in parameters]
    left, waited = sum(p.numel() for p in parameters), 0
    for draw in range(MOST_DRAWS):
        g = generator("claims", draw)
        module.zero_grad()
        counts.loss(module, task, *task.sample(BATCH, g)).backward()
        for mask, p in zip(unreached, parameters, strict=True):
            if p.grad is not None:
                mask &= p.grad == 0
        before, left = left, sum(int(mask.sum()) for mask in unreached)
        waited = waited + 1 if left == before else 0
        if left == 0 or waited == PATIENCE:
            break
        with torch.no_grad():
            for p in parameters:
                noise = torch.randn(p.shape, generator=g)
                p.mul_(noise.sign()).add_(noise, alpha=0.02)
    return left + sum(p.numel() for p in module.parameters() if not p.requires_grad)


def counted(claim: Claim) -> float:
    """A computed figure, in the claim's unit."""
    if claim.quantity == "arithmetic":
        return total(claim.formula) * claim.scale
    task = datasets.task(claim.dataset)
    with restored(), torch.random.fork_rng(devices=[]), torch.device("meta" if claim.quantity == "parameters" else "cpu"):
        torch.manual_seed(0)
        module = models.build(claim.model, task, **claim.size)
    whole = sum(p.numel() for p in module.parameters())
    if claim.quantity == "parameters":
        return whole
    return dead(module, task) * (claim.scale / whole if claim.quantity == "dead_share" else 1)
