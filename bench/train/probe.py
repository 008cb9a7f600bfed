"""A probe: a run in miniature, in float64, that says what code does, so that a changed source need not mean another run.

The path is that of a run: its own data cut to a few dozen samples (random ones where the data root has none), the loop over more than two
epochs with the budget's optimiser, schedule and clipping, stacked where the run was stacked, evaluations, the choice of the best
weights with ties forced upon it, and scoring. Then one batch of the budget's own size in its own arithmetic, and an evaluation long
enough to be cut in pieces, for what depends on size or type.

Two sources whose numbers agree to a relative 1e-8 are taken to do the same. That is evidence and no proof: what shows only after
more steps than these, or on other samples, is not seen.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import datasets
import models
from bench.store.encoding import pack
from bench.store.schema import Record
from bench.train.agreement import VERSION
from bench.train.batches import together
from bench.train.choice import choose, tie
from bench.train.evaluation import NUMBERS, means, score
from bench.train.fitting import Fitting
from bench.train.folding import folded, of_state
from bench.train.learners import Single
from bench.train.loading import load
from bench.train.loop import Training, fresh
from bench.train.optimiser import learning_rate
from bench.train.scoring import handed, scored
from datasets.data import Data, Split, drawn, generator
from datasets.registry import describe
from datasets.task import Budget, Task

TRAIN, VAL, TEST, BATCH, STEPS, EVALUATIONS = 20, 6, 10, 8, 7, 4
PLACES = 2**16  # of a split, at least, that are looked at
RATES = 16  # places of the whole budget at which its learning rate is read
CPU = torch.device("cpu")


class Unprobed(RuntimeError):
    """The cell cannot be probed. The message says why."""


@contextlib.contextmanager
def arithmetic(dtype: torch.dtype) -> Iterator[None]:
    """One thread, and `dtype` for whatever is made without saying of what."""
    before, threads = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(dtype)
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_default_dtype(before)
        torch.set_num_threads(threads)


def whole(dataset: str, root: Path, seed: int) -> Data | None:
    """A data set's own samples, or None where they are not at hand."""
    try:
        return load(dataset, root, seed, False)[0]
    except datasets.Missing:
        return None


