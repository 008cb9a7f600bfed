"""Latency: one forward pass in evaluation mode, warmed up, the clock stopped after the device has finished.

Inference mode is entered before the clock starts. bfloat16 is training's: autocast, entered anew in every pass, so that casting
the float32 weights, each once, is part of what is timed. One process finds a `Turn`; a record is of the turns of several. It says whether
to believe it (validity.py), what the call costs exactly (forward_counts.py), and on a GPU where the time goes (cuda.py).
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import astuple, dataclass
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
from bench.measure.warmup import WarmUp, warm_up
from bench.plan.grid import Cell
from bench.plan.timing import Timing
from bench.store import fingerprint
from bench.store.encoding import pack, unpack
from bench.store.records import Record
from bench.train.learners import precision
from bench.train.loop import fresh, synchronise
from datasets.registry import describe
from datasets.task import Budget, Dtype

Call = Callable[[], object]
TIMED = 0.8  # share of a timing's seconds that goes into timed calls
FEWEST, MOST = 2, 100  # timed calls of one process: the interval is over processes, and records are to stay small
IDLE = 200  # empty calls
BESIDE = 50  # calls, at most, of every other way to time a GPU


@dataclass(frozen=True)
class Subject:
    """What is called: `call` runs the model once and waits for the device, `launch` does not wait, `idle` has no model in it."""

    call: Call
    launch: Call
    idle: Call


@dataclass(frozen=True)
class Turn:
    """What one process found: seconds of the calls and of an empty one, how it warmed up, what its clocks went on by meanwhile; of a
    GPU the samples of other ways to time it, and why some are not there."""

    seconds: list[float]
    empty: float
    warm: WarmUp
    spent: Clocks
    on_gpu: dict[str, Any]
    missing: list[str]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """With `count` threads; the former number afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@lru_cache(maxsize=1)  # all timings of a cell follow each other
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
    """Seconds of each call."""
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


@contextmanager
def undisturbed() -> Iterator[None]:
    """Without Python's search for cycles."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def number_of_calls(warm: WarmUp, seconds: float) -> int:
    """As many as fit into the seconds of a timing, but enough for a median."""
    return int(min(MOST, max(FEWEST, TIMED * seconds / warm.typical)))


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


def structure(cell: Cell) -> str:
    """What is built and what it is given: cells of one model for which this is equal take equally long."""
    assert cell.task is not None
    module = built(cell, cell.budget, torch.device("cpu"))
    tensors = [(name, tuple(tensor.shape), tensor.dtype) for name, tensor in module.state_dict().items()]
    return f"{cell.model} {cell.task.input} {cell.task.output} {cell.task.patch} {module} {tensors}"


def turn(timing: Timing, seconds: float) -> Turn:
    """Time a cell for about `seconds` in this process. Raises what the model raises."""
    with threads(timing.threads), quiet(timing.dtype):
        subject = prepare(timing)
        with undisturbed():
            warm = warm_up(subject.call, seconds)
            calls = number_of_calls(warm, seconds)
            empty = statistics.median(clocked(subject.idle, IDLE))
            before = Clocks.now()
            samples = clocked(subject.call, calls)
            spent = Clocks.now().since(before)
        on_gpu, missing = cuda.measure(subject.launch, min(calls, BESIDE)) if timing.device == "cuda" else ({}, [])
    return Turn(samples, empty, warm, spent, on_gpu, missing)


def doubts(timing: Timing, turns: Sequence[Turn]) -> list[str]:
    """What was wrong with a timing, all turns together: the system's counters are too coarse for one."""
    calls = sum(one.warm.calls for one in turns)
    warm = WarmUp(calls, sum(one.warm.settled for one in turns) > len(turns) / 2, 0.0)
    spent = Clocks(*(sum(figures) for figures in zip(*(astuple(one.spent) for one in turns), strict=True)))
    median = statistics.median(statistics.median(one.seconds) for one in turns)
    empty = statistics.median(one.empty for one in turns)
    return complaints(warm, spent, timing.device == "cpu" and timing.threads == 1, median, resolution(), empty)


def record(timing: Timing, turns: Sequence[Turn], reason: str = "", exact: dict[str, int] | None = None, **fields: Any) -> Record:
    """What the store keeps: every timed call, in milliseconds, and the median of each process; or none, and the reason."""
    cell = timing.cell
    kept: Record = {
        "model": cell.model,
        "dataset": cell.dataset,
        "device": timing.device,
        "batch": timing.batch,
        "dtype": timing.dtype,
        "threads": timing.threads,
        "source": fingerprint.source(cell.model),
        "reason": reason,
        "samples_ms": pack(1e3 * np.array([seconds for one in turns for seconds in one.seconds], "<f4")),
        "machine": {"slug": machine.slug(), **machine.facts()},
    }
    if not turns:
        return kept
    ways = {name: pack(np.concatenate([unpack(one.on_gpu[name]) for one in turns if name in one.on_gpu])) for name in turns[0].on_gpu}
    return kept | {
        "medians_ms": [1e3 * statistics.median(one.seconds) for one in turns],
        "warm_up_calls": sum(one.warm.calls for one in turns),
        "settled": all(one.warm.settled for one in turns),
        "noop_ms": 1e3 * statistics.median(one.empty for one in turns),
        "validity": doubts(timing, turns),
        "exact": exact or {},
        **ways,
        **fields,
        "notes": [*dict.fromkeys(text for one in turns for text in one.missing), *fields.get("notes", [])],
    }


def with_kernels(timing: Timing, record: Record) -> Record:
    """The record of a GPU with the kernels of one call. For the end of a session: a profiler slows whatever is timed after it."""
    with quiet(timing.dtype):
        found, missing = cuda.counted(lambda: prepare(timing).launch)
    return {**record, **found, "notes": [*record["notes"], *missing]}
