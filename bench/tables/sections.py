"""Which rows a data set's section shows and ranks: those of one budget, recipe and arithmetic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace

from bench.tables.family import FEWEST, MIXERS
from bench.tables.rows import Row
from models.naming import changed


def standing(group: list[Row]) -> tuple[bool, int, int, bool, int, int, str]:
    """Which of the groups of one data set is shown, the largest: never smoke if there is another, then the one with most of the
    mixers that verdicts compare, with seeds enough, at the reference budget, with most samples, newest. What other models were run
    on decides only where there is no mixer: no selection and no plugin moves a verdict."""
    trained_ = [row for row in group if row.values]
    mixers = [row for row in trained_ if row.model in MIXERS]
    seeds = min((len(row.values) for row in mixers), default=0)
    budget, newest = group[0].budget, max(row.newest for row in mixers or group)
    others = 0 if mixers else len({row.model for row in trained_})
    return budget != "smoke", len(mixers), min(seeds, FEWEST), budget == "reference", others, group[0].samples, newest


def shown(table: Sequence[Row]) -> dict[str, list[Row]]:
    """For each data set the rows that are ranked: of one budget and arithmetic.

    Which budget that is: `standing`; never a `published` one. Of a model's changed recipes the one that val chose is ranked, where it
    saw as many samples as the others; those that failed are told.
    Rows that were trained under other conditions (an older recipe or data set) keep their place but not their numbers.
    """
    sections: dict[str, list[Row]] = {}
    for dataset in sorted({row.dataset for row in table}):
        ours = [row for row in table if row.dataset == dataset and not row.budget.startswith("published")]
        own = [row for row in ours if not changed(row.model) or (row.chosen and "@samples=" not in row.model)]
        if not own:
            continue
        alike: dict[tuple[str, ...], list[Row]] = defaultdict(list)
        for row in own:
            alike[row.terms].append(row)
        group = max(alike.values(), key=standing)
        lead = max(group, key=lambda row: (bool(row.values), bool(row.values) and row.model in MIXERS, not changed(row.model), row.newest))
        old = "trained under another recipe than the newest rows; run it again"
        sections[dataset] = [
            r if r.conditions == lead.conditions or not r.runs else replace(r, values={}, aside={}, runs=[], status="older", reason=old)
            for r in group
            if r.conditions == lead.conditions or not r.runs or not changed(r.model)
        ]
    return sections


def repeated(table: Sequence[Row], ranked: Collection[str]) -> dict[str, list[Row]]:
    """Data sets that were run as a source did and not `ranked`: the rows of the longest such budget. They are drawn, no more."""
    found: dict[str, list[Row]] = {}
    for dataset in sorted({row.dataset for row in table} - set(ranked)):
        ours = [row for row in table if row.dataset == dataset and row.runs and row.budget.startswith("published")]
        if ours:
            longest = max(ours, key=lambda row: row.samples).terms
            found[dataset] = [row for row in ours if row.terms == longest]
    return found


def curved(rows: Sequence[Row]) -> bool:
    """Whether any of the runs was evaluated more than once: then losses are a curve and no dot."""
    return any(len(run["curve"]["samples"]) > 1 for row in rows for run in row.runs)
