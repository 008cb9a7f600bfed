"""The controlled comparison: one embedding, one set of blocks, one head; only what mixes the tokens is swapped.

    tokens + positions -> [ x + mix(norm(x)) -> x + mlp(norm(x)) ] × depth -> norm -> answer

                           weights fixed        weights by content     compressed on the way
    reaches 5 (or 3×3)     backbone_conv        backbone_local
    reaches every token    backbone_mlp         backbone_attention     backbone_recurrent
    reaches no other       backbone_none: tokens meet only in the head

This is the MetaFormer experiment (2111.11418, 2210.13452). The five mixers (models/mixers.py) have the same size within 5 % for
2 to 64 tokens. Positions are learned and start as large as what they are added to, with deviation 1: started at 0.02 attention
finds a neighbour only after thousands of steps.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from datasets.task import Task
from models import register
from models.attention import SelfAttention
from models.mixers import ConvMixer, LocalAttention, MinGRU, TokenMLP
from models.tokens import Answer, Tokens

Mixer = Callable[[int, tuple[int, ...]], nn.Module]


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

    def __init__(self, task: Task, mixer: Mixer | None, dim: int, depth: int, patch: int | None = None) -> None:
        super().__init__()
        self.tokens = Tokens(task, dim, patch)
        self.positions = nn.Parameter(torch.randn(self.tokens.count, dim))
        self.blocks = nn.Sequential(*(Block(dim, mixer(dim, self.tokens.grid) if mixer else None) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.answer = Answer(task, self.tokens.count, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.answer(self.norm(self.blocks(self.tokens(x) + self.positions)))


def sized(task: Task, mixer: Mixer | None, dim: int | None, depth: int | None, patch: int | None) -> Backbone:
    """The usual sizes: 32 wide and 2 deep; images 64 wide, and 3 deep from 17 pixels on."""
    image = task.input.kind == "image"
    large = image and min(task.input.shape[1:]) > 16
    return Backbone(task, mixer, dim or (64 if image else 32), depth or (3 if large else 2), patch)


@register(family="attention")
def backbone_attention(
    task: Task, *, dim: int | None = None, depth: int | None = None, patch: int | None = None, heads: int = 4
) -> Backbone:
    return sized(task, lambda dim, grid: SelfAttention(dim, heads), dim, depth, patch)


@register(family="convolution")
def backbone_conv(
    task: Task, *, dim: int | None = None, depth: int | None = None, patch: int | None = None, kernel: int | None = None
) -> Backbone:
    return sized(task, partial(ConvMixer, kernel=kernel), dim, depth, patch)


@register(family="mlp")
def backbone_mlp(
    task: Task, *, dim: int | None = None, depth: int | None = None, patch: int | None = None, hidden: int | None = None
) -> Backbone:
    return sized(task, partial(TokenMLP, hidden=hidden), dim, depth, patch)


@register(family="attention")
def backbone_local(
    task: Task, *, dim: int | None = None, depth: int | None = None, patch: int | None = None, heads: int = 4, kernel: int | None = None
) -> Backbone:
    return sized(task, lambda dim, grid: LocalAttention(dim, heads, grid, kernel), dim, depth, patch)


@register
def backbone_recurrent(
    task: Task, *, dim: int | None = None, depth: int | None = None, patch: int | None = None, width: int | None = None
) -> Backbone:
    return sized(task, partial(MinGRU, width=width), dim, depth, patch)


@register
def backbone_none(task: Task, *, dim: int | None = None, depth: int | None = None, patch: int | None = None) -> Backbone:
    return sized(task, None, dim, depth, patch)
