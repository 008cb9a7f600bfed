"""Greedy decoding and beam search, against the models themselves, textbook beam search and brute force."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor

from datasets.vocabulary import END, START
from models.decode import Tensors, beam, extended
from tests.test_seq2seq import NAMES, asked, built


@pytest.mark.parametrize("name", NAMES)
def test_teaching_what_it_said_gives_what_it_thought(name: str) -> None:
    task = asked()
    model = built(name, task)
    x, _ = task.sample(5, torch.Generator().manual_seed(0))
    logits = model(x)
    assert torch.allclose(model.teach(x, logits.argmax(-1)), logits, atol=1e-10)
    assert torch.equal(model.predict(x, task), task.predicted(logits))


class Oracle:
    """A random language: the logits depend on the sentence and on every word said so far. State: a number for all of these."""

    def __init__(self, sentences: int, vocabulary: int, length: int, seed: int) -> None:
        g = torch.Generator().manual_seed(seed)
        self.vocabulary, self.length = vocabulary, length
        self.logits = 2 * torch.randn(sentences, vocabulary ** (length - 1), vocabulary, generator=g, dtype=torch.float64)

    def begin(self, x: Tensor) -> tuple[Tensors, Tensors]:
        return (x[:, 0],), (torch.full((len(x),), -1),)

    def step(self, source: Tensors, state: Tensors, token: Tensor) -> tuple[Tensor, Tensors]:
        code = torch.where(state[0] < 0, 0, state[0] * self.vocabulary + token)
        return self.logits[source[0], code], (code,)


def likelihood(logits: Callable[[Tensor], Tensor], tokens: Tensor) -> Tensor:
    """Log-probability of sentences (n, T), words after END not counted, from the logits (n, T, vocabulary) given each."""
    each = logits(tokens).log_softmax(-1).gather(2, tokens[..., None])[..., 0]
    after = (tokens == END).long().cumsum(1) - (tokens == END).long() > 0
    return each.masked_fill(after, 0).sum(1)


@pytest.mark.parametrize("name", NAMES)
def test_a_beam_of_one_is_greedy_and_its_score_is_the_sentences(name: str) -> None:
    task = asked()
    model = built(name, task)
    x, _ = task.sample(8, torch.Generator().manual_seed(0))
    tokens, score = beam(model, x, 1, task.output.size)
    assert torch.equal(tokens, model.predict(x, task))
    for width in (1, 3):
        tokens, score = beam(model, x, width, task.output.size)
        assert torch.allclose(likelihood(lambda t: model.teach(x, t), tokens), score, atol=1e-10)
        assert torch.equal(tokens, task.predicted(tokens))


def test_a_model_built_with_a_width_answers_by_beam_search() -> None:
    task = asked()
    x, _ = task.sample(8, torch.Generator().manual_seed(0))
    wide = built("bahdanau", task, beam=4)
    assert torch.equal(wide.predict(x, task), beam(wide, x, 4, task.output.size)[0])
    assert not torch.equal(wide.predict(x, task), built("bahdanau", task).predict(x, task))
    assert torch.equal(torch.cat([wide.predict(x[i : i + 1], task) for i in range(8)]), wide.predict(x, task))


@pytest.mark.parametrize("name", NAMES)
def test_a_wider_beam_of_a_model_is_never_worse(name: str) -> None:
    task = asked()
    x, _ = task.sample(16, torch.Generator().manual_seed(0))
    for seed in range(3):
        model = built(name, task, seed)
        scores = torch.stack([beam(model, x, width, task.output.size)[1] for width in range(1, 7)])
        assert bool((scores.diff(dim=0) > -1e-10).all())
        assert bool((scores[-1] > scores[0] + 1e-3).any())


def taught(oracle: Oracle, x: Tensor, tokens: Tensor) -> Tensor:
    """The oracle's logits along given sentences."""
    source, state = oracle.begin(x)
    logits = []
    for token in torch.cat([torch.full_like(tokens[:, :1], START), tokens[:, :-1]], 1).T:
        said, state = oracle.step(source, state, token)
        logits.append(said)
    return torch.stack(logits, 1)


