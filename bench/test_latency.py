"""Every cell of the grid, timed at batch 1 and 64 on every device."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench import latency, machine
from bench.grid import out_of_memory
from bench.progress import Progress
from bench.session import Session, Timing
from bench.stats import quantiles
from bench.store import Record, StoreError
from datasets.registry import describe


def keep(suite: Session, record: Record) -> None:
    try:
        suite.settings.store.put_latency(record)
    except StoreError as error:
        pytest.exit(f"attention-bench: {error}", returncode=1)


def test_latency(timing: Timing, suite: Session, progress: Progress, benchmark: BenchmarkFixture) -> None:
    cell = timing.cell
    if cell.status:
        progress.end()
        pytest.skip(cell.reason)
    if timing.device == "cuda" and not torch.cuda.is_available():
        progress.end()
        pytest.skip("no CUDA device")
    try:
        call = latency.prepare(cell, torch.device(timing.device), timing.batch)
        rounds = latency.warm_up(call, suite.seconds_per_timing)
        benchmark.pedantic(call, rounds=rounds)
    except KeyboardInterrupt:
        benchmark.has_error = True  # pytest-benchmark 5.3 cannot write a benchmark without samples
        raise
    except Exception as error:
        progress.end()
        reason = f"latency {'out_of_memory' if out_of_memory(error) else 'error'}: {machine.anonymous(describe(error))}"
        keep(suite, latency.record(cell, timing.device, timing.batch, [], reason))
        pytest.fail(f"{timing.id}: {reason}", pytrace=False)
    if benchmark.stats is None:  # --benchmark-disable: run once, nothing measured
        return
    seconds = benchmark.stats.stats.data
    record = latency.record(cell, timing.device, timing.batch, seconds)
    keep(suite, record)
    benchmark.extra_info.update({k: record[k] for k in ("model", "dataset", "device", "batch", "dtype")})
    benchmark.extra_info.update(quantiles(1e3 * np.array(seconds)), threads=record["machine"]["threads"])
    benchmark.extra_info["samples_per_second"] = timing.batch / float(np.median(seconds))
    progress.end()
