"""The CSV files are what datapackage.json says: types, names, keys; pandas alone reads them, and they agree with each other."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import frictionless
import numpy as np
import pandas as pd
import pytest
import yaml
from frictionless import system

from bench.__main__ import main
from bench.report import report
from bench.store.encoding import pack
from bench.store.records import Store
from bench.tables.family import MIXERS
from tests.conftest import ROOT
from tests.test_certificate import CERTIFIED, timed
from tests.test_report import run
from tests.test_verdicts import DEFAULT, put

NOTEBOOK = ROOT / "docs" / "results.ipynb"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seeds of the family's models, one of them diverged elsewhere, one skipped, one only timed; reasons that provoke readers."""
    store = Store(tmp_path_factory.mktemp("results") / "reference")
    box = run("mlp", 0, 0.0)["machine"] | {"commit": "abc", "dirty": True}
    put(store, "shapes", dict(zip(MIXERS, (0.1, 0.2, 0.1, 0.05, 0.105), strict=True)), machine=box)
    put(store, "gaussian", {"linear": 0.2}, costs={"params": 100, "params_active": None, "flops": 1_234_567_890_123, "peak_bytes": 5})
    store.put_run(run("linear", 7, 0.3, dataset="gaussian", status="diverged", reason='a, "b"\n=1+1', budget=DEFAULT))
    store.put_run(run("cnn", 0, 0.3, dataset="gaussian", test={"best": {"mse": 0.3, "r2": 0.5}, "last": {"mse": 0.4, "r2": 0.4}}))
    store.put_cell(run("vit", 0, 0.0, dataset="gaussian", status="skipped", reason='=HYPERLINK("x")'))
    store.put_latency(timed(2.0, **CERTIFIED))
    store.put_latency(timed(3.0, **CERTIFIED, batch=64) | {"model": "mlp", "samples_ms": pack(np.full(600, 3, "<f4"))})
    report.write(store, draw=False)
    return store.folder


def complaints(folder: Path) -> list[str]:
    with system.use_context(trusted=True):
        return [str(row) for row in frictionless.validate(str(folder / "datapackage.json")).flatten(["title", "message"])]


def test_the_files_are_what_the_package_says(results: Path) -> None:
    package = json.loads((results / "datapackage.json").read_text())
    assert [one["path"] for one in package["resources"]] == ["comparison.csv", "runs.csv", "latency.csv", "verdicts.csv"]
    assert complaints(results) == []
    types = {field["name"]: field["type"] for one in package["resources"] for field in one["schema"]["fields"]}
    assert [types[name] for name in ("model", "seeds", "value", "samples_per_second")] == ["string", "integer", "number", "number"]
    assert {one.name for one in results.glob("*.csv")} == {one["path"] for one in package["resources"]}


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [("comparison.csv", ",100,", ",100.5,"), ("runs.csv", ",seed,", ",sead,"), ("runs.csv", ",abc-dirty", ",abc-dirty,one more")],
)
def test_a_file_that_is_something_else_is_found(results: Path, tmp_path: Path, file: str, before: str, after: str) -> None:
    for path in (*results.glob("*.csv"), results / "datapackage.json"):
        text = path.read_text()
        assert path.name != file or before in text
        (tmp_path / path.name).write_text(text.replace(before, after, 1) if path.name == file else text)
    assert complaints(tmp_path)


