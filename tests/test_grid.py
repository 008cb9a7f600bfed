"""Which cells a request means."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import datasets
import models
from bench.plan import grid, plugins
from bench.plan.grid import Cell, cover
from tests.conftest import ROOT, environment


@pytest.mark.slow  # .ci/run trains what this lists
def test_a_smoke_run_covers_every_model_and_every_data_set() -> None:
    """In a process of its own: other tests register models, some of which end theirs."""
    code = """
import json, sys
from bench.plan import grid
print(json.dumps([[cell.model, cell.dataset, cell.status] for cell in grid.cells(None, None, sys.argv[1], None)]))
"""
    found = []
    for budget in ("default", "smoke"):
        done = subprocess.run(
            [sys.executable, "-c", code, budget], cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, check=True
        )
        found.append(json.loads(done.stdout))
    able, covered = [one for one in found[0] if not one[2]], found[1]
    assert {one[0] for one in covered} == {one[0] for one in able}
    assert {one[1] for one in covered} == {one[1] for one in able}
    assert not any(status for _, _, status in covered) and len(covered) < len(able) / 3
    for name in {one[1] for one in able}:
        assert {"backbone_attention", "backbone_conv"} <= {model for model, dataset, _ in covered if dataset == name}


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
