"""Variants of one model side by side: on val, where test is shut, by whatever name they are asked for."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import bench
import datasets
from bench.plan import grid
from bench.plan.request import RequestError
from bench.store.records import Store
from bench.tables.rows import Row, rows
from tests.conftest import run_cell
from tests.test_compare import asked, facts, refused

SLOW, FAST = "linear@lr=0.001", "linear@lr=0.1"


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """linear at two rates, and mlp as it is, on iris, five seeds each."""
    folder = tmp_path_factory.mktemp("swept")
    for cell in grid.cells("linear@[lr=1e-3,0.1],mlp", "iris", "default", 5):
        assert run_cell(cell, folder).status == "ok"
    return folder


def table(folder: Path) -> dict[str, Row]:
    return {row.model: row for row in rows(Store(folder))}


def test_variants_are_compared_on_val_sample_by_sample(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    iris = facts(capsys, swept, "linear@lr=1e-3", "linear@[lr=0.1]")["datasets"]["iris"]
    own = table(swept)
    differences = np.array([own[SLOW].val[seed] - own[FAST].val[seed] for seed in range(5)])
    assert (iris["split"], iris["seeds"], iris["untold"], iris["params_ratio"]) == ("val", 5, "", 1)
    assert iris["better_by"] == pytest.approx(differences.mean(), abs=1e-6)
    half = stats.t.ppf(0.975, 4) * np.sqrt(differences.var(ddof=1) * (1 / 5 + 30 / 90))  # val is 30 of a pool, 90 train
    assert (iris["high"] - iris["low"]) / 2 == pytest.approx(half, rel=1e-4)
    samples = len(datasets.load("iris", seed=0).val)
    assert any(one["a"] != one["b"] for one in iris["by_seed"])
    for one in iris["by_seed"]:  # what the weights say again is what val had said of them
        assert (len(one["a_better"]) - len(one["b_better"])) / samples == pytest.approx(one["a"] - one["b"], abs=1e-6)


def test_every_form_says_which_split(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = asked(capsys, swept, SLOW, FAST)
    assert "| val " in said and "On val: it chooses between variants of one model" in said and "older recipe" not in said
    (row,) = csv.DictReader(io.StringIO(asked(capsys, swept, SLOW, FAST, "--csv")))
    assert (row["split"], float(row["a"])) == ("val", pytest.approx(np.mean([*table(swept)[SLOW].val.values()]), rel=1e-5))
    assert "& val " in asked(capsys, swept, SLOW, FAST, "--latex")


def test_test_is_told_only_of_what_val_chose(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = {name: row.chosen for name, row in table(swept).items() if name != "mlp"}
    assert sorted(chosen.values()) == [False, True]
    for name, told in chosen.items():
        found = facts(capsys, swept, name, "mlp")["datasets"]["iris"]
        assert (found["split"], found["untold"]) == ("test" if told else "val", "")
        assert "trained under an older recipe" not in found["why"]


def test_a_folder_of_its_own_opens_no_test_to_a_variant(swept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In two folders val chose both, each as the only one: between them it still chooses."""
    for folder, name in (("one", SLOW), ("two", FAST)):
        for run in Store(swept).runs():
            if run["model"] == name and run["kind"] == "run":
                Store(tmp_path / folder).put_run(run)
        assert table(tmp_path / folder)[name].chosen
    assert facts(capsys, tmp_path / "one", SLOW, f"{tmp_path / 'two'}::{FAST}")["datasets"]["iris"]["split"] == "val"


def test_what_cannot_be_told_sample_by_sample_says_why(swept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(swept / "runs", tmp_path / "runs")
    found = facts(capsys, tmp_path, SLOW, FAST)["datasets"]["iris"]
    assert "the store has no weights of this run; train it again with --retrain" in found["untold"]
    assert found["a_better"] is None and found["verdict"] != ""
    assert "Not told sample by sample, iris: linear@lr=0.001 on iris" in asked(capsys, tmp_path, SLOW, FAST)


def test_a_variant_is_loaded_by_any_of_its_names(swept: Path) -> None:
    one, same = bench.load_run(swept, "linear@lr=1e-3", "iris"), bench.load_run(swept, SLOW, "iris", seed=0)
    assert all(a.equal(b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    with pytest.raises(RequestError, match=r"no model 'linear@lr=0.5' in .*; did you mean 'linear@lr=0.1'"):
        bench.load_run(swept, "linear@lr=.5", "iris")


def test_two_that_are_one_and_what_is_no_variant(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for a, b, words in (
        ("linear@lr=1e-3", "linear@lr=0.001", "A and B are the same, linear@lr=0.001; name another model"),
        ("heads", "heads[width=8]", "heads and heads[width=8] are the same: sizes that it has anyway"),
        ("linear@[lr=1e-3,1e-2]", FAST, "linear@[lr=1e-3,1e-2] is several variants; name one of them"),
        ("linear[width=3]", FAST, "linear takes no sizes"),
        ("linear@lr=fast", FAST, "lr cannot be 'fast': it takes a number from 0"),
        ("linear@lr=0.5", FAST, "no model 'linear@lr=0.5' in"),
    ):
        assert words in refused(capsys, swept, a, b), (a, b)
