"""The controlled comparison: one embedding, one set of blocks, one head; only what mixes the tokens is swapped.

    tokens + positions -> [ x + mix(norm(x)) -> x + mlp(norm(x)) ] × depth -> norm -> answer

    backbone_attention   multi-head self-attention                         sees every token, weights depend on the content
    backbone_conv        pointwise ×2, SiLU, depthwise 3 (×3), pointwise   sees neighbours, fixed weights
    backbone_mlp         an MLP across the tokens, shared by channels      sees every token, fixed weights
    backbone_none        nothing: tokens meet only in the head

This is the MetaFormer experiment (2111.11418, 2210.13452), with the token MLP of MLP-Mixer (2105.01601). The attention and the
convolution mixer have nearly the same size, 4·dim² weights, on any input; the token MLP's depends on the number of tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.task import Task
from models import register
from models.attention import SelfAttention
from models.tokens import Answer, Tokens

Mixer = Callable[[int, tuple[int, ...]], nn.Module]


class ConvMixer(nn.Module):
    """Inverted separable convolution over the token grid, (batch, tokens, dim) -> the same; zeros beyond the border."""

    def __init__(self, dim: int, grid: tuple[int, ...], kernel: int) -> None:
        super().__init__()
        conv = nn.Conv2d if len(grid) == 2 else nn.Conv1d
        self.grid = grid
        self.expand = nn.Linear(dim, 2 * dim)
        self.depthwise = conv(2 * dim, 2 * dim, kernel, padding=kernel // 2, groups=2 * dim, bias=False)
        self.out = nn.Linear(2 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        y = F.silu(self.expand(x)).transpose(1, 2)
        return self.out(self.depthwise(y.unflatten(2, self.grid)).flatten(2).transpose(1, 2))


class TokenMLP(nn.Module):
    """One hidden layer across the tokens, the same for every channel, (batch, tokens, dim) -> the same."""

    def __init__(self, dim: int, grid: tuple[int, ...], hidden: int | None) -> None:
        super().__init__()
        hidden = hidden or min(64, 4 * prod(grid))
        self.up, self.down = nn.Linear(prod(grid), hidden), nn.Linear(hidden, prod(grid))

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x.transpose(1, 2)))).transpose(1, 2)


class Block(nn.Module):
    """Pre-norm residual block: mix the tokens (unless `mixer` is None), then an MLP inside each."""

    def __init__(self, dim: int, mixer: nn.Module | None) -> None:
        super().__init__()
        self.mix = nn.Sequential(nn.LayerNorm(dim), mixer) if mixer is not None else None
        self.mlp = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        if self.mix is not None:
            x = x + self.mix(x)
        return x + self.mlp(x)


class Backbone(nn.Module):
    """(batch, *input.shape) -> (batch, *output.shape); `mixer(dim, grid)` makes one block's mixer, None makes none."""

    def __init__(self, task: Task, mixer: Mixer | None, dim: int, depth: int) -> None:
        super().__init__()
        self.tokens = Tokens(task, dim)
        self.positions = nn.Parameter(0.02 * torch.randn(self.tokens.count, dim))
        self.blocks = nn.Sequential(*(Block(dim, mixer(dim, self.tokens.grid) if mixer else None) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.answer = Answer(task, self.tokens.count, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.answer(self.norm(self.blocks(self.tokens(x) + self.positions)))


def sized(task: Task, mixer: Mixer | None, dim: int | None, depth: int | None) -> Backbone:
    """The usual sizes: 32 wide and 2 deep; images 64 wide, and 3 deep from 17 pixels on."""
    image = task.input.kind == "image"
    large = image and min(task.input.shape[1:]) > 16
    return Backbone(task, mixer, dim or (64 if image else 32), depth or (3 if large else 2))


@register(family="attention")
def backbone_attention(task: Task, *, dim: int | None = None, depth: int | None = None, heads: int = 4) -> Backbone:
    return sized(task, lambda dim, grid: SelfAttention(dim, heads), dim, depth)


@register(family="convolution")
def backbone_conv(task: Task, *, dim: int | None = None, depth: int | None = None, kernel: int = 3) -> Backbone:
    return sized(task, partial(ConvMixer, kernel=kernel), dim, depth)


@register(family="mlp")
def backbone_mlp(task: Task, *, dim: int | None = None, depth: int | None = None, hidden: int | None = None) -> Backbone:
    return sized(task, partial(TokenMLP, hidden=hidden), dim, depth)


@register
def backbone_none(task: Task, *, dim: int | None = None, depth: int | None = None) -> Backbone:
    return sized(task, None, dim, depth)
