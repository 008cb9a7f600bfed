"""How the family's inputs are cut into tokens: each mixer at the size that val prefers, of the two that all of them were run at.

The size of a token is no mixer's and not ours to choose between them: on MNIST-1D one sample a token ruins attention, and suits
convolution. A set is cut as its task says until every mixer, and none, was tuned and run at both sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import datasets
from bench.core.stats import mean
from bench.tables.family import FEWEST, MIXERS, NONE, PATCH
from bench.tables.rows import Row
from models.naming import plain
from models.tokens import patch_size

COMPARED = (*MIXERS, NONE)


def otherwise(dataset: str) -> str:
    """What a mixer's name ends in where its inputs are cut otherwise than by the task, '' on sets that are not cut."""
    return f"[patch={PATCH[dataset]}]" if dataset in PATCH else ""


def compared(dataset: str, own: Sequence[Row]) -> dict[str, Row]:
    """Of a data set's rows those that verdicts are read off, by their mixers' names: cut as val chose, if all were run at both sizes."""
    rows = {row.model: row for row in own}
    usual = {name: rows[name] for name in COMPARED if name in rows}
    return {name: preferred(row, rows[name + otherwise(dataset)]) for name, row in usual.items()} if free(dataset, own) else usual


def free(dataset: str, own: Sequence[Row]) -> bool:
    """Whether val chooses between cuts: every mixer, and none, was tuned and run at both, with seeds enough."""
    rows = {row.model: row for row in own}
    suffix = otherwise(dataset)
    return bool(suffix) and all(len(common(rows.get(name), rows.get(name + suffix))) >= FEWEST for name in COMPARED)


def common(a: Row | None, b: Row | None) -> set[int]:
    """Seeds that both rows have, on val and on test; none where one of them was not tuned."""
    if a is None or b is None or not a.tuned == b.tuned == "yes":
        return set()
    return set(a.val.keys() & scores(a).keys() & b.val.keys() & scores(b).keys())


def scores(row: Row) -> dict[int, float]:
    """The first metric on test by seed, also of a variant that the tables of models do not rank."""
    return row.values or row.aside


def preferred(usual: Row, other: Row) -> Row:
    """The better of two cuts of one mixer by the mean on val over the seeds that both have."""
    seeds = common(usual, other)
    a, b = (mean([row.val[seed] for seed in seeds]) for row in (usual, other))
    return replace(other, values=scores(other)) if (b - a) * usual.metric.sign > 0 else usual


def size(row: Row) -> int | None:
    """Samples, or pixels a side, of a token of a row's model; None where inputs are not cut."""
    if row.dataset not in PATCH:
        return None
    task = datasets.task(row.dataset)
    return PATCH[row.dataset] if row.model != plain(row.model) else task.patch or patch_size(*task.input.shape[1:])
