"""The encoder–decoder of "Attention Is All You Need" (1706.03762), the same function as torch.nn.Transformer.

    x (batch, S) -> √dim · embed + positions -> [ norm(x + attention) -> norm(x + mlp) ] × depth -> norm = memory
    START, y     -> √dim · embed + positions -> [ norm(y + causal attention) -> norm(y + attention to memory) -> norm(y + mlp) ] × depth
                 -> norm -> the embedding of y transposed -> (batch, T, vocabulary)

Post-norm, sinusoidal positions, ReLU, dropout 0.1. As in the paper the output shares its weights with the target's embedding; the
source has a vocabulary and an embedding of its own. The last norm of each stack is torch's: the paper ends with a layer's.
dim 256, 4 heads, 3 + 3 layers, hidden 512: 3,954,688 parameters and 256 for each word. Below 2,000 words in both, dim 64,
2 + 2 layers, hidden 128.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.task import Task
from models import register
from models.attention import CrossAttention, causal, sinusoids
from models.decode import SENTENCES, Tensors, Translator, few_words, words
from models.dropout import Dropout


def mlp(dim: int, hidden: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim), Dropout(dropout))


class EncoderLayer(nn.Module):
    """(batch, S, dim) -> the same; `mask` as in CrossAttention."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention, self.norm1 = CrossAttention(dim, heads, dropout=dropout), nn.LayerNorm(dim)
        self.mlp, self.norm2 = mlp(dim, hidden, dropout), nn.LayerNorm(dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.norm1(x + self.attention(x, self.attention.remember(x), mask))
        return self.norm2(x + self.mlp(x))


class DecoderLayer(nn.Module):
    """(batch, n, dim), what it remembers of these n words and those before, and of the source -> (batch, n, dim)."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention, self.norm1 = CrossAttention(dim, heads, dropout=dropout), nn.LayerNorm(dim)
        self.cross, self.norm2 = CrossAttention(dim, heads, dropout=dropout), nn.LayerNorm(dim)
        self.mlp, self.norm3 = mlp(dim, hidden, dropout), nn.LayerNorm(dim)

    def forward(self, y: Tensor, past: Tensor, memory: Tensor, mask: Tensor, order: Tensor | None) -> Tensor:
        y = self.norm1(y + self.attention(y, past, order))
        y = self.norm2(y + self.cross(y, memory, mask))
        return self.norm3(y + self.mlp(y))


class TransformerSeq2Seq(Translator):
    """(batch, S) -> (batch, T, vocabulary). Source: words, then each layer's keys and values of the memory; state: of the words said."""

    positions: Tensor
    decoder: Any  # DecoderLayers; to mypy a ModuleList holds just modules

    def __init__(self, task: Task, dim: int, depth: int, heads: int, hidden: int, dropout: float, beam: int) -> None:
        super().__init__(task, beam)
        self.heads, self.scale, self.dropout = heads, dim**0.5, Dropout(dropout)
        self.register_buffer("positions", sinusoids(max(task.input.shape[0], self.length), dim), persistent=False)
        self.source, self.target = nn.Embedding(task.input.vocabulary, dim), nn.Embedding(task.output.vocabulary, dim)
        for embedding in (self.source, self.target):
            nn.init.normal_(embedding.weight, std=dim**-0.5)  # √dim · embedding and the logits are then of size 1
        self.encoder = nn.ModuleList(EncoderLayer(dim, heads, hidden, dropout) for _ in range(depth))
        self.decoder = nn.ModuleList(DecoderLayer(dim, heads, hidden, dropout) for _ in range(depth))
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def encode(self, x: Tensor, mask: Tensor) -> Tensor:
        """What torch calls the encoder: (batch, S, dim) embedded -> memory."""
        for layer in self.encoder:
            x = layer(x, mask)
        return self.norm1(x)

    def decode(self, y: Tensor, source: Tensors, pasts: Tensors | None = None) -> tuple[Tensor, Tensors]:
        """What torch calls the decoder, with what it remembers: (batch, T, dim) embedded, or one word more after `pasts`."""
        mask, *memories = source
        order = causal(y.shape[1], y.device) if pasts is None else None
        remembered = []
        for i, (layer, memory) in enumerate(zip(self.decoder, memories, strict=True)):
            past = layer.attention.remember(y)
            remembered.append(past if pasts is None else torch.cat([pasts[i], past], 3))
            y = layer(y, remembered[i], memory, mask, order)
        return self.norm2(y), tuple(remembered)

    def remember(self, memory: Tensor, mask: Tensor) -> Tensors:
        """A source: the mask and, for each layer of the decoder, keys and values of the memory."""
        return mask, *(layer.cross.remember(memory) for layer in self.decoder)

    def placed(self, embedded: Tensor, first: int = 0) -> Tensor:
        return self.dropout(embedded * self.scale + self.positions[first : first + embedded.shape[1]])

    def begin(self, x: Tensor) -> tuple[Tensors, Tensors]:
        mask = words(x)[:, None, None]
        memory = self.encode(self.placed(self.source(x)), mask)
        nothing = memory.new_empty(len(x), 2, self.heads, 0, memory.shape[2] // self.heads)
        return self.remember(memory, mask), (nothing,) * len(self.decoder)

    def follow(self, x: Tensor, prefix: Tensor) -> Tensor:
        return self.decode(self.placed(self.target(prefix)), self.begin(x)[0])[0]

    def step(self, source: Tensors, state: Tensors, token: Tensor) -> tuple[Tensor, Tensors]:
        y = self.placed(self.target(token[:, None]), state[0].shape[3])
        known, state = self.decode(y, source, state)
        return self.project(known[:, 0]), state

    def project(self, known: Tensor) -> Tensor:
        return F.linear(known, self.target.weight)


@register(family="attention", takes=SENTENCES)
def transformer_seq2seq(
    task: Task,
    *,
    dim: int | None = None,
    depth: int | None = None,
    heads: int = 4,
    hidden: int | None = None,
    dropout: float = 0.1,
    beam: int = 1,
) -> TransformerSeq2Seq:
    few = few_words(task)
    dim = dim or (64 if few else 256)
    return TransformerSeq2Seq(task, dim, depth or (2 if few else 3), heads, hidden or 2 * dim, dropout, beam)
