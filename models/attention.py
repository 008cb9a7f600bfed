"""Attention layers, each once; every model uses these.

Sources: "Attention Is All You Need" (1706.03762), "An Image is Worth 16×16 Words" (2010.11929), "DeepViT" (2103.11886),
"Neural Machine Translation by Jointly Learning to Align and Translate" (1409.0473).

To see the weights, open `watch`: every layer then tells what it weighs by, beside doing what it always does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from models.dropout import Dropout

FEW = 8  # tokens up to which a batch does without the fused kernel, whose start costs more than they do


class Seen(NamedTuple):
    """What one layer weighed its values by in one call: weights (batch, heads, query, key), without gradient."""

    layer: nn.Module
    weights: Tensor


watching: list[Seen] | None = None


@contextmanager
def watch() -> Iterator[list[Seen]]:
    """The one switch that shows attention: a list that grows by what every layer weighs by, in the order of the calls.

        with watch() as seen:
            model.eval()(x)

    Outputs stay the same to the last bit: a kernel that keeps its weights to itself runs as ever, and they are computed again
    beside it from its own queries and keys. In training, what is shown is after dropout where the layer itself drops weights,
    and before it where the kernel does. A layer that answers for the first token alone has one query. A model that
    evaluates a large batch in parts (`vit`) is seen in parts: group by `layer`.
    """
    global watching
    before, seen = watching, list[Seen]()
    watching = seen
    try:
        yield seen
    finally:
        watching = before


@torch.no_grad()
def show(layer: nn.Module, weights: Tensor) -> None:
    """Tell who watches."""
    if watching is not None:
        watching.append(Seen(layer, weights.detach()))


def attend(
    layer: nn.Module, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, dropout: float = 0.0, scale: float | None = None
) -> Tensor:
    """softmax(q kᵀ · scale) v by torch's fused kernel, (batch, heads, query or key, head_dim); scale is head_dim^-½ unless given."""
    if watching is not None:
        with torch.no_grad():
            scores = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
            show(layer, (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(-1))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, scale=scale)


# Calling a module costs as much as the arithmetic of a few tokens, so parameters are handed to the functions directly.
def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    return F.linear(x, layer.weight, layer.bias)


