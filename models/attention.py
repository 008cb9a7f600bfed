"""Attention layers, each once; every model uses these.

Sources: "Attention Is All You Need" (1706.03762), "An Image is Worth 16×16 Words" (2010.11929).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from models.dropout import Dropout


class SelfAttention(nn.Module):
    """Multi-head self-attention, (batch, tokens, dim) -> (batch, tokens, dim).

    dim                width of a token
    heads, head_dim    head_dim is dim / heads unless given
    qkv_bias, out_bias whether the projections carry biases; a key's bias never changes the output, softmax removes it
    dropout            on the attention weights and on the output, while training
    """

    def __init__(
        self, dim: int, heads: int, *, head_dim: int | None = None, qkv_bias: bool = True, out_bias: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if head_dim is None and dim % heads:
            raise ValueError(f"{dim} numbers cannot be split into {heads} heads; give head_dim")
        self.heads, self.dropout = heads, Dropout(dropout)
        inner = heads * (head_dim or dim // heads)
        self.qkv = nn.Linear(dim, 3 * inner, bias=qkv_bias)
        self.out = nn.Linear(inner, dim, bias=out_bias)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = rearrange(self.qkv(x), "b n (three h d) -> three b h n d", three=3, h=self.heads).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout.p if self.training else 0.0)
        return self.dropout(self.out(rearrange(y, "b h n d -> b n (h d)")))


class SignalAttention(nn.Module):
    """Single-head self-attention over the positions of a signal, (batch, channels, length) -> the same.

    Query, key and value are 1×1 convolutions without bias; scores are not divided by √channels unless `scaled` (S5).
    """

    def __init__(self, channels: int, *, scaled: bool = False) -> None:
        super().__init__()
        self.scale = None if scaled else 1.0
        self.query = nn.Conv1d(channels, channels, 1, bias=False)
        self.key = nn.Conv1d(channels, channels, 1, bias=False)
        self.value = nn.Conv1d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (project(x).transpose(1, 2) for project in (self.query, self.key, self.value))
        return F.scaled_dot_product_attention(q, k, v, scale=self.scale).transpose(1, 2)


def sinusoids(length: int, dim: int) -> Tensor:
    """The position table of 1706.03762, (length, dim): sines in even columns, cosines in odd ones."""
    rates = torch.exp(torch.arange(0, dim, 2) * (-math.log(10_000.0) / dim))
    angles = torch.arange(length)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)[:, :dim]
