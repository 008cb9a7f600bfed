"""A card for every model and every data set: what it is, where it comes from, how large, and what came of it."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

import datasets
import models
from bench.core.machine import ROOT
from bench.page import draw
from bench.page.svg import sample
from bench.page.words import strong
from bench.report.beside import tried
from bench.report.costs import COSTS
from bench.tables.formatting import amount, number, quality
from bench.tables.headline import listed
from bench.tables.look import Look
from bench.tables.rows import Row
from bench.tables.scales import called, scale
from bench.tables.sections import repeated
from bench.tables.verdict import ranked
from models.naming import plain

MOST = 120  # models of one drawing; the table has them all


@cache
def described(path: Path) -> tuple[str, dict[str, str]]:
    """The words at the head of a source file, and those of its functions."""
    tree = ast.parse(path.read_bytes())  # which finds the encoding as Python does
    own = {node.name: ast.get_docstring(node) or "" for node in tree.body if isinstance(node, ast.FunctionDef)}
    return ast.get_docstring(tree) or "", own


def what(model: str) -> tuple[str, str, list[str]]:
    """What a model is in its own words or its file's, the file, and what else is defined there; empty for one this checkout has not.

    A variant is what its model is.
    """
    name = plain(model)
    if name not in models.names(published=True):
        return "", "", []
    path = models.source(name)
    whole, own = described(path)
    kin = [other for other in models.names(published=True) if models.source(other) == path and other != name]
    shown = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    return own.get(name, "") or whole, shown, kin


def tried_lines(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What val said of each variant of a model and of the model as it is, and test where it was opened; [] for one without variants."""
    found = [row for name in dict.fromkeys(row.dataset for row in rows) for row in tried(name, rows)]
    return [
        {
            "model": row.model,
            "dataset": row.dataset,
            "budget": row.budget,
            "val": quality(row.on_val, row.metric),
            "test": quality(row.value, row.metric) or ("not scored" if row.val else f"{row.status}: {row.reason}"),
        }
        for row in found
    ]


def model_cards(table: Sequence[Row], sections: dict[str, list[Row]], look: dict[str, Look]) -> list[dict[str, Any]]:
    """Every model that any cell names, by name, with its variants. Where it is good: its places among the tuned rows of each data set."""
    places: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for dataset, own in sections.items():
        order = [row for row in ranked(own) if row.tuned == "yes"]
        if len(order) < 2:  # nothing was there to be better than
            continue
        for place, row in enumerate(order, 1):
            name = plain(row.model)
            said = f"{place} of {len(order)}, {quality(row.value, row.metric)}"
            places[name].append((place, dataset, said + (f" as {row.model}" if row.model != name else "")))
    kept: dict[str, list[Row]] = defaultdict(list)
    for row in table:
        kept[plain(row.model)].append(row)
    cards = []
    described_by: dict[str, str] = {}
    for name, every in sorted(kept.items()):
        rows = [row for row in every if row.model == name] or every
        text, file, kin = what(name)
        beside = described_by.setdefault(text, name)
        sizes = [count for row in rows if (count := row.costs.get("params_active"))] or [0]
        size = " to ".join(dict.fromkeys(map(amount, (min(sizes), max(sizes))))) if any(sizes) else ""
        reasons = [row.reason for row in rows if not row.values and row.reason]
        apart = list(dict.fromkeys(row.dataset for row in every if row.values))
        why_not = f"not ranked, but with results on {listed(apart)}" if apart else max(reasons, key=reasons.count, default="")
        cards.append(
            {
                "name": name,
                "family": look[rows[0].model].family,
                "sample": sample(look[rows[0].model]),
                "file": file,
                "kin": kin,
                "size": size,
                "text": text if beside == name else "",
                "beside": beside if text else "",  # the model that has the same text
                "best": [(dataset, place) for _, dataset, place in sorted(places[name])[:5]],
                "trained": len(places[name]),
                "why_not": why_not,
                "variants": tried_lines(every),
            }
        )
    return cards


def bounds(task: Any, first: Row) -> dict[str, float]:
    """What guessing gives, where all classes are alike, and the best there can be."""
    found = {}
    if task is not None and task.output.kind == "classes" and first.metric.name == "accuracy":
        found["chance"] = 1 / task.output.size
    if (best := scale(first.metric).best) is not None:
        found["ceiling"] = best
    return found


def asked(task: Any, first: Row) -> Markup:
    """Its shapes, its metric and what a run may spend."""
    said = []
    if task is not None:
        shape, sizes = "×".join(map(str, task.input.shape)), ", ".join(f"{n:,}" for n in task.sizes)
        said.append(f"{task.input.kind} {shape} in, {task.output.kind} out; {sizes} samples in train, val, test")
    if first.metric.name:
        said.append(f"scored by {called(first.metric)}, {first.metric.better} is better")
        said.append(f"budget {first.budget}: {first.samples:,} training samples")
    return strong(re.sub(r"^\w", lambda found: found[0].upper(), "; ".join(said)), set())


def twin(name: str) -> str:
    """The data set that is this one with its places permuted, '' where there is none."""
    other = f"{name}_shuffled"
    return other if other in datasets.names(published=True) and datasets.task(other).role == "twin" else ""


def set_card(name: str, own: Sequence[Row], look: dict[str, Look]) -> dict[str, Any]:
    order = ranked(own)
    task = datasets.task(name) if name in datasets.names(published=True) else None  # this checkout has none of that name
    first = next(iter(order), own[0])
    guess = bounds(task, first) if order else {}
    seen = [v for row in order for v in row.values.values()]
    shown = {word: at for word, at in guess.items() if min(seen) - 0.3 <= at <= max(seen) + 0.1}  # a far one would flatten the rest
    study = draw.Study(order[:MOST], look, shown)
    text = described(datasets.source(name))[0] if task is not None else ""
    drawn = [draw.cost(study, cost) for cost in COSTS] if len(order) > 1 else []
    unit = 100 if first.metric.percent else 1
    return {
        "name": name,
        "summary": re.sub(r"^\w", lambda found: found[0].upper(), first.summary or (task.summary if task is not None else "")),
        "source": task.source if task is not None else "",
        "asks": asked(task, first),
        "text": text,
        "bounds": [f"{word} {number(unit * at)}{' %' if first.metric.percent else ''}" for word, at in guess.items()],
        "without": [f"{row.model} {quality(row.value, row.metric)}" for row in order if what(row.model)[1] == "models/oracles.py"],
        "seeds": draw.seeds(study) if order else None,
        "costs": [one for one in drawn if one is not None],
        "curves": draw.curves(study) if order else None,
        "left": max(0, len(order) - MOST),  # models with a value that are not drawn
        "failed": [row for row in own if not row.values and row.status not in ("skipped", "ok")],  # ok: passed over by val
        "twin": twin(name),
        "original": next((other for other in datasets.names(published=True) if twin(other) == name), ""),
    }


def set_cards(table: Sequence[Row], sections: dict[str, list[Row]], look: dict[str, Look]) -> list[dict[str, Any]]:
    """Every data set that any cell names. One that was run only as its source did shows those runs; others that nobody ranks, none."""
    known = sections | repeated(list(table), sections)
    rest = sorted({row.dataset for row in table} - set(known))
    elsewhere = {name: [replace(row, values={}) for row in table if row.dataset == name] for name in rest}
    cards = [set_card(name, own, look) for name, own in sorted((known | elsewhere).items())]
    described_by: dict[str, str] = {}
    for card in cards:  # those of one file have one text
        card["beside"] = described_by.setdefault(card["text"], card["name"]) if card["text"] else ""
    return cards
