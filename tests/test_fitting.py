"""Models that are fitted whole: they know no test split, fit the same twice, come back from their weights, and match scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier

import datasets
import models
from bench.plan import grid, timing
from bench.run.job import Finished, Job
from bench.run.worker import work
from bench.train import fitting
from datasets.data import generator

ORACLES = ("ridge", "nearest_neighbours", "boosting")
CELLS = [("ridge", "plane"), ("ridge", "shapes"), ("nearest_neighbours", "iris"), ("boosting", "iris"), ("boosting", "plane")]


def fitted(model: str, dataset: str) -> tuple[torch.nn.Module, datasets.Data]:
    task, data = datasets.task(dataset), datasets.load(dataset, Path("none"), 0)
    module = models.build(model, task)
    assert isinstance(module, models.Fits)
    with torch.no_grad():
        module.fit(data.train, data.val, task, generator("fit", 0))
    return module, data


@pytest.mark.parametrize(("model", "dataset"), CELLS)
def test_a_job_of_one_brings_a_whole_record(model: str, dataset: str, tmp_path: Path) -> None:
    budget = datasets.task(dataset).budget("default")
    told: list[object] = []
    work(Job(model, dataset, budget, (0, 1), "cpu", tmp_path, tmp_path), told.append)
    runs = [run for message in told if isinstance(message, Finished) for run in message.records]
    assert [run["status"] for run in runs] == ["ok", "ok"], told[-1]
    assert runs[0]["alone"] == "it is fitted whole" and runs[0]["costs"]["flops"] is None
    assert runs[0]["test"]["best"] == runs[0]["test"]["last"] and len(runs[0]["curve"]["samples"]) == 1
    assert "version" in runs[0]["probe"]
    again: list[object] = []
    work(Job(model, dataset, budget, (1,), "cpu", tmp_path, tmp_path), again.append)
    assert [m.records[0]["test"] for m in again if isinstance(m, Finished)] == [runs[1]["test"]]


@pytest.mark.parametrize(("model", "dataset"), CELLS)
def test_weights_bring_the_same_answers_back(model: str, dataset: str) -> None:
    module, data = fitted(model, dataset)
    other = models.build(model, datasets.task(dataset))
    other.load_state_dict(module.state_dict())
    with torch.no_grad():
        assert torch.equal(module(data.test.x), other(data.test.x))


def test_ridge_is_scikit_learns() -> None:
    module, data = fitted("ridge", "shapes")
    x, y = data.train.x.flatten(1).double().numpy(), data.train.y.flatten(1).double().numpy()
    with torch.no_grad():
        ours = module.double()(data.test.x.double()).flatten(1).numpy()
    theirs = [Ridge(alpha=penalty * len(x)).fit(x, y).predict(data.test.x.flatten(1).double().numpy()) for penalty in (1e-4, 1e-2, 1, 100)]
    assert min(np.abs(ours - one).max() for one in theirs) < 1e-4


def test_nearest_neighbours_are_scikit_learns() -> None:
    module, data = fitted("nearest_neighbours", "iris")
    theirs = KNeighborsClassifier(int(module.setting)).fit(data.train.x.flatten(1).numpy(), data.train.y.numpy())  # type: ignore[arg-type]
    shares = theirs.predict_proba(data.test.x.flatten(1).numpy())
    with torch.no_grad():
        ours = module(data.test.x).exp().numpy() - 1e-2
    assert np.allclose(ours, shares, atol=1e-5)


def test_what_is_drawn_afresh_is_fitted_in_a_number_of_its_own() -> None:
    task = datasets.task("digits_translated")
    data = datasets.load("digits_translated", Path("none"), 0).for_training
    found = fitting.samples(data, task.budget("reference"), generator("fit", 0))
    assert len(data.train) < len(found) <= fitting.MOST
    stream = datasets.load("copy_near", Path("none"), 0).for_training
    assert len(fitting.samples(stream, datasets.task("copy_near").budget("reference"), generator("fit", 0))) == fitting.MOST


def test_fitted_models_are_neither_timed_nor_tuned() -> None:
    cell = grid.cell("ridge", "digits", "default", None)
    assert cell.fits and not cell.tuned and not timing.timings([cell], ["cpu"], None, 1)
    assert not grid.cell("mlp", "digits", "default", None).fits


@pytest.mark.parametrize("model", ORACLES)
def test_they_stand_beside_every_table(model: str) -> None:
    assert grid.cell(model, "iris", "default", None).status == ""
