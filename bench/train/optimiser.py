"""A budget's recipe made concrete: initial weights, optimiser, and the learning rate of every step."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from datasets.task import Budget


def initialise(module: nn.Module, budget: Budget) -> None:
    """Redraw linear and convolutional layers from N(0, init_std), biases 0, where the budget says so."""
    if budget.init_std <= 0:
        return
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            nn.init.normal_(layer.weight, std=budget.init_std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def optimizer(budget: Budget, parameters: list[Tensor]) -> torch.optim.Optimizer:
    """Element-wise optimisers only: on stacked weights each seed is then optimised as if it were alone."""
    if budget.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=budget.lr, momentum=budget.momentum, weight_decay=budget.weight_decay, fused=True)
    adam = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[budget.optimizer]
    return adam(parameters, lr=budget.lr, weight_decay=budget.weight_decay, fused=True)


def learning_rate(budget: Budget, step: int, epoch: int) -> float:
    """The rate of optimiser step `step`, from 0, which lies in epoch `epoch`."""
    if budget.schedule == "decay":
        return budget.lr * budget.decay**epoch
    if budget.schedule == "constant":
        return budget.lr
    warmup = max(1, round(budget.warmup * budget.steps))
    if step < warmup:
        return budget.lr * (step + 1) / warmup
    progress = (step - warmup) / max(1, budget.steps - warmup)
    return budget.lr * 0.5 * (1 + math.cos(math.pi * progress))
