"""What attention layers weigh by, layer by layer, how it adds up over the layers (rollout), and where its patches lie in an image."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.figures.subject import NoPicture
from models.attention import watch
from models.vit import ViT

SAMPLES = 64  # of the test split that a mean is taken over


def maps(module: nn.Module, x: Tensor) -> list[Tensor]:
    """The attention weights of every layer, from the first to the last, each (batch, heads, query, key).

    A model that evaluates a batch in parts is put together again. NoPicture for one without attention.
    """
    with torch.no_grad(), watch() as seen:
        module(x)
    parts: dict[int, list[Tensor]] = {}
    for layer, weights in seen:
        parts.setdefault(id(layer), []).append(weights)
    if not parts:
        raise NoPicture("no layer of it shows attention weights")
    layers = [torch.cat(of_layer) for of_layer in parts.values()]
    if any(len(weights) != len(x) for weights in layers):
        raise NoPicture("a layer of it attends several times to one sample")
    if len({weights.shape[-1] for weights in layers}) > 1:
        raise NoPicture("its layers see different numbers of tokens")
    return layers


def shares(layers: list[Tensor]) -> bool:
    """Whether the weights are shares: not negative, every row of them 1 in sum. Re-attention's are not."""
    return all(bool((w >= 0).all()) and bool(((w.sum(-1) - 1).abs() < 1e-3).all()) for w in layers)


def patches(tokens: int, height: int, width: int) -> tuple[int, int, bool]:
    """Rows and columns of the grid of square patches that so many tokens are of an image, and whether a class token comes first.

    Both cannot be possible: of two grids in one ratio of sides the patches never differ by one. NoPicture if neither is.
    """
    for classed in (False, True):
        rows = math.isqrt((tokens - classed) * height // width)
        columns = rows * width // height
        if rows and columns and rows * columns == tokens - classed and rows * width == columns * height:
            return rows, columns, classed
    raise NoPicture(f"its {tokens} tokens are no grid of patches")


def rolled(layers: list[Tensor], classed: bool) -> Tensor:
    """Attention rollout (2005.00928): how much of each patch reaches the answer, (batch, patches), 1 in sum.

    layers    weights (batch, heads, query, key) from the first layer to the last; the last may ask for the class token alone
    classed   whether a class token comes first; its row is read, else the mean of all rows

    Â = (mean over heads + identity) / 2, rows normalised, multiplied over the layers. Re-attention's weights may be negative:
    their sizes are taken. What stays in the class token itself is left out.
    """
    flow: Tensor | None = None
    for weights in layers:
        mixed = weights.double().abs().mean(1)
        mixed = mixed / mixed.sum(-1, keepdim=True)
        step = (mixed + torch.eye(mixed.shape[-1], dtype=torch.float64)[: mixed.shape[1]]) / 2
        flow = step if flow is None else step @ flow
    assert flow is not None
    found = flow[:, 0, 1:] if classed else flow.mean(1)
    return found / found.sum(-1, keepdim=True)


class Field(NamedTuple):
    """The part of an image, in pixels, that a model cuts into patches: as much from the top as from the left, its height, its
    width; and how far beyond its own square a patch sees."""

    start: float
    height: int
    width: int
    reach: float


def field(module: nn.Module, height: int, width: int) -> Field:
    """The whole image; after convolutions and poolings in front of a ViT what the cells of its map are the middle of."""
    if not (isinstance(module, nn.Sequential) and isinstance(module[-1], ViT)):
        return Field(0, height, width, 0)
    start, step, sees, cells = 0, 1, 1, [height, width]
    for layer in module:
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            kernel, stride, padding = (v[0] if isinstance(v, tuple) else int(v) for v in (layer.kernel_size, layer.stride, layer.padding))
            start -= int(padding) * step
            sees += (kernel - 1) * step
            step *= stride
            cells = [(n + 2 * int(padding) - kernel) // stride + 1 for n in cells]
    beyond = (sees - step) / 2
    return Field(start + beyond, cells[0] * step, cells[1] * step, beyond)


def looked_at(module: nn.Module, x: Tensor) -> tuple[Tensor, bool]:
    """The rollout over the patches, (batch, rows, columns), and whether the weights were shares. NoPicture where there are no patches."""
    layers = maps(module, x)
    rows, columns, classed = patches(layers[0].shape[-1], *x.shape[2:])
    return rolled(layers, classed).unflatten(1, (rows, columns)), shares(layers)
