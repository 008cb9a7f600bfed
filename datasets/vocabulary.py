"""Words <-> ids. The four lowest ids are the same in every vocabulary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

PAD, START, END, UNKNOWN = range(4)  # START begins a decoder's input and is never a target
SPECIAL = ("<pad>", "<start>", "<end>", "<unknown>")


@dataclass(frozen=True)
class Vocabulary:
    """Words in the order of their ids, the special ones first."""

    words: tuple[str, ...]

    @classmethod
    def of(cls, sentences: Iterable[Sequence[str]], cap: int, least: int = 1) -> Vocabulary:
        """The most frequent words that occur at least `least` times, ties in alphabetical order, `cap` ids at most."""
        counted = Counter(word for sentence in sentences for word in sentence)
        frequent = sorted((-n, word) for word, n in counted.items() if n >= least)
        return cls(SPECIAL + tuple(word for _, word in frequent[: cap - len(SPECIAL)]))

    def encode(self, sentences: Sequence[Sequence[str]], length: int, end: bool) -> Tensor:
        """(n, length) int64 ids, PAD after the words, END between if asked for. ValueError if a sentence is too long."""
        ids = {word: i for i, word in enumerate(self.words)}
        rows = torch.full((len(sentences), length), PAD)
        for row, sentence in zip(rows, sentences, strict=True):
            found = [ids.get(word, UNKNOWN) for word in sentence] + [END] * end
            if len(found) > length:
                raise ValueError(f"{len(found)} tokens do not fit into {length}: {' '.join(sentence)}")
            row[: len(found)] = torch.tensor(found)
        return rows

    def decode(self, row: Tensor) -> list[str]:
        """The words of one sentence, up to END or PAD."""
        said = []
        for i in row.tolist():
            if i in (PAD, END):
                break
            said.append(self.words[i])
        return said
