"""What stands beside a data set's ranked rows: those under other budgets, and variants with what val says of each."""

from __future__ import annotations

from collections.abc import Sequence

from bench.tables.formatting import escape, markdown, number, quality
from bench.tables.rows import Row
from bench.tables.scales import called
from models.naming import plain


def elsewhere(others: list[Row]) -> list[str]:
    """Rows of the same data set that were trained under other budgets, which nobody may rank against each other."""
    body = [
        {
            "budget": f"{row.budget}: {row.samples:,} samples{', ' + row.dtype if row.dtype != 'float32' else ''}",
            "model": row.model,
            called(row.metric): quality(row.value, row.metric),
            "seeds": len(row.values),
            "train s": number(row.train_seconds),
            "": escape(row.reason),
        }
        for row in sorted(others, key=lambda row: (row.samples, row.budget, row.arithmetic))
        if row.values
    ]
    return ["Under other budgets, not ranked:", "", markdown(body), ""] if body else []


def tried(dataset: str, table: Sequence[Row]) -> list[Row]:
    """Rows of one data set among which val chooses: variants, and the models that they are of. Skipped cells are left out."""
    others = [row for row in table if row.dataset == dataset and row.status != "skipped"]
    models_ = {plain(row.model) for row in others if row.model != plain(row.model)}
    own = [row for row in others if plain(row.model) in models_]
    return sorted(own, key=lambda row: (plain(row.model), row.samples, row.terms, row.model))


def variants(dataset: str, table: Sequence[Row]) -> list[str]:
    """All variants of the models of one data set, with what val says of them: it chooses which of them has a test score."""
    body = [
        {
            "variant": row.model,
            "budget": f"{row.budget}: {row.samples:,} samples",
            f"{called(row.metric)} on val": quality(row.on_val, row.metric),
            "on test": quality(row.value, row.metric),
            "seeds": len(row.val),
            "parameters": number(row.costs.get("params")),
            "": escape(row.reason),
        }
        for row in tried(dataset, table)
        if row.val
    ]
    return ["Variants, chosen on val; those that saw other samples are not ranked:", "", markdown(body), ""] if body else []
