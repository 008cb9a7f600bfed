"""The store -> what the page shows: one dict of plain, rounded facts, the same for the same files. Reads, never trains."""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import numpy as np

from bench.core import machine
from bench.plan.grid import RequestError
from bench.report import plots
from bench.store.records import Store
from bench.tables import headline
from bench.tables.column import Column
from bench.tables.columns import PLACES, columns
from bench.tables.family import OTHERS, SETS
from bench.tables.rows import Row, newest_facts, rows
from bench.tables.sections import shown
from bench.tables.verdict import UNRUN, Verdict, family, on

QUESTION = "When does attention beat convolutions and MLPs, and what does it cost?"
DIGITS = 4
POINTS = 20  # of a curve
MANY, FEWER = 1000, 9  # beyond so many rows curves have fewer points and no bands, or they would fill the page
CURVES = ("val_loss", "train_loss", "val_metric")
PICTURES = (".gif", ".png")
Piece = tuple[str, str]  # words, and what they are: a finding or plain text


def short(value: float | None) -> float | int | None:
    """A figure with as many digits as the page can show; None if there is none or it is not finite. Whole numbers stay exact."""
    if value is None or isinstance(value, int):
        return value
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def shorts(values: np.ndarray) -> list[float | int | None]:
    return [short(value) for value in values.tolist()]


def coded(texts: Sequence[str]) -> dict[str, list[Any]]:
    """A column of texts that repeat: every text once, and for each row its place among them."""
    words = sorted(set(texts))
    places = {word: place for place, word in enumerate(words)}
    return {"words": words, "rows": [places[text] for text in texts]}


def curve(row: Row, many: bool) -> dict[str, Any] | None:
    """Mean over seeds of each curve and, unless there are many rows, lowest and highest, at some moments; None if there is no curve."""
    count = min((len(run["curve"]["samples"]) for run in row.runs), default=0)
    if not count:
        return None
    at = np.unique(np.linspace(0, count - 1, min(count, FEWER if many else POINTS)).round().astype(int))
    found: dict[str, Any] = {"seeds": len(row.runs)}
    for name in CURVES:
        if all(name in run["curve"] for run in row.runs):
            samples, seconds, *kinds = plots.averaged(row, name)
            found |= {"samples": shorts(samples[at]), "seconds": shorts(seconds[at])}
            found[name] = [shorts(kind[at]) for kind in kinds[: 1 if many or len(row.runs) == 1 else 3]]
    return found if "samples" in found else None


