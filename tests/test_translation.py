"""Language pairs: vocabularies, held-out compositions, the split by sentence, broken files, and BLEU against sacrebleu itself."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import sacrebleu
import torch

import datasets
from datasets import bleu, eng_fra
from datasets.data import Corrupt, Missing
from datasets.task import Input, Output, Task
from datasets.translation import ADJECTIVES, ARTICLES, NOUNS, PLACES, SOURCE, TARGET, VERBS
from datasets.vocabulary import END, PAD, START, UNKNOWN, Vocabulary


def test_vocabulary_orders_by_frequency_and_marks_what_it_does_not_know() -> None:
    said = [["b", "a", "b"], ["c", "a", "b", "d"]]
    vocabulary = Vocabulary.of(said, cap=6, least=1)
    assert vocabulary.words[4:] == ("b", "a")
    assert Vocabulary.of(said, cap=99, least=2).words[4:] == ("b", "a")
    ids = vocabulary.encode([["a", "zebra"], ["b"]], 4, end=True)
    assert ids.tolist() == [[5, UNKNOWN, END, PAD], [4, END, PAD, PAD]]
    assert vocabulary.decode(ids[0]) == ["a", "<unknown>"]
    with pytest.raises(ValueError, match="5 tokens do not fit into 4: a b a b"):
        vocabulary.encode([["a", "b", "a", "b"]], 4, end=True)


def by_rule(english: list[str]) -> list[str]:
    """The toy translation, read off the English word by word."""

    def noun_phrase(words: list[str]) -> list[str]:
        article, *adjectives, noun = words
        stem = noun if noun in NOUNS else noun[:-1]
        gender = list(NOUNS).index(stem) % 2
        plural = "s" if noun != stem else ""
        assert (article == "two") == bool(plural)
        return [ARTICLES[article][gender], NOUNS[stem] + plural, *(ADJECTIVES[a] + "iu"[gender] for a in adjectives[::-1])]

    at = next(i for i, word in enumerate(english) if word in VERBS)
    where = next((i for i, word in enumerate(english) if word in PLACES), len(english))
    place = [PLACES[english[where]], *noun_phrase(english[where + 1 :])] if where < len(english) else []
    return [*noun_phrase(english[:at]), *place, *noun_phrase(english[at + 1 : where]), VERBS[english[at]]]


def test_the_toy_language_follows_its_rules_and_holds_pairs_out() -> None:
    data = datasets.load("translation", seed=5)
    used: dict[str, list[set[tuple[str, str]]]] = {}
    for part in ("train", "val", "test"):
        split = getattr(data, part)
        used[part] = []
        for x, y in zip(split.x[:3_000], split.y[:3_000], strict=True):
            english = Vocabulary(SOURCE).decode(x)
            assert Vocabulary(TARGET).decode(y) == by_rule(english)
            pairs: set[tuple[str, str]] = set()
            adjectives: list[str] = []
            for word in english:
                if word in ADJECTIVES:
                    adjectives.append(word)
                elif (noun := word.removesuffix("s")) in NOUNS or (noun := word) in NOUNS:
                    pairs |= {(a, noun) for a in adjectives}
                    adjectives = []
            used[part].append(pairs)
    everywhere = {(a, n) for a in ADJECTIVES for n in NOUNS}
    held_out = everywhere - set(itertools.chain(*used["train"]))
    assert len(held_out) == len(everywhere) // 6
    assert all(pairs & held_out for pairs in used["val"] + used["test"])


FRENCH = "".join(f"Sentence {i // 2} is here!\tLa phrase {i // 2} est ici{' là' * (i % 2)}\u202f!\tCC-BY\n" for i in range(400))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "fra-eng").mkdir()
    (tmp_path / "fra-eng" / "fra.txt").write_text(FRENCH, encoding="utf-8")
    return tmp_path


def test_words_are_lower_cased_and_split_from_punctuation() -> None:
    assert eng_fra.words("J'ai dit\u202f: «\xa0Peut-être\xa0»…") == ("j'ai", "dit", ":", "«", "peut-être", "»", ".", ".", ".")


@pytest.mark.filterwarnings("ignore:.*not the edition")
def test_no_sentence_is_in_two_splits_and_words_come_from_training(root: Path) -> None:
    found = eng_fra.pairs(root / eng_fra.FILE)
    train, val, test = eng_fra.divided(found, (400, 10, 30), seed=0)
    sentences = [{english for english, _ in part} for part in (train, val, test)]
    assert not any(a & b for a, b in itertools.combinations(sentences, 2))
    assert (len(val), len(test)) == (10, 20)  # of 200 sentences a tenth at most
    assert len(sentences[2]) == 20
    assert len(train) == 2 * len(sentences[0])
    assert eng_fra.divided(found, (100, 10, 30), seed=0)[0] == train[:100]
    data = datasets.load("eng_fra", root=root, seed=0)
    numbers = {english[1] for english in sentences[0]}
    known = int((data.test.x == UNKNOWN).sum())
    assert known >= sum(sentence[1] not in numbers for sentence in sentences[2])  # a number only test has is unknown
    assert int((data.train.x == START).sum()) == 0


def test_lines_that_are_no_pairs_are_counted_and_named(root: Path) -> None:
    path = root / eng_fra.FILE
    path.write_bytes(b"no tab here\n" + b"bad \xff byte\tmauvais\n" + FRENCH.encode())
    told = r"left out 2 of 402 lines, first: line 1 has no tab"
    with pytest.warns(UserWarning, match="not the edition"), pytest.warns(UserWarning, match=told):
        assert len(eng_fra.pairs(path)) == 400
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(Corrupt, match=r"fra.txt holds 0 usable pairs.*left out 1 of 1 lines, first: line 1 is not UTF-8"):
        datasets.load("eng_fra", root=root)
    path.write_bytes(b"")
    with pytest.raises(Corrupt, match="holds 0 usable pairs"):
        datasets.load("eng_fra", root=root)
    path.unlink()
    with pytest.raises(Missing, match=r"put fra\.txt of manythings"):
        datasets.load("eng_fra", root=root)


TASK = Task("t", Input("tokens", (9,), 30), Output("tokens", 11, 30), (1, 1, 1), ())


def test_bleu_is_sacrebleus_and_unknown_words_match_nothing() -> None:
    g = torch.Generator().manual_seed(0)
    _, y = TASK.sample(60, g)
    said = torch.where(torch.rand(y.shape, generator=g) < 0.8, y, torch.randint(4, 30, y.shape, generator=g))
    scores = TASK.scores(said, y, torch.randn(60, 11, 30, generator=g))
    texts = [[bleu.words(row, "?") for row in tokens.tolist()] for tokens in (TASK.predicted(said), y)]
    theirs = sacrebleu.BLEU(tokenize="none").corpus_score(texts[0], [texts[1]]).score
    assert TASK.mean("bleu", scores["bleu"]) == pytest.approx(theirs)
    assert TASK.mean("bleu", TASK.scores(y, y, torch.zeros(60, 11, 30))["bleu"]) == pytest.approx(100)
    unknown = torch.full_like(y, UNKNOWN).masked_fill(y == PAD, PAD)
    assert TASK.mean("bleu", TASK.scores(unknown, unknown, torch.zeros(60, 11, 30))["bleu"]) == 0
    assert "tok:none" in bleu.signature()


def test_what_follows_the_end_counts_for_nothing_and_padding_has_no_loss() -> None:
    y = torch.tensor([[7, 8, END, PAD, PAD]])
    task = Task("t", Input("tokens", (9,), 30), Output("tokens", 5, 30), (1, 1, 1), ())
    said = torch.tensor([[7, 8, END, 9, END]])
    assert task.predicted(said).tolist() == y.tolist()
    logits = torch.randn(1, 5, 30, generator=torch.Generator().manual_seed(0))
    expected = -logits.log_softmax(-1)[0, [0, 1, 2], [7, 8, END]].mean()
    assert task.loss(logits, y).item() == pytest.approx(expected.item(), rel=1e-5)
    logits[0, 3:] += 100 * torch.randn(2, 30)
    assert task.losses(logits, y).item() == pytest.approx(expected.item(), rel=1e-5)
    assert task.scores(said, y, logits)["exact"].item() == 1
    right = (logits[0, :3].argmax(-1) == y[0, :3]).float().mean()
    assert task.scores(said, y, logits)["token_accuracy"].item() == pytest.approx(right.item())


def test_a_byte_order_mark_is_no_word_and_an_empty_side_no_pair(root: Path) -> None:
    path = root / eng_fra.FILE
    path.write_bytes(b"\xef\xbb\xbf" + FRENCH.encode() + b"alone\t\n")
    with pytest.warns(UserWarning, match="line 401 has an empty side"), pytest.warns(UserWarning, match="not the edition"):
        found = eng_fra.pairs(path)
    assert len(found) == 400
    assert found[0][0][0] == "sentence"
