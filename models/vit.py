"""Vision Transformer (2010.11929) as configured by S4, with the true image side.

    (batch, c, h, w) -> 4 patches of half the side -> LayerNorm, Linear, LayerNorm -> class token + positions
      -> [ x + attention(norm(x)) -> x + mlp(norm(x)) ] × 6 -> norm -> class token -> classes

dim 128, 4 heads of 64, MLP 256, dropout 0.1. Images of up to 16 pixels get half the width, heads of 16 and depth 3.

    parameters            MNIST        CIFAR-10     CIFAR-100
    vit                    1,213,970    1,288,330    1,299,940
    vit_published          1,614,866    1,812,106    1,823,716   400,896 of them dead on MNIST, 523,776 on CIFAR
    vit_large_published   63,293,548                             dim 1024, 16 heads, MLP 2048, patch 7; 12,828,672 dead

The published ones pass the number of pixels as the image's side, 784 for 28: their position tables have (784 / 14)² + 1 rows,
of which 5 are read. The large one has 50,464,876 parameters with the true side.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.task import Task
from models import Takes, Unsupported, register
from models.attention import SelfAttention, linear
from models.dropout import Dropout

IMAGES = Takes("image", ("classes", "labels"), "cuts an image into patches", "classifies images")
CACHED = 600  # tokens that a CPU core's cache holds with what a layer makes of them; larger batches are evaluated in parts
AT_ONCE = 2**17  # numbers up to which dropout is drawn for all layers at once: a small draw costs more than its numbers
Keep = list[Tensor | None]  # four factors of dropout of a layer, in the order of `Layer.struck`


# As in attention.py: calling a module costs as much as the arithmetic of a few tokens.
def norm(layer: nn.LayerNorm, x: Tensor) -> Tensor:
    return torch.layer_norm(x, layer.normalized_shape, layer.weight, layer.bias, layer.eps)


def dropped(x: Tensor, keep: Tensor | None) -> Tensor:
    return x if keep is None else x * keep


class Layer(nn.Module):
    """One pre-norm encoder layer, (batch, tokens, dim) -> the same; `first` gives the class token alone, (batch, dim)."""

    mlp: Any

    def __init__(self, dim: int, heads: int, head_dim: int, hidden: int, dropout: float, attention: type[SelfAttention]) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = attention(dim, heads, head_dim=head_dim, qkv_bias=False, dropout=dropout)
        drop = Dropout(dropout)  # not called: the model draws for all layers (`ViT.keep`)
        self.mlp = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), drop, nn.Linear(hidden, dim), drop)

    def forward(self, x: Tensor, keep: Keep) -> Tensor:
        weights, out, *inner = keep
        return self.inner(x + dropped(self.attention.mixed(norm(self.norm, x), weights), out), *inner)

    def first(self, x: Tensor, keep: Keep) -> Tensor:
        weights, out, *inner = keep
        return self.inner(x[:, 0] + dropped(self.attention.first(norm(self.norm, x), weights), out), *inner)

    def inner(self, x: Tensor, hidden: Tensor | None, out: Tensor | None) -> Tensor:
        before, up, _, _, down, _ = self.mlp
        return x + dropped(linear(down, dropped(F.gelu(linear(up, norm(before, x))), hidden)), out)

    def struck(self, batch: int, tokens: int, first: bool) -> list[tuple[int, ...]]:
        """Shapes of what dropout strikes: attention weights, what comes from them, the hidden layer, what comes from it."""
        up, heads, rows = self.mlp[1], self.attention.heads, (batch,) if first else (batch, tokens)
        outer = (*rows, up.in_features)
        return [(batch * heads, tokens, 1 if first else tokens), outer, (*rows, up.out_features), outer]


class ViT(nn.Module):
    """(batch, channels, height, width) -> (batch, classes).

    side        side of the images that the position table is built for, where it is not theirs; the first rows are read
    attention   the layer that mixes the tokens
    """

    embed: Any
    layers: Any

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int,
        *,
        patch: int,
        dim: int,
        depth: int,
        heads: int,
        head_dim: int,
        hidden: int,
        dropout: float,
        side: int | None = None,
        attention: type[SelfAttention] = SelfAttention,
    ) -> None:
        super().__init__()
        channels, height, width = shape
        self.patch = patch
        pixels, patches = channels * patch**2, (height // patch) * (width // patch)
        self.tokens = patches + 1
        rows = patches if side is None else (side // patch) ** 2
        if rows < patches:
            raise ValueError(f"a position table for a side of {side} pixels has {rows} patches; the image has {patches}")
        self.embed = nn.Sequential(nn.LayerNorm(pixels), nn.Linear(pixels, dim), nn.LayerNorm(dim))
        self.class_token = nn.Parameter(torch.randn(dim))
        self.positions = nn.Parameter(torch.randn(rows + 1, dim))
        self.dropout = Dropout(dropout)
        self.layers = nn.Sequential(*(Layer(dim, heads, head_dim, hidden, dropout, attention) for _ in range(depth)))
        self.norm, self.answer = nn.LayerNorm(dim), nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        if self.training or x.device.type != "cpu":
            return self.answers(x)
        parts = -(-len(x) * self.tokens // CACHED)
        return self.answers(x) if parts < 2 else torch.cat([self.answers(part) for part in x.chunk(parts)])

    def answers(self, x: Tensor) -> Tensor:
        before, project, after = self.embed
        x = norm(after, linear(project, norm(before, self.patches(x))))
        first, others = self.positions[: self.tokens].split([1, self.tokens - 1])
        x = F.pad(x, (0, 0, 1, 0)) + torch.cat([self.class_token + first, others])  # joining the class token to every image is slow
        keep = self.keep(x)
        x = dropped(x, next(keep))
        *layers, last = self.layers
        for layer in layers:
            x = layer(x, [next(keep) for _ in range(4)])
        return linear(self.answer, norm(self.norm, last.first(x, list(keep))))

    def keep(self, x: Tensor) -> Iterator[Tensor | None]:
        """Factors of dropout, 0 where it strikes: one for the tokens, then four for every layer."""
        if not (self.training and self.dropout.p):
            return iter([None] * (1 + 4 * len(self.layers)))
        batch, tokens, _ = x.shape
        shapes: list[tuple[int, ...]] = [tuple(x.shape)]
        for i, layer in enumerate(self.layers, 1):
            shapes += layer.struck(batch, tokens, first=i == len(self.layers))
        sizes = [prod(shape) for shape in shapes]
        if sum(sizes) > AT_ONCE:
            return (self.dropout.factors(x, *shape) for shape in shapes)
        drawn = self.dropout.factors(x, sum(sizes)).split(sizes)
        return (part.view(shape) for part, shape in zip(drawn, shapes, strict=True))

    def patches(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, patches, numbers of a patch: row, column, channel)."""
        batch, channels, height, width = x.shape
        cut = x.reshape(batch, channels, height // self.patch, self.patch, width // self.patch, self.patch)
        return cut.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, channels * self.patch**2)


