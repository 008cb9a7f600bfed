"""Saying one word after another: what the sequence-to-sequence models share, greedy decoding, and beam search.

    x (batch, S) words, PAD                 -> begin -> source, state     tuples of tensors, the batch in front
    START, then what was said last, (batch,) -> step  -> logits (batch, vocabulary), the next state

A source is only read, a state changes. A target is the words, END, then PAD; what follows a first END says nothing.

Beam search. A hypothesis is a beginning of a sentence; its score is the log-probability of its words, END included, with no
reward for length. Width w keeps w of them in order: place i takes the best one-word extension of the hypotheses in places 1 … i
that places 1 … i - 1 have not taken; one that has ended stays as it is. Place i never looks at a later one, so the hypotheses of
width w are all among those of width w + 1, and the best score cannot fall as the width grows. Plain beam search, which takes the w
best extensions of all, does not promise that: a wider beam can push out the beginning of the better sentence. Width 1 is greedy
decoding, and a width of vocabulary^T looks at every sentence.

With a `power`, as S2 has it: scores are divided by words^power, END included, and the w best extensions of all are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.task import Task
from datasets.vocabulary import END, PAD, START
from models import Takes

Tensors = tuple[Tensor, ...]
SENTENCES = Takes("tokens", "tokens", "reads words", "answers with words")
FEW_WORDS = 2_000


def few_words(task: Task) -> bool:
    """Whether a small model will do: both vocabularies below 2,000 words."""
    return max(task.input.vocabulary, task.output.vocabulary) < FEW_WORDS


class Speaker(Protocol):
    """What decoding needs of a model."""

    def begin(self, x: Tensor) -> tuple[Tensors, Tensors]: ...
    def step(self, source: Tensors, state: Tensors, token: Tensor) -> tuple[Tensor, Tensors]: ...


def words(x: Tensor) -> Tensor:
    """True where a word stands, (batch, S). An empty sentence counts as one word, or attention would have nothing to read."""
    return (x != PAD) | (torch.arange(x.shape[1], device=x.device) == 0)


def greedily(model: Speaker, x: Tensor, length: int) -> Iterator[tuple[Tensor, Tensor]]:
    """`length` steps, each its logits (batch, vocabulary) and the likeliest word (batch,), which is fed to the next."""
    source, state = model.begin(x)
    token = torch.full_like(x[:, 0], START)
    for _ in range(length):
        logits, state = model.step(source, state, token)
        token = logits.argmax(-1)
        yield logits, token


def continued(scores: Tensor, logits: Tensor, ended: Tensor) -> Tensor:
    """The scores of all one-word extensions, (batch, width, vocabulary); a hypothesis that has ended goes on with PAD alone.

    scores   (batch, width), -inf where a place is still empty
    logits   (batch, width, vocabulary)
    ended    (batch, width)
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))  # autocast leaves bfloat16 here on a CPU
    only = torch.where(torch.arange(logits.shape[2], device=logits.device) == PAD, 0.0, -torch.inf)
    return scores[..., None] + torch.where(ended[..., None], only, logits.log_softmax(-1))


def likeliest(scores: Tensor, logits: Tensor, ended: Tensor, words: Tensor, power: float) -> tuple[Tensor, Tensor, Tensor]:
    """As `extended`, but the best of all by score / words^power; `words` (batch, width) counts those of every hypothesis."""
    total = continued(scores, logits, ended)
    longer = (words + ~ended).to(total.dtype)
    index = (total / longer[..., None] ** power).flatten(1).topk(scores.shape[1], 1).indices
    return total.flatten(1).gather(1, index), index // logits.shape[2], index % logits.shape[2]


