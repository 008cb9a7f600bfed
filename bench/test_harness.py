"""Benchmarks of the harness itself: pytest bench -m harness --benchmark-only. Ratios of arms that take turns in one process.

Nothing is asserted: a shared machine would make a liar of any limit. The summary prints each ratio beside what we aim for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

import datasets
import models
from bench.train.batches import Batches
from bench.train.loop import Training
from datasets.data import Split

CPU = torch.device("cpu")
ROUNDS = 9
pytestmark = [pytest.mark.harness, pytest.mark.benchmark(disable_gc=True)]


def ratios(benchmark: BenchmarkFixture, arms: dict[str, Callable[[], float | None]], aims: dict[str, tuple[str, str, float]]) -> None:
    """Run all arms in turn, round by round; keep quartiles of each aimed-for ratio. An arm may return its own seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in arms}

    def round_() -> None:
        for name, arm in arms.items():
            start = time.perf_counter()
            own = arm()
            seconds[name].append(time.perf_counter() - start if own is None else own)

    round_()  # warm-up
    for times in seconds.values():
        times.clear()
    benchmark.pedantic(round_, rounds=ROUNDS)
    for title, (above, below, aim) in aims.items():
        low, middle, high = np.percentile(np.array(seconds[above]) / np.array(seconds[below]), [25, 50, 75])
        benchmark.extra_info[title] = {"median": middle, "quartiles": [low, high], "aim": aim}


def test_seeds_together(benchmark: BenchmarkFixture) -> None:
    """mlp on gaussian: one seed, ten and fifty, and the loop one would write by hand for one."""
    task = datasets.task("gaussian")
    budget = task.budget("default")
    build = partial(models.build, "mlp", task)

    def ours(n: int) -> None:
        seeds = list(range(n))
        Training(build, task, budget, seeds, [datasets.load("gaussian", seed=seed).for_training for seed in seeds], CPU).run()

    def by_hand() -> None:
        data = datasets.load("gaussian", seed=0)
        net = build()
        adam = torch.optim.Adam(net.parameters(), lr=budget.lr, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, budget.steps)
        done, every = 0, budget.steps // budget.evaluations
        while done < budget.steps:
            for rows in torch.randperm(500)[: 500 // 64 * 64].split(64):
                adam.zero_grad()
                task.loss(net(data.train.x[rows]), data.train.y[rows]).backward()
                adam.step()
                schedule.step()
                done += 1
                if done % every == 0:
                    with torch.no_grad():
                        task.loss(net(data.val.x), data.val.y).item()
                if done == budget.steps:
                    break

    arms: dict[str, Callable[[], float | None]] = {
        "hand": by_hand,
        "one": partial(ours, 1),
        "ten": partial(ours, 10),
        "fifty": partial(ours, 50),
    }
    aims = {
        "one seed / a loop by hand": ("one", "hand", 1.2),
        "ten seeds / one": ("ten", "one", 2.0),
        "fifty seeds / one": ("fifty", "one", 4.0),
    }
    ratios(benchmark, arms, aims)


def test_feeding(benchmark: BenchmarkFixture) -> None:
    """Batches of MNIST's size against steps of cnn on them."""
    task = datasets.task("mnist")
    budget = replace(task.budget("default"), samples=64 * 10)
    n = task.sizes[0]
    x, y = torch.randn(1, n, *task.input.shape), torch.randint(10, (1, n))
    training = Training(partial(models.build, "cnn", task), task, budget, [0], [tiny(task).for_training], CPU)
    batches = Batches(Split(x, y), [0], 64, stacked=False)
    steps = n // 64  # a whole epoch, its shuffling included

    def feed() -> float:
        start = time.perf_counter()
        for _ in batches.from_step(0, steps):
            pass
        return (time.perf_counter() - start) / steps

    def step() -> float:
        batch = next(batches.from_step(0, 1))
        start = time.perf_counter()
        for _ in range(10):
            training.learner.losses(*batch)
            training.optimizer.step()
        return (time.perf_counter() - start) / 10

    ratios(benchmark, {"feed": feed, "step": step}, {"feeding MNIST / a cnn step": ("feed", "step", 0.03)})


def tiny(task: datasets.Task) -> datasets.Data:
    split = datasets.Split(*task.sample(64))
    return datasets.Data(split, split, split)


@pytest.mark.parametrize("model", ["linear", "mlp", "cnn", "vit", "backbone_attention"])
def test_overhead(model: str, benchmark: BenchmarkFixture) -> None:
    """Time of the loop outside forward, backward and the optimiser's step, on digits."""
    task = datasets.task("digits")
    budget = replace(task.budget("default"), samples=64 * 200, evaluations=1)
    data = [datasets.load("digits", seed=0).for_training]
    spent = {"inside": 0.0, "whole": 0.0}

    def timed(call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*args: object) -> object:
            start = time.perf_counter()
            result = call(*args)
            spent["inside"] += time.perf_counter() - start
            return result

        return wrapped

    def whole() -> float:
        spent["inside"] = 0.0
        training = Training(partial(models.build, model, task), task, budget, [0], data, CPU)
        training.learner.losses = timed(training.learner.losses)  # type: ignore[method-assign, assignment]
        training.optimizer.step = timed(training.optimizer.step)  # type: ignore[method-assign, assignment]
        training.run()
        spent["whole"] = training.position.seconds
        return spent["whole"] - spent["inside"]

    ratios(
        benchmark,
        {"outside": whole, "whole": lambda: spent["whole"]},
        {f"outside the model / all, {model} on digits": ("outside", "whole", 0.05)},
    )
