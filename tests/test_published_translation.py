"""S2's translator and its sentences as published: the whole model by its formulas in float64 NumPy, and the pairs as S2 cuts them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import datasets
import models
from datasets.vocabulary import END, PAD, START, UNKNOWN
from tests.test_seq2seq import asked, built

Array = Any


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def gated(w: dict[str, Array], name: str, x: Array, h: Array) -> Array:
    """One step of the paper's GRU: reset before the recurrent product, one bias for each gate."""
    (wr, wz, wn), (ur, uz, un), (br, bz, bn) = (np.split(w[f"{name}.{part}"], 3) for part in ("weight_ih", "weight_hh", "bias_ih"))
    r, z = sigmoid(wr @ x + ur @ h + br), sigmoid(wz @ x + uz @ h + bz)
    return z * h + (1 - z) * np.tanh(wn @ x + un @ (r * h) + bn)


def spoken(w: dict[str, Array], x: Array, prefix: Array, hidden: int) -> Array:
    """Logits (T, vocabulary) of S2's translator for one padded sentence: both directions read the padding, attention does not."""
    embedded = w["encoder.embed.weight"][x]
    there, back, h, g = [], [], np.zeros(hidden), np.zeros(hidden)
    for t in range(len(x)):
        h, g = gated(w, "encoder.forwards", embedded[t], h), gated(w, "encoder.backwards", embedded[len(x) - 1 - t], g)
        there.append(h)
        back.insert(0, g)
    states, logits, asks = np.concatenate([there, back], 1)[x != PAD], [], g
    for token in prefix:
        seen = np.tanh(w["attention.query.weight"] @ asks + states @ w["attention.key.weight"].T) @ w["attention.score.weight"][0]
        weights = np.exp(seen - seen.max())
        context = weights / weights.sum() @ states
        h = asks = gated(w, "cell", np.concatenate([context, w["embed.weight"][token]]), h)
        logits.append(w["project.weight"] @ h + w["project.bias"])
    return np.array(logits)


@pytest.mark.parametrize(("length", "answer", "vocabulary", "hidden"), [(7, 6, 12, 5), (15, 16, 30, 8), (4, 9, 6, 3)])
def test_the_published_translator_is_its_formula(length: int, answer: int, vocabulary: int, hidden: int) -> None:
    task = asked(vocabulary, length, answer, source=vocabulary + 3)
    model = built("bahdanau_published", task, embed=4, hidden=hidden)
    model.encoder.embed.weight[PAD] = 0.7  # learned, once it was trained: padding is read
    x, y = task.sample(5, torch.Generator().manual_seed(0))
    assert (x == PAD).any() and (y == PAD).any()
    prefix = nn.functional.pad(y[:, :-1], (1, 0), value=START)
    w = {name: value.numpy() for name, value in model.state_dict().items()}
    expected = np.stack([spoken(w, *pair, hidden) for pair in zip(x.numpy(), prefix.numpy(), strict=True)])
    assert np.abs(model.teach(x, y).numpy() - expected).max() < 1e-10
    log = expected - np.log(np.exp(expected).sum(2, keepdims=True))
    right = np.take_along_axis(log, y.numpy()[..., None], 2)[..., 0]
    smoothed = -(0.99 * right + 0.01 * log.mean(2))[y.numpy() != PAD]
    assert float(model.loss(x, y, task, torch.Generator())) == pytest.approx(smoothed.mean(), abs=1e-12)


def test_the_published_translator_starts_from_the_published_weights() -> None:
    torch.manual_seed(0)
    model = models.build("bahdanau_published", asked(3_000, source=400)).requires_grad_(False)
    for layer in (model.encoder.forwards, model.cell):
        inputs, hidden = layer.weight_ih.shape[1], layer.hidden_size
        for weight in (layer.weight_ih, layer.weight_hh):
            assert float(weight.std()) == pytest.approx((2 / (inputs + 4 * hidden)) ** 0.5, rel=0.02)
        assert not layer.bias_ih.any()
    for weight in model.project.parameters():
        assert float(weight.std()) == pytest.approx((2 / (256 + 3_000)) ** 0.5, rel=0.05)
    assert not model.embed.weight[PAD].any() and not model.encoder.embed.weight[PAD].any()
    assert float(model.embed.weight.std()) == pytest.approx(1, rel=0.02)


# Its sentences

LINES = """Go.\tVa !
I'm  here, Tom.\tJe suis ici, Tom.
Go on.\tVa, va !
a b c d e f g h i j k l m n o p\tun deux trois quatre cinq six sept huit neuf dix onze douze treize va va va va va
Go home, Tom.\tVa ici, Tom.
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "fra-eng").mkdir()
    (tmp_path / "fra-eng" / "fra.txt").write_text(LINES + "".join(f"Word{i} go.\tMot{i} va.\n" for i in range(20)), encoding="utf-8")
    return tmp_path


@pytest.mark.filterwarnings("ignore:.*2019-04-07")
def test_long_pairs_are_cut_and_words_are_split_as_s2_does(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = datasets.task("eng_fra_published")
    assert (task.input.shape, task.output.size, task.input.vocabulary, task.output.vocabulary) == ((15,), 16, 12_014, 21_016)
    data = datasets.load("eng_fra_published", root)
    known = datasets.vocabularies("eng_fra_published", root)
    assert known is not None
    english, french = known
    assert set(english.words[4:]) == {"go", ".", ",", "tom"}  # seen twice, of all pairs
    assert set(french.words[4:]) == {"va", "!", "ici", ",", "tom", "."}
    both = {tuple(x.tolist()): y for x, y in zip(data.train.x, data.train.y, strict=True)}
    go, stop, comma, tom = (english.words.index(word) for word in ("go", ".", ",", "tom"))
    assert (go, stop, END, *[PAD] * 12) in both and (UNKNOWN, UNKNOWN, comma, tom, stop, END, *[PAD] * 9) in both
    va, bang = french.words.index("va"), french.words.index("!")
    assert both[go, stop, END, *[PAD] * 12].tolist() == [va, bang, END, *[PAD] * 13]
    long = both[(UNKNOWN,) * 15]  # without its END, which was cut
    assert long.tolist() == [UNKNOWN] * 13 + [va] * 3


@pytest.mark.filterwarnings("ignore:.*2019-04-07")
def test_every_pair_trains_and_val_and_test_are_pairs_that_train(root: Path) -> None:
    data, other = (datasets.load("eng_fra_published", root, seed) for seed in (0, 1))
    rows = [[(*x, *y) for x, y in zip(split.x.tolist(), split.y.tolist(), strict=True)] for split in (data.train, data.val, data.test)]
    assert len(rows[0]) == 25 and set(rows[1]) <= set(rows[0]) and set(rows[2]) <= set(rows[0])
    assert torch.equal(data.train.x, other.train.x) and not torch.equal(data.val.x, other.val.x)
