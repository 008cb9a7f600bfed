"""Weights of classes: the loss that is trained by, alone and stacked, what stays unweighted, what they are worth, what is refused."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.nn import functional as F

import datasets
import models
from bench.plan.grid import RequestError, cell
from bench.store import fingerprint
from bench.store.records import Store
from bench.train.learners import Single, Stacked
from datasets.data import generator
from datasets.task import Budget, Task
from datasets.weighted import Weighted
from tests.conftest import plugin, run_cell

CPU = torch.device("cpu")
G = np.random.default_rng(0)
Y = np.array(["rare"] * 10 + ["common"] * 190)  # common before rare: the order of their names
X = G.normal(size=(200, 2)) + 1.5 * (Y == "rare")[:, None]


def weighted(name: str, weights: Any, y: Any = Y, **more: Any) -> Weighted:
    task = datasets.from_arrays(name, X, y, weights=weights, **more)
    assert isinstance(task, Weighted) and datasets.task(name) is task
    return task


def logits(n: int = 12) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    return torch.randn(n, 2, generator=g, dtype=torch.float64), (torch.rand(n, generator=g) < 0.3).long()


def test_balanced_is_what_scikit_learn_says() -> None:
    y = np.repeat([7, 3, 5], [20, 150, 30])
    found = weighted("own", "balanced", y).weights
    assert found == pytest.approx(compute_class_weight("balanced", classes=np.array([3, 5, 7]), y=y), rel=1e-12)
    assert found == pytest.approx((200 / 450, 200 / 90, 200 / 60))


@pytest.mark.parametrize("weights", [[1.0, 5.0], (2, 10), np.array([1, 5]), torch.tensor([1.0, 5.0])])
def test_only_ratios_count_and_their_mean_over_all_samples_is_one(weights: Any) -> None:
    found = weighted("own", weights).weights
    assert found[1] / found[0] == pytest.approx(5) and (190 * found[0] + 10 * found[1]) / 200 == pytest.approx(1)


def test_the_loss_is_torchs_but_over_the_number_of_samples_and_nothing_else_is_weighted() -> None:
    task, plain = weighted("own", [1, 5]), datasets.from_arrays("plain", X, Y)
    out, y = logits()
    w = torch.tensor(task.weights, dtype=torch.float64)
    assert 0 < int(y.sum()) < len(y)
    expected = F.cross_entropy(out, y, weight=w, reduction="sum") / len(y)
    assert task.loss(out, y) == pytest.approx(float(expected), rel=1e-12)
    assert task.loss(out, y) == pytest.approx(float(F.cross_entropy(out, y, weight=w) * w[y].mean()), rel=1e-12)
    assert abs(task.loss(out, y) - plain.loss(out, y)) > 1e-2
    ones = torch.ones_like(y)
    assert task.loss(out, ones) == pytest.approx(task.weights[1] * float(plain.loss(out, ones))), "a batch of one class keeps its weight"

    scores, unweighted = task.scores(out, y), plain.scores(out, y)
    assert torch.equal(scores["loss"], F.cross_entropy(out, y, reduction="none"))
    assert all(torch.equal(scores[name], unweighted[name]) for name in unweighted)
    assert set(scores) == {"loss", "accuracy", "cross_entropy"}
    assert (task.output, task.metrics, task.sizes, task.budgets) == (plain.output, plain.metrics, plain.sizes, plain.budgets)
    assert weighted("chosen", [1, 5], metrics=("macro_f1",)).metric.name == "macro_f1"


def test_a_copy_and_a_pickle_weigh_alike() -> None:
    task = weighted("own", "balanced")
    out, y = logits()
    for again in (pickle.loads(pickle.dumps(task)), replace(task, patch=None)):
        assert again == task and torch.equal(again.loss(out, y), task.loss(out, y))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_stack_trains_as_each_seed_alone(dtype: Any) -> None:
    task = weighted("own", [1, 5])
    budget = Budget("b", 64, 16, dtype=dtype)
    modules = [models.build("linear", task) for _ in range(2)]
    x, y = torch.randn(2, 16, 2), torch.arange(32).view(2, 16) % 3 // 2
    stack = Stacked([models.build("linear", task) for _ in modules], task, budget, CPU)
    with torch.no_grad():
        for name, value in stack.params.items():
            value.copy_(torch.stack([module.state_dict()[name] for module in modules]))
    close = 1e-5 if dtype == "float32" else 1e-2
    losses = [stack.losses(x, y) for _ in range(2)][1]  # the second time from the graph alone
    for i, module in enumerate(modules):
        alone = Single(module, task, budget, CPU, generator("noise", i))
        assert float(alone.losses(x[i], y[i])) == pytest.approx(float(losses[i]), rel=close)
        own = F.cross_entropy(module(x[i]).detach(), y[i], weight=torch.tensor(task.weights), reduction="sum") / 16
        assert float(losses[i]) == pytest.approx(float(own), rel=close)
        for (name, parameter), stacked in zip(module.named_parameters(), stack.parameters, strict=True):
            assert parameter.grad is not None and stacked.grad is not None
            assert torch.allclose(parameter.grad, stacked.grad[i], rtol=10 * close, atol=close / 10), name


def test_a_rare_class_is_found_by_its_weight(tmp_path: Path) -> None:
    """5 % of 1,200 samples, overlapping: without weights a linear model hardly ever says them."""
    g = np.random.default_rng(1)
    y = (np.arange(1200) % 20 == 0).astype(int)
    x = g.normal(size=(1200, 2)) + 1.2 * y[:, None]
    budget = Budget("smoke", 12_800, 32, 1e-2, evaluations=4, seeds=2)
    found = {}
    for name, weights in (("plain", None), ("weighted", "balanced")):
        datasets.from_arrays(name, x, y, weights=weights, metrics=("balanced_accuracy",), budgets=(budget,))
        assert run_cell(cell("linear", name, "smoke", 2), tmp_path).status == "ok"
        runs = [run for run in Store(tmp_path).runs() if run["dataset"] == name and "seed" in run]
        assert all(run["together"] == 2 for run in runs) and len(runs) == 2
        found[name] = [run["test"]["last"]["balanced_accuracy"] for run in runs]
        assert json.loads(json.dumps(runs[0], allow_nan=False))["examples"]["kind"] == "classes"
        assert ("in training a sample counts 0.526 to 10, by its class" in runs[0]["summary"]) is (weights is not None)
    assert min(found["weighted"]) > max(found["plain"]) + 0.1, found


def test_other_weights_are_other_runs() -> None:
    def recipes(name: str, weights: Any) -> tuple[str, str]:
        datasets._registry._things.pop("own", None)
        budget = datasets.from_arrays("own", X, Y, weights=weights).budget("smoke")
        return fingerprint.recipe("linear", "own", budget, "cpu"), fingerprint.conditions("own", budget, "cpu")

    asked = partial(recipes, "own")
    different = [asked(weights) for weights in (None, [1, 1], [1, 5], [1, 6], "balanced")]
    assert len({recipe for recipe, _ in different}) == len({conditions for _, conditions in different}) == 5
    assert asked([1, 5]) == different[2] and asked([1, 19]) == different[4], "balanced is 1 to 19 here"
    assert asked(None)[0] == different[0][0]


@pytest.mark.parametrize(
    ("weights", "more", "reason"),
    [
        ("balance", {}, r"weights are 'balanced' or a number for each class, not 'balance'; did you mean 'balanced'\?"),
        ([1, 2, 3], {}, "3 weights for 2 classes; weights are 'balanced' or a positive number for each class, in the order common, rare"),
        ([[1, 2]], {}, "own: 1 weight for 2 classes"),
        ([[1, 2], [3, 4]], {}, r"class common has the weight \[1, 2\]"),
        ([1, 0], {}, "class rare has the weight 0; weights are 'balanced' or a positive number for each class"),
        ([-1, 1], {}, "class common has the weight -1"),
        ([1, float("nan")], {}, "class rare has the weight nan"),
        ([float("inf"), 1], {}, "class common has the weight inf"),
        ([1, 1e-60], {}, "class rare has the weight 1e-60"),
        (["1", 2], {}, "class common has the weight '1'"),
        ({"common": 1, "rare": 5}, {}, "weights are a dict; .* in the order common, rare"),
        (torch.tensor(5.0), {}, "weights are a Tensor"),
        ("balanced", {"y": X[:, 0]}, "y is read as value, and weights are for classes; leave weights out, or say kind='classes'"),
        ([1, 2], {"y": np.arange(200), "kind": "value"}, "y is read as value"),
        ("balanced", {"y": X > 0}, "y is read as labels, .* register each label as classes of its own"),
        ([1, 2], {"y": Y[:100]}, "own: 200 samples and 100 targets"),
        ("balanced", {"metrics": ("mse",)}, "mse is no metric of classes"),
    ],
)
def test_weights_that_cannot_be_used_are_refused_and_nothing_is_registered(weights: Any, more: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        datasets.from_arrays("own", X, **{"y": Y} | more, weights=weights)
    assert "own" not in datasets.names()


def test_many_classes_are_not_all_named() -> None:
    with pytest.raises(ValueError, match=r"in the order 0, 1, .* 9, … \(20 in all\)"):
        datasets.from_arrays("own", X, np.arange(200) % 20, weights=[1])


def test_files_take_weights_and_their_errors_are_the_requests(tmp_path: Path) -> None:
    lines = [f"{a:.3f},{b:.3f},{y}" for (a, b), y in zip(X, Y, strict=True)]
    (tmp_path / "own.csv").write_text("\n".join(["a,b,kind", *lines]))
    for name, n in (("cats", 8), ("dogs", 24)):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(G.integers(0, 255, (4, 4)).astype(np.uint8)).save(tmp_path / "pets" / name / f"{i}.png")
    file = plugin(tmp_path, "datasets.from_csv('own', 'own.csv', target='kind', weights='balanced')")
    plugin(tmp_path, "datasets.from_folder('pets', 'pets', weights='balanced')")
    weights: dict[str, Any] = {name: getattr(datasets.task(name), "weights", ()) for name in ("own", "pets")}
    assert weights == {"own": pytest.approx((200 / 380, 10)), "pets": pytest.approx((2, 2 / 3))}
    assert datasets.source("own") == file and datasets.pool("own") == 40 / 120
    assert {"weighted.py", "own.py"} <= {path.name for path in fingerprint.reached(file)}
    with pytest.raises(RequestError, match=r"other: .*own.csv, target 'kind': 1 weight for 2 classes; .* in the order common, rare"):
        plugin(tmp_path, "datasets.from_csv('other', 'own.csv', target='kind', weights=[1])")
    assert "other" not in datasets.names()


def test_a_task_without_weights_is_the_plain_one() -> None:
    task = datasets.from_arrays("own", X, Y)
    assert type(task) is Task and datasets.source("own") == Path(__file__)
