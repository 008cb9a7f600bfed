"""All latencies of a session at once: each distinct architecture and shape is timed once, by processes that take turns.

    timings of cells -> one `Work` for each structure -> every process times every work -> a record for each timing

Cells of one model with the same structure share their times. Some works are done twice in every process, as twins: by how much the
two differ is what the clock itself is worth here.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import torch

from bench.core import machine
from bench.measure import latency
from bench.measure.latency import Turn
from bench.plan.grid import Cell, out_of_memory
from bench.plan.timing import Timing
from bench.run.turns import Failed, Turns
from bench.store.records import Record
from datasets.registry import describe

TWINS = 10  # works that are done twice
PROCESSES = {"smoke": 2, "default": 6}  # by budget; six is what an interval needs
MOST_PROCESSES = 10
MINUTES = {"smoke": 0.5, "default": 3.0}  # that the timed calls of a session may take, by budget
MOST_MINUTES = 10.0
SHORTEST, LONGEST = 0.02, 0.3  # seconds of a timing in one process
OVERHEAD = 0.05  # seconds to build a model, a process and a work


@dataclass(frozen=True)
class Work:
    """Timings of one structure, done by a process within one turn, each for about `seconds`."""

    timings: tuple[Timing, ...]
    seconds: float = 0.0
    twin: bool = False

    @property
    def dataset(self) -> str:
        return self.timings[0].cell.dataset


@dataclass(frozen=True)
class Plan:
    """How a session times: processes, and the seconds of a timing in each."""

    processes: int
    seconds: float

    @classmethod
    def of(cls, budget: str, timings: int) -> Plan:
        """The more there is to time, the shorter each; at most so long, and never too short to settle."""
        processes = PROCESSES.get(budget, MOST_PROCESSES)
        share = 60 * MINUTES.get(budget, MOST_MINUTES) / max(1, timings * processes)
        return cls(processes, min(LONGEST, max(SHORTEST, share)))


def passed_over(timing: Timing) -> str:
    """Why something is not timed at all, or ''."""
    if timing.cell.status:
        return timing.cell.reason
    return "no CUDA device" if timing.device == "cuda" and not torch.cuda.is_available() else ""


def failure(error: Exception) -> Failed:
    kind = "out_of_memory" if out_of_memory(error) else "error"
    return Failed(f"latency {kind}: {machine.anonymous(describe(error))}")


def timed(work: Work) -> list[Turn | Failed]:
    """What a process does in its turn."""
    found: list[Turn | Failed] = []
    for timing in work.timings:
        try:
            found.append(latency.turn(timing, work.seconds))
        except Exception as error:
            found.append(failure(error))
    return found


def counted(timing: Timing) -> tuple[dict[str, int], list[str]]:
    return latency.counted(timing.cell, timing.device, timing.batch, timing.dtype)


def alike(turns: Turns, timings: Sequence[Timing]) -> dict[Cell, Cell]:
    """For each cell the first one of its structure. A cell whose model cannot be built stands alone, and fails when it is timed."""
    first: dict[Any, Cell] = {}
    found: dict[Cell, Cell] = {}
    for cell in dict.fromkeys(timing.cell for timing in timings):
        text = turns.ask(0, latency.structure, cell)
        found[cell] = first.setdefault(cell if isinstance(text, Failed) else text, cell)
    return found


def works(timings: Sequence[Timing], first: dict[Cell, Cell], seconds: float) -> list[Work]:
    """Every structure once with all that is asked of it, and a few of them a second time."""
    asked: dict[tuple[Cell, str], dict[Timing, None]] = defaultdict(dict)
    for timing in timings:
        asked[first[timing.cell], timing.device][replace(timing, cell=first[timing.cell])] = None
    once = [Work(tuple(these), seconds) for these in asked.values()]
    return once + [replace(work, twin=True) for work in once[:: max(1, len(once) // TWINS)][:TWINS]]


def measure(timings: Sequence[Timing], plan: Plan, plugins: Sequence[str], advance: Callable[[float], None]) -> dict[Timing, Record]:
    """The record of every timing; `advance` is told the share of all work that is done. What fails has a record with the reason."""
    begun = datetime.now(UTC).isoformat()
    records: dict[Timing, Record] = {}
    with Turns(plan.processes, plugins) as turns:
        first = alike(turns, timings)
        asked = works(timings, first, plan.seconds)
        share = 1 / (len(asked) * (plan.processes + 1))
        for dataset in dict.fromkeys(work.dataset for work in asked):  # what is compared is timed moments apart
            group = [work for work in asked if work.dataset == dataset]
            for work, answers in zip(group, turns.round(timed, group, lambda: advance(share)), strict=True):
                for place, timing in enumerate(work.timings):
                    each = [Failed(f"latency error: {one.reason}") if isinstance(one, Failed) else one[place] for one in answers]
                    if not work.twin:
                        records[timing] = recorded(turns, timing, each) | {"turns": f"{begun} {dataset}"}
                    elif len(found := [one for one in each if isinstance(one, Turn)]) == len(each):
                        records[timing]["twin_ms"] = [1e3 * statistics.median(one.seconds) for one in found]
                advance(share)
    return {timing: shared(records[replace(timing, cell=first[timing.cell])], timing) for timing in timings}


def recorded(turns: Turns, timing: Timing, each: Sequence[Turn | Failed]) -> Record:
    """A record from what each process found; the first reason why one found nothing."""
    for one in each:
        if isinstance(one, Failed):
            return latency.record(timing, [], one.reason)
    found = [one for one in each if isinstance(one, Turn)]
    answer = turns.ask(0, counted, timing)
    exact, uncounted = ({}, [f"not counted: {answer.reason}"]) if isinstance(answer, Failed) else answer
    return latency.record(timing, found, exact=exact, notes=uncounted)


def shared(record: Record, timing: Timing) -> Record:
    """The record under a cell's own name."""
    cell = timing.cell
    timed_as = {"timed_as": record["dataset"]} if record["dataset"] != cell.dataset else {}
    return record | {"model": cell.model, "dataset": cell.dataset} | timed_as


class Latencies:
    """The timings selected in a session; the first one that is asked for has all of them measured."""

    def __init__(self, budget: str, timings: Sequence[Timing], plugins: Sequence[str]) -> None:
        self.timings, self.plugins = timings, plugins
        self.plan = Plan.of(budget, len(timings))
        self.records: dict[Timing, Record] = {}

    @property
    def weight(self) -> float:
        """Seconds, a guess, that all of it takes."""
        return len(self.timings) * self.plan.processes * (self.plan.seconds + OVERHEAD) / 2

    def of(self, timing: Timing, advance: Callable[[float], None]) -> Record:
        """A timing's record; `advance` is told of seconds, as `weight` counts them."""
        if not self.records:
            weight = self.weight
            self.records = measure(self.timings, self.plan, self.plugins, lambda share: advance(share * weight))
        return self.records[timing]