def extended(scores: Tensor, logits: Tensor, ended: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The next hypotheses: their scores, which place each continues, and its new word, each (batch, width)."""
    width, vocabulary = logits.shape[1:]
    total = continued(scores, logits, ended)
    best, token = total.topk(min(width, vocabulary), -1)  # nobody can take more of one hypothesis
    each, best, token = best.shape[2], best.flatten(1), token.flatten(1)
    taken = []
    for place in range(1, width + 1):
        taken.append(best[:, : place * each].max(1, keepdim=True))
        best = best.scatter(1, taken[-1].indices, -torch.inf)
    index = torch.cat([choice.indices for choice in taken], 1)
    return torch.cat([choice.values for choice in taken], 1), index // each, token.gather(1, index)


def beam(model: Speaker, x: Tensor, width: int, length: int, power: float | None = None) -> tuple[Tensor, Tensor]:
    """The best sentence found for each source, tokens (batch, length) with PAD after END, and its score (batch,)."""
    batch = len(x)
    source, state = model.begin(x)
    source, state = (tuple(part.repeat_interleave(width, 0) for part in parts) for parts in (source, state))
    said = x.new_full((batch, width, 1), START)
    scores = torch.where(torch.arange(width, device=x.device) == 0, 0.0, -torch.inf).expand(batch, -1)
    first_row, count = torch.arange(batch, device=x.device)[:, None] * width, x.new_zeros(scores.shape)
    for _ in range(length):
        logits, state = model.step(source, state, said[..., -1].flatten())
        logits, ended = logits.unflatten(0, (batch, width)), (said == END).any(2)
        chosen = extended(scores, logits, ended) if power is None else likeliest(scores, logits, ended, count, power)
        scores, place, token = chosen
        count = (count + ~ended).gather(1, place)
        said = torch.cat([said.gather(1, place[..., None].expand_as(said)), token[..., None]], 2)
        state = tuple(part.index_select(0, (first_row + place).flatten()) for part in state)
    best = (scores if power is None else scores / count.to(scores.dtype) ** power).max(1)
    return said[torch.arange(batch, device=x.device), best.indices, 1:], best.values


class Translator(nn.Module):
    """Everything but the network: losses, answers and teaching. A subclass brings `begin`, `step`, `follow` and `project`.

    follow    x (batch, S) and the words before each answer (batch, T) -> what is known there, (batch, T, dim)
    project   (…, dim) -> logits (…, vocabulary)
    """

    project: Callable[[Tensor], Tensor]
    power: float | None = None  # of the length, in beam search

    def __init__(self, task: Task, beam: int) -> None:
        super().__init__()
        if beam < 1:
            raise ValueError(f"a beam of width {beam} holds no sentence; give beam=1 (greedy) or more")
        self.length, self.beam = task.output.size, beam

    def begin(self, x: Tensor) -> tuple[Tensors, Tensors]:
        raise NotImplementedError

    def step(self, source: Tensors, state: Tensors, token: Tensor) -> tuple[Tensor, Tensors]:
        raise NotImplementedError

    def follow(self, x: Tensor, prefix: Tensor) -> Tensor:
        raise NotImplementedError

    def known(self, x: Tensor, y: Tensor) -> Tensor:
        """`follow` along the true words."""
        return self.follow(x, F.pad(y[:, :-1], (1, 0), value=START))

    def teach(self, x: Tensor, y: Tensor) -> Tensor:
        """Logits given the true prefix, (batch, T, vocabulary)."""
        return self.project(self.known(x, y))

    def loss(self, x: Tensor, y: Tensor, task: Task, generator: torch.Generator) -> Tensor:
        """task.loss(self.teach(x, y), y) without the logits where the target has ended: they are most of the work."""
        if y.is_cuda:  # picking the words out would wait for the device at every step
            return task.loss(self.teach(x, y), y)
        said = y != PAD
        share = said / (said.sum(1, keepdim=True) * len(y))
        places = said.flatten().nonzero()[:, 0]  # once: on a GPU it waits for the device
        logits = self.project(self.known(x, y).flatten(0, 1).index_select(0, places))
        each = F.cross_entropy(logits, y.flatten().index_select(0, places), reduction="none")
        return (each * share.flatten().index_select(0, places)).sum()

    def forward(self, x: Tensor) -> Tensor:
        """Logits of greedy decoding, (batch, T, vocabulary), each given the words it said before."""
        return torch.stack([logits for logits, _ in greedily(self, x, self.length)], 1)

    def predict(self, x: Tensor, task: Task) -> Tensor:
        """Tokens (batch, T), PAD after the first END; by beam search if the model was built with a width."""
        if self.beam > 1:
            return beam(self, x, self.beam, self.length, self.power)[0]
        return task.predicted(torch.stack([token for _, token in greedily(self, x, self.length)], 1))
