"""The claims ledger as its file has it: claims.toml -> one `Claim` a figure, every field checked, with the line it is from.

    [[claim]]                                              Claim(vit, mnist, 97.87)
    dataset = ["mnist", "cifar10"]                    ->   Claim(vit, cifar10, 51.0)
    published.vit = [97.87, 51.0]

Anything the file should not say is a RequestError that names file and line.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from bench.claims.claim import Claim, nonsense, unknown
from bench.core import machine
from bench.plan.grid import RequestError
from datasets.registry import did_you_mean

FILE = Path(__file__).with_name("claims.toml")

At = Callable[..., int]  # a key of a table -> its line
NUMBER, TEXT = (int, Decimal), (str,)
WHERE: dict[str, tuple[type, ...]] = {"model": TEXT, "dataset": TEXT, "size": (dict,), "quantity": TEXT, "budget": TEXT, "epoch": (int,)}
FIELDS = WHERE | {
    **dict.fromkeys(("source", "about", "unit", "protocol", "expect", "formula", "remark", "not_measured"), TEXT),
    "dataset": (str, list),
    "published": (*NUMBER, list, dict),
    "tolerance": (*NUMBER, list),
    "ours": (bool,),
    "over": (dict,),
    "explained": (dict,),
}
PARTS = {"over": WHERE, "explained": WHERE | {"because": TEXT, "value": NUMBER, "tolerance": NUMBER}}
ONE = {"published": NUMBER, "tolerance": NUMBER, "dataset": TEXT}
TABLES: dict[str, tuple[type, str]] = {"sources": (dict, "[sources.NAME]"), "claim": (list, "[[claim]]"), "note": (list, "[[note]]")}
WORDS = {str: "a text", bool: "true or false", int: "a whole number", Decimal: "a number", list: "a list", dict: "a table"}


@dataclass(frozen=True)
class Ledger:
    """All claims in the order of the file, sources by their short names, and what is claimed in words."""

    name: str
    sources: dict[str, str]
    claims: list[Claim]
    notes: dict[str, list[str]]


def called(path: Path) -> str:
    """A ledger as messages and pages name it: from the project's folder, or one that lies elsewhere with its own folder."""
    return path.relative_to(machine.ROOT).as_posix() if path.is_relative_to(machine.ROOT) else f"{path.parent.name}/{path.name}"


class Page:
    """The text of the file, to find the line of a table or of a key in it."""

    def __init__(self, path: Path, text: str) -> None:
        self.name, self.lines = called(path), text.splitlines()

    def found(self, pattern: str, start: int = 0, end: int | None = None) -> list[int]:
        """Numbers, from 1, of the lines after `start` and up to `end` that begin so; quotes do not count."""
        end = len(self.lines) if end is None else end
        return [n + 1 for n in range(start, end) if re.match(rf"\s*{pattern}", self.lines[n].replace('"', ""))]

    def line(self, table: str, index: int, key: str = "") -> int:
        """The line of the index-th [[table]], or of `key` in it: `a.b` is `a.b = …`, or b below [table.a], or in what a is."""
        starts = self.found(rf"\[\[\s*{table}\s*\]\]")
        if index >= len(starts):  # written inline
            return (self.found(rf"{table}\s*=") or [1])[0]
        start = starts[index]
        end = next(iter(self.found(r"\[\[", start)), len(self.lines) + 1) - 1
        head, _, tail = key.partition(".")
        below = self.found(rf"\[\s*{table}\.{re.escape(head)}\s*\]", start, end)
        places = self.found(rf"{re.escape(key)}\s*[.=]", start, end) if key else []
        places += self.found(rf"{re.escape(tail)}\s*=", below[0], end) if below and tail else []
        places += below + (self.found(rf"{re.escape(head)}\s*[.=]", start, end) if tail else [])
        return (places or [start])[0]

    def wrong(self, line: int, message: str) -> NoReturn:
        raise RequestError(f"{self.name}:{line}: {message}")


