"""Tuning as a driver does cells: trials that the store lacks are handed out, and what they say is written where the grid reads it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from bench.plan import expected, tuned
from bench.plan.grid import Cell, RequestError, cells
from bench.plan.request import whole
from bench.plan.trials import MOST, Trial, further, shortened, trials, tunable
from bench.plan.tuned import Tuned
from bench.run import session
from bench.run.driver import CHANGED, Driver, Outcome, Underway, with_cell
from bench.run.engines import Engine
from bench.run.job import Finished, Job, Message
from bench.run.progress import Progress
from bench.store import fingerprint
from bench.store.records import Record, Store
from models.naming import changed


def parse_trials(text: str) -> int:
    return whole("--trials", text, MOST, "; 1 tries the plain recipe alone")


def to_tune(models_: str | None, datasets_: str | None, budget: str) -> list[Cell]:
    """The cells of a request with the budget of one trial, from the plain recipe. RequestError for budgets that are never tuned."""
    found = cells(models_, datasets_, budget, None, untuned=True)
    if recipes := [cell.model for cell in found if changed(cell.model)]:
        raise RequestError(f"{recipes[0]} changes its recipe, which is what tuning looks for; tune {recipes[0].split('@')[0]}")
    if any(not tunable(cell.budget) for cell in found):
        raise RequestError(f"budget {budget!r} is never tuned: smoke says nothing of quality, published ones repeat a source's recipe")
    return [short(cell) for cell in found]


def short(cell: Cell) -> Cell:
    """The cell as a trial runs it; one that no learning rate trains is passed over."""
    if cell.status or cell.task is None:
        return cell
    if cell.fits:
        return replace(cell, status="skipped", reason="it is not trained by gradient: there is nothing to tune")
    return replace(cell, budget=shortened(cell.budget))


class Tuner(Driver):
    """Outcomes of cells with `n` trials each; `found` holds what was chosen, by cell."""

    def __init__(
        self,
        store: Store,
        blank: Job,
        cells: Iterable[Cell],
        engine: Callable[[], Engine],
        advance: Callable[[Cell, float], None],
        n: int,
    ) -> None:
        super().__init__(store, blank, cells, engine, advance)
        self.n = n
        self.found: dict[str, Tuned] = {}
        self.went: dict[tuple[str, Trial], tuple[int, float]] = {}  # trials further than drawn; what was trained before, in what time
        self.added: Callable[[Cell], None] = lambda cell: None  # called when a trial is added

    def kept(self, cell: Cell, trial: Trial, seed: int) -> Record | None:
        """One seed of a trial as the store has it, if today's code on today's data made it."""
        recipe = fingerprint.recipe(cell.model, cell.dataset, trial.of(cell.budget), self.blank.device)
        found = self.store.finished(cell.model, cell.dataset, cell.budget.name, recipe, [seed], "trials").get(seed)
        if found is None or found["code"] != fingerprint.code(cell.model, cell.dataset):
            return None
        stands = fingerprint.agree(fingerprint.packages(cell.model, cell.dataset), found) and self.same_files(cell, found)
        return found if stands else None

    def every(self, cell: Cell) -> tuple[list[Trial], Tuned | None]:
        """The cell's trials, as far as those in the store say: after the drawn ones those further, where the best lies at an end. And
        what they say together, as `judged`."""
        found = trials(cell.budget, self.n)
        while (choice := self.judged(cell, found)) is not None and (more := further(cell.budget, found, found[choice.chosen])) is not None:
            found.append(more)
        return found, choice

    def judged(self, cell: Cell, every: list[Trial]) -> Tuned | None:
        """What these trials say; None where one is missing, and where all diverged."""
        runs = [(trial.number, self.kept(cell, trial, seed)) for trial in every for seed in trial.seeds]
        # a trial may have the rates of another, and then its record: the number is the plan's
        there = [record | {"trial": number} for number, record in runs if record is not None]
        return tuned.judged(there) if len(there) == len(runs) else None

    def open(self, cell: Cell) -> Job:
        """The cell's job with what is missing of its trials."""
        every, _ = self.every(cell)
        left = [replace(t, seeds=tuple(seed for seed in t.seeds if self.kept(cell, t, seed) is None)) for t in every]
        missing = tuple(trial for trial in left if trial.seeds)
        seeds = {seed for trial in missing for seed in trial.seeds}
        return replace(with_cell(cell, self.blank), trials=missing, seeds=tuple(sorted(seeds)))

    def hear(self, one: Underway, job: Job, message: Message) -> None:
        if not isinstance(message, Finished):
            super().hear(one, job, message)
            return
        for record in message.records:
            self.store.put_run(record, "trial")
        one.trained += [record["seed"] for record in message.records]
        self.store.checkpoints.drop(message.records[0]["checkpoint"], list(message.group))

    def settle(self, cell: Cell, head: Record, trained: int, seconds: float) -> None:
        """Choose among the trials, which are all there, and write down the choice; or go further, once for each trial."""
        every, choice = self.every(cell)
        found = [self.kept(cell, trial, seed) for trial in every for seed in trial.seeds]
        runs = tuple(record for record in found if record is not None)
        if len(runs) < len(found):
            if len(every) > self.n and (cell.id, every[-1]) not in self.went:
                self.went[cell.id, every[-1]] = trained, seconds
                self.added(cell)
                self.waiting.append(cell.id)
            else:
                self.conclude(cell, head, "error", CHANGED)
            return
        if choice is None:
            self.conclude(cell, head, "diverged", f"all {self.n} trials did: {runs[0]['reason']}")
            return
        tuned.write(choice)
        self.found[cell.id] = choice
        before = [one for (name, _), one in self.went.items() if name == cell.id]
        trained, seconds = trained + sum(n for n, _ in before), seconds + sum(time for _, time in before)
        self.outcomes[cell.id] = Outcome("ok", "", trained, runs, seconds)

    def conclude(self, cell: Cell, head: Record, status: str, reason: str, passing: bool = False) -> None:
        """A cell that cannot be tuned. The store's cells say what came of runs, and this is none."""
        self.outcomes[cell.id] = Outcome(status, reason, 0)


