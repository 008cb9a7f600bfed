"""The table of sample translations shows what the model says by each beam, and after the true words."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import datasets
from bench.figures import translations
from bench.figures.subject import NoPicture
from bench.report.plots import png
from datasets import translation
from datasets.data import Split
from datasets.vocabulary import END, PAD, Vocabulary
from models.decode import Translator, beam
from tests.test_figures_sequences import subject_of


@pytest.fixture(scope="module")
def sentences() -> Split:
    test = datasets.load("translation").test
    return Split(test.x[:12], test.y[:12])


@pytest.mark.parametrize("model", ["gru_seq2seq", "bahdanau_published"])
def test_the_table_says_what_the_model_says(model: str, sentences: Split, tmp_path: Path) -> None:
    subject = subject_of(tmp_path, model, "translation", sentences, 8.0)
    module, target = subject.module, Vocabulary(translation.TARGET)
    assert isinstance(module, Translator)
    said = [module.predict(sentences.x[:5], subject.task)]
    said += [beam(module, sentences.x[:5], width, 15, 0.75 if model == "bahdanau_published" else None)[0] for width in (2, 3)]
    said += [module.teach(sentences.x[:5], sentences.y[:5]).argmax(2).masked_fill(sentences.y[:5] == PAD, PAD)]
    texts = [text.get_text() for text in translations.translations(subject).texts][2:]  # after the title
    source = Vocabulary(translation.SOURCE)
    for i in range(5):
        expected = [" ".join(source.decode(sentences.x[i])), " ".join(target.decode(sentences.y[i]))]
        expected += [" ".join(target.decode(tokens[i])) for tokens in said]
        assert texts[21 * i + 2 : 21 * i + 20 : 3] == expected
        assert texts[21 * i : 21 * i + 18 : 3] == ["source", "reference", "beam 1", "beam 2", "beam 3", "true prefix"]
    assert len({tuple(texts[21 * i + 8 : 21 * i + 18 : 3]) for i in range(5)}) > 1
    assert png(translations.translations(subject)) == png(translations.translations(subject))


def test_what_is_counted(sentences: Split) -> None:
    y = torch.tensor([[5, 6, END, PAD], [5, END, PAD, PAD]])
    other, wrong = y.clone(), y.clone()
    other[0, 0], wrong[1, 0] = 9, 9
    found = {"beam 1": (y, []), "beam 3": (other, []), "true prefix": (wrong, [])}
    assert translations.finding(found, y).startswith("a beam of 3 says something else than one of 1 in 1 of 2; 80.0 % of words right")


def test_without_a_prefix_there_is_no_table(sentences: Split, tmp_path: Path) -> None:
    with pytest.raises(NoPicture, match="answers all words at once"):
        translations.translations(subject_of(tmp_path, "backbone_attention", "translation", sentences))
