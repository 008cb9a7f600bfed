"""Records of the store -> one row per model, data set, budget, dtype and arithmetic. Reads, never trains.

Quality is of whatever machines trained. Latencies are of one machine, the same for all rows of a table; so are training seconds.
"""

from __future__ import annotations

import atexit
import gc
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import models
from bench.core import machine
from bench.core.objects import freeze
from bench.core.stats import Interval, interval, mean
from bench.store import examples
from bench.store.records import FINISHED, Record, Store
from bench.tables import latency_table
from bench.tables.agreeing import agreeing
from bench.tables.chosen import choose, val
from bench.tables.clock import clock, trainer
from bench.tables.scales import scale
from datasets.task import Metric

UNKNOWN = Metric("", "higher")
CHOSEN = "its best test score of any evaluation, as the source chose"
LATENCY = "latency_cpu_b1_p50_ms"  # the column that stands for a model's latency where there is room for one
COUNTED = ("operators", "forward_peak_bytes")  # beside each latency
TIMED = ("p50_ms", "p50_low_ms", "p50_high_ms", "p95_ms", "p99_ms", *COUNTED)


atexit.register(gc.unfreeze)  # what `everything` hides from the search for cycles; extensions complain of what is not torn down


@dataclass
class Row:
    """One cell as measured. `values` is the first metric on test by seed, at the checkpoint that was best on val.

    `val` is that metric on val there. Of the variants of a model only the one that is `chosen` by it has `values`, see chosen.py;
    those of the others are put `aside`, for checks.py alone.
    `scores` has every metric on test, one value a seed, `latency` figures by their column, `doubts` what was wrong with a
    timing by its place, `cpu_b1` say. `machine` is the one whose latencies are shown, `trainer` the one whose training seconds are;
    `facts` are of all. `tuned` is yes or no: whether
    its learning rate and weight decay are those that tuning found, be they the plain ones; who ranks passes over what is not.
    """

    model: str
    dataset: str
    budget: str
    dtype: str
    arithmetic: str
    status: str
    reason: str
    machine: str = ""
    trainer: str = ""
    metric: Metric = UNKNOWN
    summary: str = ""
    scored_by: str = ""
    family: str = "other"
    tuned: str = "no"
    chosen: bool = True
    val: dict[int, float] = field(default_factory=dict)
    values: dict[int, float] = field(default_factory=dict)
    values_last: dict[int, float] = field(default_factory=dict)
    aside: dict[int, float] = field(default_factory=dict)
    scores: dict[str, list[float]] = field(default_factory=dict)
    runs: list[Record] = field(default_factory=list)
    costs: dict[str, int | None] = field(default_factory=dict)
    latency: dict[str, float] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    samples: int = 0
    conditions: str = ""
    source: str = ""
    newest: str = ""

    @cached_property
    def value(self) -> Interval | None:
        return self.over_seeds(self.values)

    @cached_property
    def on_val(self) -> Interval | None:
        return self.over_seeds(self.val)

    def over_seeds(self, values: dict[int, float]) -> Interval | None:
        return scale(self.metric).bounded(interval(list(values.values()))) if values else None

    @property
    def terms(self) -> tuple[str, str, str]:
        """What rows must share to stand in one ranking: budget and arithmetic."""
        return self.budget, self.dtype, self.arithmetic

    @cached_property
    def trained_on(self) -> list[str]:
        """Names of the machines that trained its runs."""
        return sorted({machine.name_of(run) for run in self.runs})

    @property
    def clocked(self) -> list[Record]:
        """Runs of the machine whose training seconds are shown."""
        return [run for run in self.runs if machine.name_of(run) == self.trainer]

    @property
    def train_seconds(self) -> float | None:
        return mean([run["train_seconds"] for run in own]) if self.values and (own := self.clocked) else None


