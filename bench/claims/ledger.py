"""The claims ledger as its file has it: claims.toml -> one `Claim` a figure, every field checked, with the line it is from.

    [[claim]]                                              Claim(vit, mnist, 97.87)
    dataset = ["mnist", "cifar10"]                    ->   Claim(vit, cifar10, 51.0)
    published.vit = [97.87, 51.0]

Lists of other keys run alongside those of `published`: the second data set, size, epoch or tolerance is of the second figure.

Anything the file should not say is a RequestError that names file and line.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from bench.claims.claim import Claim, nonsense, unknown
from bench.claims.text import Page, called
from bench.plan.grid import RequestError
from datasets.registry import did_you_mean

FILE = Path(__file__).with_name("claims.toml")

At = Callable[..., int]  # a key of a table -> its line
NUMBER, TEXT = (int, Decimal), (str,)
WHERE: dict[str, tuple[type, ...]] = {"model": TEXT, "dataset": TEXT, "size": (dict,), "quantity": TEXT, "budget": TEXT, "epoch": (int,)}
TEXTS = ("source", "about", "unit", "protocol", "expect", "formula", "remark", "not_measured", "order", "taken")
ONE: dict[str, tuple[type, ...]] = {"published": NUMBER, "tolerance": NUMBER, "size": (dict,), "near": (dict,), "epoch": (int,)}
ONE |= dict.fromkeys(("dataset", "about", "formula"), TEXT)
FIELDS = WHERE | dict.fromkeys(TEXTS, TEXT) | {key: (*kinds, list) for key, kinds in ONE.items()}
FIELDS |= {"published": (*NUMBER, list, dict), "relative": (Decimal,), "ours": (bool,), "over": (dict,), "explained": (dict,)}
PARTS = {"over": WHERE, "near": WHERE, "explained": WHERE | {"because": TEXT, "value": NUMBER, "tolerance": NUMBER}}
BESIDES: dict[str, dict[str, tuple[type, ...]]] = {  # what a source says and shows that is no figure: all keys are needed
    "note": {"source": TEXT, "text": TEXT},
    "picture": {"source": TEXT, "shows": TEXT, "its": (list,), "ours": (list,), "made": TEXT},
}
TABLES: dict[str, tuple[type, str]] = {"sources": (dict, "[sources.NAME]")} | {name: (list, f"[[{name}]]") for name in ("claim", *BESIDES)}
WORDS = {str: "a text", bool: "true or false", int: "a whole number", Decimal: "a number", list: "a list", dict: "a table"}


@dataclass(frozen=True)
class Picture:
    """A figure of a source: in words, its files in the source's repository; ours beside it, paths below the results with * for any
    name; how to make them."""

    shows: str
    its: list[str]
    ours: list[str]
    made: str


@dataclass(frozen=True)
class Source:
    """Its title, where it lies, what it says and shows besides figures. With `showed`, what it showed in our words, it has a page;
    `beside` is the source on whose page it stands."""

    title: str
    at: str = ""
    showed: str = ""
    beside: str = ""
    notes: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)


@dataclass(frozen=True)
class Ledger:
    """All claims in the order of the file, and the sources by their short names."""

    name: str
    sources: dict[str, Source]
    claims: list[Claim]


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
    sources = described(page, content.get("sources", {}))
    claims = [one for i, entry in enumerate(content["claim"]) for one in figures(page, i, entry, sources)]
    for name, one in besides(page, "note", content, sources):
        sources[name].notes.append(one["text"])
    for name, one in besides(page, "picture", content, sources):
        sources[name].pictures.append(Picture(**one))
    return Ledger(page.name, sources, claims)


def described(page: Page, given: Mapping[str, Any]) -> dict[str, Source]:
    """What the file says of each source."""
    for name, about in given.items():
        line = (page.found(rf"\[\s*sources\.{re.escape(name)}\s*\]") or [1])[0]
        if not isinstance(about, dict) or "title" not in about:
            page.wrong(line, f"source {name!r} needs a title")
        typed(page, about, dict.fromkeys(("title", "at", "showed", "beside"), TEXT), lambda key="", line=line: line)
        if about.get("beside", name) not in given:
            page.wrong(line, unknown("source", about["beside"], list(given)))
    return {name: Source(**about) for name, about in given.items()}


def besides(page: Page, table: str, content: Mapping[str, Any], sources: Mapping[str, Source]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The [[note]]s or [[picture]]s: each with the name of its source, and without."""
    for i, entry in enumerate(content.get(table, [])):
        at = partial(page.line, table, i)
        typed(page, entry, BESIDES[table], at)
        for key in BESIDES[table]:
            if key not in entry:
                page.wrong(at(), f"a {table} needs {key!r}")
        if entry["source"] not in sources:
            page.wrong(at("source"), unknown("source", entry["source"], list(sources)))
        for key in ("its", "ours"):
            if not all(isinstance(path, str) for path in entry.get(key, [])):
                page.wrong(at(key), f"{key} must be a list of paths")
        yield entry["source"], {key: value for key, value in entry.items() if key != "source"}


