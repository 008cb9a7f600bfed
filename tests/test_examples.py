"""What runs keep of their test samples is enough for metrics that nobody measured, without data and without training."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sklearn import metrics as sk

import datasets
from bench.plan import grid
from bench.store import examples
from bench.store.curves import on_val, short
from bench.store.examples import derived, keep, opened
from bench.store.records import Store
from bench.tables.rows import rows
from datasets import metrics
from datasets.data import Data, streamed
from datasets.metrics import Answers, Metric
from datasets.points import xor
from datasets.task import Task
from tests.conftest import run_cell

CLASSIFIED = {"balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "auroc"}


def made(task: Task, n: int, seed: int = 0) -> tuple[dict[str, object], torch.Tensor, torch.Tensor]:
    """Examples of random answers, the answers, and the targets."""
    g = torch.Generator().manual_seed(seed)
    _, y = task.sample(n, g)
    out = torch.randn(n, *task.output.shape, generator=g)
    scores = out if task.output.kind == "classes" else None
    return keep(task.losses(out, y), task.predicted(out), scores, y, task), out, y


def test_classes() -> None:
    kept, out, y = made(datasets.task("digits"), 350)
    found = derived({"examples": kept, "test": {"best": {"loss": 1.0, "accuracy": 0.1, "cross_entropy": 1.0}}})
    assert found.keys() == CLASSIFIED
    assert found["macro_f1"] == pytest.approx(sk.f1_score(y, out.argmax(1), average="macro"))
    # half precision moves a score by one part in two thousand
    assert found["auroc"] == pytest.approx(sk.roc_auc_score(y, out.softmax(1), multi_class="ovr"), abs=1e-3)
    assert "left_out" not in kept
    back = opened(kept)
    assert torch.equal(back["target"], y) and torch.equal(back["prediction"], out.argmax(1))
    assert torch.allclose(back["scores"], out, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["plane", "translation", "eng_fra"])
def test_values_and_tokens(name: str) -> None:
    task = datasets.task(name)
    kept, out, y = made(task, 200)
    back = opened(kept)
    assert torch.allclose(back["target"].double(), y.double(), rtol=1e-3) and back["target"].shape == y.shape
    assert torch.allclose(back["prediction"].double(), task.predicted(out).double(), rtol=1e-3, atol=1e-4)
    found = derived({"examples": kept, "test": {"best": {m.name: 0.0 for m in task.metrics}}})
    assert found.keys() == ({"mae", "r2"} if name == "plane" else set())
    if found:
        assert found["mae"] == pytest.approx(sk.mean_absolute_error(y, out), rel=1e-3)
        assert found["r2"] == pytest.approx(sk.r2_score(y, out), rel=1e-3)


def test_what_is_too_long_is_left_out_and_its_metrics_are_computed_at_once() -> None:
    kept, out, y = made(datasets.task("shapes"), 1_000)
    assert kept["left_out"] == ["prediction", "target"]
    assert not {"prediction", "target"} & kept.keys()
    found = derived({"examples": kept})
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(y[:, 0], out[:, 0]))
    assert found["r2"] == pytest.approx(sk.r2_score(y[:, 0], out[:, 0], multioutput="variance_weighted"))
    kept, out, y = made(datasets.task("mnist"), 10_000)
    assert kept["left_out"] == ["loss", "scores"]  # classes are short
    assert sum(len(str(kept[name])) for name in ("target",)) <= examples.MOST
    found = derived({"examples": kept, "test": {"best": {"accuracy": 0.1, "cross_entropy": 1.0}}})
    assert found.keys() == CLASSIFIED
    assert found["auroc"] == pytest.approx(sk.roc_auc_score(y, out.softmax(1), multi_class="ovr"))
    assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(y, out.argmax(1)))


def test_a_metric_added_later_needs_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    record = {"examples": made(datasets.task("digits"), 100)[0]}
    before = derived(record)
    hits = Metric("first_class", "higher", True, lambda a: (a.predicted == 0).float(), kinds=("classes",))
    monkeypatch.setitem(metrics._metrics, "first_class", hits)
    after = derived(record)
    assert after.keys() - before.keys() == {"first_class"}
    assert after["first_class"] == float((opened(record["examples"])["prediction"] == 0).double().mean())


def test_older_records_and_cells_without_runs_derive_nothing() -> None:
    kept, *_ = made(datasets.task("digits"), 100)
    assert derived({}) == derived({"examples": {"loss": kept["loss"], "prediction": kept["prediction"]}}) == {}
    del kept["target"]
    assert derived({"examples": kept, "test": {"best": {"cross_entropy": 1.0}}}) == {}


def test_undefined_figures_are_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    task = datasets.task("iris")
    y = torch.tensor([0, 1, 0, 1])
    out = torch.eye(3)[y]
    found = derived({"examples": keep(task.losses(out, y), task.predicted(out), out, y, task)})
    assert math.isnan(found["auroc"]) and found["balanced_accuracy"] == 1
    monkeypatch.setattr(examples, "MOST", 0)
    kept = json.loads(json.dumps(keep(task.losses(out, y), task.predicted(out), out, y, task), allow_nan=False))
    assert kept["left_out"] == ["target", "loss", "scores"]
    again = derived({"examples": kept})
    assert {name: again[name] for name in CLASSIFIED} == pytest.approx({name: found[name] for name in CLASSIFIED}, nan_ok=True)


def refuses(answers: Answers) -> torch.Tensor:
    raise ValueError("made for two classes")


@pytest.mark.filterwarnings("ignore:metric none is not defined")
def test_a_metric_that_raises_is_not_defined_and_no_error_of_the_cell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run_cell(grid.cell("linear", "iris", "smoke", 1), tmp_path / "before").status == "ok"
    examples.complain.cache_clear()
    for name, metric in (("binary", Metric("binary", "higher", score=refuses)), ("none", Metric("none", "higher", reduce=lambda _: None))):  # type: ignore[arg-type,return-value]
        monkeypatch.setitem(metrics._metrics, name, replace(metric, score=metric.score or metrics.hits, kinds=("classes",)))
    with pytest.warns(UserWarning, match=r"metric binary is not defined here: ValueError: made for two classes \(test_examples\.py:"):
        outcome = run_cell(grid.cell("linear", "iris", "smoke", 1), tmp_path / "after")
    assert outcome.status == "ok", outcome.reason
    run = next(record for record in Store(tmp_path / "after").runs() if record["kind"] == "run")
    assert run["derived"]["binary"] is run["derived"]["none"] is None and run["derived"]["auroc"] > 0.5
    examples.complain.cache_clear()
    with pytest.warns(UserWarning, match="metric binary is not defined here") as heard:  # of a record that is older than the metric
        assert rows(Store(tmp_path / "before"))[0].values.keys() == {0}
        assert rows(Store(tmp_path / "before"))[0].values.keys() == {0}
    assert sum("binary" in str(one.message) for one in heard) == 1
    out, y = torch.eye(3), torch.arange(3)
    task = datasets.task("iris")
    monkeypatch.setattr(examples, "MOST", 0)
    examples.complain.cache_clear()
    with pytest.warns(UserWarning, match="metric binary is not defined here"):
        kept = keep(task.losses(out, y), task.predicted(out), out, y, task)
    assert "binary" in kept["derived"] and kept["derived"]["binary"] is None


def test_a_metric_of_the_task_that_raises_is_an_error_of_its_cell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = Metric("binary", "higher", score=refuses, kinds=("classes",))
    monkeypatch.setitem(metrics._metrics, "binary", own)
    task = replace(datasets.task("iris"), name="asks", metrics=(metrics.ACCURACY, own))
    datasets.register(task)(lambda root, seed, download: datasets.load("iris", seed=seed))
    outcome = run_cell(grid.cell("linear", "asks", "smoke", 1), tmp_path)
    assert (outcome.status, "made for two classes" in outcome.reason) == ("error", True)


def test_a_curve_says_nothing_twice() -> None:
    curve = {"samples": [64, 128], "seconds": [0.123456789, 2.0], "val_loss": [0.123456789, 0.5], "val_metric": [0.5, 1.0]}
    scores = {"accuracy": [0.5, 1.0], "cross_entropy": [0.123456789, 0.5], "bleu": [3.0, 4.0]}
    kept = short(curve | {"val_scores": scores})
    assert kept == curve | {"seconds": [0.12346, 2.0], "val_loss": [0.123457, 0.5], "val_scores": {"bleu": [3.0, 4.0]}}
    run = {"curve": kept, "metric": {"name": "accuracy"}}
    assert [on_val(run, name) for name in ("accuracy", "bleu", "exact")] == [[0.5, 1.0], [3.0, 4.0], []]


@pytest.mark.parametrize(("model", "dataset", "rank"), [("linear", "iris", "accuracy"), ("mlp", "plane", "mse")])
def test_a_run_keeps_enough(model: str, dataset: str, rank: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    outcome = run_cell(grid.cell(model, dataset, "smoke", 2), tmp_path)
    for record in store.runs():
        if record["kind"] != "run":
            continue
        test, data = record["test"]["best"], datasets.load(dataset, seed=record["seed"])
        assert record["metric"] == json.loads(json.dumps(metrics.named(rank).facts))
        assert torch.allclose(opened(record["examples"])["target"].double(), data.test.y.double(), rtol=1e-3)
        assert record["curve"]["val_scores"] == {}  # of iris' two one is the metric that ranks, the other the loss
        found = derived(record)
        assert not found.keys() & test.keys()
        if rank == "mse":
            variance = float(data.test.y.double().var(correction=0))
            assert found["r2"] == pytest.approx(1 - test["mse"] / variance, abs=2e-3)
        else:
            assert found["balanced_accuracy"] == pytest.approx(test["accuracy"])  # ten of each species
        best = store.weights(record)
        assert best is not None and best["best"]
    assert outcome.status == "ok"


def test_a_cell_of_an_endless_stream(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From registration to the tables; seeds alone see what they see together."""
    for name in ("_things", "sources"):
        monkeypatch.setattr(datasets._registry, name, dict(getattr(datasets._registry, name)))
    task = replace(datasets.task("xor"), name="endless", sizes=(0, 200, 200))

    @datasets.register(task)
    def endless(root: Path, seed: int, download: bool) -> Data:
        return streamed(xor, task.sizes, "endless", seed)

    stores = [Store(tmp_path / name) for name in ("together", "alone")]
    cell = grid.cell("mlp", "endless", "smoke", 2)
    for seeds, store in zip((2, 1), stores, strict=True):
        outcome = run_cell(replace(cell, budget=replace(cell.budget, seeds=seeds)), store.folder)
        assert outcome.status == "ok", outcome.reason
    together, alone = (next(r for r in store.runs() if r.get("seed") == 0) for store in stores)
    assert (together["together"], alone["together"]) == (2, 1)
    assert together["curve"]["val_loss"] == pytest.approx(alone["curve"]["val_loss"], rel=2e-3)
    assert rows(stores[0])[0].values.keys() == {0, 1}
    assert derived(together)["balanced_accuracy"] == pytest.approx(together["test"]["best"]["accuracy"], abs=0.05)
