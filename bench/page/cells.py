"""The table of all cells: its columns, and for each row what people read, what machines read and how to make it again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.page.svg import sample
from bench.tables.column import Column, OnPage
from bench.tables.columns import PLACES
from bench.tables.formatting import amount, number
from bench.tables.look import Look
from bench.tables.made import commits
from bench.tables.rows import Row
from bench.tables.scales import called

MANY = 1000  # rows beyond which those that no data set ranks are shown when they are asked for
FIRST = ("model", "value", "dataset", "budget")  # they lead, and are all that a cell without a run has


@dataclass(frozen=True)
class Head:
    """A column on the page: its figure with, where it has them, its bounds, and what is doubted of it; `more` hides it at first."""

    column: Column[Row]
    page: OnPage
    figures: tuple[Column[Row], ...]
    doubt: Column[Row] | None
    more: str

    @property
    def text(self) -> bool:
        return self.column.kind == "text"

    def unrounded(self, row: Row) -> str:
        """What machines read, for sorting and downloads; '' for texts, which are what they show."""
        return "" if self.text else " ".join(one.field(row) for one in self.figures).rstrip()

    def said(self, row: Row) -> str:
        value, how = self.column.of(row), self.page.cell
        if value is None or value == self.page.blank:
            return ""
        if how == "metric":
            return called(row.metric)
        if how == "quality":
            return self.column.said(row)
        if self.text:
            return str(value)
        if how == "latency":
            ends = [number(found * self.page.scale) for bound in self.figures[1:] if (found := bound.of(row)) is not None]
            return number(value * self.page.scale) + (f" [{', '.join(ends)}]" if len(ends) == 2 else "")
        return f"{value:,}" if how == "whole" else amount(value) if how == "amount" else number(value)


def heads(own: Sequence[Column[Row]], table: Sequence[Row]) -> list[Head]:
    """The page's columns in their order; of places where something was timed only, and without the machine, which is all rows'."""
    named = {column.name: column for column in own}
    found = []
    for column in own:
        page = column.page
        if (
            page is None
            or not page.label
            or column.name == "machine"
            or (page.place and not any(column.of(row) is not None for row in table))
        ):
            continue
        names, doubt = [column.name], None
        if page.cell == "quality":
            names += ["low", "high"]
        elif page.cell == "latency":
            names += [column.name.replace("_ms", f"_{end}_ms") for end in ("low", "high")]
            doubt = named[column.name.replace("p50_ms", "validity")]
        more = "scores" if page.choice else page.place if page.place != next(iter(PLACES)) else ""
        found.append(Head(column, page, tuple(named[name] for name in names), doubt, more))
    places = {name: place for place, name in enumerate(FIRST)}
    return sorted(found, key=lambda one: (places.get(one.column.name, len(places)), one.page.late))


def optional(own: Sequence[Head]) -> dict[str, str]:
    """Groups of columns that are shown when they are asked for."""
    words = {"scores": "all scores"} | {place: f"latency on {name}" for place, name in PLACES.items()}
    return {more: words[more] for more in dict.fromkeys(one.more for one in own if one.more)}


def again(row: Row) -> str:
    """The command that makes a cell again; needs --data where the data are real."""
    names = ["--models", row.model, "--datasets", row.dataset]
    parts = ["pytest", "bench", "--benchmark-only", *names, *(["--budget", row.budget] if row.budget else [])]
    parts += ["--seeds", str(max(row.values) + 1)] if row.values else []
    parts += ["--dtypes", "bf16"] if row.dtype == "bfloat16" else []
    parts += ["--devices", "cuda"] if row.arithmetic.startswith("cuda") else []
    return shlex.join(parts)


def groups(table: Sequence[Row], sections: dict[str, list[Row]]) -> list[int]:
    """A number for each row: those with the same were trained alike and may be compared; within a data set those ranked come first."""
    leads = {name: next((row for row in own if row.values), own[0]) for name, own in sections.items()}
    ranked = {(name, *row.terms, row.conditions) for name, row in leads.items()}
    keys = [(row.dataset, *row.terms, row.conditions) if row.runs else (row.dataset, "~") for row in table]
    places = {key: place for place, key in enumerate(sorted(set(keys), key=lambda key: (key[0], key[1] == "~", key not in ranked, key)))}
    return [places[key] for key in keys]


def lines(table: Sequence[Row], own: Sequence[Head], sections: dict[str, list[Row]], look: dict[str, Look]) -> list[dict[str, Any]]:
    """The rows as the template writes them."""
    quality = next(one for one in own if one.page.cell == "quality")
    samples = {name: sample(one) for name, one in look.items()}
    rest = [one for one in own if one.column.name not in FIRST]
    ranked = {(row.dataset, row.model, *row.terms) for rows in sections.values() for row in rows} if len(table) > MANY else None
    found = []
    for row, group in zip(table, groups(table, sections), strict=True):
        cells = [(one.said(row), one.unrounded(row), one.doubt.of(row) if one.doubt else "", one) for one in rest]
        found.append(
            {
                "row": row,
                "group": group,
                "rest": ranked is not None and (row.dataset, row.model, *row.terms) not in ranked,
                "sample": samples[row.model],
                "quality": quality.said(row),
                "figures": quality.unrounded(row),
                "cells": cells if row.runs or row.latency else [],
                "made": row.newest[:10],
                "commits": commits(row.runs),
                "again": again(row),
            }
        )
    return found