def line(cell: Cell, outcome: Outcome, found: Tuned | None) -> str:
    """A cell's outcome for the terminal."""
    place = f"{cell.dataset:18} {cell.model:20}"
    if found is None:
        return f"{place} {outcome.status}: {outcome.reason}"
    first, best = found.trials[0], found.best
    before = "diverged" if first.val is None else f"{first.val:.4g}"
    how = f"{outcome.seconds:.1f} s" if outcome.trained else "from store"
    return (
        f"{place} lr {best.lr:g}, weight decay {best.weight_decay:g}: {found.metric} {best.val:.4g} on val, "
        f"plain recipe {before} ({len(found.trials)} trials, {how})"
    )


def run(options: argparse.Namespace, told: Callable[[Store], Path]) -> int:
    """`python -m bench tune`: `told` writes what tuning was worth. Exit code 1 if a cell could not be tuned."""
    n = parse_trials(options.trials)
    asked = to_tune(options.models, options.datasets, options.budget)
    request = session.begin(
        results=options.results,
        data=options.data,
        workers=options.workers,
        plugins=options.plugin,
        budget=options.budget,
        cells=asked,
    )
    request.store.writable()

    def part(cell: Cell, share: float) -> None:
        if cell.id in driver.underway:  # a cell that needs nothing is no part of the work
            bar.advance(share * len(driver.underway[cell.id].job.trials) * expected.seconds(cell))

    driver = Tuner(request.store, request.blank, asked, request.engine, part, n)
    bar = Progress(sum(len(driver.open(cell).trials) * expected.seconds(cell) for cell in asked if not cell.status))
    driver.added = lambda cell: bar.more(expected.seconds(cell))
    outcomes = []
    try:
        for cell in asked:
            outcomes.append(driver.outcome(cell))
            bar.line(line(cell, outcomes[-1], driver.found.get(cell.id)))
    finally:
        driver.close()
        bar.close()
        path = told(request.store)
    print(f"{len(driver.found)} of {len(asked)} cells tuned, {sum(one.trained for one in outcomes)} trainings made now\ntuning: {path}")
    return int(any(outcome.status not in ("ok", "skipped") for outcome in outcomes))
