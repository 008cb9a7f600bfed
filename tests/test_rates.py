"""Seeds of a stack with a learning rate and a weight decay each: as by torch.optim, seed by seed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

import datasets
import models
from bench.train.learners import Stacked
from bench.train.loop import Training
from bench.train.optimiser import PerSeed, Rates, learning_rate, optimizer
from datasets.task import Budget

CPU = torch.device("cpu")
SHORT = Budget("default", samples=600, batch=20, lr=1e-2, schedule="cosine", warmup=0.2, weight_decay=1e-2, evaluations=3)
ADAMW = replace(SHORT, optimizer="adamw", clip=0.5)
SGD = replace(SHORT, optimizer="sgd", momentum=0.9)
ADADELTA = replace(SHORT, optimizer="adadelta", schedule="decay", decay=0.7)
RATES = Rates((1e-2, 1e-1, 3e-3), (0.0, 0.1, 1e-2))


@pytest.mark.parametrize(
    "budget",
    [SHORT, ADAMW, SGD, replace(SGD, momentum=0.0), ADADELTA],
    ids=["adam", "adamw", "sgd", "sgd without momentum", "adadelta"],
)
def test_every_seed_is_optimised_as_by_torch_alone(budget: Budget) -> None:
    draw = torch.Generator().manual_seed(0)
    start = [torch.randn(3, *shape, dtype=torch.float64, generator=draw) for shape in ((4, 5), (5,), ())]
    stack = [p.clone() for p in start]
    alone = [[p[i].clone() for p in start] for i in range(3)]
    ours = PerSeed(budget, stack, RATES)
    budgets = [replace(budget, lr=lr, weight_decay=decay) for lr, decay in zip(RATES.lr, RATES.weight_decay, strict=True)]
    theirs = [optimizer(one, parameters) for one, parameters in zip(budgets, alone, strict=True)]
    for step in range(12):
        for p in stack:
            p.grad = torch.randn(p.shape, dtype=torch.float64, generator=draw)
        ours.param_groups[0]["lr"] = learning_rate(budget, step, 0)
        for i, (one, its) in enumerate(zip(theirs, budgets, strict=True)):
            for p, whole in zip(alone[i], stack, strict=True):
                assert whole.grad is not None
                p.grad = whole.grad[i].clone()
            one.param_groups[0]["lr"] = learning_rate(its, step, 0)
            one.step()
        ours.step()
    for i in range(3):
        for p, whole, first in zip(alone[i], stack, start, strict=True):
            torch.testing.assert_close(whole[i], p, rtol=1e-12, atol=1e-14)
            assert not torch.equal(whole[i], first[i])


def build() -> nn.Module:
    return models.build("mlp", datasets.task("circle"))


def training(budget: Budget, seeds: list[int], rates: Rates | None = None) -> Training:
    data = [datasets.load("circle", seed=seed).for_training for seed in seeds]
    return Training(build, datasets.task("circle"), budget, seeds, data, CPU, rates)


@pytest.mark.parametrize("budget", [ADAMW, SGD], ids=["adamw, clipped", "sgd"])
def test_trials_in_a_stack_equal_trials_alone(budget: Budget) -> None:
    """The same seed may come twice, with other rates."""
    seeds = [5, 5, 6]
    for i, together in enumerate(training(budget, seeds, RATES).run()):
        alone = training(replace(budget, lr=RATES.lr[i], weight_decay=RATES.weight_decay[i]), [seeds[i]]).run()[0]
        assert together.curve.val_loss == pytest.approx(alone.curve.val_loss, rel=1e-4)
        assert together.curve.samples == alone.curve.samples
    assert len({one.curve.val_loss[-1] for one in training(budget, seeds, RATES).run()}) == 3


def test_a_stack_without_rates_keeps_the_fused_optimiser() -> None:
    plain = training(ADAMW, [5, 6])
    assert isinstance(plain.learner, Stacked)
    assert plain.optimizer.param_groups[0]["fused"]
    assert not isinstance(plain.optimizer, PerSeed)
