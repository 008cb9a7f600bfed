"""The driver: it plans jobs from what the store lacks, has an engine run them, and alone writes what comes of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import torch

import datasets
import models
from bench.core import opened
from bench.plan import expected
from bench.plan.grid import Cell
from bench.run.engines import Engine
from bench.run.job import Confirmed, Doubt, Ended, Finished, Job, Message, Share
from bench.run.worker import header
from bench.store import fingerprint
from bench.store.claim import Claim
from bench.store.records import Record, Store

UNREADABLE = "their records were stored and cannot be read back: see the warnings above"
CHANGED = "its data were other ones when it was trained than when this session began: a file was changed meanwhile; start again"
LONG = 10.0  # expected seconds of a seed from which on it is worth a process of its own
AGAIN = 1.0  # seconds until a cell that another process trains is looked at again


@dataclass(frozen=True)
class Outcome:
    """What became of a cell: its status, why, how many seeds were trained now (0: all from the store), and in how many seconds."""

    status: str
    reason: str
    trained: int
    runs: tuple[Record, ...] = ()
    seconds: float = 0.0


@dataclass
class Underway:
    """A cell whose jobs are not over: one, or after its first seed one for each other."""

    cell: Cell
    job: Job
    claim: Claim
    jobs: int = 1
    trained: list[int] = field(default_factory=list)  # seeds
    shares: dict[tuple[int, ...], float] = field(default_factory=dict)  # seeds that are done, by those of a job
    done: float = 0.0  # share
    seconds: float = 0.0
    failed: Ended | None = None


def with_cell(cell: Cell, blank: Job) -> Job:
    """The job of a cell; `blank` has what all jobs of a session share."""
    own = {name: getattr(cell, name) for name in ("model", "dataset", "budget", "standard", "why", "tuned")}
    known = models.plain(cell.model) not in models.errors and blank.device == "cpu"
    return replace(blank, **own, seeds=(), doubts=(), threads=models.threads(cell.model) if known else 1)


class Driver:
    """Outcomes of cells, in whatever order they are asked for; the longest are begun first.

    `advance(cell, share)` is told how much more of a cell is done.
    """

    def __init__(
        self, store: Store, blank: Job, cells: Iterable[Cell], engine: Callable[[], Engine], advance: Callable[[Cell, float], None]
    ) -> None:
        self.store, self.blank, self.advance, self.make = store, blank, advance, engine
        self.engine: Engine | None = None
        self.cells = {cell.id: cell for cell in cells}
        self.outcomes: dict[str, Outcome] = {}
        self.underway: dict[str, Underway] = {}
        self.waiting: list[str] = []  # not begun, in the order in which they will be
        self.elsewhere: list[str] = []  # claimed by another process
        self.looked = 0.0
        self.planned = False
        self.grown: Callable[[], None] = lambda: None  # called when a cell is done

    def plan(self) -> None:
        """Settle what the store can answer, and put the rest in order, longest first; once."""
        if self.planned:
            return
        self.planned = True
        for cell in sorted(self.cells.values(), key=expected.seconds, reverse=True):
            job = with_cell(cell, self.blank)
            if cell.status:
                self.conclude(cell, header(job), cell.status, cell.reason)
            elif job.device == "cuda" and not torch.cuda.is_available():
                self.conclude(cell, header(job), "skipped", "no CUDA device", passing=True)
            elif not (job := self.open(cell)).seeds and not job.doubts:
                self.settle(cell, header(job), 0, 0.0)
            else:
                self.waiting.append(cell.id)

    def begin(self, cell: Cell) -> None:
        """Submit a cell's job, or leave it to the process that is at it; that one may also have finished it meanwhile."""
        claim = self.store.claim(self.recipe(cell))
        if claim is None:
            self.elsewhere.append(cell.id)
        elif not (job := self.open(cell)).seeds and not job.doubts:
            claim.release()
            self.settle(cell, header(job), 0, 0.0)
        else:
            self.engine = self.engine or self.make()
            idle = self.engine.room - 2 - len(self.underway) - len(self.waiting)
            long = len(job.seeds) > 1 and expected.seconds(cell) > LONG * len(job.seeds)
            job = replace(job, first_alone=idle > 0 and long and not job.doubts and not job.trials)
            self.underway[cell.id] = Underway(cell, job, claim)
            self.engine.submit(job)

    def open(self, cell: Cell) -> Job:
        """The cell's job with the seeds that are not in the store, and those that may not stand."""
        job, seeds = with_cell(cell, self.blank), range(cell.budget.seeds)
        code, packages = fingerprint.code(cell.model, cell.dataset), fingerprint.packages(cell.model, cell.dataset)
        found = {} if job.retrain else self.stored(cell, seeds)
        found = {seed: r for seed, r in found.items() if self.same_files(cell, r) and not self.store.lost(r)}
        counting = fingerprint.counting(cell.model)
        ours = {seed for seed, r in found.items() if r.get("code") == code and fingerprint.agree(packages, r)}
        known = {seed for seed in ours if found[seed].get("counted_by") == counting}
        doubts = [
            Doubt(seed, seed in ours, r.get("together", 1) > 1, probe)
            for seed, r in found.items()
            if seed not in known and ((probe := self.store.probe_of(r)) or seed in ours)
        ]
        left = known | {doubt.seed for doubt in doubts}
        return replace(job, seeds=tuple(seed for seed in seeds if seed not in left), doubts=tuple(doubts))

    def same_files(self, cell: Cell, run: Record) -> bool:
        """Whether the files that a run read are what they were."""
        folders = opened.places(self.blank.root, data=datasets.source(cell.dataset), model=models.source(cell.model))
        return opened.same(folders, run.get("files", {}))

    def outcome(self, cell: Cell) -> Outcome:
        """What became of a cell; waits for it."""
        self.plan()
        while cell.id not in self.outcomes:
            self.step()
        return self.outcomes[cell.id]

    def trains(self, cell: Cell) -> bool:
        """Whether there is anything to train: a cell that the store answers for is not timed."""
        self.plan()
        return cell.id not in self.outcomes or self.outcomes[cell.id].trained > 0

    def step(self) -> None:
        """Hear what workers tell, for a moment. No more is claimed than they are about to begin: others may have the rest."""
        if self.elsewhere and time.monotonic() - self.looked > AGAIN:
            self.waiting += self.elsewhere
            self.elsewhere, self.looked = [], time.monotonic()
        while self.waiting and (self.engine is None or len(self.underway) < self.engine.room):
            self.begin(self.cells[self.waiting.pop(0)])
        if not self.underway or self.engine is None:
            time.sleep(0.05)
            return
        for job, message in self.engine.poll(0.5):
            self.hear(self.underway[job.cell_id], job, message)

    def hear(self, one: Underway, job: Job, message: Message) -> None:
        if isinstance(message, Share):
            one.shares[job.seeds] = message.done * max(1, len(job.seeds))
            done = sum(one.shares.values()) / max(1, len(one.job.seeds))
            self.advance(one.cell, done - one.done)
            one.done = done
        elif isinstance(message, Confirmed):
            for record in self.stored(one.cell, message.seeds).values():
                earlier = {*record.get("sources", []), record["source"]} - {message.facts["source"]}
                known = {"trained_by": record.get("trained_by", record.get("code", "")), "sources": sorted(earlier)}
                self.store.put_run(record | known | message.facts)
        elif isinstance(message, Finished):
            for record, kept in zip(message.records, message.weights, strict=True):
                self.store.put_weights(record, kept)
                self.store.put_run(record)
            one.trained += [record["seed"] for record in message.records]
            self.store.checkpoints.drop(message.records[0]["recipe"], list(message.group))
        else:
            self.over(one, job, message)

    def over(self, one: Underway, job: Job, message: Ended) -> None:
        """A job has ended. The seeds that it left to others are begun; after the last job of a cell its outcome is told."""
        one.jobs, one.seconds = one.jobs - 1, one.seconds + message.seconds
        if message.status != "ok":
            one.failed = one.failed or message
        elif job.first_alone and (left := [seed for seed in job.seeds if seed not in one.trained]):
            assert self.engine is not None
            one.jobs, one.shares[job.seeds] = len(left), len(job.seeds) - len(left)
            for seed in left:
                self.engine.submit(replace(job, seeds=(seed,), first_alone=False))
        if one.jobs:
            return
        self.end(one)
        message = one.failed or message
        if message.status != "ok":
            self.conclude(one.cell, message.head or header(one.job), message.status, message.reason, message.passing)
        elif message.head["recipe"] != self.recipe(one.cell):
            self.conclude(one.cell, header(one.job), "error", CHANGED, passing=True)
        else:
            self.settle(one.cell, message.head, len(one.trained), one.seconds)
        self.grown()

    def end(self, one: Underway) -> None:
        self.advance(one.cell, 1 - one.done)
        one.claim.release()
        del self.underway[one.cell.id]

    def recipe(self, cell: Cell) -> str:
        return fingerprint.recipe(cell.model, cell.dataset, cell.budget, self.blank.device)

    def stored(self, cell: Cell, seeds: Iterable[int]) -> dict[int, Record]:
        """The cell's runs that need no more training, those of them that there are."""
        return self.store.finished(cell.model, cell.dataset, cell.budget.name, self.recipe(cell), list(seeds))

    def settle(self, cell: Cell, head: Record, trained: int, seconds: float) -> None:
        """The outcome of a cell whose runs are all there. One that the store was given and does not give back is an error of the cell."""
        done = self.stored(cell, range(cell.budget.seeds))
        if lost := [str(seed) for seed in range(cell.budget.seeds) if seed not in done]:
            self.conclude(cell, head, "error", f"seeds {', '.join(lost)}: {UNREADABLE}")
            return
        runs = tuple(done[seed] for seed in range(cell.budget.seeds))
        broken = [f"seed {r['seed']}: {r['reason']}" for r in runs if r["status"] != "ok"]
        stopped = [r["reason"] for r in runs if r["status"] == "ok" and r["reason"]]
        self.store.checkpoints.drop_finished(self.recipe(cell), cell.budget.seeds)
        self.conclude(cell, head, "diverged" if broken else "ok", "; ".join(broken or stopped[:1]))
        self.outcomes[cell.id] = replace(self.outcomes[cell.id], trained=trained, runs=runs, seconds=seconds)

    def conclude(self, cell: Cell, head: Record, status: str, reason: str, passing: bool = False) -> None:
        """Whatever happens, the store is told what came of the cell, so that tables show the recipe that was asked for last.

        `passing`: the reason is not the cell's own, and does not hide runs from before.
        """
        self.store.put_cell(head | {"status": status, "reason": reason, "passing": passing})
        self.outcomes[cell.id] = Outcome(status, reason, 0)

    def close(self) -> None:
        """End what runs. Its checkpoints stay, and its claims do not."""
        if self.engine is not None:
            self.engine.close()
        for one in self.underway.values():
            one.claim.release()
        self.underway.clear()
