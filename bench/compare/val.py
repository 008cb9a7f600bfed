"""Two rows on val where test is shut: between variants of one model val chooses, and what it passed over has no test score."""

from __future__ import annotations

from dataclasses import replace

import datasets
from bench.tables.family import POOLS
from bench.tables.rows import Row
from models.naming import plain


def shut(a: Row, b: Row) -> tuple[Row, Row]:
    """Two rows with their values on val if test may not tell them apart: one was passed over, or both are variants of one model."""
    variants = a.model != b.model and plain(a.model) == plain(b.model) and plain(a.model) not in (a.model, b.model)
    return (on_val(a), on_val(b)) if variants or not (a.chosen and b.chosen) else (a, b)


def on_val(row: Row) -> Row:
    """A row with its values on val, of the same weights; seeds that split one pool share val as train and val are in size."""
    own, known = row.runs, row.dataset in datasets.names(published=True)
    if known and (row.dataset in POOLS or any(run.get("pool") for run in own)):
        train, held_back, _ = datasets.task(row.dataset).sizes
        own = [run | {"pool": held_back / train} for run in own]
    return replace(row, values=row.val, runs=own)


def split(row: Row) -> str:
    """Which split a row's values are of."""
    return "val" if row.values is row.val else "test"
