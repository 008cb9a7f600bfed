"""Every cell of the grid, trained. One round each; a cell whose runs are in the store has nothing to do."""

from __future__ import annotations

import time

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench import cells
from bench.grid import Cell
from bench.progress import Progress
from bench.session import Session
from bench.store import StoreError
from bench.wording import cell_line


def test_training(cell: Cell, suite: Session, progress: Progress, benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> None:
    benchmark.disabled |= not cells.to_train(cell, suite.settings)  # nothing to time: no round, no warning
    start = time.monotonic()
    try:
        outcome = benchmark.pedantic(cells.run, args=(cell, suite.settings, progress.advance), rounds=1)
    except KeyboardInterrupt:
        benchmark.has_error = True  # pytest-benchmark 5.3 cannot write a benchmark without samples
        raise
    except StoreError as error:
        pytest.exit(f"attention-bench: {error}", returncode=1)
    benchmark.extra_info.update(model=cell.model, dataset=cell.dataset, budget=cell.budget.name, trained=outcome.trained)
    request.node.user_properties.append(("from store", outcome.status == "ok" and not outcome.trained))
    if cell.status == "skipped":  # known beforehand and told in the report: not worth a line
        progress.end()
        pytest.skip(outcome.reason)
    progress.end(
        cell_line(cell.model, cell.dataset, outcome.status, outcome.reason, outcome.runs, outcome.trained, time.monotonic() - start)
    )
    if outcome.status == "skipped":
        pytest.skip(outcome.reason)
    if outcome.status != "ok":
        pytest.fail(f"{cell.id}: {outcome.status}: {outcome.reason}", pytrace=False)
