"""What becomes of stored runs when their source has changed: numbers of a probe that agree keep them, others do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import datasets
from bench.plan.grid import Cell
from bench.run import confirm
from bench.store import fingerprint
from bench.store.records import Store
from bench.train import optimiser, probe
from bench.train.agreement import difference
from datasets.task import Budget
from tests.conftest import run_cell

BUDGET = Budget("default", samples=1_280, batch=64, lr=3e-2, evaluations=2, seeds=2)
CELL = Cell("mlp", "circle", datasets.task("circle"), BUDGET)


@pytest.fixture
def edited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with the cell's runs, of a source that is not today's."""
    assert run_cell(CELL, tmp_path).trained == 2
    plain = fingerprint.code
    monkeypatch.setattr(fingerprint, "code", lambda *which: plain(*which)[::-1])
    return tmp_path


def test_runs_stand_where_the_numbers_agree(edited: Path) -> None:
    again = run_cell(CELL, edited)
    assert (again.status, again.trained) == ("ok", 0)
    assert {run["code"] for run in again.runs} == {fingerprint.code("mlp", "circle")}, "next time no probe is needed"


def test_runs_whose_probe_is_gone_are_trained_again(edited: Path) -> None:
    (path,) = (edited / "probes").rglob("*.json")
    path.unlink()
    assert run_cell(CELL, edited).trained == 2
    assert path.exists()


def test_runs_are_trained_again_where_the_code_does_otherwise(edited: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = optimiser.learning_rate
    for module in (optimiser, probe):
        monkeypatch.setattr(module, "learning_rate", lambda *when: 1.000001 * plain(*when))
    assert run_cell(CELL, edited).trained == 2


def test_runs_are_trained_again_where_the_code_cannot_be_probed_any_more(edited: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that was stacked may no longer be: that is no error of the cell."""

    def refuse(*which: Any) -> None:
        raise probe.Unprobed("not in miniature")

    monkeypatch.setattr(probe, "measure", refuse)
    again = run_cell(CELL, edited)
    assert (again.status, again.trained) == ("ok", 2)


def test_probes_agree_to_a_part_in_a_billion(tmp_path: Path) -> None:
    budget = replace(BUDGET, dtype="float32")
    one = probe.measure("mlp", "circle", budget, True, tmp_path)
    assert difference(one, probe.measure("mlp", "circle", budget, True, tmp_path), budget.dtype) == ""
    other = probe.measure("mlp", "circle", replace(budget, lr=budget.lr * (1 + 1e-7)), True, tmp_path)  # seen first in the losses
    assert difference(one, other, budget.dtype).startswith("loss: differs by")
    assert difference(one, probe.measure("mlp", "circle", budget, False, tmp_path), budget.dtype) == "probed in another way"
    assert torch.get_default_dtype() == torch.float32, "a probe leaves its arithmetic behind"


def test_a_probe_of_a_store_says_which_runs_it_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs of another arithmetic or recipe are not probed: they must not count as runs that stand."""
    assert run_cell(CELL, tmp_path).trained == 2  # at rates that the task's budget does not have
    assert confirm.run(Store(tmp_path), str(tmp_path), None, "1", []) == 0
    said = capsys.readouterr().out
    assert "mlp-circle (default): not probed" in said and "1 cells, 0 of them to be trained again, 1 not probed" in said
