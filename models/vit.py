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

import torch
from einops import rearrange
from torch import Tensor, nn

from datasets.task import Task
from models import Unsupported, register
from models.attention import SelfAttention
from models.dropout import Dropout


class Layer(nn.Module):
    """One pre-norm encoder layer, (batch, tokens, dim) -> the same; query, key and value without biases."""

    def __init__(self, dim: int, heads: int, head_dim: int, hidden: int, dropout: float, attention: type[SelfAttention]) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = attention(dim, heads, head_dim=head_dim, qkv_bias=False, dropout=dropout)
        drop = [Dropout(dropout)] if dropout else []
        self.mlp = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), *drop, nn.Linear(hidden, dim), *drop)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm(x))
        return x + self.mlp(x)


class ViT(nn.Module):
    """(batch, channels, height, width) -> (batch, classes).

    side        side of the images that the position table is built for, where it is not theirs; the first rows are read
    attention   the layer that mixes the tokens
    """

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
        rows = patches if side is None else (side // patch) ** 2
        if rows < patches:
            raise ValueError(f"a position table for a side of {side} pixels has {rows} patches; the image has {patches}")
        self.embed = nn.Sequential(nn.LayerNorm(pixels), nn.Linear(pixels, dim), nn.LayerNorm(dim))
        self.class_token = nn.Parameter(torch.randn(dim))
        self.positions = nn.Parameter(torch.randn(rows + 1, dim))
        self.drop = Dropout(dropout) if dropout else nn.Identity()
        self.layers = nn.Sequential(*(Layer(dim, heads, head_dim, hidden, dropout, attention) for _ in range(depth)))
        self.norm, self.answer = nn.LayerNorm(dim), nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(rearrange(x, "b c (h p) (w q) -> b (h w) (p q c)", p=self.patch, q=self.patch))
        x = torch.cat([self.class_token.expand(len(x), 1, -1), x], 1)
        x = x + self.positions[: x.shape[1]]
        return self.answer(self.norm(self.layers(self.drop(x))[:, 0]))


def usual(side: int) -> dict[str, int]:
    """Width, depth and size of a head for images of that side."""
    return {"dim": 64, "depth": 3, "head_dim": 16} if side <= 16 else {"dim": 128, "depth": 6, "head_dim": 64}


def parted(task: Task, patch: int | None) -> int:
    """The side of a patch, half of the image's unless given. Unsupported if the task is not about images and classes."""
    if task.input.kind != "image":
        raise Unsupported(f"cuts an image into patches; this task gives {task.input.kind} (see transformer)")
    if task.output.kind != "classes":
        raise Unsupported(f"classifies images; this task asks for a {task.output.kind}")
    _, *sides = task.input.shape
    size = patch or min(sides) // 2
    if size < 1 or any(side % size for side in sides):
        of = f"patches of {patch}" if patch else "half-side patches"
        raise Unsupported(f"an image of {'×'.join(map(str, sides))} pixels has no whole number of {of}")
    return size


@register(family="attention")
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


@register(family="attention")
def vit_published(task: Task, *, depth: int | None = None) -> nn.Module:
    return vit(task, depth=depth, side=pixels(task))


@register(family="attention")
def vit_large_published(task: Task, *, depth: int = 6) -> nn.Module:
    return vit(task, patch=7, dim=1024, depth=depth, heads=16, head_dim=64, hidden=2048, side=pixels(task))
