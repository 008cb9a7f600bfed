"""A card for every model and every data set: what it is, where it comes from, how large, and what came of it."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

import datasets
import models
from bench.core.machine import ROOT
from bench.page import draw
from bench.page.svg import sample
from bench.report.costs import COSTS
from bench.tables.formatting import amount, number, quality
from bench.tables.look import Look
from bench.tables.rows import Row
from bench.tables.scales import scale
from bench.tables.verdict import ranked

MOST = 120  # models of one drawing; the table has them all


@cache
def described(path: Path) -> tuple[str, dict[str, str]]:
    """The words at the head of a source file, and those of its functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    own = {node.name: ast.get_docstring(node) or "" for node in tree.body if isinstance(node, ast.FunctionDef)}
    return ast.get_docstring(tree) or "", own


def what(name: str) -> tuple[str, str, list[str]]:
    """What a model is in its own words or its file's, the file, and what else is defined there; empty for one this checkout has not."""
    if name not in models.names(published=True):
        return "", "", []
    path = models.source(name)
    whole, own = described(path)
    kin = [other for other in models.names(published=True) if models.source(other) == path and other != name]
    shown = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    return own.get(name, "") or whole, shown, kin


@dataclass(frozen=True)
class Card:
    name: str
    family: str
    sample: Markup
    text: str
    beside: str  # the model that has the same text
    file: str
    kin: list[str]
    size: str
    best: list[tuple[str, str]]  # data set, and its place there
    trained: int
    why_not: str


def between(values: Sequence[float]) -> str:
    """Smallest to largest, in words."""
    ends = [amount(end) for end in dict.fromkeys((min(values), max(values)))] if values else []
    return " to ".join(dict.fromkeys(ends))


def model_cards(table: Sequence[Row], sections: dict[str, list[Row]], look: dict[str, Look]) -> list[Card]:
    """Every model that any cell names, by name. Where it is good: its places among the rows that each data set ranks."""
    places: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for dataset, own in sections.items():
        order = ranked(own)
        for place, row in enumerate(order, 1):
            places[row.model].append((place, dataset, f"{place} of {len(order)}, {quality(row.value, row.metric)}"))
    cards: list[Card] = []
    said: dict[str, str] = {}
    for name in sorted(look):
        rows = [row for row in table if row.model == name]
        text, file, kin = what(name)
        beside = said.setdefault(text, name)
        sizes = [count for row in rows if (count := row.costs.get("params_active"))]
        best = [(dataset, place) for _, dataset, place in sorted(places[name])[:5]]
        reasons = [row.reason for row in rows if not row.values and row.reason]
        why = max(reasons, key=reasons.count) if reasons and not places[name] else ""
        cards.append(
            Card(
                name,
                look[name].family,
                sample(look[name]),
                text if beside == name else "",
                beside if text else "",
                file,
                kin,
                between(sizes),
                best,
                len(places[name]),
                why,
            )
        )
    return cards


@dataclass(frozen=True)
class Set:
    name: str
    summary: str
    source: str
    asks: str
    bounds: list[str]
    without: list[str]
    seeds: Markup | None
    costs: list[Markup]
    curves: Markup | None
    left: int  # models with a value that are not drawn
    failed: list[Row]


def known(name: str) -> Any:
    """The data set's task, None if this checkout has none of that name."""
    return datasets.task(name) if name in datasets.names(published=True) else None


def bounds(task: Any, first: Row) -> dict[str, float]:
    """What guessing gives, where all classes are alike, and the best there can be."""
    found = {}
    if task is not None and task.output.kind == "classes" and first.metric.name == "accuracy":
        found["chance"] = 1 / task.output.size
    if (best := scale(first.metric).best) is not None:
        found["ceiling"] = best
    return found


def asked(task: Any, first: Row) -> str:
    """Its shapes, its metric and what a run may spend."""
    said = []
    if task is not None:
        shapes = ["×".join(map(str, getattr(task.input, "shape", ()))) or "", task.output.kind]
        said.append(
            f"{task.input.kind} {shapes[0]} in, {shapes[1]} out; {', '.join(f'{n:,}' for n in task.sizes)} samples in train, val, test"
        )
    if first.metric.name:
        said.append(f"scored by {first.metric.name}, {first.metric.better} is better")
        said.append(f"budget {first.budget}: {first.samples:,} training samples")
    return ". ".join(one[0].upper() + one[1:] for one in said)


def set_card(name: str, own: Sequence[Row], look: dict[str, Look]) -> Set:
    order = ranked(own)
    first, task = next(iter(order), own[0]), known(name)
    guess = bounds(task, first) if order else {}
    seen = [v for row in order for v in row.values.values()]
    shown = {word: at for word, at in guess.items() if min(seen) - 0.3 <= at <= max(seen) + 0.1}  # a far one would flatten the rest
    study = draw.Study(order[:MOST], look, shown)
    drawn = [draw.cost(study, cost) for cost in COSTS] if len(order) > 1 else []
    unit = 100 if first.metric.percent else 1
    return Set(
        name,
        re.sub(r"^\w", lambda found: found[0].upper(), first.summary or (task.summary if task is not None else "")),
        task.source if task is not None else "",
        asked(task, first),
        [f"{word} {number(unit * at)}{' %' if first.metric.percent else ''}" for word, at in guess.items()],
        [f"{row.model} {quality(row.value, row.metric)}" for row in order if what(row.model)[1] == "models/oracles.py"],
        draw.seeds(study) if order else None,
        [one for one in drawn if one is not None],
        draw.curves(study) if order else None,
        max(0, len(order) - MOST),
        [row for row in own if not row.values and row.status != "skipped"],
    )


def set_cards(table: Sequence[Row], sections: dict[str, list[Row]], look: dict[str, Look]) -> list[Set]:
    """Every data set that any cell names."""
    rest = sorted({row.dataset for row in table} - set(sections))
    elsewhere = {name: [replace(row, values={}) for row in table if row.dataset == name] for name in rest}
    return [set_card(name, own, look) for name, own in sorted((sections | elsewhere).items())]
