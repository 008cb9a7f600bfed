"""Whose times a table shows: latencies, or training seconds, of two machines never stand in one column.

The machine that timed need not have trained: latencies are taken in minutes, training seconds in the hours of the runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.core import machine
from bench.plan.grid import RequestError
from bench.store.records import Record


def frequent(records: Sequence[Record]) -> str:
    """The machine that most of the records are of, of several the newest."""
    names = Counter(machine.name_of(r) for r in records)
    newest = {machine.name_of(r): r["created"] for r in sorted(records, key=lambda r: str(r["created"]))}
    return max(names, key=lambda name: (names[name], newest[name], name))


def trainer(runs: Sequence[Record], asked: str | None = None) -> str:
    """The machine whose training seconds a table shows: the one asked for, else the one that trained most runs; "": nothing was trained."""
    trained = [r for r in runs if r["kind"] == "run"]
    if asked is not None:
        return asked
    return frequent(trained) if trained else ""


def clock(runs: Sequence[Record], timings: Sequence[Record], asked: str | None = None) -> str:
    """The machine whose latencies a table shows: the one asked for, or the one with most, else with most runs; of several the newest.

    RequestError if nothing is of the machine asked for."""
    for records in (timings, [r for r in runs if r["kind"] == "run"], runs):
        names = {machine.name_of(r) for r in records}
        if asked in names or (names and asked is None):
            return asked or frequent(records)
    if asked is not None:
        known = sorted({machine.name_of(r) for r in (*runs, *timings)})
        raise RequestError(f"nothing is of the machine {asked!r}; there are {', '.join(known) or 'none'}")
    return ""
