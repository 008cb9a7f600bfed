"""Latency: one forward pass in evaluation mode, warmed up, the clock stopped after the device has finished.

Inference mode is entered before the clock starts. bfloat16 is training's: autocast, entered anew in every pass, so that casting
the float32 weights, each once, is part of what is timed. pytest-benchmark keeps the time of every call; the rest of the record says whether
to believe it (validity.py), what the call costs exactly (forward_counts.py), and on a GPU where the time goes (cuda.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch import nn

import models
from bench.core import machine
from bench.measure import cuda, forward_counts
from bench.measure.counts import answer
from bench.measure.validity import Clocks, complaints, resolution
from bench.measure.warmup import warm_up
from bench.plan.grid import Cell
from bench.plan.timing import Timing
from bench.store import fingerprint
from bench.store.encoding import pack
from bench.store.records import Record
from bench.train.learners import precision
from bench.train.loop import fresh, synchronise
from datasets.registry import describe
from datasets.task import Budget, Dtype

Call = Callable[[], object]
TIMED = 0.8  # share of a timing's seconds that goes into timed calls
FEWEST, MOST = 6, 1_000  # timed calls; six is what an interval of the median needs
IDLE = 200  # empty calls
BESIDE = 50  # calls, at most, of every other way to time a GPU


@dataclass(frozen=True)
class Subject:
    """What is called: `call` runs the model once and waits for the device, `launch` does not wait, `idle` has no model in it."""

    call: Call
    launch: Call
    idle: Call


@contextmanager
def threads(count: int) -> Iterator[None]:
    """With `count` threads; the former number afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def built(cell: Cell, budget: Budget, device: torch.device) -> nn.Module:
    """The cell's model, untrained: a forward pass takes as long."""
    assert cell.task is not None
    task = cell.task
    return fresh(lambda: models.build(cell.model, task), budget, seed=0).to(device).eval()


def waited(launch: Call, device: torch.device) -> Call:
    """The call with waiting for the device after it; a CPU has nothing to wait for."""

    def call() -> None:
        launch()
        synchronise(device)

    return launch if device.type == "cpu" else call


def prepare(timing: Timing) -> Subject:
    """The model and `batch` random inputs on the device. The calls want to be made `quiet`."""
    task, device = timing.cell.task, torch.device(timing.device)
    assert task is not None
    x = forward_counts.sample(task, timing.batch, device)
    module = built(timing.cell, timing.budget, device)
    forward = answer(module, task)

    def cast() -> None:
        with precision(timing.budget, device):
            forward(x)

    launch: Call = partial(forward, x) if timing.dtype == "float32" else cast
    return Subject(waited(launch, device), launch, waited(lambda: None, device))


def clocked(call: Call, calls: int) -> list[float]:
    """Seconds of each call, by the loop that pytest-benchmark uses."""
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


def quiet(dtype: Dtype) -> AbstractContextManager[Any]:
    """No gradients. In inference mode autocast would cast a weight at every use, a decoder's once a word."""
    return torch.inference_mode() if dtype == "float32" else torch.no_grad()


@lru_cache(maxsize=8)
def counted(cell: Cell, device: str, batch: int, dtype: Dtype) -> tuple[dict[str, int], list[str]]:
    """Exact costs, the same however many threads there are; and why there are none, should counting fail."""
    timing = Timing(cell, device, batch, dtype)
    assert cell.task is not None
    try:
        module = built(cell, timing.budget, torch.device(device))
        return forward_counts.measure(module, cell.task, batch, partial(precision, timing.budget, torch.device(device))), []
    except Exception as error:  # it could be timed; that it cannot be counted must not take the time away
        return {}, [f"not counted: {machine.anonymous(describe(error))}"]


def record(timing: Timing, seconds: list[float], reason: str = "", **fields: Any) -> Record:
    """What the store keeps: every timed call, in milliseconds; or none, and the reason."""
    cell = timing.cell
    return {
        "model": cell.model,
        "dataset": cell.dataset,
        "device": timing.device,
        "batch": timing.batch,
        "dtype": timing.dtype,
        "threads": timing.threads,
        "source": fingerprint.closure(models.source(cell.model)),
        "reason": reason,
        "samples_ms": pack(1e3 * np.array(seconds, "<f4")),
        **fields,
        "machine": {"slug": machine.slug(), **machine.facts()},
    }


def measure(timing: Timing, seconds: float, timed: Callable[[Call, int], list[float]] = clocked) -> Record | None:
    """Time a cell for about `seconds` with `timed(call, calls)`. None if that kept nothing; raises what the model raises."""
    alone = timing.device == "cpu" and timing.threads == 1
    with threads(timing.threads):
        subject = prepare(timing)
        with quiet(timing.dtype):
            warm = warm_up(subject.call, seconds)
            calls = int(min(MOST, max(FEWEST, TIMED * seconds / warm.typical)))
            empty = float(np.median(clocked(subject.idle, IDLE)))
            before = Clocks.now()
            samples = timed(subject.call, calls)
            spent = Clocks.now().since(before)
            if not samples:
                return None
            on_gpu, missing = cuda.measure(subject.launch, min(calls, BESIDE)) if timing.device == "cuda" else ({}, [])
    exactly, uncounted = counted(timing.cell, timing.device, timing.batch, timing.dtype)
    fields: Record = {
        "warm_up_calls": warm.calls,
        "settled": warm.settled,
        "noop_ms": 1e3 * empty,
        "validity": complaints(warm, spent, alone, float(np.median(samples)), resolution(), empty),
        "notes": [*missing, *uncounted],
        "exact": exactly,
    }
    return record(timing, samples, **fields, **on_gpu)


def with_kernels(timing: Timing, record: Record) -> Record:
    """The record of a GPU with the kernels of one call. For the end of a session: a profiler slows whatever is timed after it."""
    with quiet(timing.dtype):
        found, missing = cuda.counted(lambda: prepare(timing).launch)
    return {**record, **found, "notes": [*record["notes"], *missing]}
