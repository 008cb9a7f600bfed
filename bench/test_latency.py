"""Every cell of the grid, timed at batch 1 and 64 on every device; on the CPU with one thread and with all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.core import machine
from bench.core.stats import quantiles
from bench.measure import latency
from bench.plan.grid import out_of_memory
from bench.plan.timing import Timing
from bench.run.progress import LATENCY_OVERHEAD, Progress
from bench.run.session import Session
from bench.store.encoding import unpack
from bench.store.records import Record, StoreError
from datasets.registry import describe

pytestmark = pytest.mark.benchmark(disable_gc=True)
TOLD = ("model", "dataset", "device", "batch", "dtype", "threads", "noop_ms", "validity")


def keep(suite: Session, record: Record) -> None:
    try:
        suite.store.put_latency(record)
    except StoreError as error:
        pytest.exit(f"attention-bench: {error}", returncode=1)


def test_latency(timing: Timing, suite: Session, progress: Progress, benchmark: BenchmarkFixture) -> None:
    cell = timing.cell
    progress.advance(suite.seconds_per_timing + LATENCY_OVERHEAD)
    if cell.status:
        pytest.skip(cell.reason)
    if timing.device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")

    def timed(call: latency.Call, calls: int) -> list[float]:
        benchmark.pedantic(call, rounds=calls)
        return [] if benchmark.stats is None else list(benchmark.stats.stats.data)

    try:
        record = latency.measure(timing, suite.seconds_per_timing, timed)
    except KeyboardInterrupt:
        benchmark.has_error = True  # pytest-benchmark 5.3 cannot write a benchmark without samples
        raise
    except Exception as error:
        reason = f"latency {'out_of_memory' if out_of_memory(error) else 'error'}: {machine.anonymous(describe(error))}"
        keep(suite, latency.record(timing, [], reason))
        pytest.fail(f"{timing.id}: {reason}", pytrace=False)
    if record is None:  # --benchmark-disable: run once, nothing measured
        return
    keep(suite, record)
    if timing.device == "cuda":
        suite.on_gpu.append((timing, record))
    samples = unpack(record["samples_ms"])
    benchmark.extra_info.update({name: record[name] for name in TOLD}, **quantiles(samples))
    benchmark.extra_info["samples_per_second"] = 1e3 * timing.batch / float(np.median(samples))
