"""What is compared with what: two sides as a user writes them -> pairs of rows that may be compared, and why others may not.

vit               a model under the budget of --budget, else the one that both sides have, with most seeds
vit@lr=1e-3       a variant of it
vit:reference     a model under that budget
DIR::vit          a model in another results folder
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import models
from bench.compare import val
from bench.compare.options import HOW
from bench.core import machine
from bench.plan import grid, variants
from bench.plan.opened import opened
from bench.plan.request import RequestError
from bench.store.records import Record
from bench.tables.clock import clock
from bench.tables.rows import Row, everything, tabulated
from datasets.registry import did_you_mean
from models.naming import changed, plain
from models.variants import combinations


@dataclass(frozen=True)
class Side:
    """`budget` is '' where none was named."""

    folder: str
    model: str
    budget: str = ""

    @property
    def said(self) -> str:
        return f"{self.model} under the budget {self.budget}" if self.budget else self.model


def read(text: str, results: str, budget: str | None) -> Side:
    """A side as it was written, a variant by the name of its row. RequestError for no model, and for what a model does not take."""
    folder, _, rest = text.rpartition("::")
    model, colon, own = rest.partition(":")
    if not model or (colon and not own):
        raise RequestError(f"{text!r} names no {'budget' if model else 'model'}; write {HOW}")
    return Side(folder or results, called(model), own or budget or "")


def called(name: str) -> str:
    """The name by which a variant is stored, `vit@lr=0.001` for `vit@lr=1e-3`; of a model that nobody registered as it was written."""
    try:
        several = len(combinations(name)[1]) > 1
        found = str(models.variant(name)) if not several and plain(name) in models.names(published=True) else name
    except ValueError as error:
        raise RequestError(str(error)) from error
    if several:
        raise RequestError(f"{name} is several variants; name one of them")
    return found


def distinct(asked: Sequence[Side]) -> None:
    """RequestError where both sides are one: one name, or two names of variants that are built and trained alike."""
    if len({(grid.located(side.folder), side.budget) for side in asked}) > 1:
        return
    a, b = asked
    if a.model == b.model:
        raise RequestError(f"A and B are the same, {a.said}; name another model, budget (MODEL:BUDGET) or folder (DIR::MODEL)")
    if {plain(side.model) for side in asked} <= {*models.names(published=True)}:
        try:
            variants.distinct([side.model for side in asked])
        except ValueError as error:
            raise RequestError(str(error)) from error


def known(noun: str, name: str, names: Iterable[str], place: str) -> None:
    """RequestError for a name that is not among those of a results folder."""
    among = sorted(set(names))
    if name not in among:
        raise RequestError(f"no {noun} {name!r} in {place}{did_you_mean(name, among)}; it has {', '.join(among) or 'none'}")


def table(sides: Sequence[Side], asked: str | None) -> list[list[Row]]:
    """The rows of each side, with the times of one machine that timed all of them: the one asked for, or the one with most timings.

    RequestError for a model, a budget or a machine that is not there.
    """
    kept = {folder: everything(opened(folder)) for folder in dict.fromkeys(side.folder for side in sides)}
    found: list[tuple[list[Record], list[Record]]] = []
    for side in sides:
        runs, timings = kept[side.folder]
        known("model", side.model, (run["model"] for run in runs), side.folder)
        own = {run["budget"]["name"] for run in runs if run["model"] == side.model}
        if side.budget:
            known(f"run of {side.model} under the budget", side.budget, own, side.folder)
        of_model = [run for run in runs if plain(run["model"]) == plain(side.model)]  # among which val chooses
        found.append((of_model, [one for one in timings if one["model"] == side.model]))
    shared = set.intersection(*({machine.name_of(one) for one in timings} for _, timings in found))
    if asked is not None:
        known("timing of both models by the machine", asked, shared, " and ".join(kept))
    elif shared:
        asked = clock([], [one for _, timings in found for one in timings if machine.name_of(one) in shared])
    tables = [
        tabulated(runs, [one for one in timings if machine.name_of(one) == asked], asked if asked in shared else None)
        for runs, timings in found
    ]
    return [[row for row in own if row.model == side.model] for side, own in zip(sides, tables, strict=True)]


def other_data(a: Record, b: Record) -> str:
    """What says that two runs of one data set and seed were trained on different data, '' if nothing does. Older records say little."""
    if a.get("version") != b.get("version") and None not in (a.get("version"), b.get("version")):
        return "another version"
    files = [run.get("files") or {} for run in (a, b)]
    changed = sorted(name for name in files[0].keys() & files[1].keys() if files[0][name] != files[1][name])
    return f"another content of {', '.join(changed)}" if changed else ""


def hindrance(a: Row, b: Row) -> str:
    """Why two rows of one data set cannot be compared at all, '' if they can."""
    for row in (a, b):
        if not row.values:
            return f"{row.model} under the budget {row.budget or 'none'}: {row.status}{', ' if row.reason else ''}{row.reason}"
    if a.metric != b.metric:
        return f"ranked by different metrics, {a.metric.name} and {b.metric.name}"
    if different := other_data(a.runs[0], b.runs[0]):
        return f"trained on different data: {different}; run both again"
    if not a.values.keys() & b.values.keys():
        seeds = " and ".join(f"{', '.join(map(str, sorted(row.values)))} of {row.model}" for row in (a, b))
        return f"no seed in common: {seeds}; differences are paired by seed"
    return ""


def remark(a: Row, b: Row) -> str:
    """What keeps the difference of two rows from being a verdict on the two sides alone, '' if nothing does."""
    if a.arithmetic != b.arithmetic or a.dtype != b.dtype:
        return f"trained in different arithmetics: {a.arithmetic}, {a.dtype} and {b.arithmetic}, {b.dtype}"
    if any(row.budget.startswith("published") for row in (a, b)):
        return "published budgets may choose on test"
    if a.budget == b.budget and a.conditions != b.conditions and not changed(a.model) and not changed(b.model):
        return "one was trained under an older recipe; run it again"
    return ""


def worth(a: Row, b: Row) -> tuple[bool, bool, bool, int, int, str]:
    """Of several pairs of rows of one data set the one to show: comparable, without a remark, no smoke run, most seeds, samples, newest."""
    seeds = len(a.values.keys() & b.values.keys())
    return not hindrance(a, b), not remark(a, b), a.budget != "smoke", seeds, a.samples, min(a.newest, b.newest)


def pairs(sides: Sequence[Side], rows: Sequence[list[Row]], patterns: str | None) -> tuple[list[tuple[Row, Row]], dict[str, str]]:
    """For each data set the pair of rows to compare, on test or as `val` has it, and of the others the reason why there is none.

    RequestError for data sets that neither side was run on, and if nothing can be compared.
    """
    left, right = sides
    names = [{row.dataset for row in own if row.runs} for own in rows]
    chosen = grid.select("data set", patterns, sorted(names[0] & names[1]), sorted(names[0] | names[1]), "; neither was run on it")
    found: list[tuple[Row, Row]] = []
    reasons: dict[str, str] = {}
    for name in chosen:
        both = [
            val.shut(a, b)
            for a in rows[0]
            for b in rows[1]
            if name == a.dataset == b.dataset
            and (not left.budget or a.budget == left.budget)
            and (not right.budget or b.budget == right.budget)
            and ((left.budget and right.budget) or a.budget == b.budget)
        ]
        if not both:
            had = [", ".join(sorted({row.budget for row in own if row.dataset == name and row.runs})) or "none" for own in rows]
            more = "" if "none" in had else "; two budgets are compared as MODEL:BUDGET"
            reasons[name] = f"no budget in common: {had[0]} of {left.model}, {had[1]} of {right.model}{more}"
            continue
        best = max(both, key=lambda pair: worth(*pair))
        if why := hindrance(*best):
            reasons[name] = why
        else:
            found.append(best)
    if not found:
        told = "; ".join(f"{name}: {why}" for name, why in reasons.items())
        had = [f"{side.said} on {', '.join(sorted(own)) or 'none'}" for side, own in zip(sides, names, strict=True)]
        raise RequestError(
            f"nothing to compare: {told or 'no data set in common, ' + ' and '.join(had)}; train what is missing:"
            f" python -m bench run --models {','.join(dict.fromkeys(side.model for side in sides))} --datasets …"
        )
    return found, reasons
