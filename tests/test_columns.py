"""One entry, or one metric in a record, is a column everywhere: CSV, Markdown, dictionary and page."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bench.report import report
from bench.store.records import Store
from bench.tables import columns, latency_table
from bench.tables.column import Column, OnPage
from bench.tables.rows import Row, rows
from tests.test_page import filled, page, row_of, said
from tests.test_report import run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return filled(tmp_path / "results")


def table(store: Store, name: str) -> dict[str, str]:
    """A column of comparison.csv by model."""
    with open(store.folder / "comparison.csv", newline="", encoding="utf-8") as file:
        return {row["model"]: row[name] for row in csv.DictReader(file)}


def test_one_entry_is_a_column_everywhere(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def per_parameter(row: Row) -> float | None:
        return row.costs["flops"] / row.costs["params"] if row.costs else None  # type: ignore[operator]

    new: Column[Row] = Column(
        "flops_per_parameter", "figure", per_parameter, "FLOPs over parameters.", head="FLOPs a parameter", page=OnPage("reuse", "FLOPs")
    )
    monkeypatch.setattr(columns, "COLUMNS", [*columns.COLUMNS, new])
    report.write(store)
    assert {model: table(store, "flops_per_parameter")[model] for model in ("linear", "vit")} == {"linear": "10", "vit": ""}
    lines = (store.folder / "comparison.md").read_text().splitlines()
    head, linear = ([cell.strip() for cell in line.split("|")] for line in (lines[4], next(x for x in lines if x.startswith("| linear"))))
    assert linear[head.index("FLOPs a parameter")] == "10"
    assert head[-2] == "reason" and "machine" not in head  # the late ones stay last; what is the same in all lines is said above
    assert "Latencies are of `box`." in lines[2]
    assert "FLOPs over parameters." in (store.folder / "columns.md").read_text()
    tree = page(store)
    assert said(row_of(tree, "linear")["flops_per_parameter"]) == "10"
    assert said(tree.xpath('//th[@data-name="flops_per_parameter"]')[0]) == "reuseFLOPs"


def test_a_metric_that_runs_were_scored_by_is_a_column(store: Store) -> None:
    scored = {"loss": 0.5, "mse": 0.5, "r2": 0.25}
    for seed in range(2):
        store.put_run(run("cnn", seed, 0.5, test={"best": scored | {"r2": 0.25 + seed / 2}, "last": scored}))
    report.write(store)
    assert (table(store, "test_r2")["cnn"], table(store, "test_r2")["linear"]) == ("0.5", "")
    assert table(store, "test_mse")["cnn"] == table(store, "value")["cnn"] == "0.5"
    assert "| `test_r2` " in (store.folder / "columns.md").read_text()
    cell = row_of(page(store), "cnn")["test_r2"]
    assert (said(cell), cell.get("data-v"), cell.get("class")) == ("0.5", "0.5", "n more-scores")
    better = {one.name: one.better for one in columns.columns(rows(store))}
    assert (better["test_mse"], better["test_r2"]) == ("lower", "higher")


def test_a_seed_without_a_metric_takes_the_column_away(store: Store) -> None:
    with_r2, without = ({which: {"loss": 0.5, "mse": 0.5, **more} for which in ("best", "last")} for more in ({"r2": 1.0}, {}))
    store.put_run(run("cnn", 0, 0.5, test=with_r2))
    store.put_run(run("cnn", 1, 0.5, test=without))
    (cnn,) = (row for row in rows(store) if row.model == "cnn")
    assert set(cnn.scores) == {"loss", "mse"}


@pytest.mark.parametrize("own", [columns.COLUMNS, latency_table.COLUMNS], ids=["comparison.csv", "latency.csv"])
def test_every_column_has_a_name_of_its_own_and_a_sentence(own: list[Column[Row]]) -> None:
    assert len({one.name for one in own}) == len(own)
    for one in own:
        assert one.about.endswith("."), one.name
        assert one.about[0].isupper() or one.about[0].isdigit(), one.name