class SelfAttention(nn.Module):
    """Multi-head self-attention, (batch, tokens, dim) -> (batch, tokens, dim).

    dim                width of a token
    heads, head_dim    head_dim is dim / heads unless given
    qkv_bias, out_bias whether the projections carry biases; a key's bias never changes the output, softmax removes it
    dropout            on the attention weights and on the output, while training
    """

    fused = True  # torch's own kernel does what `weigh` does, and quicker; on a CPU it is slow to drop weights

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
        if not self.training or not self.dropout.p:
            return self.mixed(x)
        batch, tokens, _ = x.shape
        return self.dropout(
            self.mixed(x, None if x.is_cuda and self.fused else self.dropout.factors(x, batch * self.heads, tokens, tokens))
        )

    def weigh(self, scores: Tensor, keep: Tensor | None) -> Tensor:
        """How much every value counts, (batch · heads, key, query); softmax over few keys is quicker where they are not last."""
        weights = scores.softmax(1)
        return weights if keep is None else weights * keep

    def mixed(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """All but the dropout of the output. `keep`: factors of the weights' dropout, (batch · heads, key, query)."""
        batch, tokens, _ = x.shape
        if self.fused and not self.training and x.is_cpu and tokens <= FEW and batch >= 8:
            return self.few(x)
        qkv = linear(self.qkv, x).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if keep is None and self.fused:
            q, k, v = qkv.unbind(0)
            y = attend(self, q, k, v, dropout=self.dropout.p if self.training else 0.0)
        else:
            q, k, v = qkv.reshape(3, batch * self.heads, tokens, -1).unbind(0)
            weights = self.weigh(torch.bmm(k, q.mT) * q.shape[-1] ** -0.5, keep)
            if watching is not None:
                show(self, weights.view(batch, self.heads, tokens, tokens).mT)
            y = torch.bmm(weights.mT, v).view(batch, self.heads, tokens, -1)
        return linear(self.out, y.transpose(1, 2).reshape(batch, tokens, -1))

    def few(self, x: Tensor) -> Tensor:
        """`mixed` for few tokens of a large batch: heads come out of the projection side by side, and nothing is copied."""
        batch, tokens, dim = x.shape
        split = self.qkv.weight.view(3 * self.heads, -1, dim).mT
        rows = x.reshape(1, -1, dim).expand(len(split), -1, -1)
        projected = torch.bmm(rows, split)
        if self.qkv.bias is not None:
            projected = projected + self.qkv.bias.view(len(split), 1, -1)
        q, k, v = projected.view(3, self.heads * batch, tokens, -1).unbind(0)
        weights = self.weigh(torch.bmm(k, q.mT) * q.shape[-1] ** -0.5, None)
        if watching is not None:
            show(self, weights.view(self.heads, batch, tokens, tokens).mT.transpose(0, 1))
        y = torch.bmm(weights.mT, v).view(self.heads, batch, tokens, -1)
        return linear(self.out, y.permute(1, 2, 0, 3).reshape(batch, tokens, -1))

    def first(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """What `mixed` gives the first token, (batch, tokens, dim) -> (batch, dim). ValueError if query, key and value have biases.

        One query needs no keys and values of all tokens: q · (Wk x) is (q Wk) · x, and the sum of w (Wv x) is Wv (the sum of w x).
        """
        if self.qkv.bias is not None:
            raise ValueError("the first token alone is answered for without biases of query, key and value; give qkv_bias=False")
        batch, tokens, dim = x.shape
        query, key, value = self.qkv.weight.view(3, self.heads, -1, dim).unbind(0)  # (heads, head_dim, dim)
        q = torch.bmm(x[:, 0].expand(self.heads, batch, dim), query.mT)
        scores = torch.bmm(torch.bmm(q * q.shape[-1] ** -0.5, key).transpose(0, 1), x.mT)
        weights = self.weigh(scores.view(-1, tokens, 1), keep).view(scores.shape)
        if watching is not None:
            show(self, weights[:, :, None])
        seen = torch.bmm(torch.bmm(weights, x).transpose(0, 1), value.mT)
        return linear(self.out, seen.transpose(0, 1).reshape(batch, -1))


class ReAttention(SelfAttention):
    """Self-attention whose maps exchange what they saw before they are used (DeepViT, 2103.11886), (batch, tokens, dim) -> the same.

    After softmax and dropout, weights (batch, heads, query, key) are mixed over the heads by a learned heads×heads matrix and
    normalised over them: heads² + 2·heads parameters more. Rows no longer sum to 1, and weights may be negative.
    """

    fused = False

    def __init__(
        self, dim: int, heads: int, *, head_dim: int | None = None, qkv_bias: bool = True, out_bias: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__(dim, heads, head_dim=head_dim, qkv_bias=qkv_bias, out_bias=out_bias, dropout=dropout)
        if heads < 2:
            raise ValueError("re-attention over one head normalises one number, which is then always 0; give two heads or more")
        self.mix, self.norm = nn.Parameter(torch.randn(heads, heads)), nn.LayerNorm(heads)

    def weigh(self, scores: Tensor, keep: Tensor | None) -> Tensor:
        """The heads stay in front of keys and queries all the time: nothing is copied."""
        mix = self.mix - self.mix.mean(1, keepdim=True)  # mixes and takes the mean over the heads away in one
        weights = super().weigh(scores, keep).view(-1, self.heads, scores[0].numel())
        mixed = torch.bmm(mix.mT.expand(len(weights), -1, -1), weights)
        scale = (mixed.square().mean(1, keepdim=True) + self.norm.eps).rsqrt()
        return torch.addcmul(self.norm.bias[:, None], mixed * scale, self.norm.weight[:, None]).view(scores.shape)


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
        return rearrange(attend(self, q, k, v, scale=self.scale), "b h n d -> b (h d) n")


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
        y = attend(self, q, k, v, mask, self.dropout.p if self.training else 0.0)
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
        weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)
        if watching is not None:
            show(self, weights[:, None, None])
        return weights


def causal(length: int, device: torch.device) -> Tensor:
    """True where a query may look, at itself and what came before it, (length, length)."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


def sinusoids(length: int, dim: int) -> Tensor:
    """The position table of 1706.03762, (length, dim): sines in even columns, cosines in odd ones."""
    rates = torch.exp(torch.arange(0, dim, 2) * (-math.log(10_000.0) / dim))
    angles = torch.arange(length)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)[:, :dim]
