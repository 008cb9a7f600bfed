"""What attention costs as the input grows: every mixer at 16 to 4,096 tokens, timed by processes that take turns.

    work            batch   tokens, at most
    forward             1   4,096             one pass in evaluation mode
    forward            64     256
    training step       8   2,048             forward, loss, backward, AdamW

The task is a signal of as many samples as there are tokens, answered by one of ten classes. Each process times each model at a length
within one turn; attention is timed twice, as two models that are the same: what their ratio differs from 1 by is the clock's.
"""

from __future__ import annotations

import gc
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

import models
from bench.core.stats import interval
from bench.measure import counts, forward_counts
from bench.measure.latency import FEWEST, MOST, TIMED, Call, clocked
from bench.measure.warmup import warm_up
from bench.train.learners import Single
from bench.train.loop import fresh
from bench.train.optimiser import optimizer
from datasets.data import generator
from datasets.task import Budget, Input, Output, Task

LENGTHS = tuple(2**power for power in range(4, 13))
WORKS = (("forward", 1), ("forward", 64), ("training step", 8))
MOST_TOKENS = 2**14  # of a batch
REFERENCE, TWIN = "backbone_attention", "backbone_attention, again"
BUDGET = Budget("length", samples=8, batch=8, lr=1e-3, optimizer="adamw", weight_decay=0.01)
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Item:
    """One thing to time, for about `seconds`."""

    model: str
    length: int
    work: str
    batch: int
    seconds: float = 0.0

    @property
    def built_as(self) -> str:
        return REFERENCE if self.model == TWIN else self.model


def task(length: int) -> Task:
    """A signal of `length` tokens, and ten classes."""
    return Task(f"length_{length}", Input("signal", (1, length)), Output("classes", 10), (8, 8, 8), (BUDGET,), patch=1)


def items(names: Sequence[str], lengths: Sequence[int], seconds: float) -> Iterator[list[Item]]:
    """What is timed in one round: all models doing one work at one length."""
    for length in lengths:
        for work, batch in WORKS:
            if length * batch <= MOST_TOKENS or batch == 1:
                yield [Item(name, length, work, batch, seconds) for name in [*names, *[TWIN] * (REFERENCE in names)]]


def forward(item: Item) -> Call:
    own = task(item.length)
    module = fresh(partial(models.build, item.built_as, own), BUDGET, 0).eval()
    return partial(counts.answer(module, own), forward_counts.sample(own, item.batch, CPU))


def training_step(item: Item) -> Call:
    own, budget = task(item.length), replace(BUDGET, batch=item.batch)
    learner = Single(fresh(partial(models.build, item.built_as, own), budget, 0), own, budget, CPU, generator("length", 0))
    stepper = optimizer(budget, learner.parameters)
    x, y = own.sample(item.batch, generator("length", 0))

    def step() -> None:
        learner.losses(x, y)
        stepper.step()

    return step


def timed(item: Item) -> float:
    """Milliseconds of one call, the median of those that fit into the item's seconds."""
    inference = item.work == "forward"
    call = forward(item) if inference else training_step(item)
    gc.collect()
    gc.disable()
    try:
        with torch.inference_mode(inference):
            warm = warm_up(call, item.seconds)
            return 1e3 * statistics.median(clocked(call, int(min(MOST, max(FEWEST, TIMED * item.seconds / warm.typical)))))
    finally:
        gc.enable()


def counted(item: Item) -> dict[str, int | None]:
    """Parameters, FLOPs of one sample's forward pass, and bytes alive at the worst moment of a training step."""
    own = task(item.length)
    module = models.build(item.built_as, own)
    parts: dict[str, Callable[[], int]] = {
        "flops": lambda: counts.flops(module, own),
        "peak_bytes": lambda: counts.peak_bytes(module, own, replace(BUDGET, batch=item.batch)),
    }
    found: dict[str, int | None] = {"params": sum(p.numel() for p in module.parameters())}
    for name, count in parts.items():
        try:
            found[name] = count()
        except counts.Uncounted:
            found[name] = None
    return found


def row(item: Item, answers: Sequence[Any]) -> dict[str, Any]:
    """What is kept of an item: a median for each process, or the first reason why there is none."""
    reasons = [one.reason for one in answers if not isinstance(one, float)]
    kept = asdict(item) | {"medians_ms": [] if reasons else list(answers), "reason": next(iter(reasons), "")}
    del kept["seconds"]
    return kept


@dataclass(frozen=True)
class Ratio:
    """Attention's time over another model's: the geometric mean over processes and its 95 % interval."""

    mean: float
    low: float
    high: float


def over_processes(logs: Sequence[float]) -> Ratio:
    found = interval(logs)
    return Ratio(*(math.exp(value) for value in (found.mean, found.low, found.high)))


Medians = dict[tuple[str, int, str, int], np.ndarray]


def medians(rows: Sequence[dict[str, Any]]) -> Medians:
    """(model, length, work, batch) -> milliseconds, one for each process."""
    return {(one["model"], one["length"], one["work"], one["batch"]): np.array(one["medians_ms"]) for one in rows if one["medians_ms"]}


def log_ratios(found: Medians, other: str, work: str, batch: int) -> dict[int, np.ndarray]:
    """Length -> logarithms of attention's time over the other's, process by process, where both were timed."""
    lengths = sorted(length for model, length, *rest in found if model == other and tuple(rest) == (work, batch))
    both = [length for length in lengths if (REFERENCE, length, work, batch) in found]
    return {n: np.log(found[REFERENCE, n, work, batch] / found[other, n, work, batch]) for n in both}


@dataclass(frozen=True)
class Crossing:
    """From how many tokens on attention costs more. `side` says where, if not within what was measured: below, beyond or unclear."""

    tokens: float = math.nan
    low: float = math.nan
    high: float = math.nan
    side: str = ""


def crossed(lengths: Sequence[int], logs: Sequence[float]) -> float:
    """Where one process's ratio passes 1 for good, on straight lines over log tokens. 0 if it never was lower, inf if it still is."""
    if logs[-1] <= 0:
        return math.inf
    cheap = [i for i, value in enumerate(logs) if value <= 0]
    if not cheap:
        return 0.0
    i = cheap[-1]
    share = -logs[i] / (logs[i + 1] - logs[i])
    return float(lengths[i] * (lengths[i + 1] / lengths[i]) ** share)


def crossing(ratios: dict[int, np.ndarray]) -> Crossing:
    """The crossings of all processes as one, with its 95 % interval."""
    lengths = list(ratios)
    each = [crossed(lengths, list(logs)) for logs in zip(*ratios.values(), strict=True)]
    if all(0 < one < math.inf for one in each):
        found = over_processes([math.log(one) for one in each])
        return Crossing(found.mean, found.low, found.high)
    return Crossing(side="below" if not any(each) else "beyond" if all(one == math.inf for one in each) else "unclear")
