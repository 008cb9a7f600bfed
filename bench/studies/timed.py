"""`python -m bench study length`: what is timed, round by round, so that a killed study goes on."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import models
from bench.core import machine
from bench.plan import grid
from bench.plan.request import RequestError
from bench.run.progress import Progress
from bench.run.turns import Failed, Turns
from bench.store import fingerprint
from bench.store.records import Record, Store
from bench.studies import length
from bench.studies.study import at_least, here, numbers
from bench.tables.lengths import COMPILED, LENGTHS, LONGEST, REFERENCE, SCHEMA, TWIN, missing, read

BUILDING = 0.15  # seconds to build a model and to warm it up, beside the calls
COMPILING = 3.0  # and to compile it, most often out of what another process compiled


def parse_seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.001 <= value <= 60:
        raise RequestError(f"--seconds takes a number from 0.001 to 60, not {text!r}")
    return value


def compiler() -> bool:
    """Whether there is what torch.compile wants on a CPU; without it nothing is compiled, and nothing fails."""
    return any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++"))


def chosen(patterns: str) -> list[str]:
    """The models of a study. RequestError for one that cannot be, with the reason."""
    names = grid.select("model", patterns, (), models.names(published=True), " (python -m bench list)")
    for name in names:
        if reason := models.unfit(name, length.task(LENGTHS[0])):
            raise RequestError(f"{name} cannot be studied: {reason}; leave it out of --models")
    if REFERENCE not in names or len(names) < 2:
        raise RequestError(f"the study compares {REFERENCE} with others: name it and at least one more in --models")
    return names


@dataclass
class Timed:
    record: Record
    plugins: list[str]

    def stored(self, store: Store) -> list[Record]:
        return read(store)

    def continues(self, before: Record) -> bool:
        return all(before[name] == self.record[name] for name in ("settings", "code", "machine"))

    def failed(self, record: Record) -> list[str]:
        return [
            f"{one['model']}, {one['length']} tokens, {one['work']} at batch {one['batch']}: {one['reason']}"
            for one in record["rows"]
            if one["reason"]
        ]

    def measure(self, store: Store, record: Record, write: Callable[[], None]) -> None:
        settings = record["settings"]
        processes = settings["processes"]
        left = [length.items(settings["models"], *one, settings["seconds"]) for one in missing(record)]

        def expected(items: list[length.Item]) -> float:
            return float(settings["seconds"]) + BUILDING + COMPILING * (items[0].work == COMPILED)

        bar = Progress(sum(len(one) * (processes + 1) * expected(one) for one in left))
        try:
            with Turns(processes, self.plugins) as turns:
                for items in left:
                    one_call = expected(items)
                    what = f"{items[0].length} tokens, {items[0].work} at batch {items[0].batch}"
                    answers = turns.round(length.timed, items, partial(bar.advance, one_call))
                    record["rows"] += [length.row(item, own) for item, own in zip(items, answers, strict=True)]
                    for item in items:
                        found = turns.ask(0, length.counted, item) if item.model != TWIN else None
                        bar.advance(one_call)
                        if isinstance(found, dict):
                            place = {name: getattr(item, name) for name in ("model", "length", "work", "batch")}
                            record["counts"].append(place | found)
                        elif isinstance(found, Failed):
                            bar.line(f"{item.model}, {what}: not counted: {found.reason}")
                    write()
                    bar.line(f"timed: {what}")
        finally:
            bar.close()


def asked(options: argparse.Namespace) -> Timed:
    """The study of length that options ask for. RequestError for what cannot be."""
    names = chosen("backbone_*" if options.models is None else options.models)
    settings = {
        "models": names,
        "works": [list(work) for work in LONGEST if work[0] != COMPILED or compiler()],
        "lengths": numbers("--lengths", options.lengths, LENGTHS, 2**16, "numbers of tokens, 16,64,256"),
        "processes": at_least("--processes", options.processes, 10, 3, 100, "intervals are over processes"),
        "seconds": parse_seconds(options.seconds or "0.2"),
    }
    source = fingerprint.closure(machine.ROOT / "bench" / "studies" / "length.py")
    code = fingerprint.digest({name: fingerprint.closure(models.source(name)) for name in names} | {"study": source})
    record: Record = {"schema": SCHEMA, "settings": settings, "code": code, "machine": here(), "rows": [], "counts": []}
    return Timed(record, grid.plugin_files(options.plugin))