def typed(page: Page, entry: Mapping[str, Any], fields: Mapping[str, tuple[type, ...]], at: At, within: str = "") -> None:
    """Refuse keys nobody knows and values of another type."""
    for key, value in entry.items():
        name = f"{within}{key}"
        if key not in fields:
            page.wrong(at(name), f"unknown key {name!r}{did_you_mean(key, list(fields))}")
        if isinstance(value, bool) != (fields[key] == (bool,)) or not isinstance(value, fields[key]):
            wanted = " or ".join(dict.fromkeys(WORDS[kind] for kind in fields[key]))
            page.wrong(at(name), f"{name} must be {wanted}, not {value!r}")
        if isinstance(value, NUMBER) and not math.isfinite(Decimal(value)):  # which is infinite where no float can hold it
            page.wrong(at(name), f"{name} must be a finite number, not {str(value)[:40]}")
        if key == "size":
            for size in (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)):
                typed(page, size, dict.fromkeys(size, (int, str)), at, f"{name}.")


def figures(page: Page, index: int, entry: dict[str, Any], sources: Mapping[str, Source]) -> Iterator[Claim]:
    """The claims of one [[claim]], one for each figure of `published`."""
    at = partial(page.line, "claim", index)
    typed(page, entry, FIELDS, at)
    for part, fields in PARTS.items():
        for one in entry[part] if isinstance(entry.get(part), list) else [entry.get(part, {})]:
            typed(page, one, fields, at, within=f"{part}.")
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
    if "relative" in entry and ("tolerance" in entry or not 0 <= entry["relative"] < 1):
        page.wrong(at("relative"), "a tolerance as a share of the figure lies between 0 and 1, and there is no other")
    lists = {key: value for key, value in entry.items() if isinstance(value, list) and key != "published"}
    same = {key: value for key, value in entry.items() if key not in (*lists, "published", "relative")}
    given = entry["published"] if table else {entry.get("model", ""): entry["published"]}
    for who, figures_ in given.items():
        key = f"published.{who}" if table else "published"
        values = figures_ if isinstance(figures_, list) else [figures_]
        if not values:
            page.wrong(at(key), f"{key} names no figure")
        for other, along in lists.items():
            if len(along) != len(values):
                page.wrong(at(key), f"{len(values)} figures and {len(along)} of {other!r}")
        if len(values) > 1 and not lists:
            page.wrong(at(key), f"{len(values)} figures and nothing to tell them apart: a list of dataset, size or epoch")
        for i, value in enumerate(values):
            own = {"published": value} | {name: along[i] for name, along in lists.items()}
            typed(page, own, ONE, at)
            where = same | own
            if table:
                where |= {"model": who} if where.get("dataset") else {"label": who}
            if "relative" in entry:
                where["tolerance"] = entry["relative"] * value
            claim = Claim(at(), **where)
            problem = nonsense(claim, tolerated="tolerance" in where)
            if problem is not None:
                page.wrong(at(key if table and problem[0] == "model" else problem[0]), problem[1])
            yield claim
