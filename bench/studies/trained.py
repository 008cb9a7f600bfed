"""Studies that train: each point is a cell, trained by the ordinary driver on a data set that only the study has.

The runs lie in DIR/studies/<study>/work/, a results folder that git ignores; what is kept of them is a row each in the study's record.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import datasets
from bench.plan import expected, grid, tuned
from bench.plan.grid import Builder, Cell
from bench.plan.request import RequestError
from bench.run import session
from bench.run.driver import Outcome
from bench.run.progress import Progress
from bench.run.session import Session
from bench.store import fingerprint
from bench.store.records import Record, Store
from bench.studies.study import at_least, here
from bench.tables import growth
from bench.tables.routes import first_above
from bench.tables.studies import folder
from datasets.task import Task

BUDGET = "study"
RECIPES = ("reference", "default")  # budgets whose recipe is used, the first that a task has
MOST_SEEDS, MOST_STEPS = 1_000, 1_000_000


@dataclass(frozen=True)
class Point:
    """A cell of a study, and where it lies: its model as the record names it, and numbers by their names."""

    model: str
    at: dict[str, int]
    cell: Cell

    @property
    def said(self) -> str:
        return ", ".join([self.model, *(f"{name} {value}" for name, value in self.at.items())])

    def is_of(self, row: Record) -> bool:
        return bool(row["model"] == self.model and all(row[name] == value for name, value in self.at.items()))


def point(model: str, at: dict[str, int], built: str, dataset: str, length: tuple[int, int], ask: Builder, parent: Task | None) -> Point:
    """A point that can be trained, of as many seeds and steps as `length` says, by the rates that tuning found for `parent`.

    `built` is the model's name with its sizes. RequestError with the reason where it cannot be.
    """
    seeds, steps = length
    known = [budget.name for budget in datasets.task(dataset).budgets]
    recipe = next((name for name in RECIPES if name in known), None)
    if recipe is None:
        raise RequestError(f"{dataset} has no budget {' or '.join(RECIPES)} whose recipe could be used; give it one")
    cell = grid.cell(built, dataset, recipe, seeds, builder=ask, tuned_on=parent)
    if cell.status:
        raise RequestError(f"{built} cannot be studied: {cell.reason}; leave it out of --models")

    def of(budget: Any) -> Any:
        return replace(budget, name=BUDGET, samples=steps * budget.batch, evaluations=min(budget.evaluations, steps))

    standard = of(cell.standard) if cell.standard is not None else None
    return Point(model, at, replace(cell, budget=of(cell.budget), standard=standard))


def length(options: argparse.Namespace, seeds: int, steps: int) -> tuple[int, int]:
    """How many seeds and steps. RequestError for one seed: there is no interval over one."""
    return (
        at_least("--seeds", options.seeds, seeds, 2, MOST_SEEDS, "intervals are over seeds"),
        at_least("--steps", options.steps, steps, 1, MOST_STEPS, ""),
    )


def rows(point: Point, outcome: Outcome, timed: bool) -> list[Record]:
    """What is kept of a point: for every seed its value on test, the best on val, and, where `timed`, samples until val was good."""
    if not outcome.runs:
        nothing = {"value": None, "val": None, "params": 0, "reason": outcome.reason or outcome.status}
        return [{"model": point.model, **point.at, "seed": seed, **nothing} for seed in range(point.cell.budget.seeds)]
    found = []
    for run in outcome.runs:
        ok = run["status"] == "ok"
        row = {"model": point.model, **point.at, "seed": run["seed"]}
        row |= {"value": run["test"]["best"][run["metric"]["name"]], "val": tuned.best_val(run)[0]} if ok else {"value": None, "val": None}
        row |= {"samples": first_above(run)} if timed else {}
        found.append(row | {"params": run["costs"].get("params") or 0, "reason": "" if ok else run["reason"] or run["status"]})
    return found


@dataclass
class Trained:
    """`timed`: whether the samples until val was good are kept."""

    record: Record
    points: Sequence[Point]
    request: Session
    timed: bool

    def stored(self, store: Store) -> list[Record]:
        return growth.read(store, self.record["study"])

    def continues(self, before: Record) -> bool:
        alike = all(before[name] == self.record[name] for name in ("settings", "code", "device"))
        return alike and all(before["machine"][name] == self.record["machine"][name] for name in ("slug", "torch"))

    def failed(self, record: Record) -> list[str]:
        reasons = {point.said: next((row["reason"] for row in self.of(point, record) if row["reason"]), "") for point in self.points}
        return [f"{said}: {reason}" for said, reason in reasons.items() if reason]

    def of(self, point: Point, record: Record) -> list[Record]:
        return [row for row in record["rows"] if point.is_of(row)]

    def missing(self, record: Record) -> list[Point]:
        """Points without a value for every seed: what failed is tried again."""
        return [point for point in self.points if sum(row["value"] is not None for row in self.of(point, record)) < point.cell.budget.seeds]

    def measure(self, store: Store, record: Record, write: Callable[[], None]) -> None:
        left = self.missing(record)
        bar = Progress(sum(expected.seconds(point.cell) for point in left))
        driver = self.request.driver([point.cell for point in left], bar.part)
        try:
            for point in left:
                outcome = driver.outcome(point.cell)
                if not outcome.trained:
                    bar.part(point.cell, 1.0)
                kept = [row for row in record["rows"] if not point.is_of(row)]
                record["rows"] = kept + rows(point, outcome, self.timed)
                record["date"] = datetime.now(UTC).date().isoformat()
                write()
                how = f"{outcome.seconds:.1f} s" if outcome.trained else "from store"
                bar.line(f"{point.said}: {outcome.status} ({how}){' ' + outcome.reason if outcome.reason else ''}")
        finally:
            driver.close()
            bar.close()


def study(name: str, options: argparse.Namespace, settings: Record, points: Sequence[Point], plugin: str, timed: bool = False) -> Trained:
    """What a study is to complete. Workers learn of its data sets from the file `plugin`. RequestError for what cannot be run."""
    work = folder(Store(grid.located(options.results)), name) / "work"
    cells = [point.cell for point in points]
    request = session.begin(results=str(work), workers=options.workers, plugins=[*options.plugin, plugin], budget=BUDGET, cells=cells)
    record: Record = {
        "schema": growth.SCHEMA,
        "study": name,
        "settings": settings | {"tuned": rated(points)},
        "code": fingerprint.digest({one.id: fingerprint.code(one.model, one.dataset) for one in cells}),
        "device": request.blank.device,
        "machine": here(),
        "metric": datasets.task(cells[0].dataset).metric.facts,
        "date": "",
        "rows": [],
    }
    return Trained(record, points, request, timed)


def rated(points: Iterable[Point]) -> list[str]:
    """The models that were trained by rates that tuning found."""
    return list(dict.fromkeys(point.model for point in points if point.cell.tuned))
