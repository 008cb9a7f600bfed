"""A budget's recipe made concrete: initial weights, optimiser, clipping, and the learning rate of every step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class Rates:
    """The peak learning rate and the weight decay of every seed of a stack, in place of the budget's."""

    lr: tuple[float, ...]
    weight_decay: tuple[float, ...]


class PerSeed(torch.optim.Optimizer):
    """The budget's optimiser on stacked tensors (S, …), with rates of its own for each of the S, and torch.optim's arithmetic otherwise.

    The group's `lr` is the budget's at this step, as its schedule has it; a seed's is as many times larger as its peak is.
    """

    BETAS, EPS = (0.9, 0.999), 1e-8  # torch.optim's own
    RHO, FLOOR = 0.9, 1e-6  # the same, of Adadelta

    def __init__(self, budget: Budget, parameters: list[Tensor], rates: Rates) -> None:
        super().__init__(parameters, {"lr": budget.lr})
        self.budget, device = budget, parameters[0].device
        self.relative = torch.tensor(rates.lr, dtype=torch.float64, device=device) / budget.lr
        self.decay = torch.tensor(rates.weight_decay, dtype=torch.float64, device=device)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        change = {"sgd": self.sgd, "adadelta": self.adadelta}.get(self.budget.optimizer, self.adam)
        for group in self.param_groups:
            rate = self.relative * group["lr"]
            for p in group["params"]:
                if p.grad is not None:
                    lr, decay = (r.to(p.dtype).view(-1, *[1] * (p.ndim - 1)) for r in (rate, self.decay))
                    if self.budget.optimizer == "adamw":  # decay apart from the gradient
                        p.mul_(1 - lr * decay)
                        change(p, p.grad, lr)
                    else:
                        change(p, p.grad + decay * p, lr)

    def adam(self, p: Tensor, gradient: Tensor, lr: Tensor) -> None:
        state, (first, second) = self.state[p], self.BETAS
        if not state:
            state.update(step=0, exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p))
        state["step"] += 1
        mean = state["exp_avg"].lerp_(gradient, 1 - first)
        square = state["exp_avg_sq"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        size = (square.sqrt() / math.sqrt(1 - second ** state["step"])).add_(self.EPS)
        p.sub_(lr / (1 - first ** state["step"]) * mean / size)

    def adadelta(self, p: Tensor, gradient: Tensor, lr: Tensor) -> None:
        state = self.state[p]
        if not state:
            state.update(square_avg=torch.zeros_like(p), acc_delta=torch.zeros_like(p))
        square, moved = state["square_avg"], state["acc_delta"]
        square.mul_(self.RHO).addcmul_(gradient, gradient, value=1 - self.RHO)
        change = ((moved + self.FLOOR) / (square + self.FLOOR)).sqrt() * gradient
        moved.mul_(self.RHO).addcmul_(change, change, value=1 - self.RHO)
        p.sub_(lr * change)

    def sgd(self, p: Tensor, gradient: Tensor, lr: Tensor) -> None:
        if self.budget.momentum:
            state = self.state[p]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(p)
            gradient = state["momentum_buffer"].mul_(self.budget.momentum).add_(gradient)
        p.sub_(lr * gradient)


def optimizer(budget: Budget, parameters: list[Tensor]) -> torch.optim.Optimizer:
    """Element-wise optimisers only: on stacked weights each seed is then optimised as if it were alone."""
    if budget.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=budget.lr, momentum=budget.momentum, weight_decay=budget.weight_decay, fused=True)
    if budget.optimizer == "adadelta":  # rho and eps are torch's own, 0.9 and 1e-6; it has no fused kernel
        return torch.optim.Adadelta(parameters, lr=budget.lr, weight_decay=budget.weight_decay)
    adam = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[budget.optimizer]
    return adam(parameters, lr=budget.lr, weight_decay=budget.weight_decay, fused=True)


def clip(parameters: list[Tensor], largest: float, stacked: bool) -> None:
    """Scale gradients down to norm `largest`, each seed by its own norm."""
    if not stacked:
        torch.nn.utils.clip_grad_norm_(parameters, largest)
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0).sqrt()
    scale = (largest / (norms + 1e-6)).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(scale.view(-1, *[1] * (gradient.ndim - 1)))


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
