"""Recurrent translation, with attention (1409.0473, as configured by S2) and without (1406.1078).

    x (batch, S) -> embed 128 -> GRU 256 forwards | GRU 256 backwards -> a state of 512 at every word

    bahdanau             at every step: context = Σ weight · state, weights = softmax(v · tanh(W h + U state)) over the words;
                         h = GRU 256 ([context 512, embed 128], h) -> vocabulary. The first h is the backward state at the first
                         word, as in the paper, but without its projection: the published count leaves room for none
    gru_seq2seq          the context of every step is the two last states, and tanh(V context) the first h: no attention

Parameters with vocabularies 12,014 and 21,016: 11,108,376 and 11,042,840 (bahdanau_published.py has 11,106,072). Below 2,000 words in
both, embed 32 and hidden 64. No state depends on padding: the backward GRU starts at the last word, and what is after it is not read.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.task import Task
from models import register
from models.attention import AdditiveAttention
from models.decode import SENTENCES, Tensors, Translator, few_words, words
from models.recurrent import GRU, Cell, ResetFirst

Layer = Callable[[int, int], nn.Module]


def along(values: Tensor, index: Tensor) -> Tensor:
    """values (batch, S, dim) at index (batch, n), (batch, n, dim)."""
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[2]))


class Encoder(nn.Module):
    """(batch, S) words -> states (batch, S, 2 hidden): what was read up to this word, what from the end back to it.

    Also the last states of both directions, (batch, 2 hidden). States after the last word mean nothing.
    """

    def __init__(self, vocabulary: int, embed: int, hidden: int, layer: Layer) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, embed)
        self.forwards, self.backwards = layer(embed, hidden), layer(embed, hidden)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        places, last = torch.arange(x.shape[1], device=x.device), words(x).sum(1, keepdim=True) - 1
        mirror = torch.where(places > last, places, last - places)  # words in reverse, padding where it was
        embedded = self.embed(x)
        there, back = self.forwards(embedded)[0], self.backwards(along(embedded, mirror))[0]
        ends = torch.cat([along(there, last), along(back, last)], 2)
        return torch.cat([there, along(back, mirror)], 2), ends[:, 0]


class GRUSeq2Seq(Translator):
    """(batch, S) -> (batch, T, vocabulary); source: the summary; state: the decoder's."""

    def __init__(self, task: Task, embed: int, hidden: int, beam: int) -> None:
        super().__init__(task, beam)
        self.encoder = Encoder(task.input.vocabulary, embed, hidden, GRU)
        self.first = nn.Linear(2 * hidden, hidden)
        self.embed = nn.Embedding(task.output.vocabulary, embed)
        self.decoder = GRU(2 * hidden + embed, hidden)
        self.project = nn.Linear(hidden, task.output.vocabulary)

    def begin(self, x: Tensor) -> tuple[Tensors, Tensors]:
        summary = self.encoder(x)[1]
        return (summary,), (self.first(summary).tanh(),)

    def decode(self, source: Tensors, state: Tensors, prefix: Tensor) -> Tensor:
        context = source[0][:, None].expand(-1, prefix.shape[1], -1)
        return self.decoder(torch.cat([context, self.embed(prefix)], 2), state[0][None])[0]

    def follow(self, x: Tensor, prefix: Tensor) -> Tensor:
        return self.decode(*self.begin(x), prefix)

    def step(self, source: Tensors, state: Tensors, token: Tensor) -> tuple[Tensor, Tensors]:
        state = (self.decode(source, state, token[:, None])[:, 0],)
        return self.project(state[0]), state


class Bahdanau(Translator):
    """(batch, S) -> (batch, T, vocabulary); source: keys, values, words; state: the decoder's.

    A value is what a word would send to the decoder's gates, its state times the context's columns of `weight_ih`: made once,
    not at every step, since a product with a weighted sum is the weighted sum of the products.
    """

    def __init__(self, task: Task, embed: int, hidden: int, beam: int, cell: Callable[[int, int], Cell | ResetFirst], layer: Layer) -> None:
        super().__init__(task, beam)
        self.sizes = [2 * hidden, embed]
        self.encoder = Encoder(task.input.vocabulary, embed, hidden, layer)
        self.embed = nn.Embedding(task.output.vocabulary, embed)
        self.attention = AdditiveAttention(hidden, 2 * hidden, hidden)
        self.cell = cell(sum(self.sizes), hidden)
        self.project = nn.Linear(hidden, task.output.vocabulary)

    def begin(self, x: Tensor) -> tuple[Tensors, Tensors]:
        states, ends = self.encoder(x)
        values = F.linear(states, self.cell.weight_ih.split(self.sizes, 1)[0])
        return (self.attention.key(states), values, words(x)), (ends.chunk(2, 1)[1],)

    def heard(self, tokens: Tensor) -> Tensor:
        """What the words said before send to the gates, (…) -> (…, 3 hidden)."""
        return F.linear(self.embed(tokens), self.cell.weight_ih.split(self.sizes, 1)[1], self.cell.bias_ih)

    def advance(self, source: Tensors, state: Tensors, heard: Tensor) -> Tensors:
        """The decoder's next state. The last part of a state is what asks: another one than its first, if a model begins so."""
        keys, values, read = source
        weights = self.attention(state[-1], keys, read)
        return (self.cell.step(torch.baddbmm(heard[:, None], weights[:, None], values)[:, 0], state[0]),)

    def follow(self, x: Tensor, prefix: Tensor) -> Tensor:
        source, state = self.begin(x)
        states = []
        for heard in self.heard(prefix.T).unbind():
            state = self.advance(source, state, heard)
            states.append(state[0])
        return torch.stack(states, 1)

    def step(self, source: Tensors, state: Tensors, token: Tensor) -> tuple[Tensor, Tensors]:
        state = self.advance(source, state, self.heard(token))
        return self.project(state[0]), state


def sizes(task: Task, embed: int | None, hidden: int | None) -> tuple[int, int]:
    few = few_words(task)
    return embed or (32 if few else 128), hidden or (64 if few else 256)


@register(takes=SENTENCES)
def gru_seq2seq(task: Task, *, embed: int | None = None, hidden: int | None = None, beam: int = 1) -> GRUSeq2Seq:
    return GRUSeq2Seq(task, *sizes(task, embed, hidden), beam)


@register(family="attention", takes=SENTENCES)
def bahdanau(task: Task, *, embed: int | None = None, hidden: int | None = None, beam: int = 1) -> Bahdanau:
    return Bahdanau(task, *sizes(task, embed, hidden), beam, Cell, GRU)
