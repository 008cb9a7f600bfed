"""Confusion matrices and pictures of attention: what is drawn is what was predicted and what the layers weigh by."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import datasets
import models
from bench.figures import attended, attention, confusion, kinds
from bench.figures.subject import NoPicture, Subject
from bench.store.encoding import pack
from bench.store.records import Store
from bench.tables.rows import Row
from datasets.task import Input, Task
from models.attention import SelfAttention

DIGITS, IRIS = datasets.task("digits"), datasets.task("iris")
CIFAR = replace(DIGITS, name="pictures", input=Input("image", (3, 32, 32)))


def built(name: str, task: Task) -> nn.Module:
    torch.manual_seed(3)
    return models.build(name, task).eval().requires_grad_(False)


def subject(dataset: str, model: str, predictions: dict[int, np.ndarray]) -> Subject:
    """A cell with runs that predicted so, by seed, and random weights."""
    task = datasets.task(dataset)
    runs: list[dict[str, Any]] = []
    for seed, predicted in predictions.items():
        right = float(np.mean(predicted == datasets.load(dataset, seed=seed).test.y.numpy()))
        examples = {"prediction": pack(predicted.astype("u1"))}
        runs.append({"dataset": dataset, "seed": seed, "status": "ok", "test": {"best": {"accuracy": right}}, "examples": examples})
    row = Row(model, dataset, "default", "float32", "here", "ok", "", runs=runs)
    one = Subject(row, runs[0], task, Store(Path("nowhere")), lambda name: datasets.load(name, seed=0))
    one.__dict__["module"] = built(model, task)
    return one


def noisy(dataset: str, seed: int, classes: int) -> np.ndarray:
    """Predictions of which about three quarters are right."""
    rng = np.random.default_rng(seed)
    true = datasets.load(dataset, seed=seed).test.y.numpy()
    return np.where(rng.random(len(true)) < 0.75, true, rng.integers(0, classes, len(true)))


def test_a_confusion_matrix_by_hand() -> None:
    counts = np.array([[1, 1, 0], [0, 1, 0], [2, 0, 1]])
    assert confusion.finding(counts, ["a", "b", "c"]) == "50.0 % right; most often c is taken for a (2 of 3)"
    tied = np.array([[1, 1], [1, 4]])
    assert confusion.finding(tied, ["a", "b"]) == "71.4 % right; most often (a tie) a is taken for b (1 of 2)"
    assert confusion.finding(np.diag([2, 3]), ["a", "b"]) == "all 5 right"


@pytest.mark.parametrize(("dataset", "classes", "seeds"), [("digits", 10, (0, 1, 2)), ("iris", 3, (0, 4))])
def test_confusion_counts_every_sample_of_every_seeds_own_test_split(dataset: str, classes: int, seeds: tuple[int, ...]) -> None:
    predictions = {seed: noisy(dataset, seed, classes) for seed in seeds}
    cell = subject(dataset, "mlp", predictions)
    counts = confusion.matrix(cell)
    assert counts.sum() == len(seeds) * datasets.task(dataset).sizes[2]
    slow = [[0] * classes for _ in range(classes)]
    for seed, predicted in predictions.items():
        for true, taken in zip(datasets.load(dataset, seed=seed).test.y.tolist(), predicted.tolist(), strict=True):
            slow[true][taken] += 1
    assert counts.tolist() == slow
    assert np.trace(counts) / counts.sum() == pytest.approx(np.mean([run["test"]["best"]["accuracy"] for run in cell.row.runs]))


def test_what_stands_in_the_cells_is_the_count_and_the_colour_its_share() -> None:
    counts = np.array([[8, 2, 0], [0, 9, 1], [5, 5, 10]])
    figure = confusion.drawn(counts, ["a", "b", "c"], "title", "told")
    axes = figure.axes[0]
    written = {(int(t.get_position()[1]), int(t.get_position()[0])): t.get_text() for t in axes.texts if t.get_text().isdigit()}
    assert written == {(i, j): str(n) for (i, j), n in np.ndenumerate(counts) if n}
    assert np.allclose(axes.images[0].get_array(), counts / [[10], [10], [20]])
    assert "80.0 % of 10 right" in [t.get_text() for t in axes.texts]


def test_predictions_of_other_data_are_not_drawn() -> None:
    cell = subject("iris", "mlp", {0: noisy("iris", 0, 3)})
    cell.row.runs[0]["test"]["best"]["accuracy"] += 1 / 30
    with pytest.raises(NoPicture, match="the data have changed"):
        confusion.matrix(cell)
    del cell.row.runs[0]["examples"]
    with pytest.raises(NoPicture, match="kept no predictions"):
        confusion.matrix(cell)


def test_classes_have_the_names_of_the_species() -> None:
    assert confusion.named("iris", 3) == ["setosa", "versicolor", "virginica"]
    assert confusion.named("digits", 10) == [str(i) for i in range(10)]
    assert all(confusion.fits(datasets.task(name)) for name in ("digits", "iris", "mnist", "cifar10"))
    assert not confusion.fits(datasets.task("cifar100")) and not confusion.fits(datasets.task("spiral"))


def slow_maps(module: nn.Module, x: Tensor) -> list[Tensor]:
    """softmax(q · k / √d), weight by weight in float64, of what goes into every self-attention of the model."""
    found: list[Tensor] = []

    def attend(layer: SelfAttention, tokens: Tensor, queries: int) -> None:
        projected = tokens.double() @ layer.qkv.weight.double().T + (0 if layer.qkv.bias is None else layer.qkv.bias.double())
        q, k, _ = projected.unflatten(2, (3, layer.heads, -1)).permute(2, 0, 3, 1, 4)
        weights = torch.zeros(len(tokens), layer.heads, queries, tokens.shape[1], dtype=torch.float64)
        for b, h, i in np.ndindex(*weights.shape[:3]):
            scores = [math.exp(float(q[b, h, i] @ k[b, h, j]) / math.sqrt(q.shape[-1])) for j in range(tokens.shape[1])]
            weights[b, h, i] = torch.tensor(scores) / sum(scores)
        found.append(weights)

    layers = [part for part in module.modules() if isinstance(part, SelfAttention)]
    whole, first = SelfAttention.mixed, SelfAttention.first
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SelfAttention, "mixed", lambda self, x, keep=None: (attend(self, x, x.shape[1]), whole(self, x, keep))[1])
        patch.setattr(SelfAttention, "first", lambda self, x, keep=None: (attend(self, x, 1), first(self, x, keep))[1])
        module(x)
    assert len(found) == len(layers)
    return found


CELLS = [
    ("transformer", IRIS),
    ("backbone_attention", IRIS),
    ("transformer", DIGITS),
    ("backbone_attention", DIGITS),
    ("vit", DIGITS),
    ("hybrid", DIGITS),
    ("vit", CIFAR),
]


@pytest.mark.parametrize(("model", "task"), CELLS, ids=lambda value: value if isinstance(value, str) else value.name)
@pytest.mark.parametrize("batch", [2, 9])
def test_maps_are_the_softmax_of_the_layers_own_queries_and_keys(model: str, task: Task, batch: int) -> None:
    module, (x, _) = built(model, task), task.sample(batch, torch.Generator().manual_seed(0))
    maps = attended.maps(module, x)
    for ours, slow in zip(maps, slow_maps(module, x), strict=True):
        assert ours.shape == slow.shape and torch.allclose(ours.double(), slow, atol=1e-5)
        assert torch.allclose(ours.sum(-1), torch.ones(ours.shape[:-1]), atol=1e-5)
    assert attended.shares(maps)


@pytest.mark.parametrize("model", ["vit", "deepvit", "hybrid", "transformer", "backbone_attention"])
@pytest.mark.parametrize("batch", [1, 64, 200])  # the last is evaluated in parts by the ViT
def test_taking_maps_changes_no_output_and_parts_are_joined(model: str, batch: int) -> None:
    module, (x, _) = built(model, DIGITS), DIGITS.sample(batch, torch.Generator().manual_seed(0))
    before = module(x)
    maps = attended.maps(module, x)
    with models.attention.watch():
        assert torch.equal(module(x), before)
    assert torch.equal(module(x), before)
    alone = attended.maps(module, x[-1:])
    for many, one in zip(maps, alone, strict=True):
        assert len(many) == batch and torch.allclose(many[-1], one[0], atol=1e-4)


def test_maps_of_reattention_are_no_shares() -> None:
    maps = attended.maps(built("deepvit", DIGITS), DIGITS.sample(4, torch.Generator().manual_seed(0))[0])
    assert not attended.shares(maps) and min(float(w.min()) for w in maps) < 0
    names = attention.tokens_named(DIGITS, 5)
    assert "need not sum to one" in attention.finding(maps, names, True)


@pytest.mark.parametrize(("model", "reason"), [("mlp", "no layer of it shows attention"), ("cnn", "no layer of it shows attention")])
def test_models_without_attention_say_so(model: str, reason: str) -> None:
    with pytest.raises(NoPicture, match=reason):
        attended.maps(built(model, DIGITS), DIGITS.sample(2)[0])


def test_patches() -> None:
    assert attended.patches(16, 8, 8) == (4, 4, False) and attended.patches(17, 8, 8) == (4, 4, True)
    assert attended.patches(9, 16, 32) == (2, 4, True) and attended.patches(8, 16, 32) == (2, 4, False)
    with pytest.raises(NoPicture, match="no grid"):
        attended.patches(7, 8, 8)


def test_tokens_are_features_or_patches() -> None:
    assert attention.tokens_named(IRIS, 4) == ["sepal length", "sepal width", "petal length", "petal width"]
    assert attention.tokens_named(IRIS, 1) == ["token 1"]
    assert attention.tokens_named(DIGITS, 5) == ["cls", "1", "2", "3", "4"]


def test_who_gets_most_attention() -> None:
    weights = torch.tensor([[0.1, 0.2, 0.3, 0.4]]).expand(2, 3, 4, 4)
    names = attention.tokens_named(IRIS, 4)
    assert attention.finding([weights], names, False) == "petal width gets 40 % of all attention; spread evenly it would be 25 %"


@pytest.mark.parametrize(("model", "task"), [("transformer", IRIS), ("vit", DIGITS), ("deepvit", DIGITS)])
def test_what_is_drawn_are_the_maps_on_one_scale(model: str, task: Task) -> None:
    module, (x, _) = built(model, task), task.sample(5, torch.Generator().manual_seed(0))
    maps = attended.maps(module, x)
    image = x[0] if task.input.kind == "image" else None
    figure = attention.drawn(maps, image, attention.tokens_named(task, maps[0].shape[-1]), "title", "told")
    shown = figure.axes[0].images
    wanted = [weights.mean(0)[h] for weights in maps for h in range(4)]
    if image is not None:
        wanted += [weights[0, h] for weights in maps for h in range(4)]
    for drawn, weights in zip(shown, wanted, strict=True):
        assert np.array_equal(drawn.get_array(), weights.numpy())
    top = max(float(weights.abs().max()) for weights in wanted)
    low = -top if model == "deepvit" else 0
    assert {drawn.get_clim() for drawn in shown} == {(low, top)}


@pytest.mark.parametrize("dataset", [pytest.param("digits", marks=pytest.mark.slow), "iris"])
def test_pictures_are_the_same_bytes_every_time_and_small(dataset: str) -> None:
    predicted = {seed: noisy(dataset, seed, datasets.task(dataset).output.size) for seed in (0, 1)}
    for kind in ("confusion", "attention"):
        first, second = (kinds.cells[kind].draw(subject(dataset, "transformer", predicted)) for _ in range(2))
        assert first == second and len(first) < 100_000
        assert 600 < Image.open(io.BytesIO(first)).width < 1200