def read(path: Path = FILE) -> Ledger:
    """The ledger. RequestError with file and line if it is no TOML, or says something that cannot be."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = tomllib.loads(text, parse_float=Decimal)
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise RequestError(f"{called(path)}:{line}: not UTF-8") from error
    except OSError as error:
        raise RequestError(f"cannot read the claims in {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)", str(error))
        line = int(found[1]) if found and found[1] else len(text.splitlines())
        said = str(error).replace(found[0], "") if found else str(error)
        raise RequestError(f"{called(path)}:{line}: no TOML: {said}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets hundreds deep
        raise RequestError(f"{called(path)}:1: no TOML that can be read: {error}") from error
    return checked_in(Page(path, text), content)


def checked_in(page: Page, content: Mapping[str, Any]) -> Ledger:
    """Every table of the file, each on its own."""
    for key, value in content.items():
        line = (page.found(rf"\[*\s*{re.escape(key)}\b") or [1])[0]
        if key not in TABLES:
            page.wrong(line, unknown("table", key, list(TABLES)))
        kind, head = TABLES[key]
        if not isinstance(value, kind) or (kind is list and not all(isinstance(one, dict) for one in content[key])):
            page.wrong(line, f"{key!r} is written {head}")
    if not content.get("claim"):
        page.wrong(1, "no [[claim]] in it")
    sources = titled(page, content.get("sources", {}))
    notes = noted(page, content.get("note", []), sources)
    claims = [one for i, entry in enumerate(content["claim"]) for one in figures(page, i, entry, sources)]
    return Ledger(page.name, sources, claims, notes)


def titled(page: Page, titles: Mapping[str, Any]) -> dict[str, str]:
    """The sources' titles by their short names."""
    for name, about in titles.items():
        line = (page.found(rf"\[\s*sources\.{re.escape(name)}\s*\]") or [1])[0]
        if not isinstance(about, dict) or list(about) != ["title"] or not isinstance(about["title"], str):
            page.wrong(line, f"source {name!r} needs a title and nothing else")
    return {name: about["title"] for name, about in titles.items()}


def noted(page: Page, entries: Sequence[dict[str, Any]], sources: Mapping[str, str]) -> dict[str, list[str]]:
    """What each source claims in words."""
    notes: dict[str, list[str]] = {name: [] for name in sources}
    for i, note in enumerate(entries):
        at = partial(page.line, "note", i)
        typed(page, note, {"source": TEXT, "text": TEXT}, at)
        for key in ("source", "text"):
            if key not in note:
                page.wrong(at(), f"a note needs {key!r}")
        if note["source"] not in sources:
            page.wrong(at("source"), unknown("source", note["source"], list(sources)))
        notes[note["source"]].append(note["text"])
    return notes


def typed(page: Page, entry: Mapping[str, Any], fields: Mapping[str, tuple[type, ...]], at: At, within: str = "") -> None:
    """Refuse keys nobody knows and values of another type."""
    for key, value in entry.items():
        name = f"{within}{key}"
        if key not in fields:
            page.wrong(at(name), f"unknown key {name!r}{did_you_mean(key, list(fields))}")
        if isinstance(value, bool) != (fields[key] == (bool,)) or not isinstance(value, fields[key]):
            wanted = " or ".join(dict.fromkeys(WORDS[kind] for kind in fields[key]))
            page.wrong(at(name), f"{name} must be {wanted}, not {value!r}")
        if isinstance(value, NUMBER) and not finite(value):
            page.wrong(at(name), f"{name} must be a finite number, not {str(value)[:40]}")
        if key == "size":
            typed(page, entry[key], dict.fromkeys(entry[key], (int, str)), at, f"{name}.")


def finite(value: int | Decimal) -> bool:
    """Whether a float can hold it."""
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def figures(page: Page, index: int, entry: dict[str, Any], sources: Mapping[str, str]) -> Iterator[Claim]:
    """The claims of one [[claim]], one for each figure of `published`."""
    at = partial(page.line, "claim", index)
    typed(page, entry, FIELDS, at)
    for part, fields in PARTS.items():
        typed(page, entry.get(part, {}), fields, at, within=f"{part}.")
    for name in ("source", "quantity", "published"):
        if name not in entry:
            page.wrong(at(), f"a claim needs {name!r}")
    if entry["source"] not in sources:
        page.wrong(at("source"), unknown("source", entry["source"], list(sources)))
    if entry["published"] == {}:
        page.wrong(at("published"), "published names no figure")
    table = isinstance(entry["published"], dict)
    if table and "model" in entry:
        page.wrong(at("model"), "the keys of 'published' are the models already")
    same = {k: v for k, v in entry.items() if k not in ("published", "dataset", "tolerance", "model")}
    places = entry["dataset"] if isinstance(entry.get("dataset"), list) else [entry.get("dataset", "")]
    tolerances = entry["tolerance"] if isinstance(entry.get("tolerance"), list) else [entry.get("tolerance", 0)] * len(places)
    for who, given in entry["published"].items() if table else [(entry.get("model", ""), entry["published"])]:
        key = f"published.{who}" if table else "published"
        values = given if isinstance(given, list) else [given]
        if not values:
            page.wrong(at(key), f"{key} names no figure")
        if not len(values) == len(places) == len(tolerances):
            page.wrong(at(key), f"{len(values)} figures and {len(tolerances)} tolerances for {len(places)} data sets")
        for dataset, value, tolerance in zip(places, values, tolerances, strict=True):
            typed(page, {"published": value, "tolerance": tolerance, "dataset": dataset}, ONE, at)
            cell = {"label": who} if table and not dataset else {"model": who, "dataset": dataset}
            claim = Claim(at(), **same, **cell, published=value, tolerance=tolerance)
            problem = nonsense(claim, "tolerance" in entry)
            if problem is not None:
                page.wrong(at(key if table and problem[0] == "model" else problem[0]), problem[1])
            yield claim
