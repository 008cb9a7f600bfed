"""Additive-attention translation as S2 computes and trains it: 11,106,072 parameters with its vocabularies, 12,014 and 21,016.

`bahdanau`'s layers (models/seq2seq.py) with the paper's recurrence: reset before the recurrent product, one bias per gate. What else
differs from `bahdanau`:

    encoder    both directions run through the padding, the backward one before it comes to the last word; attention reads the words alone
    decoder    starts from the forward direction's last state; only the first query is the backward one's, later ones are the decoder's own
    loss       smoothed by 0.01, the mean over all words of a batch
    beam       of all extensions those with the best log-probability / words^0.75
    weights    recurrences start from Glorot's normal distribution over their whole matrix, biases 0, the output and its bias from
               another, padding's embeddings 0
"""

from __future__ import annotations

from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.task import Task
from datasets.vocabulary import PAD
from models import register
from models.decode import SENTENCES, Tensors, words
from models.recurrent import ResetFirst
from models.seq2seq import Bahdanau, Encoder

SMOOTHING = 0.01


class Through(Encoder):
    """(batch, S) -> states (batch, S, 2 hidden), and the last of both directions, (batch, 2 hidden): that at the end, that at the start."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        embedded = self.embed(x)
        there, back = self.forwards(embedded)[0], self.backwards(embedded.flip(1))[0]
        return torch.cat([there, back.flip(1)], 2), torch.cat([there[:, -1], back[:, -1]], 1)


class Published(Bahdanau):
    """(batch, S) -> (batch, T, vocabulary); source: keys, values, words; state: the decoder's and, at first, what asks."""

    power = 0.75

    def __init__(self, task: Task, embed: int, hidden: int, beam: int) -> None:
        super().__init__(task, embed, hidden, beam, ResetFirst, ResetFirst)
        self.encoder = Through(task.input.vocabulary, embed, hidden, ResetFirst)
        for layer in self.modules():
            if isinstance(layer, ResetFirst):
                inputs, gates = layer.weight_ih.shape[1] + layer.hidden_size, len(layer.weight_ih)
                for weight in (layer.weight_ih, layer.weight_hh):
                    nn.init.normal_(weight, std=sqrt(2 / (inputs + gates)))
                nn.init.zeros_(layer.bias_ih)
            elif isinstance(layer, nn.Embedding):
                with torch.no_grad():
                    layer.weight[PAD] = 0
            elif layer is self.project:
                for weight in layer.parameters():
                    nn.init.normal_(weight, std=sqrt(2 / (hidden + task.output.vocabulary)))

    def begin(self, x: Tensor) -> tuple[Tensors, Tensors]:
        states, ends = self.encoder(x)
        values = F.linear(states, self.cell.weight_ih.split(self.sizes, 1)[0])
        return (self.attention.key(states), values, words(x)), tuple(ends.chunk(2, 1))

    def loss(self, x: Tensor, y: Tensor, task: Task, generator: torch.Generator) -> Tensor:
        logits = self.teach(x, y).flatten(0, 1)
        return F.cross_entropy(logits, y.flatten(), ignore_index=PAD, label_smoothing=SMOOTHING)


@register(family="attention", takes=SENTENCES)
def bahdanau_published(task: Task, *, embed: int = 128, hidden: int = 256, beam: int = 1) -> Published:
    return Published(task, embed, hidden, beam)
