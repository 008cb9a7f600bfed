"""`python -m bench study length`: asks for what is missing, and writes after every round, so that a killed study goes on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import models
from bench.core import machine
from bench.plan import grid
from bench.plan.request import RequestError, whole
from bench.run.progress import Progress
from bench.run.turns import Failed, Turns
from bench.store import fingerprint
from bench.store.encoding import as_text
from bench.store.records import Record, Store
from bench.studies import length
from bench.tables.lengths import LENGTHS, REFERENCE, SCHEMA, TWIN, missing, read

BUILDING = 0.15  # seconds to build a model and to warm it up, beside the calls


def parse_lengths(text: str | None) -> list[int]:
    if text is None:
        return list(LENGTHS)
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
        if reason := models.unfit(name, length.task(LENGTHS[0])):
            raise RequestError(f"{name} cannot be studied: {reason}; leave it out of --models")
    if REFERENCE not in names or len(names) < 2:
        raise RequestError(f"the study compares {REFERENCE} with others: name it and at least one more in --models")
    return names


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
    measure(store, record, processes, grid.plugin_files(options.plugin))
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
    left = [length.items(settings["models"], *one, settings["seconds"]) for one in missing(record)]
    one_call = settings["seconds"] + BUILDING
    bar = Progress(sum(len(one) * (processes + 1) * one_call for one in left))
    try:
        with Turns(processes, plugins) as turns:
            for items in left:
                what = f"{items[0].length} tokens, {items[0].work} at batch {items[0].batch}"
                answers = turns.round(length.timed, items, lambda: bar.advance(one_call))
                record["rows"] += [length.row(item, own) for item, own in zip(items, answers, strict=True)]
                for item in items:
                    found = turns.ask(0, length.counted, item) if item.model != TWIN else None
                    bar.advance(one_call)
                    if isinstance(found, dict):
                        record["counts"].append({name: getattr(item, name) for name in ("model", "length", "work", "batch")} | found)
                    elif isinstance(found, Failed):
                        bar.line(f"{item.model}, {what}: not counted: {found.reason}")
                write(store, record)
                bar.line(f"timed: {what}")
    finally:
        bar.close()
