"""Every cell of the grid, trained. One round each, of its worker's seconds; a cell whose runs are in the store has nothing to do."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.plan.grid import Cell
from bench.run.driver import Driver, Outcome
from bench.run.progress import Progress
from bench.store.records import StoreError
from bench.tables.formatting import cell_line


class WorkersClock:
    """The clock that pytest-benchmark reads: it goes on by what a worker took, not by how long it was waited for."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


CLOCK = WorkersClock()


@pytest.mark.benchmark(timer=CLOCK)
def test_training(cell: Cell, driver: Driver, progress: Progress, benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> None:
    def train() -> Outcome:
        outcome = driver.outcome(cell)
        CLOCK.seconds += outcome.seconds
        return outcome

    try:
        benchmark.disabled |= not driver.trains(cell)  # nothing to time: no round, no warning
        outcome = benchmark.pedantic(train, rounds=1)
    except BaseException as error:  # pytest's own outcomes too, with which a time limit ends a test
        benchmark.has_error = True  # pytest-benchmark 5.3 cannot write a benchmark without samples
        if isinstance(error, StoreError):
            pytest.exit(f"attention-bench: {error}", returncode=1)
        raise
    benchmark.extra_info.update(model=cell.model, dataset=cell.dataset, budget=cell.budget.name, trained=outcome.trained)
    request.node.user_properties.append(("from store", outcome.status == "ok" and not outcome.trained))
    if not outcome.trained:
        progress.part(cell, 1.0)
    if cell.status == "skipped":  # known beforehand and told in the report: not worth a line
        pytest.skip(outcome.reason)
    progress.line(cell_line(cell.model, cell.dataset, outcome.status, outcome.reason, outcome.runs, outcome.trained, outcome.seconds))
    if outcome.status == "skipped":
        pytest.skip(outcome.reason)
    if outcome.status != "ok":
        pytest.fail(f"{cell.id}: {outcome.status}: {outcome.reason}", pytrace=False)
