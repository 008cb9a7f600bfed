"""Which stored runs of other code stand under today's: those whose probe still comes out the same."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

import datasets
import models
from bench.core import machine
from bench.measure import counts, forward_counts
from bench.run.job import Confirmed, Job, Message
from bench.store.records import Record
from bench.train import probe
from bench.train.agreement import difference, richer
from datasets.task import Budget, Task

UNPROBED = ("smoke",)  # budgets whose runs keep no probe: making them again takes no longer
Tell = Callable[[Message], None]


def costs_of(module: nn.Module, task: Task, budget: Budget) -> tuple[dict[str, int | None], str]:
    """What a cell's model costs, whichever way it is trained, with notes on what was not counted."""
    if isinstance(module, models.Fits):
        return counts.fitted(module)
    return counts.measure(forward_counts.countable(module), task, budget)


class Probes:
    """What today's code does with a job's cell, each way measured once."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.found: dict[bool, Record] = {}

    def of(self, stacked: bool) -> Record:
        """{} where nothing is kept of it, and only why, under `unprobed`, where the code does not run in miniature."""
        job = self.job
        if job.budget.name in UNPROBED:
            return {}
        if stacked not in self.found:
            try:
                self.found[stacked] = probe.measure(job.model, job.dataset, job.budget, stacked, job.root)
            except probe.Unprobed as error:
                self.found[stacked] = {"unprobed": machine.anonymous(str(error))}
        return self.found[stacked]

    def agree(self, before: Record, stacked: bool) -> bool:
        """Whether a probe from before comes out the same today; not where nothing says so."""
        now = self.of(stacked) if "version" in before else {}
        return "version" in now and not difference(before, now, self.job.budget.dtype)


def fallen(job: Job, head: Record, probes: Probes, tell: Tell) -> list[int]:
    """Seeds whose stored runs do not stand any more; those that do are told of."""
    stand = [one for one in job.doubts if one.known or probes.agree(one.probe, one.stacked)]
    if stand:
        task = datasets.task(job.dataset)
        costs, notes = costs_of(models.build(job.model, task), task, job.budget)
        facts = {name: head[name] for name in ("conditions", "code", "packages", "source", "counted_by", "family", "summary")}
        facts |= {"costs": costs, "notes": machine.anonymous(notes)}
        for one in stand:
            now = probes.found.get(one.stacked, {})
            tell(Confirmed(facts | ({"probe": now} if richer(one.probe, now) else {}), (one.seed,)))
    return [one.seed for one in job.doubts if one not in stand]