def usual(side: int) -> dict[str, int]:
    """Width, depth and size of a head for images of that side."""
    return {"dim": 64, "depth": 3, "head_dim": 16} if side <= 16 else {"dim": 128, "depth": 6, "head_dim": 64}


def parted(task: Task, patch: int | None) -> int:
    """The side of a patch, half of the image's unless given. Unsupported if there are no whole patches."""
    _, *sides = task.input.shape
    size = patch or min(sides) // 2
    if size < 1 or any(side % size for side in sides):
        of = f"patches of {patch}" if patch else "half-side patches"
        raise Unsupported(f"an image of {'×'.join(map(str, sides))} pixels has no whole number of {of}")
    return size


@register(family="attention", takes=IMAGES)
def vit(
    task: Task,
    *,
    patch: int | None = None,
    dim: int | None = None,
    depth: int | None = None,
    heads: int = 4,
    head_dim: int | None = None,
    hidden: int | None = None,
    dropout: float = 0.1,
    side: int | None = None,
    attention: type[SelfAttention] = SelfAttention,
) -> ViT:
    patch = parted(task, patch)
    fitting = usual(min(task.input.shape[1:]))
    dim = dim or fitting["dim"]
    return ViT(
        task.input.shape,
        task.output.size,
        patch=patch,
        dim=dim,
        depth=depth or fitting["depth"],
        heads=heads,
        head_dim=head_dim or fitting["head_dim"],
        hidden=hidden or 2 * dim,
        dropout=dropout,
        side=side,
        attention=attention,
    )


def pixels(task: Task) -> int:
    """Pixels of an image, which the source passes where its side belongs."""
    return task.input.size // task.input.shape[0]


@register(family="attention", takes=IMAGES)
def vit_published(task: Task, *, depth: int | None = None) -> nn.Module:
    return vit(task, depth=depth, side=pixels(task))


@register(family="attention", takes=IMAGES)
def vit_large_published(task: Task, *, depth: int = 6) -> nn.Module:
    return vit(task, patch=7, dim=1024, depth=depth, heads=16, head_dim=64, hidden=2048, side=pixels(task))
