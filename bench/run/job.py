"""A job: the missing seeds of one cell in plain, picklable things, and what a worker tells of it on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bench.plan.trials import Trial
from bench.store.records import Record
from datasets.task import Budget


@dataclass(frozen=True)
class Doubt:
    """A stored run of other code or packages: it stands if its probe still comes out the same. `known`: only its costs are in doubt."""

    seed: int
    known: bool
    stacked: bool
    probe: Record


@dataclass(frozen=True)
class Job:
    """What a worker needs to train the `seeds` of a cell, wherever it runs. `doubts` are probed first, and trained if they fall.

    `results` is where its checkpoints lie. `budget` holds the model's own recipe, `standard` is the task's.
    """

    model: str
    dataset: str
    budget: Budget
    seeds: tuple[int, ...]
    device: str
    root: Path
    results: Path
    standard: Budget | None = None
    why: str = ""  # of a recipe of its own
    tuned: bool = False  # `budget` has the rates that tuning found
    doubts: tuple[Doubt, ...] = ()
    trials: tuple[Trial, ...] = ()  # to be made instead of runs, from `budget`
    plugins: tuple[str, ...] = ()
    download: bool = False
    retrain: bool = False
    keep_weights: bool = False  # whatever their size
    train: bool = True  # if not, doubts are settled and no more
    threads: int = 1  # that the model asks for; an engine gives as many as it has
    first_alone: bool = False  # of seeds that do not stack only the first is trained: there is room for the others beside it
    checkpoint_every: float = 30.0
    scratch: Path | None = None  # where workers of one machine leave each other what takes long to make

    @property
    def cell_id(self) -> str:
        return f"{self.model}-{self.dataset}"


@dataclass(frozen=True)
class Share:
    """How much of the job is done, from 0 to 1."""

    done: float


@dataclass(frozen=True)
class Confirmed:
    """Runs of other code that stand: what they are to say of themselves from now on, by seed."""

    facts: Record
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Finished:
    """Runs of a group of seeds, with what is kept of their weights, packed; `group` names their checkpoint."""

    records: tuple[Record, ...]
    weights: tuple[bytes | None, ...]
    group: tuple[int, ...]


@dataclass(frozen=True)
class Ended:
    """The job is over. `passing`: the reason is not the cell's own, and does not hide runs from before. `head` opens its records."""

    status: str = "ok"
    reason: str = ""
    passing: bool = False
    head: Record = field(default_factory=dict)
    seconds: float = 0.0


Message = Share | Confirmed | Finished | Ended
