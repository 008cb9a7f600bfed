"""Attention layers, each once; every model uses these.

Sources: "Attention Is All You Need" (1706.03762), "An Image is Worth 16×16 Words" (2010.11929), "DeepViT" (2103.11886),
"Neural Machine Translation by Jointly Learning to Align and Translate" (1409.0473).
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


class ReAttention(SelfAttention):
    """Self-attention whose maps exchange what they saw before they are used (DeepViT, 2103.11886), (batch, tokens, dim) -> the same.

    After softmax and dropout, weights (batch, heads, query, key) are mixed over the heads by a learned heads×heads matrix and
    normalised over them: heads² + 2·heads parameters more. Rows no longer sum to 1, and weights may be negative.
    """

    def __init__(
        self, dim: int, heads: int, *, head_dim: int | None = None, qkv_bias: bool = True, out_bias: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__(dim, heads, head_dim=head_dim, qkv_bias=qkv_bias, out_bias=out_bias, dropout=dropout)
        if heads < 2:
            raise ValueError("re-attention over one head normalises one number, which is then always 0; give two heads or more")
        self.mix, self.norm = nn.Parameter(torch.randn(heads, heads)), nn.LayerNorm(heads)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = rearrange(self.qkv(x), "b n (three h d) -> three b h n d", three=3, h=self.heads).unbind(0)
        weights = self.dropout((q @ k.mT * q.shape[-1] ** -0.5).softmax(-1))
        weights = self.norm(weights.movedim(1, -1) @ self.mix).movedim(-1, 1)
        return self.dropout(self.out(rearrange(weights @ v, "b h n d -> b n (h d)")))


class SignalAttention(nn.Module):
    """Self-attention over the positions of a signal, (batch, channels, length) -> the same; one head unless said otherwise.

    Query, key and value are 1×1 convolutions without bias, their channels shared out among the `heads`; nothing follows the
    heads. Scores are not divided by the root of a head's channels unless `scaled` (S5).
    """

    def __init__(self, channels: int, *, heads: int = 1, scaled: bool = False) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"{channels} channels cannot be split into {heads} heads; choose a number that divides them")
        self.heads, self.scale = heads, None if scaled else 1.0
        self.query = nn.Conv1d(channels, channels, 1, bias=False)
        self.key = nn.Conv1d(channels, channels, 1, bias=False)
        self.value = nn.Conv1d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        split = "b (h d) n -> b h n d"
        q, k, v = (rearrange(project(x), split, h=self.heads) for project in (self.query, self.key, self.value))
        return rearrange(F.scaled_dot_product_attention(q, k, v, scale=self.scale), "b h n d -> b (h d) n")


class CrossAttention(nn.Module):
    """Multi-head attention of one sequence to another, or to itself behind a mask, (batch, query, dim) -> the same.

    It reads keys and values that `remember` has made of the other sequence: once for all steps of a decoder, or word by word.
    """

    def __init__(self, dim: int, heads: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"{dim} numbers cannot be split into {heads} heads")
        self.heads, self.dropout = heads, Dropout(dropout)
        self.query, self.memory, self.out = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)

    def remember(self, memory: Tensor) -> Tensor:
        """(batch, key, dim) -> keys and values, (batch, 2, heads, key, dim / heads)."""
        return rearrange(self.memory(memory), "b n (two h d) -> b two h n d", two=2, h=self.heads)

    def forward(self, x: Tensor, remembered: Tensor, mask: Tensor | None = None) -> Tensor:
        """`mask` is True where a query may look, (query, key) or (batch, 1, 1 or query, key); somewhere in every row."""
        q = rearrange(self.query(x), "b n (h d) -> b h n d", h=self.heads)
        k, v = remembered.unbind(1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=self.dropout.p if self.training else 0.0)
        return self.dropout(self.out(rearrange(y, "b h n d -> b n (h d)")))


class AdditiveAttention(nn.Module):
    """Weights v · tanh(W query + U state), softmax over the states (1409.0473): (query + state + 1) · size parameters, no biases.

    U state does not depend on the query: make it once, `keys = attention.key(states)`.
    """

    def __init__(self, query: int, state: int, size: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(query, size, bias=False), nn.Linear(state, size, bias=False)
        self.score = nn.Linear(size, 1, bias=False)

    def forward(self, query: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """query (batch, query), keys (batch, n, size), mask (batch, n), True where it may look -> weights (batch, n), 0 elsewhere."""
        scores = self.score(torch.tanh(self.query(query)[:, None] + keys))[..., 0]
        return scores.masked_fill(~mask, -torch.inf).softmax(-1)


def causal(length: int, device: torch.device) -> Tensor:
    """True where a query may look, at itself and what came before it, (length, length)."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


def sinusoids(length: int, dim: int) -> Tensor:
    """The position table of 1706.03762, (length, dim): sines in even columns, cosines in odd ones."""
    rates = torch.exp(torch.arange(0, dim, 2) * (-math.log(10_000.0) / dim))
    angles = torch.arange(length)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)[:, :dim]