def newest_facts(table: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """What each machine is that trained or timed, by its name; of several descriptions the newest."""
    told = [(name, row.newest, facts) for row in table for name, facts in row.facts.items()]
    return {name: facts for name, _, facts in sorted(told, key=lambda one: one[:2])}


def latest(records: list[Record]) -> list[Record]:
    """Of all recipes of one cell the one asked for last: its runs, or the reason why there are none."""
    trained_ = any(r["kind"] == "run" for r in records)
    newest = max((r for r in records if not (trained_ and r.get("passing"))), key=lambda r: r["created"])
    if newest["kind"] == "cell" and newest["status"] not in FINISHED:
        return [newest]
    # whether it was tuned is of the request, not of the runs: where tuning chose the plain recipe, both are named alike
    asked = {name: newest[name] for name in ("own_recipe", "tuned") if name in newest}
    runs = [r | asked for r in records if r["kind"] == "run" and r["recipe"] == newest["recipe"]]
    return sorted(runs, key=lambda r: r["seed"]) or [newest | {"status": "error", "reason": "its runs are gone; train again"}]


def trained(records: list[Record]) -> Row:
    """The row of one cell from its records of one recipe."""
    first = records[0]
    row = Row(
        first["model"],
        first["dataset"],
        first["budget"]["name"],
        first["budget"]["dtype"],
        machine.arithmetic(first),
        first["status"],
        first["reason"],
        facts={machine.name_of(r): r["machine"] for r in reversed(records)},
        samples=first["budget"]["samples"],
        metric=Metric(**first["metric"]) if first.get("metric") else UNKNOWN,
        conditions=first.get("conditions", ""),
        source=first.get("source", ""),
        summary=first.get("summary", ""),
        scored_by=first.get("scored_by", ""),
        family=first["family"] if first.get("family") in models.FAMILIES else "other",
        tuned="yes" if first.get("tuned") else "no",
        newest=max(r["created"] for r in records),
    )
    if first["kind"] == "cell":
        return row
    row.runs, row.costs = records, first["costs"]
    broken = [r for r in records if r["status"] != "ok"]
    row.status = broken[0]["status"] if broken else "ok"
    if broken:
        row.reason = f"{len(broken)} of {len(records)} seeds: {broken[0]['reason']}"
        return row
    stopped = next((r["reason"] for r in records if r["reason"]), "")
    emulated = next(filter(None, (machine.doubt(r["machine"], r.get("device", "cpu"), row.dtype) for r in records)), "")
    chosen = CHOSEN if first["budget"].get("choose") == "test" else ""
    row.reason = "; ".join(filter(None, [stopped, chosen, first.get("notes", ""), first.get("own_recipe", ""), emulated]))
    row.values = {r["seed"]: r["test"]["best"][row.metric.name] for r in records}
    row.val = {r["seed"]: found for r in records if (found := val(r)) is not None}
    row.values_last = {r["seed"]: r["test"]["last"][row.metric.name] for r in records}
    every = [examples.scores(r) for r in records]
    row.scores = {name: [one[name] for one in every] for name in every[0] if all(name in one for one in every)}
    return row


def put_latency(row: Row, records: list[Record]) -> None:
    """Fill in the latencies of the row's model and data set on the table's machine; of two in one place the newer."""
    for r in sorted(records, key=lambda r: r["created"]):
        found, place = latency_table.figures(r), latency_table.place(r)
        if found:
            row.latency |= {f"latency_{place}_{name}": found[name] for name in TIMED if name in found}
            row.latency[f"throughput_{place}_per_s"] = found["samples_per_second"]
            row.doubts[place] = "; ".join(r.get("validity", []))


def everything(store: Store) -> tuple[list[Record], list[Record]]:
    """All runs and all latencies. They hold no cycles and stay to the end of the command: Python's search for cycles, which takes
    half of the time where there are thousands, is told to pass them over."""
    searched = gc.isenabled()
    gc.disable()
    try:
        return store.runs(), store.latencies()
    finally:
        freeze()
        if searched:
            gc.enable()


def family_of(model: str) -> str:
    """What a model that was never trained mixes by; `other` of one that nobody knows here."""
    return models.family(name) if (name := models.plain(model)) in models.names(published=True) else "other"


def sources(row: Row) -> set[str]:
    """The model's source by today's digest, and earlier ones under which its runs were found to do the same."""
    return {row.source, *(source for run in row.runs for source in run.get("sources", []))}


def rows(store: Store, asked: str | None = None) -> list[Row]:
    """Every cell the store knows of, in the order of data set, budget and model names; whose times, see clock.py."""
    return tabulated(*everything(store), asked)


def tabulated(runs: list[Record], timings: list[Record], asked: str | None = None) -> list[Row]:
    cells: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for r in runs:
        cells[r["dataset"], r["budget"]["name"], r["model"], r["budget"]["dtype"], machine.arithmetic(r)].append(r)
    shown_machine, shown_trainer = clock(runs, timings, asked), trainer(runs, asked)
    timed: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for r in timings:
        if machine.name_of(r) == shown_machine:
            timed[r["dataset"], r["model"]].append(r)
    table = [trained(agreeing(latest(records))) for _, records in sorted(cells.items())]
    for row in table:
        row.machine, row.trainer = shown_machine, shown_trainer
        known = sources(row)
        own = [r for r in timed.get((row.dataset, row.model), []) if r["source"] in known and r["dtype"] == row.dtype]
        put_latency(row, own)
        if own:
            row.facts.setdefault(shown_machine, own[0]["machine"])
        failed = [r["reason"] for r in own if r.get("reason")]
        row.reason = "; ".join(filter(None, [row.reason, *failed]))
    choose(table)
    trained_ = {(row.dataset, row.model) for row in table}
    for (dataset, model), records in sorted(timed.items()):
        for dtype in sorted({r["dtype"] for r in records}) if (dataset, model) not in trained_ else []:
            own = [r for r in records if r["dtype"] == dtype]
            reason = f"timed{' in ' + dtype if dtype != 'float32' else ''}, not trained"
            arithmetic, facts = machine.arithmetic(own[0]), {shown_machine: own[0]["machine"]}
            blank = Row(model, dataset, "", dtype, arithmetic, "skipped", reason, shown_machine, shown_trainer, facts=facts)
            blank.family = family_of(model)
            put_latency(blank, own)
            table.append(blank)
    return table