def divided(oracle: Oracle, x: Tensor, width: int, power: float) -> tuple[float, list[int]]:
    """Textbook beam search of one sentence: the `width` best extensions of all by log-probability / words^power (S2: 0.75)."""
    kept: list[tuple[float, list[int]]] = [(0.0, [])]
    for _ in range(oracle.length):
        longer = []
        for score, said in kept:
            if END in said:
                longer.append((score, said))
                continue
            log = taught(oracle, x, torch.tensor([[*said, 0]]))[0, -1].log_softmax(-1)
            longer += [(score + float(log[token]), [*said, token]) for token in log.topk(min(width, oracle.vocabulary)).indices.tolist()]
        kept = sorted(longer, key=lambda one: one[0] / len(one[1]) ** power, reverse=True)[:width]
    score, said = max(kept, key=lambda one: one[0] / len(one[1]) ** power)
    return score / len(said) ** power, said


def test_the_score_never_falls_as_the_width_grows_where_that_of_plain_beam_search_does() -> None:
    sentences, length = 300, 5
    oracle, x = Oracle(sentences, 6, length, seed=0), torch.arange(sentences)[:, None]
    ours = torch.stack([beam(oracle, x, width, length)[1] for width in range(1, 13)])
    assert bool((ours.diff(dim=0) >= 0).all())
    textbook = torch.tensor([[divided(oracle, x[i : i + 1], width, 0.0)[0] for i in range(32)] for width in (1, 2, 3)], dtype=torch.float64)
    assert bool((textbook.diff(dim=0) < -1e-3).any())
    assert torch.allclose(textbook[0], ours[0, :32], atol=1e-12)
    assert float((textbook - ours[:3, :32]).mean()) < 0.05  # what the promise costs


def test_a_beam_as_wide_as_the_language_finds_the_best_sentence() -> None:
    vocabulary, length, sentences = 5, 3, 20
    oracle, x = Oracle(sentences, vocabulary, length, seed=1), torch.arange(sentences)[:, None]
    every = torch.tensor(list(product(range(vocabulary), repeat=length)))
    tokens, scores = beam(oracle, x, vocabulary**length, length)
    narrow = beam(oracle, x, 2, length)[1]
    task = asked(vocabulary, answer=length)
    for i in range(sentences):
        likely = likelihood(lambda t, i=i: taught(oracle, x[i : i + 1].expand(len(t), -1), t), every)
        assert scores[i] == pytest.approx(float(likely.max()), abs=1e-12)
        assert torch.equal(tokens[i], task.predicted(every[likely.argmax()][None])[0])
    assert bool((narrow < scores - 1e-6).any()), "too easy: two places found it too"


@pytest.mark.parametrize("width", [2, 3, 5])
def test_a_beam_with_a_power_against_lists(width: int) -> None:
    sentences, length = 40, 5
    oracle, x = Oracle(sentences, 6, length, seed=2), torch.arange(sentences)[:, None]
    tokens, scores = beam(oracle, x, width, length, 0.75)
    for i in range(sentences):
        score, said = divided(oracle, x[i : i + 1], width, 0.75)
        assert float(scores[i]) == pytest.approx(score, abs=1e-12)
        assert tokens[i].tolist() == said + [0] * (length - len(said))
    assert not torch.equal(tokens, beam(oracle, x, width, length)[0]), "length is nothing here"


def test_the_published_translator_answers_by_its_own_beam() -> None:
    task = asked()
    x, _ = task.sample(12, torch.Generator().manual_seed(0))
    wide = built("bahdanau_published", task, beam=3)
    assert torch.equal(wide.predict(x, task), beam(wide, x, 3, task.output.size, 0.75)[0])


def test_scores_are_not_rounded_to_the_precision_of_the_logits() -> None:
    logits = torch.randn(4, 3, 9, generator=torch.Generator().manual_seed(0)).bfloat16()
    scores, ended = torch.zeros(4, 3), torch.zeros(4, 3, dtype=torch.bool)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(extended(scores, logits, ended)[0], extended(scores, logits.float(), ended)[0])
