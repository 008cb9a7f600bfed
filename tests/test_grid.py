"""Which cells a request means."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import datasets
import models
from bench.plan import grid, plugins
from bench.plan.grid import Cell, cover


def test_a_smoke_run_covers_every_model_and_every_data_set() -> None:
    whole = grid.cells(None, None, "default", None)
    covered = grid.cells(None, None, "smoke", None)
    able = [cell for cell in whole if not cell.status]
    assert {cell.model for cell in covered} == {cell.model for cell in able}
    assert {cell.dataset for cell in covered} == {cell.dataset for cell in able}
    assert {cell.budget.name for cell in covered} == {"smoke"} and not any(cell.status for cell in covered)
    for name in {cell.dataset for cell in able}:
        assert {"backbone_attention", "backbone_conv"} <= {cell.model for cell in covered if cell.dataset == name}
    assert len(covered) < len(able) / 2  # other tests may have registered models of theirs


def test_what_is_named_is_trained_whatever_the_budget() -> None:
    named = grid.cells("mlp,linear", None, "smoke", None)
    assert {cell.id for cell in named} == {cell.id for cell in grid.cells("mlp,linear", None, "default", None)}
    assert {cell.model for cell in grid.cells(None, "iris", "smoke", None)} > {"mlp", "linear", "transformer"}


def test_a_cover_leaves_out_no_failure_and_nothing_of_a_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [
        Cell(model, dataset, datasets.task(dataset), datasets.task(dataset).budget("smoke"), status)
        for dataset in ("digits", "iris", "wine")
        for model, status in (("backbone_attention", ""), ("vit", "skipped"), ("mlp", "error"), ("linear", ""), ("ridge", ""))
    ]
    assert Counter(cell.dataset for cell in cover(cells)) == {"digits": 4, "iris": 2, "wine": 2}
    assert {cell.model: cell.status for cell in cover(cells)} == {"backbone_attention": "", "mlp": "error", "linear": "", "ridge": ""}
    monkeypatch.setattr(plugins, "PLUGGED", [])
    plugins.PLUGGED.append(str(models.source("ridge")))
    monkeypatch.setattr(grid, "PLUGGED", plugins.PLUGGED)
    assert Counter(cell.model for cell in cover(cells))["ridge"] == 3
