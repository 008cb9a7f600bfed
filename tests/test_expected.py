"""What the grid is expected to take, by a committed table and, where that has nothing, by a guess."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

import datasets
import models
from bench.__main__ import main
from bench.plan import expected, grid
from bench.store.records import Store
from tests.test_report import run


def test_the_table_names_cells_of_the_default_grid() -> None:
    embedded = {name for name in datasets.names() if datasets.task(name).embedded}
    with grid.Builder() as builder:  # of its own lines: the whole grid has ten times as many
        cells = [grid.cell(model, dataset, "default", None, builder=builder) for model, dataset in expected.measured()]
    assert {cell.model for cell in cells} <= set(models.names())
    assert {cell.dataset for cell in cells} <= embedded
    assert [cell.id for cell in cells if cell.status] == []
    assert all(0 < seconds < 100 for seconds in expected.measured().values())
    assert sum(map(expected.seconds, cells)) <= 1_600  # of one core: 14 minutes of two; what is added takes its time from something else


def test_seconds_go_by_samples_and_seeds() -> None:
    cell = grid.cell("mlp", "xor", "default", 2)
    once = expected.seconds(cell) - expected.OVERHEAD
    longer = replace(cell, budget=replace(cell.budget, samples=3 * cell.budget.samples, seeds=4))
    assert expected.seconds(longer) - expected.OVERHEAD == pytest.approx(6 * once)
    assert expected.seconds(replace(cell, status="skipped")) < 0.1
    assert expected.seconds(replace(cell, model="nobody_timed_it")) > expected.OVERHEAD


def test_the_table_is_learned_from_the_longest_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 samples in 2 and 4 seconds are 3 for 1,000; the short run beside them counts for nothing, nor does one that failed."""
    monkeypatch.setattr(expected, "measured", lambda: {("linear", "gaussian"): 9.0, ("other", "gaussian"): 5.0})
    store = Store(tmp_path)
    long = run("linear", 0, 0.1)["budget"] | {"samples": 1_000}
    for seed, seconds in enumerate((2.0, 4.0)):
        store.put_run(run("linear", seed, 0.1) | {"budget": long, "train_seconds": seconds})
    store.put_run(run("linear", 7, 0.1) | {"budget": long | {"samples": 10}, "train_seconds": 1.0, "recipe": "short"})
    store.put_run(run("mlp", 0, 0.1) | {"budget": long, "train_seconds": 1.0, "status": "diverged", "reason": "nan"})
    lines = list(csv.DictReader(io.StringIO(expected.learned(store.runs()))))
    assert [(one["model"], one["seconds"]) for one in lines] == [("linear", "3"), ("other", "5")]


def test_a_folder_without_results_teaches_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = expected.TABLE.read_bytes()
    assert main(["list", "--learn", str(tmp_path)]) == 2
    assert "no results in" in capsys.readouterr().err
    assert expected.TABLE.read_bytes() == before
