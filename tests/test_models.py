"""What registering a model buys: every model on every task, the user's own included, without a line written for it."""

from __future__ import annotations

import copy
import re
from collections import Counter

import pytest
import torch

import datasets
import models
from bench.measure.counts import active, loss
from datasets.task import Task
from models.dropout import Dropout

# as-published variants have dead parameters and wrong heads: test_published.py holds them against their counts
FITTED = ("ridge", "nearest_neighbours", "boosting")  # not trained by gradient: test_fitting.py
TRAINED = [name for name in models.names() if name not in FITTED]
CELLS = [(model, dataset) for model in TRAINED for dataset in datasets.names()]
KINDS = {datasets.task(name).input.kind: name for name in reversed(datasets.names())}


def built(model: str, dataset: str) -> tuple[torch.nn.Module, Task]:
    task = datasets.task(dataset)
    torch.manual_seed(0)
    try:
        return models.build(model, task).eval(), task
    except models.Unsupported as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize(("model", "dataset"), CELLS)
def test_shape_determinism_gradients_and_state(model: str, dataset: str) -> None:
    module, task = built(model, dataset)
    x, y = task.sample(3, torch.Generator().manual_seed(1))
    out = module(x)
    assert out.shape == (3, *task.output.shape)
    assert torch.equal(out, module(x))
    assert torch.allclose(module(x[:1]), out[:1], atol=1e-4), "a sample's answer depends on its batch"
    module.train()
    loss(module, task, x, y).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in module.parameters())
    module.eval()
    other, _ = built(model, dataset)
    with torch.no_grad():
        for p in other.parameters():
            p.add_(1)
    assert not torch.allclose(other(x), out)
    other.load_state_dict(copy.deepcopy(module.state_dict()))
    assert torch.equal(other(x), module(x))  # training moved batch statistics, so not `out`


TWICE = {(model, name) for model in TRAINED for name in list(KINDS.values())[:-1] if model.startswith("backbone_") or model == "mlp"}
LONG = ("transformer_seq2seq", "bahdanau")  # to export: their decoders are unrolled


@pytest.mark.parametrize(
    ("model", "dataset"),
    [
        pytest.param(model, name, marks=[pytest.mark.slow] * (model in LONG or (model, name) in TWICE))
        for model in TRAINED
        for name in KINDS.values()
    ],
)
def test_exportable(model: str, dataset: str) -> None:
    module, task = built(model, dataset)
    x, _ = task.sample(2)
    exported = torch.export.export(module, (x,))
    assert torch.allclose(exported.module()(x), module(x), atol=1e-5)


COUNTS = {
    ("mlp", "gaussian"): 105,
    ("mlp", "circle"): 114,
    ("heads", "gaussian"): 33,
    ("heads", "circle"): 42,
    ("linear", "gaussian"): 3,
    ("cnn", "mnist"): 1_199_882,
    ("cnn", "cifar10"): 1_626_442,
    ("cnn", "cifar100"): 1_638_052,
    ("vit", "mnist"): 1_213_970,
    ("vit", "cifar10"): 1_288_330,
    ("vit", "cifar100"): 1_299_940,
    ("transformer", "iris"): 100_291,
    ("conv1d", "shapes"): 62_337,
    ("conv1d_attention", "shapes"): 54_081,
}


@pytest.mark.parametrize(("cell", "count"), COUNTS.items(), ids=str)
def test_published_parameter_counts(cell: tuple[str, str], count: int) -> None:
    module, _ = built(*cell)
    assert sum(p.numel() for p in module.parameters()) == count


@pytest.mark.parametrize(("width", "count"), [(4, 17), (8, 33), (16, 65), (32, 129), (64, 257)])
def test_heads_at_every_published_width(width: int, count: int) -> None:
    module = models.build("heads", datasets.task("gaussian"), width=width)
    assert sum(p.numel() for p in module.parameters()) == count


@pytest.mark.parametrize("dataset", datasets.names())
def test_the_six_backbones_run_everywhere_and_differ_in_the_mixer_alone(dataset: str) -> None:
    task = datasets.task(dataset)
    mixers = ("attention", "conv", "local", "mlp", "recurrent")
    shapes = {
        name: Counter((k, tuple(p.shape)) for k, p in models.build(f"backbone_{name}", task).named_parameters())
        for name in (*mixers, "none")
    }
    for name in mixers:
        extra = shapes[name] - shapes["none"]
        assert not shapes["none"] - shapes[name]
        assert all(".mix." in key for key, _ in extra)


