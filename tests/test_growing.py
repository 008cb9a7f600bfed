"""While a session trains its tables and page are there from the first cell on, and grow."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import datasets
from bench.page import growing
from bench.plan import expected
from bench.plan.grid import Cell
from bench.run.driver import Driver
from bench.run.job import Job
from bench.run.progress import Progress
from bench.store.records import Store
from datasets.task import Budget
from tests.conftest import InProcess, table


def test_every_cell_that_is_done_is_read_at_once_and_the_time_for_it_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "EVERY", 0.0)
    monkeypatch.setattr(growing, "SHARE", 1e9)
    budget = Budget("default", samples=128, batch=64)
    cells = [Cell(model, "circle", datasets.task("circle"), budget) for model in ("linear", "mlp")]
    store, said = Store(tmp_path), list[str]()
    blank = Job("", "", budget, (), "cpu", tmp_path, tmp_path)
    driver = Driver(store, blank, cells, InProcess, lambda *_: None)
    driver.grown = grow = growing.Growing(store, said.append)
    for n, cell in enumerate(sorted(cells, key=expected.seconds, reverse=True), 1):  # as the driver takes them
        driver.outcome(cell)
        rows = table(tmp_path)
        assert len(rows) == n
        assert rows[cell.model, "circle"]["status"] == "ok"
        assert cell.model in (tmp_path / "index.html").read_text()
    assert said == [f"growing: page: {tmp_path / 'index.html'}"], "where to look is told once"
    assert not list(tmp_path.glob("curves/*")), "pictures cost more, and come at the end"

    before = (tmp_path / "comparison.csv").stat().st_mtime_ns
    grow.due = time.monotonic() + 60
    grow()
    assert (tmp_path / "comparison.csv").stat().st_mtime_ns == before
    monkeypatch.setattr(growing, "SHARE", 0.1)
    grow.due, start = 0.0, time.monotonic()
    grow()
    assert grow.due - start >= 10 * (time.monotonic() - start) * 0.9


@pytest.mark.parametrize(("done", "after", "left"), [(0.0, 0.0, 600.0), (0.0, 30.0, 900.0), (60.0, 60.0, 540.0), (30.0, 240.0, 1900.0)])
def test_the_time_left_is_by_what_was_expected_until_enough_is_done(done: float, after: float, left: float) -> None:
    bar = Progress(600.0)
    bar.advance(done)
    bar.bar.start_t -= after
    known = bar.bar.format_dict
    assert (known["total"] - known["n"]) / known["rate"] == pytest.approx(left, rel=0.01)
    bar.close()
