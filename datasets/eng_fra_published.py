"""The sentences of datasets/eng_fra.py as S2 makes them: all pairs train, long ones are cut. Named, never in the grid.

    x = [i, lost, my, way, ., END, PAD, …]   (15,)         y = [j'ai, perdu, mon, chemin, ., END, PAD, …]   (16,)

Lower case; , . ! and ? stand alone, all else is split where there is space. Words seen at least twice in all pairs, whole ones. English has
an END as well; a pair longer than 15 or 16 tokens is cut there, its END with it. S2 sets nothing aside: val and test are pairs that train,
so that what they give, the true prefix fed in, are training figures like its own. What translations are worth, `eng_fra` says.

S2's file had about 233,000 pairs, that of 2019 has 167,130: 10,011 and 17,820 of its 12,014 and 21,016 ids are used.
"""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from datasets import register
from datasets.data import Data, Split, generator
from datasets.eng_fra import TASK as OURS
from datasets.eng_fra import Pair, file, known, pairs
from datasets.task import Budget, Input, Output
from datasets.vocabulary import Vocabulary

PAIRS = 167_130
TASK = replace(
    OURS,
    name="eng_fra_published",
    input=Input("tokens", (15,), 12_014),
    output=Output("tokens", 16, 21_016),
    sizes=(PAIRS, 2_000, 5_000),
    budgets=(
        *(budget for budget in OURS.budgets if budget.name != "published"),
        Budget("published", samples=100 * PAIRS, batch=1024, lr=1e-3, clip=1.0, dtype="bfloat16", evaluations=100, seconds=36_000),
    ),
    source="S2, deep-learning-from-scratch; Tatoeba, manythings.org/anki, 2019-04-07, CC BY 2.0",
)


def words(text: str) -> tuple[str, ...]:
    return tuple(re.sub(r"([,.!?])", r" \1 ", text.lower()).split())


def found(root: Path) -> list[Pair]:
    return pairs(file(TASK.name, root), words, sys.maxsize)


def cut(sentences: list[tuple[str, ...]], vocabulary: Vocabulary, length: int) -> Tensor:
    """(n, length) ids: the words and END, as far as there is room."""
    return vocabulary.encode([sentence[:length] for sentence in sentences], length + 1, end=True)[:, :length]


def vocabularies(root: Path, seed: int) -> tuple[Vocabulary, Vocabulary]:
    return known(found(root), TASK)


@register(TASK, vocabularies=vocabularies)
def eng_fra_published(root: Path, seed: int, download: bool) -> Data:
    all_pairs = found(root)
    english, french = known(all_pairs, TASK)
    train = Split(cut([a for a, _ in all_pairs], english, 15), cut([b for _, b in all_pairs], french, 16))
    order = torch.randperm(len(train), generator=generator("eng_fra_published/val", seed))
    val, test = order[: TASK.sizes[1]], order[TASK.sizes[1] :][: TASK.sizes[2]]
    return Data(train, Split(train.x[val], train.y[val]), Split(train.x[test], train.y[test]))
