"""What attention costs as the input grows: every mixer at 16 to 4,096 tokens, timed by processes that take turns.

    work                batch   tokens, at most
    forward                 1   4,096             one pass in evaluation mode
    forward                64   1,024
    training step           8   1,024             forward, loss, backward, AdamW
    forward of images       1   4,096             of side 8 … 64, a pixel a token
    forward, compiled       1   1,024             by torch.compile, attention and convolution alone; it wants a C++ compiler

The task is a signal of as many samples as there are tokens, or an image, answered by one of ten classes. Each process times each
model at a length within one turn; attention is timed twice, as two models that are the same: what their ratio differs from 1 by is
the clock's.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch

import models
from bench.measure import counts, forward_counts
from bench.measure.latency import Call, clocked, number_of_calls, undisturbed
from bench.measure.warmup import warm_up
from bench.tables.lengths import COMPILED, CONV, FORWARD, IMAGES, REFERENCE, STEP, TWIN
from bench.train.learners import Single
from bench.train.loop import fresh
from bench.train.optimiser import optimizer
from datasets.data import generator
from datasets.task import Budget, Input, Output, Task

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


def task(length: int, work: str = FORWARD) -> Task:
    """A signal of `length` tokens, or a square image of as many, and ten classes."""
    side = math.isqrt(length)
    given = Input("image", (1, side, side)) if work == IMAGES else Input("signal", (1, length))
    return Task(f"length_{length}", given, Output("classes", 10), (8, 8, 8), (BUDGET,), patch=1)


def items(names: Sequence[str], work: str, batch: int, length: int, seconds: float) -> list[Item]:
    """What is timed in one round: all models doing one work at one length."""
    those = [name for name in names if work != COMPILED or name in (REFERENCE, CONV)]
    return [Item(name, length, work, batch, seconds) for name in [*those, *[TWIN] * (REFERENCE in those)]]


def forward(item: Item) -> Call:
    own = task(item.length, item.work)
    module = fresh(partial(models.build, item.built_as, own), BUDGET, 0).eval()
    if item.work == COMPILED:
        torch.compiler.reset()  # else what was compiled before counts towards how often it is, after which nothing is
        torch._inductor.config.compile_threads = 1
        module = torch.compile(module)  # type: ignore[assignment]
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
    inference = item.work != STEP
    call = forward(item) if inference else training_step(item)
    with undisturbed(), torch.inference_mode(inference):
        warm = warm_up(call, item.seconds)
        return 1e3 * statistics.median(clocked(call, number_of_calls(warm, item.seconds)))


def counted(item: Item) -> dict[str, int | None]:
    """FLOPs of one sample's forward pass, None where an operator is not known; of a training step the bytes alive at its worst moment."""
    own = task(item.length, item.work)
    module = models.build(item.built_as, own)
    found: dict[str, int | None] = {}
    try:
        found["flops"] = counts.flops(module, own)
    except counts.Uncounted:
        found["flops"] = None
    if item.work == STEP:
        found["peak_bytes"] = counts.peak_bytes(module, own, replace(BUDGET, batch=item.batch))
    return found


def row(item: Item, answers: Sequence[Any]) -> dict[str, Any]:
    """What is kept of an item: a median for each process, or the first reason why there is none."""
    reasons = [one.reason for one in answers if not isinstance(one, float)]
    kept = asdict(item) | {"medians_ms": [] if reasons else list(answers), "reason": next(iter(reasons), "")}
    del kept["seconds"]
    return kept