def test_backbone_none_mixes_nothing_and_the_others_do() -> None:
    task = datasets.task("digits")
    x, _ = task.sample(1, torch.Generator().manual_seed(0))
    y = x.clone()
    y[..., :2, :2] += 1  # another first patch
    for name, mixes in (*((name, True) for name in ("attention", "conv", "local", "mlp", "recurrent")), ("none", False)):
        model = models.build(f"backbone_{name}", task).eval()
        body = torch.nn.Sequential(model.tokens, model.blocks)
        moved = (body(x) - body(y)).abs().amax(-1)[0]
        assert moved[0] > 1e-4
        assert bool((moved[1:] > 1e-7).any()) == mixes


def test_unsupported_cells_give_a_reason() -> None:
    with pytest.raises(models.Unsupported, match="cuts an image into patches; this task gives table"):
        models.build("vit", datasets.task("iris"))
    with pytest.raises(models.Unsupported, match="reads a signal; this task gives image"):
        models.build("conv1d", datasets.task("digits"))


def test_a_model_says_which_kinds_it_takes() -> None:
    takes = models.Takes(("points", "table"), "classes", answers="says which")
    digits, iris, plane = (datasets.task(name) for name in ("digits", "iris", "plane"))
    assert takes.unfit(iris) is None
    assert takes.unfit(digits) == "reads points or table; this task gives image"
    assert takes.unfit(plane) == "says which; this task asks for value"
    assert models.Takes().unfit(digits) is None
    with pytest.raises(ValueError, match=r"unknown kind of input 'imge'; there are points, .*; did you mean 'image'\?"):
        models.Takes("imge")


def test_every_declaration_is_kept_by_build() -> None:
    """What `unfit` says without building is what `build` refuses, and no model is refused a task it can be built for."""
    for name in models.names(published=True):
        for dataset in ("digits_affine", "iris", "plane", "shapes", "translation"):
            if reason := models.unfit(name, datasets.task(dataset)):
                with pytest.raises(models.Unsupported, match=re.escape(reason)):
                    models.build(name, datasets.task(dataset))


def test_a_module_that_fits_is_known_by_its_method() -> None:
    class Mean(torch.nn.Module):
        def fit(self, train: models.Samples, val: models.Samples, task: Task, generator: torch.Generator) -> None:
            self.register_buffer("mean", train.y.mean(0))

    split = datasets.load("plane").val
    assert isinstance(Mean(), models.Fits) and isinstance(split, models.Samples)
    assert not isinstance(models.build("mlp", datasets.task("plane")), models.Fits)


def test_registering_twice_or_under_a_bad_name_is_an_error() -> None:
    def mlp(task: Task) -> torch.nn.Module:
        raise AssertionError

    with pytest.raises(ValueError, match=r"model 'mlp' in test_models.py is already registered by mlp.py"):
        models.register(mlp)
    mlp.__name__ = "My-Model"
    with pytest.raises(ValueError, match="a-z, 0-9 and _"):
        models.register(mlp)
    with pytest.raises(KeyError, match=r"unknown model 'vti'; did you mean 'vit'\? \(python -m bench list\)"):
        models.build("vti", datasets.task("iris"))


def test_key_biases_are_counted_as_dead() -> None:
    """Softmax cancels a key's bias: 2 blocks × 64 of the Iris encoder's parameters never learn."""
    module, task = built("transformer", "iris")
    assert active(module, task) == 100_291 - 2 * 64


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.99])
def test_dropout_drops_a_share_p_independently_and_keeps_the_mean(p: float) -> None:
    torch.manual_seed(0)
    layer, x = Dropout(p), torch.ones(401, 999, requires_grad=True)
    y = layer(x)
    kept = y != 0
    tolerance = 5 * (p * (1 - p) / x.numel()) ** 0.5
    assert abs(float((~kept).float().mean()) - p) < tolerance
    assert torch.allclose(y[kept], torch.tensor(1 / (1 - p)))
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    pairs = (kept[:, 1:] & kept[:, :-1]).float().mean()  # neighbours come from one random word
    assert abs(float(pairs) - (1 - p) ** 2) < 4 * tolerance
    assert not torch.equal(layer(x), y)
    layer.eval()
    assert layer(x) is x
