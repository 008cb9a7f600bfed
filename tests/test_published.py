"""S3 to S5 as published: exact counts, dead parameters, and the same functions as vit-pytorch by transplanted weights."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from vit_pytorch import ViT as TheirViT
from vit_pytorch.deepvit import DeepViT as TheirDeepViT

import datasets
import models
from bench.measure.counts import active
from bench.peers.comparison import transplant
from datasets.task import Input, Output, Task
from models.attention import ReAttention, SelfAttention, SignalAttention
from models.vit import ViT

Array = Any
S4 = {  # MNIST, CIFAR-10, CIFAR-100
    "cnn": (1_199_882, 1_626_442, 1_638_052),
    "vit_published": (1_614_866, 1_812_106, 1_823_716),
    "deepvit_published": (1_615_010, 1_812_250, 1_823_860),
    "hybrid_published": (1_591_652, 1_727_012, 1_727_012),
    # with the true side and the true number of classes
    "vit": (1_213_970, 1_288_330, 1_299_940),
    "deepvit": (1_213_970 + 144, 1_288_330 + 144, 1_299_940 + 144),
    "hybrid": (1_580_042 - 73_216, 1_715_402 - 99_840, 1_727_012 - 99_840),
}
COUNTS = {(model, name): n for model, row in S4.items() for name, n in zip(("mnist", "cifar10", "cifar100"), row, strict=True)} | {
    ("vit_large_published", "mnist"): 63_293_548,
    ("transformer", "iris"): 100_291,
    ("transformer_published", "iris"): 100_483,
    ("transformer_head_published", "iris"): 102_467,
    ("conv1d_attention", "shapes"): 54_081,
    ("conv1d_attention_heads", "shapes"): 54_081,
    ("conv1d_attention_positions", "shapes"): 54_081 + 64 * 5,
}


def size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("cell", "count"), COUNTS.items(), ids=str)
def test_parameters(cell: tuple[str, str], count: int) -> None:
    with torch.device("meta"):
        assert size(models.build(cell[0], datasets.task(cell[1]))) == count


def test_hybrids_of_ten_classes_with_the_wrong_tables() -> None:
    for dataset, side, count in (("mnist", 144, 1_580_042), ("cifar10", 196, 1_715_402)):
        assert size(models.build("hybrid", datasets.task(dataset), side=side)) == count


DEAD = {
    ("vit_published", "mnist"): 400_896,
    ("vit_published", "cifar100"): 523_776,
    ("deepvit_published", "cifar10"): 523_776,
    ("hybrid_published", "mnist"): 73_216,
    ("hybrid_published", "cifar10"): 99_840,
    ("transformer_published", "iris"): 16_640,  # queries and keys of a single token
    ("transformer_head_published", "iris"): 16_640,
    ("deepvit", "mnist"): 0,
    ("hybrid", "mnist"): 0,
}


@pytest.mark.parametrize(("cell", "dead"), DEAD.items(), ids=str)
def test_dead_parameters(cell: tuple[str, str], dead: int) -> None:
    task = datasets.task(cell[1])
    module = models.build(cell[0], task)
    assert size(module) - active(module, task) == dead


def test_dead_parameters_of_the_large_vit() -> None:
    """Its depth adds none, and one batch finds them all."""
    task = datasets.task("mnist")
    module = models.build("vit_large_published", task, depth=1).eval()
    task.loss(module(task.sample(4)[0]), torch.arange(4)).backward()
    assert int((module.positions.grad == 0).sum()) == 12_828_672
    assert COUNTS["vit_large_published", "mnist"] - 12_828_672 == 50_464_876


@pytest.mark.parametrize("dataset", ["digits", "digits_affine", "mnist", "cifar10"])
def test_the_published_hybrid_answers_a_hundred_classes(dataset: str) -> None:
    task = datasets.task(dataset)
    x, y = task.sample(2)
    out = models.build("hybrid_published", task).eval()(x)
    assert out.shape == (2, 100)
    assert torch.isfinite(task.loss(out, y))


CLASSES = {"vit": (TheirViT, SelfAttention), "deepvit": (TheirDeepViT, ReAttention)}
SHAPES = [  # channels, side, patch, classes, dim, depth, heads, head_dim, hidden
    (1, 28, 14, 10, 128, 6, 4, 64, 256),
    (3, 32, 16, 100, 128, 6, 4, 64, 256),
    (3, 24, 4, 7, 48, 3, 3, 16, 80),
    (1, 20, 5, 3, 24, 2, 8, 5, 40),
    (3, 12, 2, 11, 64, 1, 2, 32, 32),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", CLASSES)
def test_transplanted_from_vit_pytorch(name: str, shape: tuple[int, ...]) -> None:
    channels, side, patch, classes, dim, depth, heads, head_dim, hidden = shape
    torch.manual_seed(sum(shape))
    their_class, attention = CLASSES[name]
    sizes = {"dim": dim, "depth": depth, "heads": heads, "dropout": 0.1}
    theirs = their_class(
        image_size=side,
        patch_size=patch,
        channels=channels,
        num_classes=classes,
        dim_head=head_dim,
        mlp_dim=hidden,
        emb_dropout=0.1,
        **sizes,
    ).eval()
    ours = ViT((channels, side, side), classes, patch=patch, head_dim=head_dim, hidden=hidden, attention=attention, **sizes).eval()
    transplant(theirs, ours)
    x = torch.randn(3, channels, side, side)
    assert (ours(x) - theirs(x)).abs().max() < 1e-5


def test_transplanted_from_vit_pytorch_where_an_image_is_no_square() -> None:
    torch.manual_seed(0)
    sizes = {"dim": 32, "depth": 2, "heads": 4, "dropout": 0.1}
    theirs = TheirViT(image_size=(12, 20), patch_size=4, channels=2, num_classes=5, dim_head=8, mlp_dim=48, **sizes).eval()
    ours = ViT((2, 12, 20), 5, patch=4, head_dim=8, hidden=48, **sizes).eval()
    transplant(theirs, ours)
    x = torch.randn(4, 2, 12, 20)
    assert (ours(x) - theirs(x)).abs().max() < 1e-5


PUBLISHED = {"dim": 128, "depth": 6, "heads": 4, "mlp_dim": 256, "dropout": 0.1, "emb_dropout": 0.1}


@pytest.mark.parametrize("name", CLASSES)
def test_as_published_by_passing_the_count_of_pixels_as_the_side(name: str) -> None:
    torch.manual_seed(0)
    task = datasets.task("mnist")
    theirs = CLASSES[name][0](image_size=784, patch_size=14, channels=1, num_classes=10, **PUBLISHED).eval()
    ours = models.build(f"{name}_published", task).eval()
    transplant(theirs, ours)
    x, _ = task.sample(3)
    assert size(theirs) == size(ours) == COUNTS[f"{name}_published", "mnist"]
    assert (ours(x) - theirs(x)).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("model", "dataset", "side"), [("hybrid", "mnist", 12), ("hybrid", "cifar10", 14), ("hybrid_published", "mnist", 144)]
)
def test_the_hybrid_is_two_convolutions_and_their_vit(model: str, dataset: str, side: int) -> None:
    torch.manual_seed(0)
    task = datasets.task(dataset)
    ours = models.build(model, task).eval()
    patch, classes = {12: 6, 14: 7, 144: 6}[side], 100 if model.endswith("published") else 10
    theirs = TheirViT(image_size=side, patch_size=patch, channels=64, num_classes=classes, **PUBLISHED).eval()
    transplant(theirs, ours[-1])
    first, second = (layer for layer in ours if isinstance(layer, nn.Conv2d))
    x, _ = task.sample(3)
    maps = torch.conv2d(torch.conv2d(x, first.weight, first.bias).relu(), second.weight, second.bias).relu()
    assert (ours(x) - theirs(torch.max_pool2d(maps, 2))).abs().max() < 1e-5


def softmax(scores: list[float]) -> list[float]:
    weights = [math.exp(score - max(scores)) for score in scores]
    return [weight / sum(weights) for weight in weights]


@pytest.mark.parametrize(("tokens", "dim", "heads", "head_dim"), [(5, 8, 2, None), (3, 12, 4, 7), (1, 6, 3, None), (6, 16, 8, 5)])
def test_re_attention_against_loops(tokens: int, dim: int, heads: int, head_dim: int | None) -> None:
    torch.manual_seed(tokens)
    layer = ReAttention(dim, heads, head_dim=head_dim).double().requires_grad_(False)
    layer.norm.weight.normal_()
    layer.norm.bias.normal_()
    x, width = torch.randn(2, tokens, dim, dtype=torch.float64), head_dim or dim // heads
    for sample, ours in zip(x, layer(x), strict=True):
        q, k, v = (sample @ layer.qkv.weight.T + layer.qkv.bias).view(tokens, 3, heads, width).unbind(1)
        joined = torch.zeros(tokens, heads, width, dtype=torch.float64)
        for i in range(tokens):
            maps = [softmax([float(q[i, h] @ k[j, h]) * width**-0.5 for j in range(tokens)]) for h in range(heads)]
            for j in range(tokens):
                mixed = [sum(maps[h][j] * float(layer.mix[h, g]) for h in range(heads)) for g in range(heads)]
                mean = sum(mixed) / heads
                deviation = math.sqrt(sum((m - mean) ** 2 for m in mixed) / heads + layer.norm.eps)
                for g in range(heads):
                    weight = (mixed[g] - mean) / deviation * layer.norm.weight[g] + layer.norm.bias[g]
                    joined[i, g] += weight * v[j, g]
        assert torch.allclose(ours, joined.flatten(1) @ layer.out.weight.T + layer.out.bias, atol=1e-11)


@pytest.mark.parametrize(("channels", "heads", "length", "scaled"), [(8, 4, 7, False), (6, 3, 5, True), (6, 6, 1, False), (4, 1, 9, True)])
def test_signal_attention_of_several_heads_against_loops(channels: int, heads: int, length: int, scaled: bool) -> None:
    torch.manual_seed(channels)
    layer = SignalAttention(channels, heads=heads, scaled=scaled).double().requires_grad_(False)
    x, width = torch.randn(2, channels, length, dtype=torch.float64), channels // heads
    scale = width**-0.5 if scaled else 1.0
    for sample, ours in zip(x, layer(x), strict=True):
        q, k, v = (p.weight[:, :, 0] @ sample for p in (layer.query, layer.key, layer.value))
        for h in range(heads):
            part = slice(h * width, (h + 1) * width)
            for i in range(length):
                weights = softmax([float(q[part, i] @ k[part, j]) * scale for j in range(length)])
                expected = sum(weights[j] * v[part, j] for j in range(length))
                assert torch.allclose(ours[part, i], expected, atol=1e-12)


def test_the_heads_of_conv1d_attention_are_four_and_unscaled() -> None:
    layers = models.build("conv1d_attention_heads", datasets.task("shapes"))
    layer = next(layer for layer in layers if isinstance(layer, SignalAttention))
    assert (layer.heads, layer.scale) == (4, 1.0)


def convolved(layer: nn.Conv1d, x: Tensor) -> Tensor:
    """A convolution from its definition, (in, length) -> (out, length), zeros beyond the ends."""
    reach, length = layer.kernel_size[0] // 2, x.shape[1]
    padded = torch.nn.functional.pad(x, (reach, reach))
    windows = torch.stack([padded[:, i : i + length] for i in range(2 * reach + 1)], 2)  # (in, length, kernel)
    return torch.einsum("ock,clk->ol", layer.weight, windows) + layer.bias[:, None]


@pytest.mark.parametrize("model", ["conv1d", "conv1d_attention", "conv1d_attention_heads", "conv1d_attention_positions"])
def test_whole_stacks_for_signals_by_the_formula_of_their_source(model: str) -> None:
    torch.manual_seed(3)
    module = models.build(model, datasets.task("shapes")).double().requires_grad_(False)
    x = torch.rand(3, 1, 100, dtype=torch.float64)
    layers = [layer for layer in module if isinstance(layer, nn.Conv1d | SignalAttention)]
    assert len(layers) == 5
    for sample, ours in zip(x, module(x), strict=True):
        h = torch.cat([sample, torch.linspace(-1, 1, 100)[None]]) if model.endswith("positions") else sample
        h = convolved(layers[1], convolved(layers[0], h).clamp_min(0)).clamp_min(0)
        if model == "conv1d":
            h = convolved(layers[2], h).clamp_min(0)
        else:  # nothing between attention and the next convolution
            q, k, v = (p.weight[:, :, 0] @ h for p in (layers[2].query, layers[2].key, layers[2].value))
            parts = [slice(64 * i // layers[2].heads, 64 * (i + 1) // layers[2].heads) for i in range(layers[2].heads)]
            h = torch.cat([v[part] @ (q[part].mT @ k[part]).softmax(1).mT for part in parts])
        h = convolved(layers[4], convolved(layers[3], h).clamp_min(0))
        assert (ours - h).abs().max() < 1e-12


@pytest.mark.parametrize(("model", "moves_along"), [("conv1d_attention", True), ("conv1d_attention_positions", False)])
def test_without_positions_the_answer_moves_along_with_the_input(model: str, moves_along: bool) -> None:
    torch.manual_seed(0)
    module = models.build(model, datasets.task("shapes")).double().eval()
    x = torch.zeros(2, 1, 100, dtype=torch.float64)
    x[..., 30:45] = torch.randn(2, 1, 15, dtype=torch.float64)
    shift = 21

    def inner(x: Tensor) -> Tensor:
        """The answers that the zeros beyond the ends do not reach."""
        return module(x)[..., 8:-8]

    moved = inner(x.roll(shift, -1))[..., shift:] - inner(x)[..., :-shift]
    assert (moved.abs().max() < 1e-12) == moves_along
    assert moves_along or moved.abs().max() > 1e-5


def test_positions_run_from_minus_one_to_one() -> None:
    module = models.build("conv1d_attention_positions", datasets.task("shapes"))
    x = torch.randn(3, 1, 100)
    seen = module[0](x)
    assert torch.equal(seen[:, :1], x)
    assert torch.equal(seen[:, 1], torch.linspace(-1, 1, 100).expand(3, 100))


def test_one_token_attends_to_itself_alone() -> None:
    task = datasets.task("iris")
    module = models.build("transformer_published", task).eval()
    x, _ = task.sample(5)
    before = module(x)
    with torch.no_grad():
        for block in module[1].blocks:
            block.attention.qkv.weight[:128].normal_()  # queries and keys
    assert torch.allclose(module(x), before, atol=1e-6)


def normed(x: Array, layer: nn.LayerNorm) -> Array:
    return (x - x.mean()) / np.sqrt(x.var() + layer.eps) * layer.weight.numpy() + layer.bias.numpy()


@pytest.mark.parametrize(("features", "dim", "heads", "hidden", "narrow"), [(4, 64, 4, 256, 32), (7, 12, 3, 20, 5), (2, 8, 1, 9, 4)])
@pytest.mark.parametrize("model", ["transformer_published", "transformer_head_published"])
def test_an_encoder_of_one_token_is_its_formula(model: str, features: int, dim: int, heads: int, hidden: int, narrow: int) -> None:
    """The token's attention is all on itself: what comes of it is its value. Sine 0 and cosine 1 are its position."""
    torch.manual_seed(features)
    task = replace(datasets.task("iris"), input=Input("table", (features,)))
    more = {"narrow": narrow} if "head" in model else {}
    module = models.build(model, task, dim=dim, heads=heads, hidden=hidden, **more).double().eval().requires_grad_(False)
    for p in module.parameters():
        p.add_(0.1 * torch.randn_like(p))
    x = torch.randn(3, features, dtype=torch.float64)

    def linear(layer: nn.Linear, x: Array) -> Array:
        return layer.weight.numpy() @ x + layer.bias.numpy()

    for sample, ours in zip(x.numpy(), module(x).numpy(), strict=True):
        h = linear(module[1].tokens.project, sample) + np.arange(dim) % 2
        for block in module[1].blocks:
            h = normed(h + linear(block.attention.out, linear(block.attention.qkv, h)[2 * dim :]), block.norm1)
            h = normed(h + linear(block.mlp[2], np.maximum(linear(block.mlp[0], h), 0)), block.norm2)
        answer = module[1].answer.linear
        h = linear(answer, h) if model == "transformer_published" else linear(answer[3], np.maximum(linear(answer[0], h), 0))
        assert np.abs(ours - h).max() < 1e-10


