"""What the CSV files of a results folder hold, made of their columns: columns.md for people, datapackage.json for programs.

datapackage.json is a Tabular Data Package (Frictionless, specs.frictionlessdata.io): each file with its fields' names, types,
units and sentences, and the fields that together name a line.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.tables.column import Column, Kind
from bench.tables.formatting import escape, markdown
from bench.tables.headline import QUESTION

VERSION = "2.1.0"  # of the files' columns: a column gone or of another meaning raises the first number, a new one the second
LICENCES = [{"name": "MIT", "title": "MIT License", "path": "https://opensource.org/license/mit"}]
TYPES: dict[Kind, str] = {"text": "string", "count": "integer", "figure": "number"}


@dataclass(frozen=True)
class Table:
    """A CSV file by its name without `.csv`: what a line of it is, its columns, and which of them together name a line."""

    name: str
    about: str
    columns: Sequence[Column[Any]]
    key: tuple[str, ...]


def pages(tables: Sequence[Table]) -> str:
    """columns.md: what each column of each file is."""

    def line(one: Column[Any]) -> dict[str, str]:
        better = "as the metric says" if one.better == "metric" else one.better
        return {"column": f"`{one.name}`", "unit": one.unit, "better": better, "what it is": escape(one.about)}

    def shown(one: Column[Any]) -> dict[str, str]:
        return {"in comparison.md": one.head, "on the page": one.page.label if one.page else ""}

    parts = [
        "# Columns",
        "Of every table that is made for machines, in their order; [datapackage.json](datapackage.json) says the same to programs."
        " A figure that was not measured is an empty field; a place where nothing was timed has no columns.",
    ]
    for table in tables:
        also = any(one.head or one.page for one in table.columns)
        lines = [line(one) | (shown(one) if also else {}) for one in table.columns]
        parts += [f"## {table.name}.csv", table.about, markdown(lines)]
    return "\n\n".join(parts) + "\n"


def field(column: Column[Any]) -> dict[str, str]:
    unit = {"unit": column.unit} if column.unit else {}
    return {"name": column.name, "type": TYPES[column.kind], "description": column.about, **unit}


def package(tables: Sequence[Table]) -> str:
    """datapackage.json."""
    resources = [
        {
            "name": table.name,
            "path": f"{table.name}.csv",
            "profile": "tabular-data-resource",
            "description": table.about,
            "format": "csv",
            "mediatype": "text/csv",
            "encoding": "utf-8",
            "schema": {"fields": [field(one) for one in table.columns], "missingValues": [""], "primaryKey": list(table.key)},
        }
        for table in tables
    ]
    head = {"profile": "tabular-data-package", "name": "attention-bench", "version": VERSION, "licenses": LICENCES}
    return json.dumps({**head, "title": QUESTION, "resources": resources}, indent=1, ensure_ascii=False) + "\n"
