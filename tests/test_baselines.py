"""The strong baselines: published counts, weights transplanted from timm and vit-pytorch, formulas re-derived, what trains together."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from vit_pytorch.cct import CCT

import datasets
import models
from bench.train.faithful import stays_alone
from datasets.task import Input, Output, Task

IMAGES = ("digits", "mnist_5k", "cifar10")


def size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("model", "dataset", "sizes", "count"),
    [
        ("resnet", "cifar10", {}, 269_722),  # 0.27 M
        ("convmixer_published", "cifar10", {}, 594_186),
        ("cct", "cifar10", {}, 283_723),  # 0.284 M
        ("inception_time", "mnist1d", {"depth": 6, "width": 32, "kernel": 40}, 421_482),
    ],
)
def test_parameters_of_the_published_sizes(model: str, dataset: str, sizes: dict[str, int], count: int) -> None:
    assert size(models.build(model, datasets.task(dataset), **sizes)) == count


@pytest.mark.parametrize(
    ("model", "sizes", "count"),
    [
        ("mlp_mixer", {"dim": 768, "depth": 12, "places": 384, "hidden": 3072, "patch": 16}, 59_880_472),  # Mixer-B/16, 59 M
        ("convmixer", {"width": 1536, "depth": 20, "kernel": 9, "patch": 7}, 51_625_960),  # ConvMixer-1536/20, 51.6 M
    ],
)
def test_parameters_of_the_published_sizes_on_imagenet(model: str, sizes: dict[str, int], count: int) -> None:
    digits = datasets.task("digits")
    imagenet = Task("mine", Input("image", (3, 224, 224)), Output("classes", 1000), (9, 9, 9), digits.budgets)
    with torch.device("meta"):
        assert size(models.build(model, imagenet, **sizes)) == count


class Narrowed(nn.Module):
    """What a shortcut without parameters does: every other pixel, and channels of 0 before and after."""

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        zeros = torch.zeros(len(x), channels // 2, (x.shape[2] + 1) // 2, (x.shape[3] + 1) // 2, dtype=x.dtype)
        return torch.cat([zeros, x[:, :, ::2, ::2], zeros], 1)


def resnet_of_timm(task: Task) -> nn.Module:
    from timm.models.resnet import BasicBlock  # takes seconds, and every worker of the tests reads this file

    n = 3 if task.input.shape[1] >= 32 else 1
    blocks: list[nn.Module] = [BasicBlock(16, 16) for _ in range(n)]
    for planes in (32, 64):
        blocks += [BasicBlock(planes // 2, planes, 2, Narrowed()), *(BasicBlock(planes, planes) for _ in range(n - 1))]
    stem = [nn.Conv2d(task.input.shape[0], 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, task.output.size))


def theirs(model: str, task: Task) -> nn.Module:
    from timm.models.convmixer import ConvMixer
    from timm.models.mlp_mixer import MlpMixer

    channels, side, _ = task.input.shape
    classes, width = task.output.size, 128 if side >= 32 else 64
    if model == "resnet":
        return resnet_of_timm(task)
    if model == "convmixer":
        return ConvMixer(width, 4, kernel_size=5, patch_size=1 if side == 8 else 2, in_chans=channels, num_classes=classes)
    if model == "convmixer_published":
        return ConvMixer(256, 8, kernel_size=5, patch_size=1 if side == 8 else 2, in_chans=channels, num_classes=classes)
    if model == "mlp_mixer":
        patch = 2 if side == 8 else 4
        ratios = (0.5, 2.0)
        return MlpMixer(classes, side, channels, patch, num_blocks=4, embed_dim=width, mlp_ratio=ratios)
    convolutions = 1 if side == 8 else 2
    return CCT(
        img_size=side,
        embedding_dim=width,
        n_input_channels=channels,
        n_conv_layers=convolutions,
        kernel_size=3,
        stride=1,
        padding=1,
        num_layers=2,
        num_heads=2,
        mlp_ratio=1.0,
        num_classes=classes,
        positional_embedding="learnable",
    )


def state(module: nn.Module) -> dict[str, Tensor]:
    """Weights and running statistics, in the order of registration."""
    return {key: value for key, value in module.state_dict().items() if not key.endswith("num_batches_tracked")}


ORDER = {  # ours by theirs, where layers are not registered alike: which key of theirs goes where
    "mlp_mixer": {
        "stem.proj": "embed",
        "blocks": "layers",
        "norm1": "norms.0",
        "norm2": "norms.1",
        "mlp_tokens.fc1": "over_places.0",
        "mlp_tokens.fc2": "over_places.2",
        "mlp_channels.fc1": "over_channels.0",
        "mlp_channels.fc2": "over_channels.2",
        "head": "answer",
    },
    "cct": {
        "tokenizer.conv_layers.0.0": "convolutions.0",
        "tokenizer.conv_layers.1.0": "convolutions.3",
        "classifier.": "",
        "positional_emb": "positions",
        "attention_pool": "worth",
        "blocks": "layers",
        "pre_norm": "before",
        "norm1": "between",
        "self_attn.qkv": "attention.qkv",
        "self_attn.proj": "attention.out",
        "linear1": "mlp.0",
        "linear2": "mlp.2",
        "fc": "answer",
    },
    "resnet": {"bn1": "norms.0", "bn2": "norms.1", "conv1": "first", "conv2": "second"},
}


def renamed(model: str, key: str) -> str:
    for old, new in ORDER[model].items():
        key = key.replace(old, new)
    return key


@pytest.mark.parametrize("dataset", IMAGES)
@pytest.mark.parametrize("model", ["resnet", "convmixer", "convmixer_published", "mlp_mixer", "cct"])
def test_transplanted(model: str, dataset: str) -> None:
    torch.manual_seed(len(model))
    task = datasets.task(dataset)
    other, ours = theirs(model, task), models.build(model, task)
    with torch.no_grad():
        for tensor in state(other).values():  # norms and their statistics start as the identity, which would hide what they do
            tensor.copy_(0.5 + torch.rand_like(tensor) if tensor.ndim == 1 else tensor + 0.02 * torch.randn_like(tensor))
    weights, own = state(other), state(ours)
    names = list(own) if model.startswith("convmixer") else [renamed(model, key) for key in weights]  # the one is registered alike
    given = {name: weight.reshape(own[name].shape) for name, weight in zip(names, weights.values(), strict=True)}
    assert set(given) == set(own)
    ours.load_state_dict(given, strict=False)
    x = task.sample(5, torch.Generator().manual_seed(0))[0].double()
    ours, other = ours.double().eval(), other.double().eval()
    assert (ours(x) - other(x)).abs().max() < 1e-10 * other(x).abs().max()
    if model in ("resnet", "convmixer"):  # and by the statistics of the batch
        assert (ours.train()(x) - other.train()(x)).abs().max() < 1e-9


@pytest.mark.parametrize(("dataset", "sizes"), [("mnist1d", {}), ("mnist1d", {"depth": 6, "kernel": 40}), ("shapes", {})])
def test_inception_time_by_its_formula(dataset: str, sizes: dict[str, int]) -> None:
    torch.manual_seed(1)
    task = datasets.task(dataset)
    net = models.build("inception_time", task, **sizes).double().eval()
    weights = iter(state(net).values())
    with torch.no_grad():
        for tensor in state(net).values():
            if tensor.ndim == 1:
                tensor.copy_(0.5 + torch.rand_like(tensor))

    def given() -> Tensor:
        return next(weights)

    def same(x: Tensor, weight: Tensor) -> Tensor:
        kernel = weight.shape[2]
        padded = F.pad(x, ((kernel - 1) // 2, kernel - 1 - (kernel - 1) // 2))
        return torch.einsum("ock,bclk->bol", weight, padded.unfold(2, kernel, 1))

    def normal(x: Tensor) -> Tensor:
        scale, shift, mean, variance = (given()[:, None] for _ in range(4))
        return (x - mean) / (variance + 1e-5).sqrt() * scale + shift

    x = task.sample(4, torch.Generator().manual_seed(0))[0].double()
    h = x
    for _ in range(sizes.get("depth", 3) // 3):
        before = h
        for _ in range(3):
            narrow = same(h, given()) if h.shape[1] > 1 else h
            parts = [same(narrow, given()) for _ in range(3)]
            highest = F.pad(h, (1, 1), value=-torch.inf).unfold(2, 3, 1).amax(3)
            h = normal(torch.cat([*parts, same(highest, given())], 1)).clamp_min(0)
        h = (h + normal(same(before, given()))).clamp_min(0)
    expected = same(h, given()) + given()[:, None] if dataset == "shapes" else h.mean(2) @ given().T + given()
    assert next(weights, None) is None
    assert (net(x) - expected).abs().max() < 1e-10


@pytest.mark.parametrize(
    ("model", "dataset", "why"),
    [
        ("resnet", "digits", "BatchNorm2d: batch statistics are state"),
        ("convmixer", "digits", "BatchNorm2d: batch statistics are state"),
        ("inception_time", "mnist1d", "BatchNorm1d: batch statistics are state"),
        ("cct", "digits", "Dropout: dropout draws from one stream"),
        ("mlp_mixer", "digits", None),
    ],
)
def test_which_of_them_train_side_by_side(model: str, dataset: str, why: str | None) -> None:
    task = datasets.task(dataset)
    module = models.build(model, task)
    assert stays_alone(module, 1.0, task, task.budget("default"), torch.device("cpu")) == why


def test_sizes_that_cannot_be_say_so() -> None:
    with pytest.raises(ValueError, match="depth is a multiple of 3"):
        models.build("inception_time", datasets.task("mnist1d"), depth=4)
    with pytest.raises(models.Unsupported, match="no whole number of patches of 5"):
        models.build("mlp_mixer", datasets.task("digits"), patch=5)
    with pytest.raises(models.Unsupported, match="8×8 pixels are too few"):
        models.build("cct", datasets.task("digits"), convolutions=4)
