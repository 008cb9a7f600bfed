"""`python -m bench study length`: asks for what is missing, and writes after every round, so that a killed study goes on."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from typing import Any

import models
from bench.core import machine
from bench.plan import grid
from bench.plan.request import RequestError, whole
from bench.run.progress import Progress
from bench.run.turns import Failed, Turns
from bench.store import fingerprint
from bench.store.encoding import as_record, as_text
from bench.store.files import LARGEST_RECORD, Unusable, content, set_aside
from bench.store.records import Store
from bench.studies import length

SCHEMA = 1
FIELDS = {"schema": int, "settings": dict, "code": str, "machine": dict, "rows": list, "counts": list}
ROW = {"model": str, "length": int, "work": str, "batch": int, "medians_ms": list, "reason": str}
BUILDING = 0.15  # seconds to build a model and to warm it up, beside the calls
Record = dict[str, Any]


def parse_lengths(text: str | None) -> list[int]:
    if text is None:
        return list(length.LENGTHS)
    found = sorted({whole("--lengths", part, 2**16) for part in grid.split(text)})
    if len(found) < 2:
        raise RequestError(f"--lengths takes two or more numbers of tokens, 16,64,256 say, not {text!r}")
    return found


def parse_seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.001 <= value <= 60:
        raise RequestError(f"--seconds takes a number from 0.001 to 60, not {text!r}")
    return value


def chosen(patterns: str) -> list[str]:
    """The models of a study. RequestError for one that cannot be, with the reason."""
    names = grid.select("model", patterns, (), models.names(published=True), " (python -m bench list)")
    for name in names:
        if reason := models.unfit(name, length.task(length.LENGTHS[0])):
            raise RequestError(f"{name} cannot be studied: {reason}; leave it out of --models")
    if length.REFERENCE not in names or len(names) < 2:
        raise RequestError(f"the study compares {length.REFERENCE} with others: name it and at least one more in --models")
    return names


def valid(record: Record) -> bool:
    """Whether a record has what readers rely on."""
    fields = all(isinstance(record.get(name), kind) for name, kind in FIELDS.items())
    if not fields or not isinstance(record["machine"].get("slug"), str) or record["schema"] != SCHEMA:
        return False
    rows = [one for one in record["rows"] if isinstance(one, dict) and all(isinstance(one.get(name), kind) for name, kind in ROW.items())]
    times = [value for one in rows for value in one["medians_ms"]]
    counts = [one for one in record["counts"] if isinstance(one, dict) and {"model", "length", "work", "batch"} <= one.keys()]
    whole_ = len(rows) == len(record["rows"]) and len(counts) == len(record["counts"])
    return whole_ and all(isinstance(value, float) and value > 0 for value in times)


def read(store: Store) -> list[Record]:
    """The studies of length in a store, one a machine. One that cannot be used is set aside, with a warning."""
    found = []
    for path in sorted((store.folder / "studies" / "length").glob("*.json")):
        try:
            record = as_record(content(path, LARGEST_RECORD).decode())
            if not valid(record):
                raise ValueError("not what a study keeps")
            found.append(record)
        except FileNotFoundError:
            continue
        except Unusable as error:
            warnings.warn(f"{path.name} is left out: {error}", stacklevel=2)
        except (ValueError, TypeError) as error:
            warnings.warn(f"{path.name} cannot be read ({error}); set aside as {set_aside(path)}", stacklevel=2)
    return found


def write(store: Store, record: Record) -> None:
    store.write(store.folder / "studies" / "length" / f"{record['machine']['slug']}.json", as_text(record).encode())


def run(options: argparse.Namespace, told: Callable[[Store], str]) -> int:
    """Measure what is missing; `told` writes what is to be read and says where. Exit code 1 if a model could not be timed."""
    if options.name != "length":
        raise RequestError(f"unknown study {options.name!r}; there is length")
    names, lengths = chosen(options.models), parse_lengths(options.lengths)
    processes, seconds = whole("--processes", options.processes, 100), parse_seconds(options.seconds)
    if processes < 3:
        raise RequestError(f"--processes takes 3 or more: intervals are over processes; not {processes}")
    store = Store(grid.located(options.results))
    store.writable()
    record: Record = {
        "schema": SCHEMA,
        "settings": {"models": names, "lengths": lengths, "processes": processes, "seconds": seconds},
        "code": fingerprint.digest({name: fingerprint.closure(models.source(name)) for name in names} | {"study": source()}),
        "machine": {"slug": machine.slug(), **machine.facts()},
        "rows": [],
        "counts": [],
    }
    for before in read(store):
        if all(before[name] == record[name] for name in ("settings", "code", "machine")):
            record = before
    measure(store, record, processes, [str(grid.located(file)) for file in options.plugin])
    failed = [one for one in record["rows"] if one["reason"]]
    for one in failed:
        said = f"{one['model']}, {one['length']} tokens, {one['work']} at batch {one['batch']}"
        print(f"attention-bench: {said}: {one['reason']}", file=sys.stderr)
    print(told(store))
    return int(bool(failed))


def source() -> str:
    return fingerprint.closure(machine.ROOT / "bench" / "studies" / "length.py")


def measure(store: Store, record: Record, processes: int, plugins: list[str]) -> None:
    """Complete a record, round by round."""
    settings = record["settings"]
    rounds = list(length.items(settings["models"], settings["lengths"], settings["seconds"]))
    done = {(one["work"], one["batch"], one["length"]) for one in record["rows"]}
    missing = [one for one in rounds if (one[0].work, one[0].batch, one[0].length) not in done]
    one_call = settings["seconds"] + BUILDING
    bar = Progress(sum(len(one) * (processes + 1) * one_call for one in missing))
    try:
        with Turns(processes, plugins) as turns:
            for items in missing:
                what = f"{items[0].length} tokens, {items[0].work} at batch {items[0].batch}"
                answers = turns.round(length.timed, items, lambda: bar.advance(one_call))
                record["rows"] += [length.row(item, own) for item, own in zip(items, answers, strict=True)]
                for item in items:
                    found = turns.ask(0, length.counted, item) if item.model != length.TWIN else None
                    bar.advance(one_call)
                    if isinstance(found, dict):
                        record["counts"].append({name: getattr(item, name) for name in ("model", "length", "work", "batch")} | found)
                    elif isinstance(found, Failed):
                        bar.line(f"{item.model}, {what}: not counted: {found.reason}")
                write(store, record)
                bar.line(f"timed: {what}")
    finally:
        bar.close()