def test_dropout_of_the_articles_head_strikes_in_training_alone() -> None:
    task = datasets.task("iris")
    module = models.build("transformer_head_published", task)
    x, _ = task.sample(50)
    assert not torch.equal(module(x), module(x))
    assert torch.equal(module.eval()(x), module(x))


def image(height: int, width: int, classes: int = 10) -> Task:
    return Task("mine", Input("image", (1, height, width)), Output("classes", classes), (9, 9, 9), datasets.task("digits").budgets)


@pytest.mark.parametrize(
    ("model", "task", "reason"),
    [
        ("hybrid", datasets.task("iris"), "starts with convolutions over an image; this task gives table"),
        ("hybrid", image(6, 6), "leave 1×1 of 6×6 pixels"),
        ("hybrid", image(3, 30), "leave 0×13 of 3×30 pixels"),
        ("hybrid", image(14, 14), "leave 5×5 of 14×14 pixels"),
        ("hybrid_published", image(28, 28, 101), "always answers with 100 classes; this task has 101"),
        ("deepvit", image(1, 1), "1×1 pixels has no whole number of half-side patches"),
        ("vit_large_published", datasets.task("cifar10"), "32×32 pixels has no whole number of patches of 7"),
        ("vit_published", datasets.task("plane"), "cuts an image into patches; this task gives points"),
        ("deepvit_published", datasets.task("shapes"), "cuts an image into patches; this task gives signal"),
        ("transformer_published", datasets.task("digits"), "makes one token of a table's features; this task gives image"),
        ("transformer_head_published", datasets.task("shapes"), "makes one token of a table's features; this task gives signal"),
        ("conv1d_attention_positions", datasets.task("digits"), "reads a signal; this task gives image"),
    ],
)
def test_where_they_make_no_sense_they_say_why(model: str, task: Task, reason: str) -> None:
    with pytest.raises(models.Unsupported, match=reason):
        models.build(model, task)


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="6 channels cannot be split into 4 heads"):
        SignalAttention(6, heads=4)
    with pytest.raises(ValueError, match="one head normalises one number"):
        ReAttention(8, 1)
    with pytest.raises(ValueError, match="a side of 14 pixels has 1 patches; the image has 4"):
        models.build("vit", datasets.task("mnist"), side=14)
