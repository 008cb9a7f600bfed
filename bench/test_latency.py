"""Every cell of the grid, timed at batch 1 and 64 on every device; on the CPU with one thread and with all of them.

The first test has all selected ones timed, by processes that take turns; each then hands its own calls to pytest-benchmark.
"""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.core.stats import quantiles
from bench.plan.timing import Timing
from bench.run.latencies import Latencies, passed_over
from bench.run.progress import Progress
from bench.run.session import Session
from bench.store.encoding import unpack
from bench.store.records import StoreError

TOLD = ("model", "dataset", "device", "batch", "dtype", "threads", "medians_ms", "noop_ms", "validity")


class KeptClock:
    """The clock that pytest-benchmark reads: each call of `again` takes as long as a call took that was timed before."""

    seconds = 0.0
    kept: list[float]

    def __call__(self) -> float:
        return self.seconds

    def again(self) -> None:
        self.seconds += self.kept.pop()


CLOCK = KeptClock()


@pytest.mark.benchmark(timer=CLOCK)
def test_latency(timing: Timing, latencies: Latencies, suite: Session, progress: Progress, benchmark: BenchmarkFixture) -> None:
    if reason := passed_over(timing):
        pytest.skip(reason)
    try:
        record = latencies.of(timing, progress.advance)
        if not benchmark.disabled:
            suite.store.put_latency(record)
    except StoreError as error:
        pytest.exit(f"attention-bench: {error}", returncode=1)
    if record["reason"]:
        pytest.fail(f"{timing.id}: {record['reason']}", pytrace=False)
    if timing.device == "cuda" and not benchmark.disabled:
        suite.on_gpu.append((timing, record))
    samples = unpack(record["samples_ms"])
    CLOCK.kept = list(1e-3 * samples[::-1].astype(float))
    try:
        benchmark.pedantic(CLOCK.again, rounds=len(samples))
    except BaseException:  # pytest's own outcomes too, with which a time limit ends a test
        benchmark.has_error = True  # pytest-benchmark 5.3 cannot write a benchmark without samples
        raise
    benchmark.extra_info.update({name: record[name] for name in TOLD}, **quantiles(samples))
    benchmark.extra_info["samples_per_second"] = 1e3 * timing.batch / float(np.median(record["medians_ms"]))
