"""Variants of one model are chosen on val, and only the chosen one has test scores in the tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.store.records import Record
from models.naming import plain

if TYPE_CHECKING:
    from bench.tables.rows import Row  # which asks this file


def val(run: Record) -> float | None:
    """The metric that ranks, on val, of the weights that were best there; None for a run that did not end well or keeps no such curve."""
    curve = run["curve"]
    if (
        run["status"] != "ok"
        or len(curve.get("val_metric", [])) != len(curve["samples"])
        or run.get("best_samples") not in curve["samples"]
    ):
        return None
    return float(curve["val_metric"][curve["samples"].index(run["best_samples"])])


def choose(table: Sequence[Row]) -> None:
    """Leave test scores only to the variant of each model that is best on val, and to the model as it is: what else is run changes
    nothing about that. Budgets that choose on test, as their source did, are left alone."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in table:
        if row.on_val is not None and not row.budget.startswith("published"):
            groups[row.dataset, *row.terms, plain(row.model)].append(row)
    for group in groups.values():
        best = max(group, key=lambda row: (row.metric.sign * row.on_val.mean if row.on_val else 0.0, row.model == plain(row.model)))
        for row in group:
            if row.model == plain(row.model):
                continue
            told = f"{best.model} is the best of {len(group)} variants on val" if len(group) > 1 else ""
            if row is not best:
                row.chosen, row.aside, row.values, row.values_last, row.scores = False, row.values, {}, {}, {}
                told = f"no test score: {told}"
            row.reason = "; ".join(filter(None, [told, row.reason]))
