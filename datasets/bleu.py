"""BLEU of a corpus (Papineni et al. 2002) from token ids, counted and combined by sacrebleu.

Ids stand for words, so this is the BLEU of lower-cased, punctuation-split text: sacrebleu's `tokenize=none`. A word of the
reference that is not in the vocabulary is matched by nothing, as it would be in text.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from datasets.vocabulary import END, PAD, UNKNOWN


@lru_cache
def metric() -> Any:
    """sacrebleu's scorer; imported when needed, as only translation needs it."""
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(tokenize="none", effective_order=True)


def words(tokens: list[int], unknown: str) -> str:
    """A sentence as sacrebleu takes it: ids with spaces between, up to END or PAD."""
    said = []
    for token in tokens:
        if token in (PAD, END):
            break
        said.append(unknown if token == UNKNOWN else str(token))
    return " ".join(said)


def counts(predicted: Tensor, y: Tensor) -> Tensor:
    """What BLEU adds up, of each sentence: (batch, 10) float32; `predicted` and `y` are (batch, length) ids.

    Matching and possible 1- to 4-grams, then the lengths of hypothesis and reference.
    """
    rows = []
    for said, meant in zip(predicted.tolist(), y.tolist(), strict=True):
        score = metric().sentence_score(words(said, "?"), [words(meant, "unknown")])
        rows.append([*score.counts, *score.totals, score.sys_len, score.ref_len])
    return torch.tensor(rows, dtype=torch.float32)


def corpus(values: Tensor) -> float:
    """BLEU, 0 to 100, of a corpus from the counts of its sentences, (n, 10)."""
    whole = [round(value) for value in values.double().sum(0).tolist()]
    score = metric().compute_bleu(whole[:4], whole[4:8], whole[8], whole[9], smooth_method="exp")
    return float(score.score)


def signature() -> str:
    """sacrebleu's own account of how a score was computed."""
    from sacrebleu.metrics.bleu import BLEU

    scorer = BLEU(tokenize="none")
    scorer.corpus_score(["a"], [["a"]])
    return str(scorer.get_signature())