def data_of(own: Sequence[Column[Row]], table: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """What the page needs of its columns: `numbers` and `texts` by key; those of a place where nothing was timed are left out."""
    numbers: dict[str, list[float | int | None]] = {}
    texts = {"family": coded([row.family for row in table])}
    for column in own:
        if (page := column.page) is None:
            continue
        key, values = page.key or column.name, [column.of(row) for row in table]
        if page.place and not any(values):
            continue
        if column.kind == "text":
            texts[key] = coded([str(value or "") for value in values])
        else:
            numbers[key] = [short(None if v is None or v == page.blank else v if page.scale == 1 else v * page.scale) for v in values]
        if page.words:
            texts[page.words] = coded([column.said(row) for row in table])
    return {"numbers": numbers, "texts": texts}


def heads(own: Sequence[Column[Row]]) -> list[dict[str, Any]]:
    """The columns of the page's table in their order, as table.js draws them."""
    shown = [(column, column.page) for column in own if column.page is not None and column.page.label]
    return [
        {
            "key": page.key or column.name,
            "label": page.label,
            "unit": page.unit,
            "text": column.kind == "text",
            "cell": page.cell,
            "place": page.place,
            "choice": page.choice,
            "axis": column.axis,
            "about": column.about,
        }
        for column, page in sorted(shown, key=lambda one: one[1].late)
    ]


def groups(table: Sequence[Row], sections: dict[str, list[Row]]) -> tuple[list[dict[str, Any]], list[int]]:
    """What may be drawn in one plot, trained under equal conditions in one arithmetic; and the group of each row, -1 if it has none."""
    first: dict[tuple[str, ...], Row] = {}
    members: list[tuple[str, ...]] = []
    for row in table:
        members.append((row.dataset, *row.terms, row.conditions) if row.runs else ())
        if row.runs:
            first.setdefault(members[-1], row)
    leads = {name: next((row for row in own if row.values), own[0]) for name, own in sections.items()}
    ranked_ = {(name, *row.terms, row.conditions) for name, row in leads.items()}
    order = sorted(first, key=lambda key: (key[0], key not in ranked_, key))
    places = {key: place for place, key in enumerate(order)}
    described, seen = [], set()
    for key in order:
        row = first[key]
        parts = [row.budget, *([row.dtype] if row.dtype != "float32" else []), f"{row.samples:,} samples", row.arithmetic]
        described.append(
            {
                "dataset": row.dataset,
                "label": ", ".join(parts) + (" (another recipe)" if key[:4] in seen else ""),
                "ranked": key in ranked_,
                "metric": row.metric.name,
                "better": row.metric.better,
                "percent": row.metric.percent,
            }
        )
        seen.add(key[:4])
    return described, [places.get(key, -1) for key in members]


def pieces(text: str) -> list[Piece]:
    """A line with *findings*, cut where the page changes weight."""
    return [(part, "finding" if place % 2 else "") for place, part in enumerate(re.split(r"\*+", text)) if part]


def answer(dataset: str, own: Sequence[Row], compared: Sequence[Verdict]) -> dict[str, Any]:
    """What one data set says of attention in the same backbone: a line for each mixer that was run beside it."""
    lead = next((row for row in own if row.values), own[0])
    lines = [f"{OTHERS[one.other]}: {headline.told(one)}, n = {one.n}" for one in compared if one.why != UNRUN]
    return {
        "dataset": dataset,
        "summary": lead.summary,
        "measure": f"test {lead.metric.name}, {lead.metric.better} is better" if lead.metric.name else "",
        "counts": dataset in SETS,
        "lines": [pieces(line) for line in lines],
    }


def ledger(folder: Path) -> list[dict[str, str]]:
    """The rows of the store's claims.csv, or, for reference results, of the one above; RequestError if it cannot be read."""
    places = [folder, folder.parent] if folder.name == machine.REFERENCE.name else [folder]
    path = next((place / "claims.csv" for place in places if (place / "claims.csv").is_file()), None)
    if path is None:
        return []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            found = [{name: value or "" for name, value in row.items() if name} for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RequestError(f"{path.name} cannot be read: {error}; make it again: python -m bench claims") from error
    return [row for row in found if row.get("verdict")]


def pictures(folder: Path) -> list[dict[str, str]]:
    """The forest and every picture under figures/: data set ('' for the whole suite), name in words and address from the page."""
    root = folder / "figures"
    forest = folder / "forest.png"
    paths = [p.relative_to(root) for p in root.rglob("*") if p.suffix.lower() in PICTURES and p.is_file() and not p.name.startswith(".")]
    found = (
        [{"dataset": "", "name": "forest: attention minus each mixer", "address": "forest.png", "kind": "png"}] if forest.is_file() else []
    )
    for path in sorted(PurePosixPath(path.as_posix()) for path in paths):
        group = path.parent.as_posix() if path.parent.parts else ""
        words = path.stem.replace("-", ", ").replace("_", " ") if not group else path.stem.replace("-", ": ", 1)
        address = quote(os.fsencode(f"figures/{path.as_posix()}"))
        found.append({"dataset": group, "name": words, "address": address, "kind": path.suffix.lower()[1:]})
    return found


def looks(table: Sequence[Row]) -> dict[str, list[float]]:
    """Each model's dashes, in widths of the line; none for a solid one. The colour is its family's."""
    found = plots.styles(table)
    return {name: [] if look["linestyle"] == "-" else list(look["linestyle"][1]) for name, look in sorted(found.items())}


def facts(store: Store, clock: str | None = None) -> dict[str, Any]:
    """Everything the page shows, JSON-able; times are of the machine `clock`. RequestError if a file beside the store cannot be read."""
    table = rows(store, clock)
    sections = shown(table)
    own = columns(table)
    described, member = groups(table, sections)
    # the family first, then what was compared outside it, then the rest
    answers = [answer(name, rows_, on(name, rows_)) for name, rows_ in sections.items()]
    answers.sort(key=lambda one: (not one["lines"], not one["counts"]))
    return {
        "question": QUESTION,
        "headline": " ".join(headline.sentences(family(sections))),
        "rule": headline.RULE.replace("*", ""),
        "answers": answers,
        "colours": plots.COLOURS,
        "looks": looks(table),
        "places": PLACES,
        "columns": heads(own),
        **data_of(own, table),
        "groups": described,
        "group": member,
        "curves": [curve(row, len(table) > MANY) for row in table],
        "claims": ledger(store.folder),
        "pictures": pictures(store.folder),
        "machines": [facts | {"slug": slug} for slug, facts in newest_facts(table).items()],
    }
