"""Whose times a table shows: latencies and training seconds of two machines never stand in one column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.core import machine
from bench.plan.grid import RequestError
from bench.store.records import Record


def clock(runs: Sequence[Record], timings: Sequence[Record], asked: str | None = None) -> str:
    """The machine whose times a table shows: the one asked for, or the one with most timings, else with most runs; of several the newest.

    RequestError if nothing is of the machine asked for."""
    for records in (timings, [r for r in runs if r["kind"] == "run"], runs):
        names = Counter(machine.name_of(r) for r in records)
        newest = {machine.name_of(r): r["created"] for r in sorted(records, key=lambda r: str(r["created"]))}
        if asked in names or (names and asked is None):
            return asked or max(names, key=lambda name: (names[name], newest[name], name))
    if asked is not None:
        known = sorted({machine.name_of(r) for r in (*runs, *timings)})
        raise RequestError(f"nothing is of the machine {asked!r}; there are {', '.join(known) or 'none'}")
    return ""
