"""Budgets that repeat a source's protocol: what choosing on test means, what it is kept from, and answers without a loss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import datasets
from bench.plan.grid import Cell
from bench.report import report
from bench.run.driver import Outcome
from bench.store.records import Store
from bench.tables import headline
from bench.tables.rows import rows
from bench.tables.sections import shown
from bench.train.learners import check_answer
from bench.train.scoring import handed
from datasets.task import Budget, Input, Output, Task
from tests.conftest import run_cell

CPU = torch.device("cpu")
HONEST = Budget("default", samples=1_280, batch=64, lr=3e-2, evaluations=5, seeds=2)
PEEKING = replace(HONEST, name="published", choose="test")


def run(folder: Path, budget: Budget, model: str = "mlp") -> Outcome:
    return run_cell(Cell(model, "circle", datasets.task("circle"), budget), folder)


def test_only_published_budgets_may_choose_on_test() -> None:
    with pytest.raises(ValueError, match="only budgets named published… may choose on the test split"):
        replace(HONEST, choose="test")
    data = datasets.load("circle", seed=0)
    assert handed(data, HONEST).peek is None
    assert handed(data, PEEKING).peek is data.test


def test_both_choices_come_from_one_run(tmp_path: Path) -> None:
    """The source's figure is the best test score of any evaluation; ours that of the weights best on val. Nothing else changes."""
    honest, peeking = run(tmp_path, HONEST), run(tmp_path, PEEKING)
    assert honest.status == peeking.status == "ok"
    for a, b in zip(honest.runs, peeking.runs, strict=True):
        assert not a["curve"]["test_metric"]
        assert len(b["curve"]["test_metric"]) == len(b["curve"]["val_metric"]) == 5
        assert b["curve"]["val_metric"] == a["curve"]["val_metric"]  # looking changes no number of the training
        assert b["test"]["best"] == {"accuracy": max(b["curve"]["test_metric"])}
        assert b["test"]["on_val"]["accuracy"] == a["test"]["best"]["accuracy"]
        assert b["test"]["last"]["accuracy"] == pytest.approx(b["curve"]["test_metric"][-1])
        assert b["test"]["best"]["accuracy"] >= b["test"]["on_val"]["accuracy"]


def test_what_was_chosen_on_test_is_shown_beside_the_ranking_and_says_so(tmp_path: Path) -> None:
    run(tmp_path, replace(PEEKING, samples=12_800))
    store = Store(tmp_path)
    assert shown(rows(store)) == {}
    page = report.write(store).read_text()
    assert page.startswith(f"# mlp on circle\n\n{headline.RANKED}")
    pictures = [tmp_path / folder / "circle.png" for folder in ("curves", "pareto")]
    assert [path.is_file() for path in pictures] == [True, False]  # how it learned is drawn, its rank is not
    assert "its best test score of any evaluation, as the source chose" in page
    run(tmp_path, HONEST, "linear")
    run(tmp_path, HONEST)
    assert {row.budget for row in shown(rows(store))["circle"]} == {"default"}  # though the published budget is larger
    assert "Under other budgets, not ranked" in report.write(store).read_text()
    assert all(path.is_file() for path in pictures)


class Parrot(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


def test_tokens_without_a_loss_are_refused_before_training() -> None:
    task = Task("t", Input("tokens", (5,), 9), Output("tokens", 5, 9), (8, 8, 8), ())
    with pytest.raises(ValueError, match=r"answers with tokens, which have no loss: bring .teach"):
        check_answer(Parrot(), task, HONEST, CPU)