def spread(split: Split, n: int) -> Split:
    """At most `n` samples from all over a split, in float64 where they are numbers."""
    rows = torch.arange(min(n, len(split))) * max(1, len(split) // n)
    return Split(wide(split.x[rows]), wide(split.y[rows]))


def wide(values: Tensor) -> Tensor:
    return values.double() if values.is_floating_point() else values


def synthetic(task: Task, seed: int) -> Data:
    """Random samples of the task's shapes in place of its data."""
    return drawn(lambda n, g: task.sample(n, g), (TRAIN, VAL, TEST), "probe", seed)


def cut(data: Data) -> Data:
    """A data set of a few dozen samples, float64."""
    stream = data.draw

    def draw(n: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
        assert stream is not None
        x, y = stream(n, g)
        return wide(x), wide(y)

    train, val, test = (spread(split, n) for split, n in ((data.train, TRAIN), (data.val, VAL), (data.test, TEST)))
    return Data(train, val, test, data.augment, draw if stream is not None else None)


@lru_cache(maxsize=8)
def totals(dataset: str, root: Path, seed: int) -> list[float]:
    """What whole splits are made of: how many, their sum, and numbers from all over them in their places."""
    data = whole(dataset, root, seed)
    assert data is not None
    found = []
    for split in (data.train, data.val, data.test):
        for part in (split.x, split.y):
            flat = part.flatten()
            found += [float(len(split)), float(flat.sum(dtype=torch.float64)), folded(flat[:: max(1, len(flat) // PLACES)])]
    return found


class Heard:
    """What a training does at each step, heard from outside: it runs as always."""

    def __init__(self, training: Training) -> None:
        self.losses: list[float] = []
        self.norms: list[float] = []
        self.rates: list[float] = []
        learner, optimizer, step = training.learner, training.optimizer, training.optimizer.step
        losses = learner.losses

        def heard(x: Tensor, y: Tensor) -> Tensor:
            found = losses(x, y)
            self.losses += found.double().view(-1).tolist()
            return found

        def stepped(*args: Any, **kwargs: Any) -> Any:
            gradients = [p.grad.double().reshape(len(training.seeds), -1) for p in learner.parameters if p.grad is not None]
            self.norms += torch.cat(gradients, 1).norm(dim=1).tolist()
            self.rates += [group["lr"] for group in optimizer.param_groups]
            return step(*args, **kwargs)

        learner.losses = heard  # type: ignore[method-assign]
        optimizer.step = stepped  # type: ignore[method-assign]


def shortened(budget: Budget) -> Budget:
    """The budget for a few steps in float64, over more than two epochs."""
    return replace(
        budget,
        samples=STEPS * BATCH,
        batch=BATCH,
        evaluations=EVALUATIONS,
        dtype="float32",  # that is: as it comes, in float64
        seconds=math.inf,
    )


def miniature(build: Callable[[], nn.Module], task: Task, budget: Budget, data: list[Data], seeds: list[int]) -> dict[str, list[float]]:
    """The numbers of a whole run of a few steps, by their kind."""
    mini = replace(shortened(budget), clip=0.05 if budget.clip else 0.0)  # small enough to act
    if isinstance(build(), models.Fits):
        return fitted(build, task, mini, data[0], seeds[0])
    training = Training(build, task, mini, seeds, [handed(one, mini) for one in data], CPU)
    heard = Heard(training)
    training.run()
    tie(training)
    found: dict[str, list[float]] = {"loss": heard.losses, "gradient": heard.norms, "rate": heard.rates}
    kinds = ("val", "best", "weights", "score", "answer")
    found |= {kind: [] for kind in kinds}
    for one, samples in zip(training.results(), data, strict=True):
        curve = one.curve
        found["val"] += [*curve.train_loss, *curve.val_loss, *curve.val_metric, *curve.test_metric]
        found["best"] += [float(one.best_samples), *map(float, curve.samples)]
        found["weights"] += of_state(one.best) + of_state(one.last)
        record = scored(build, one, samples, task, mini, CPU)
        for which in sorted(record.get("test", {})):
            found["score"] += [float(value) for _, value in sorted(record["test"][which].items())]
        learner = Single(fresh(build, mini, one.seed), task, mini, CPU, generator("test", one.seed))
        learner.module.load_state_dict(one.last)
        found["answer"] += [folded(row) for row in learner.forward(samples.test.x[None])[0]]
    found["choice"] = []
    for one, samples in zip(choose(training), data, strict=True):
        test = scored(build, one, samples, task, mini, CPU).get("test", {})
        chosen = [test[which]["loss"] for which in sorted(test) if "loss" in test[which]]  # a best chosen on test is a metric alone
        found["choice"] += [float(one.best_samples), *of_state(one.best), *chosen]
    return found


def fitted(build: Callable[[], nn.Module], task: Task, mini: Budget, data: Data, seed: int) -> dict[str, list[float]]:
    """The numbers of a fit to a few dozen samples, by their kind."""
    (one,) = Fitting(build, task, mini, [seed], [handed(data, mini)], CPU).run()
    curve, record = one.curve, scored(build, one, data, task, mini, CPU)
    return {
        "val": [*curve.train_loss, *curve.val_loss, *curve.val_metric, *curve.train_metric],
        "best": [float(one.best_samples)],
        "weights": of_state(one.best),
        "score": [float(value) for _, value in sorted(record["test"]["best"].items())],
    }


def own_size(build: Callable[[], nn.Module], task: Task, budget: Budget, data: Data) -> list[float]:
    """Loss and gradient of one batch as large as the budget's, in its arithmetic, and the loss of an evaluation in several pieces."""

    def tiled(split: Split, n: int) -> Split:
        rows = torch.arange(n) % len(split)
        return Split(*(part[rows].float() if part.is_floating_point() else part[rows] for part in (split.x, split.y)))

    torch.manual_seed(0)
    learner = Single(fresh(build, budget, 0), task, budget, CPU, generator("probe", 0))
    batch = tiled(data.train if len(data.train) else data.val, budget.batch)
    loss = learner.losses(batch.x, batch.y)
    norm = torch.stack([p.grad.double().norm() for p in learner.parameters if p.grad is not None]).norm()
    pieces = min(512, NUMBERS // task.input.size + 3)
    found = score(learner, together([tiled(data.val, max(3, pieces))], CPU), task)
    return [float(loss), float(norm), means(found.scores, task)[0]["loss"]]


def numbers(model: str, dataset: str, budget: Budget, stacked: bool, root: Path | None) -> Record | None:
    """One probe, packed: on the data under `root`, None if they are not there; on random samples without a root."""
    task, seeds = datasets.task(dataset), [0, 1] if stacked else [0]
    owned = [whole(dataset, root, seed) if root is not None else synthetic(task, seed) for seed in seeds]
    data = [one for one in owned if one is not None]
    if len(data) < len(seeds):
        return None
    build = partial(models.build, model, task)
    with arithmetic(torch.float64):
        small = [cut(one) for one in data]
        found = miniature(lambda: build().double(), task, budget, small, seeds)
    if "rate" in found:
        found["rate"] += [learning_rate(budget, budget.steps * i // RATES, i) for i in range(RATES)]
        found["ending"] = [learning_rate(budget, budget.steps - i, RATES) for i in range(1, 1 + min(RATES, budget.steps))]
        with arithmetic(torch.float32):
            found["own_size"] = own_size(build, task, budget, small[0])
    if root is not None:
        found["data"] = [number for seed in seeds for number in totals(dataset, root, seed)]
    sizes = {kind: len(values) for kind, values in found.items()}
    return {"sizes": sizes, "numbers": pack(np.array([number for values in found.values() for number in values], "<f8"))}


def measure(model: str, dataset: str, budget: Budget, stacked: bool, root: Path) -> Record:
    """The probe of a cell as a record keeps it: on its own data where they are at hand, and on random samples where they may not be.

    Raises Unprobed where the code does not run in miniature.
    """
    try:
        found = {"own": numbers(model, dataset, budget, stacked, root)}
        if not datasets.task(dataset).embedded:
            found["synthetic"] = numbers(model, dataset, budget, stacked, None)
    except Exception as error:
        raise Unprobed(f"{model}-{dataset} cannot be probed: {describe(error)}") from error
    return {"version": VERSION, "stacked": stacked, **{data: probe for data, probe in found.items() if probe is not None}}
