"""bench.load_run gives the module that the reported value was measured with, or says what is missing."""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import bench
import datasets
from bench.plan import grid
from bench.plan.request import RequestError
from bench.store.records import Record, Store, pack_weights
from bench.train import snapshots
from tests.conftest import ROOT, run_cell
from tests.test_report import run


def trained(model: str, dataset: str, folder: Path) -> list[Record]:
    """Two seeds of a budget with many evaluations and a rate at which the last step is not the best."""
    cell = grid.cell(model, dataset, "smoke", 2)
    outcome = run_cell(replace(cell, budget=replace(cell.budget, evaluations=8, lr=0.05, schedule="constant")), folder)
    assert outcome.status == "ok", outcome.reason
    return outcome.runs


def scored(module: torch.nn.Module, dataset: str, seed: int) -> float:
    task, test = datasets.task(dataset), datasets.load(dataset, seed=seed).test
    return task.mean(task.metric.name, task.scores(module(test.x), test.y, None)[task.metric.name])


@pytest.mark.parametrize(
    ("model", "dataset"),
    [("mlp", "iris"), pytest.param("backbone_attention", "shapes", marks=pytest.mark.slow), ("nearest_neighbours", "iris")],
)
def test_it_scores_what_is_reported(model: str, dataset: str, tmp_path: Path) -> None:
    runs = trained(model, dataset, tmp_path)
    for one in runs:
        module = bench.load_run(tmp_path, model, dataset, seed=one["seed"])
        assert not module.training and not any(parameter.requires_grad for parameter in module.parameters())
        assert scored(module, dataset, one["seed"]) == pytest.approx(one["test"]["best"][one["metric"]["name"]], rel=1e-5)
    if model == "backbone_attention":  # or the last weights would have passed, too
        assert any(one["test"]["best"] != one["test"]["last"] for one in runs)


def test_the_first_seed_whose_weights_are_there(tmp_path: Path) -> None:
    first, second = trained("linear", "iris", tmp_path)
    Store(tmp_path).weights_of(first).unlink()
    found, own = bench.load_run(tmp_path, "linear", "iris"), bench.load_run(tmp_path, "linear", "iris", seed=second["seed"])
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), own.parameters(), strict=True))
    (printed,) = re.findall(r"```python\n(import bench\n.*?)```", (ROOT / "docs" / "commands.md").read_text(), re.DOTALL)
    exec(printed.replace('"results/local", "vit", "digits"', f'{str(tmp_path)!r}, "linear", "iris"'), names := {})
    assert isinstance(names["module"], torch.nn.Module)
    with pytest.raises(RequestError, match=r"seed 0: the store has no weights of this run; train it again with --retrain"):
        bench.load_run(tmp_path, "linear", "iris", seed=0)


def test_what_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no results in"):
        bench.load_run(tmp_path / "none", "linear", "iris")
    one, _ = trained("linear", "iris", tmp_path)
    store = Store(tmp_path)
    for asked, words in (
        (("linaer", "iris"), "no model 'linaer' in .*; did you mean 'linear'"),
        (("linear", "irsi"), "no run of linear on the data set 'irsi' in .*; did you mean 'iris'"),
        (("linear", "iris", "paper"), "no run of linear under the budget 'paper' in .*; it has smoke"),
        (("linear", "iris", "smoke", 7), "no finished run of linear under the budget smoke on iris with seed 7; there are 0, 1"),
    ):
        with pytest.raises(RequestError, match=words):
            bench.load_run(tmp_path, asked[0], asked[1], budget=(*asked, None)[2], seed=(*asked, None, None)[3])
    store.put_run(run("stranger", 0, 0.1, dataset="iris"))
    with pytest.raises(RequestError, match="registered nowhere; first import the plugin file"):
        bench.load_run(tmp_path, "stranger", "iris")
    store.put_weights(one, pack_weights({"last": {"w": torch.ones(2)}}))
    with pytest.raises(RequestError, match="kept its last weights only"):
        bench.load_run(tmp_path, "linear", "iris", seed=0)
    store.put_weights(one, pack_weights({"best": {"w": torch.ones(2)}}))
    with pytest.raises(RequestError, match="do not fit the model; train it again"):
        bench.load_run(tmp_path, "linear", "iris", seed=0)
    store.weights_of(one).write_bytes(b"PK rubbish")
    with warnings.catch_warnings(), pytest.raises(RequestError, match="no weights of this run"):
        warnings.simplefilter("ignore")
        bench.load_run(tmp_path, "linear", "iris", seed=0)
    (path,) = tmp_path.glob("runs/iris/linear/*-s0.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"source": "another"}))
    with pytest.raises(RequestError, match="the model's code has changed since it was trained"):
        bench.load_run(tmp_path, "linear", "iris", seed=0)
    path.write_text(json.dumps((record := json.loads(path.read_text())) | {"budget": record["budget"] | {"choose": "test"}}))
    with pytest.raises(RequestError, match="best test score of any evaluation"):
        bench.load_run(tmp_path, "linear", "iris")


def test_weights_of_large_models_are_kept_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "LARGEST", 1)
    cell = grid.cell("mlp", "xor", "smoke", 2)
    run_cell(cell, tmp_path)
    with pytest.raises(RequestError, match="the store has no weights of this run"):
        bench.load_run(tmp_path, "mlp", "xor", budget="smoke")
    run_cell(cell, tmp_path, retrain=True, keep_weights=True)
    assert bench.load_run(tmp_path, "mlp", "xor", budget="smoke", seed=1) is not None