def test_comparison_is_the_mean_of_its_runs(results: Path) -> None:
    table, runs = (pd.read_csv(results / name) for name in ("comparison.csv", "runs.csv"))
    own = runs[runs.status == "ok"].groupby(["model", "dataset", "budget"])[["value", "value_last", "val"]]
    shapes = table[(table.dataset == "shapes")].set_index(["model", "dataset", "budget"])
    assert len(shapes) == len(MIXERS)
    for name in ("value", "value_last", "val"):
        pd.testing.assert_series_equal(shapes[name], own.mean()[name][shapes.index], rtol=1e-4)
    pd.testing.assert_series_equal(shapes["sd"], own.std()["value"][shapes.index], rtol=1e-4, check_names=False)
    assert set(shapes["direction"]) == {"lower"} and set(shapes["unit"]) == {"target squared"} and set(shapes["seeds"]) == {5}
    assert set(shapes["commit"]) == {"abc-dirty"} and set(shapes["date"].str.len()) == {10}
    attention = runs[(runs.model == MIXERS[0]) & (runs.dataset == "shapes")]
    assert set(attention.seed) == set(range(5)) and set(attention.family) == {"attention"}
    assert attention.val.to_numpy() == pytest.approx(attention.value.to_numpy(), rel=1e-5)  # a curve has six digits
    diverged = runs[runs.status == "diverged"].iloc[0]
    assert (diverged.seed, diverged.reason) == (7, 'a, "b"\n=1+1') and pd.isna(diverged.value)
    assert table.set_index("model").loc["vit", "reason"] == '\'=HYPERLINK("x")'  # no formula of a spreadsheet's
    cnn = runs[runs.model == "cnn"].iloc[0]
    assert (cnn.test_r2, cnn.test_mse) == (0.5, 0.3) and runs.test_r2.notna().sum() == 1


def test_no_column_is_empty_in_every_line(results: Path) -> None:
    for name in ("comparison.csv", "runs.csv", "latency.csv"):
        table = pd.read_csv(results / name)
        assert not [column for column in table if table[column].isna().all()], name
    assert "latency_cpu_b1_p50_ms" in pd.read_csv(results / "comparison.csv")


def test_a_folder_with_nothing_but_what_was_left_out_validates_too(tmp_path: Path) -> None:
    Store(tmp_path).put_cell(run("vit", 0, 0.0, status="skipped", reason="cuts an image"))
    report.write(Store(tmp_path), draw=False)
    assert complaints(tmp_path) == []
    assert len(pd.read_csv(tmp_path / "comparison.csv")) == 1 and len(pd.read_csv(tmp_path / "runs.csv")) == 0


def test_the_citation_is_of_this_version() -> None:
    citation, project = yaml.safe_load((ROOT / "CITATION.cff").read_text()), tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"cff-version", "message", "title", "authors", "license", "version"} <= citation.keys()
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])


def test_json_writes_nothing(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    assert main(["report", "--results", str(results), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*")} == before
    assert list(rows[0]) == (results / "comparison.csv").read_text().splitlines()[0].split(",")


def test_rebuilt_byte_for_byte_whatever_was_there_before(results: Path) -> None:
    made = {path.name: path.read_bytes() for path in results.iterdir() if path.is_file()}
    (results / "runs.csv").write_text("rubbish")
    report.write(Store(results), draw=False)
    assert {path.name: path.read_bytes() for path in results.iterdir() if path.is_file()} == made


def test_a_forest_of_other_records_does_not_stay(tmp_path: Path) -> None:
    (tmp_path / report.FOREST).write_bytes(b"drawn of what is gone")
    report.draw_pictures(Store(tmp_path), {}, {}, [], lambda text: None)
    assert not (tmp_path / report.FOREST).exists()


def test_the_notebook_reads_the_results_with_pandas_alone(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = json.loads(NOTEBOOK.read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    code = "\n\n".join("".join(cell["source"]) for cell in cells)
    assert {line.split()[1].split(".")[0] for line in code.splitlines() if line.startswith(("import ", "from "))} == {
        "json",
        "pathlib",
        "pandas",
    }
    (tmp_path / "docs").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "reference").symlink_to(results)
    monkeypatch.chdir(tmp_path / "docs")
    names: dict[str, Any] = {}
    exec(compile(code, str(NOTEBOOK), "exec"), names)
    assert names["ranking"].index[0] == "backbone_mlp" and len(names["ranking"]) == len(MIXERS)
    assert names["difference"].loc["shapes", "mean"] > 0  # convolution's error minus attention's
