"""English sentences and their French translations, from Tatoeba by way of manythings.org/anki, in the data root.

    ROOT/fra-eng/fra.txt     I lost my way.<TAB>J'ai perdu mon chemin.

    x = [i, lost, my, way, ., PAD, …]   (15,)         y = [j'ai, perdu, mon, chemin, ., END, PAD, …]   (17,)

Words are lower-cased and split from punctuation; pairs of more than 15 or 16 words are left out (S2). The split is by English
sentence: val and test get one translation of each of theirs, training none of them. Vocabularies come from the training
pairs alone, from words seen at least twice, the most frequent first, up to the task's cap.
`eng_fra_published` is a file of its own: S2 has other words, cuts long pairs, and trains on all.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import unicodedata
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from datasets import register
from datasets.data import Corrupt, Data, Missing, Split, generator
from datasets.task import Budget, Input, Output, Task, budgets
from datasets.vocabulary import Vocabulary

FILE = "fra-eng/fra.txt"
EDITION = "cebd8a015c7f8c813d2c7f52716ea2dd"  # md5 of the edition of 2019-04-07, which the sizes below are of
LONGEST, ANSWER = 15, 17  # words of English; words of French and END
SIZES = (150_000, 2_000, 5_000)
# bfloat16: half of a step is the product with the vocabulary, which a CPU does twice as fast in it
DEFAULT = Budget(
    "default", samples=128_000, batch=128, lr=2e-3, schedule="cosine", warmup=0.05, clip=1.0, dtype="bfloat16", evaluations=5, seeds=1
)
TASK = Task(
    "eng_fra",
    Input("tokens", (LONGEST,), 6_000),
    Output("tokens", ANSWER, 8_000),
    SIZES,
    budgets(
        DEFAULT,
        replace(DEFAULT, name="paper", samples=3_000_000, lr=1e-3, evaluations=20, seconds=36_000, seeds=3),
        # S2: 100 epochs, batch 1024, Adam 1e-3, clipping 1.0. Its figures are of training data; here val chooses.
        Budget("published", samples=100 * SIZES[0], batch=1024, clip=1.0, dtype="bfloat16", evaluations=100, seconds=36_000),
        smoke_samples=640,
    ),
    embedded=False,
    source="Tatoeba, manythings.org/anki, 2019-04-07, CC BY 2.0",
    summary="English sentences into French",
)

Pair = tuple[tuple[str, ...], tuple[str, ...]]


def words(text: str) -> tuple[str, ...]:
    """Lower-cased words, apostrophes and hyphens inside them, and punctuation marks one by one."""
    return tuple(re.findall(r"\w+(?:['’-]\w+)*['’]?|[^\w\s]", unicodedata.normalize("NFKC", text).lower()))


def pairs(path: Path, split: Callable[[str], tuple[str, ...]] = words, longest: int = LONGEST) -> list[Pair]:
    """All pairs of at most `longest` words of English and one more of French; lines that are none are counted in a warning, with the
    first one's number. Corrupt if nothing is left."""
    content = path.read_bytes()
    found, broken = [], []
    for number, line in enumerate(content.removeprefix(codecs.BOM_UTF8).splitlines(), 1):
        try:
            english, french, *_ = map(split, line.decode("utf-8").split("\t"))
        except UnicodeDecodeError:
            broken.append(f"line {number} is not UTF-8")
        except ValueError:
            broken.append(f"line {number} has no tab")
        else:
            if english and french:
                found.append((english, french))
            else:
                broken.append(f"line {number} has an empty side")
    kept = [(a, b) for a, b in found if len(a) <= longest and len(b) <= longest + 1]
    left_out = f"; left out {len(broken):,} of {len(broken) + len(found):,} lines, first: {broken[0]}" if broken else ""
    if len({english for english, _ in kept}) < 10:
        raise Corrupt(f"eng_fra: {FILE} holds {len(kept):,} usable pairs, too few sentences to split{left_out}")
    if broken:
        warnings.warn(f"eng_fra: {FILE}{left_out}", stacklevel=2)
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != EDITION:
        warnings.warn(f"eng_fra: {FILE} is not the edition of 2019-04-07: figures do not compare with the reference", stacklevel=2)
    return kept


def divided(found: list[Pair], sizes: tuple[int, int, int], seed: int) -> tuple[list[Pair], list[Pair], list[Pair]]:
    """Train, val and test by English sentence; val and test at most a tenth of the sentences of a small file each."""
    g = generator("eng_fra/split", seed)
    found = [found[i] for i in torch.randperm(len(found), generator=g).tolist()]
    by_sentence: dict[tuple[str, ...], list[Pair]] = {}
    for pair in found:
        by_sentence.setdefault(pair[0], []).append(pair)
    groups = list(by_sentence.values())
    n_val, n_test = (min(size, max(1, len(groups) // 10)) for size in sizes[1:])
    held, rest = groups[: n_val + n_test], groups[n_val + n_test :]
    one_each = [group[0] for group in held]
    train = [pair for group in rest for pair in group]
    train = [train[i] for i in torch.randperm(len(train), generator=g)[: sizes[0]].tolist()]
    return train, one_each[:n_val], one_each[n_val:]


def file(name: str, root: Path) -> Path:
    """Where the pairs lie; Missing if they do not."""
    path = root / FILE
    if not path.is_file():
        raise Missing(f"{name} is not in the data root: put fra.txt of manythings.org/anki (fra-eng.zip) at {FILE} under --data ROOT")
    return path


def known(train: list[Pair], task: Task) -> tuple[Vocabulary, Vocabulary]:
    """The words of English and French, seen at least twice, as many as the task has ids for."""
    english = Vocabulary.of((a for a, _ in train), task.input.vocabulary, least=2)
    return english, Vocabulary.of((b for _, b in train), task.output.vocabulary, least=2)


def parts(root: Path, seed: int) -> tuple[list[Pair], list[Pair], list[Pair]]:
    return divided(pairs(file("eng_fra", root)), SIZES, seed)


def vocabularies(root: Path, seed: int) -> tuple[Vocabulary, Vocabulary]:
    return known(parts(root, seed)[0], TASK)


@register(TASK, vocabularies=vocabularies)
def eng_fra(root: Path, seed: int, download: bool) -> Data:
    found = parts(root, seed)
    english, french = known(found[0], TASK)
    train, val, test = (
        Split(english.encode([a for a, _ in part], LONGEST, end=False), french.encode([b for _, b in part], ANSWER, end=True))
        for part in found
    )
    return Data(train, val, test)
