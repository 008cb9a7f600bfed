"""Latency: one forward pass in evaluation mode, warmed up, the clock stopped after the device has finished.

pytest-benchmark calls what `prepare` returns and keeps the time of every call.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import models
from bench import fingerprint, machine
from bench.cost import answer
from bench.grid import Cell
from bench.learners import precision
from bench.store import pack
from bench.train import fresh, synchronise
from datasets.data import generator

WARM_UP = 0.2  # share of a cell's time
FEWEST, MOST = 5, 1_000  # timed calls


def prepare(cell: Cell, device: torch.device, batch: int) -> Callable[[], None]:
    """A call that runs the cell's model once on `batch` random inputs, in its budget's arithmetic, and waits for the device."""
    assert cell.task is not None
    task = cell.task
    module = fresh(lambda: models.build(cell.model, task), cell.budget, seed=0).to(device).eval()
    x = task.sample(batch, generator("latency", 0))[0].to(device)

    forward = answer(module, task)

    def call() -> None:
        with torch.inference_mode(), precision(cell.budget, device):
            forward(x)
        synchronise(device)

    return call


def warm_up(call: Callable[[], None], seconds: float) -> int:
    """Run for a share of `seconds`; returns how many timed calls fit into the rest."""
    times: list[float] = []
    stop = time.perf_counter() + WARM_UP * seconds
    while len(times) < 3 or time.perf_counter() < stop:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    typical = statistics.median(times[len(times) // 2 :])
    return int(min(MOST, max(FEWEST, (1 - WARM_UP) * seconds / typical)))


def record(cell: Cell, device: str, batch: int, seconds: list[float], reason: str = "") -> dict[str, Any]:
    """What the store keeps: every timed call, in milliseconds; or none, and the reason."""
    return {
        "model": cell.model,
        "dataset": cell.dataset,
        "device": device,
        "batch": batch,
        "dtype": cell.budget.dtype,
        "source": fingerprint.closure(models.source(cell.model)),
        "reason": reason,
        "samples_ms": pack(1e3 * np.array(seconds, "<f4")),
        "machine": {"slug": machine.slug(), **machine.facts()},
    }
