"""A worker's side of a cell: model and data are made here, runs that may stand are probed, what is missing is trained and scored.

It writes checkpoints and nothing else: what it finds, it tells.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

import datasets
import datasets.once
import models
from bench.core import machine, opened
from bench.plan.grid import out_of_memory, plugin
from bench.run.doubts import Probes, Tell, costs_of, fallen
from bench.run.job import Ended, Finished, Job, Share
from bench.store import fingerprint
from bench.store.records import Record, Store, pack_weights
from bench.train import shared
from bench.train.faithful import stays_alone
from bench.train.fitting import Fitting
from bench.train.learners import check_answer
from bench.train.loading import load
from bench.train.loop import Training
from bench.train.rehearsal import otherwise
from bench.train.scoring import handed, scored
from bench.train.snapshots import Snapshots
from datasets.registry import describe, message

AT_ONCE = 64  # seeds in one stack at most
OURS = machine.ROOT / "models"  # whose models the tests compare, together and alone
WORTH_TRACING = 30  # steps that a stack spares at least: it takes a second before its first one


def header(job: Job) -> Record:
    """The part all records of a cell share. A cell whose file does not import has no recipe of its own."""
    head: Record = {
        "recipe": "unimported",
        "model": job.model,
        "dataset": job.dataset,
        "budget": asdict(job.budget),
        "device": job.device,
        "machine": {"slug": machine.slug(), **machine.facts()},
    }
    if job.dataset in datasets.errors:
        return head
    task = datasets.task(job.dataset)
    head |= {"metric": task.metric.facts, "summary": task.summary, "version": task.version}
    head |= {} if (pool := datasets.pool(job.dataset)) is None else {"pool": pool}
    if models.plain(job.model) not in models.errors:
        head |= {
            "recipe": fingerprint.recipe(job.model, job.dataset, job.budget, job.device),
            "conditions": fingerprint.conditions(job.dataset, job.standard or job.budget, job.device),
            "code": fingerprint.code(job.model, job.dataset),
            "packages": fingerprint.packages(job.model, job.dataset),
            "own_recipe": job.why,
            "tuned": job.tuned,
            "source": fingerprint.source(job.model),
            "counted_by": fingerprint.counting(job.model),
            "family": models.family(job.model),
        }
    return head


def work_alone(job: Job, tell: Tell) -> None:
    """`work` in a process that does nothing else: with the job's threads, and on CUDA the arithmetic that was asked for."""
    torch.set_num_threads(job.threads)
    if job.device == "cuda":
        machine.exact()
    work(job, tell)


def work(job: Job, tell: Tell) -> None:
    """Do a job and tell what came of it, `Ended` last. Whatever a model raises becomes its status and reason."""
    start = time.monotonic()
    head: Record = {}
    status, reason, passing = "ok", "", False
    try:
        datasets.once.folder = job.scratch
        for file in job.plugins:
            plugin(file)
        head = header(job)
        probes = Probes(job)
        seeds = sorted([*job.seeds, *fallen(job, head, probes, tell)])
        if job.trials:
            from bench.run.attempt import attempt  # which uses what is defined here

            attempt(job, head, tell)
        elif seeds and job.train:
            train(job, head, seeds, probes, tell)
        elif seeds:
            status, reason = "error", f"seeds {', '.join(map(str, seeds))} do otherwise under today's code; train them again"
    except datasets.Missing as error:
        # a download that was asked for and failed is an error, though of no run from before
        status, reason, passing = "error" if isinstance(error, datasets.Unfetched) else "skipped", message(error), True
    except datasets.Corrupt as error:
        status, reason = "error", message(error)
    except BaseException as error:  # a model may raise anything: SystemExit, what a test framework skips with
        status, reason = "out_of_memory" if out_of_memory(error) else "error", describe(error)
    tell(Ended(status, machine.anonymous(reason), passing, head, time.monotonic() - start))


@dataclass(frozen=True)
class Subject:
    """What a job trains: how it is built, what it costs, why its seeds are trained one by one ('' if they stack), and by what."""

    build: Callable[[], nn.Module]
    files: dict[str, str]  # that it read, by their digests
    costs: dict[str, int | None]
    notes: str
    alone: str
    training: type[Training] | type[Fitting] = Training


def prepared(job: Job) -> Subject:
    """The model of a job, asked what has to be known before anything is trained. Raises what the model raises."""
    task, device = datasets.task(job.dataset), torch.device(job.device)
    source = models.source(job.model)
    build: Callable[[], nn.Module] = partial(models.build, job.model, task)
    with opened.watch(folders := opened.places(job.root, model=source)) as names:
        module = build().to(device)
    files = opened.digests(folders, names | opened.while_imported("model", source))
    if isinstance(module, models.Fits):  # it answers once it is fitted
        return Subject(build, files, *costs_of(module, task, job.budget), "it is fitted whole", Fitting)
    build = shared.alike(build, module)
    check_answer(module, task, job.budget, device)
    costs, notes = costs_of(module, task, job.budget)
    alone = stays_alone(module, costs["flops"], task, job.budget, device) or ""
    if not alone and max(len(job.seeds), len(job.trials)) > 1 and source.parent != OURS:
        alone = otherwise(build, task, job.budget)
    return Subject(build, files, costs, notes, alone)


def train(job: Job, head: Record, missing: list[int], probes: Probes, tell: Tell) -> None:
    """Train and score the missing seeds of a cell, together where that is possible and pays; else all or the first (Job.first_alone)."""
    task, budget, device = datasets.task(job.dataset), job.budget, torch.device(job.device)
    subject = prepared(job)
    build, why = subject.build, subject.alone
    if not why and budget.steps * (len(missing) - 1) < WORTH_TRACING:
        why = "so short that alone is quicker"
    checkpoints = Checkpoints(job, head, probes)
    groups = checkpoints.groups(missing, 1 if why else AT_ONCE)
    done = 0
    while groups:
        seeds, snapshot = groups.pop(0)
        loaded = [load(job.dataset, job.root, seed, job.download) for seed in seeds]
        data = [one for one, _ in loaded]
        left = sum(len(group) for group, _ in groups)
        try:
            training = subject.training(build, task, budget, seeds, [handed(one, budget) for one in data], device)
        except Exception as error:
            if len(seeds) == 1:
                raise
            why = f"does not stack: {describe(error)}"[:200]
            groups = [([seed], None) for seed in seeds] + groups
            continue
        if snapshot is not None and isinstance(training, Training):
            checkpoints.resume(training, snapshot)
        snapshots = Snapshots(training, task, snapshot)
        start = training.position.step * budget.batch

        def evaluated(part: float, n: int = len(seeds), left: int = left, done: int = done, snapshots: Snapshots = snapshots) -> None:
            snapshots.take()
            tell(Share(1 - (left + (1 - part) * n) / (done + n + left)))

        def save(_: Record, snapshots: Snapshots = snapshots) -> None:
            checkpoints.save(snapshots.checkpoint())

        trained = training.run(evaluated, save, job.checkpoint_every)
        if len(seeds) > 1 or training.position.seconds > job.checkpoint_every:  # until the driver has them, or after a kill in between
            save({})
        head = head | {"probe": probes.of(stacked=len(seeds) > 1)}
        by = {"scored_by": task.metric.signature()} if task.metric.signature else {}
        threads = f"trained with {job.threads} threads" if job.threads > 1 else ""  # to be known of its seconds
        shared = by | {
            "costs": subject.costs,
            "notes": machine.anonymous("; ".join(filter(None, [subject.notes, threads]))),
            "alone": machine.anonymous(why),
            "continued_from": start,
        }
        new = [(one, *read) for one, read in zip(trained, loaded, strict=True) if one.seed in missing]
        records = tuple(
            head | shared | {"files": files | subject.files} | scored(build, one, own, task, budget, device) for one, own, files in new
        )
        kept = (snapshots.kept(one, job.keep_weights) if one.status == "ok" else None for one, _, _ in new)
        tell(
            Finished(
                records,
                tuple(pack_weights(own, run) if own is not None else None for own, run in zip(kept, records, strict=True)),
                tuple(seeds),
            )
        )
        done += len(seeds)
        if why and job.first_alone:
            return


class Checkpoints:
    """Runs of this job in progress. A checkpoint of other code is continued where a probe says that it does the same."""

    def __init__(self, job: Job, head: Record, probes: Probes) -> None:
        self.job, self.head, self.probes, self.store = job, head, probes, Store(job.results)

    def save(self, snapshot: dict[str, Any]) -> None:
        told = {"code": self.head["code"], "packages": self.head["packages"], "probe": self.probes.of(len(snapshot["seeds"]) > 1)}
        self.store.checkpoints.save(self.head["recipe"], snapshot | told)

    def fits(self, snapshot: dict[str, Any]) -> bool:
        """Whether today's code would have come this way."""
        before = snapshot.get("probe") or {}
        ours = snapshot.get("code") == self.head["code"] and fingerprint.agree(self.head["packages"], snapshot)
        return ours or self.probes.agree(before, len(snapshot["seeds"]) > 1)

    def groups(self, missing: list[int], size: int) -> list[tuple[list[int], dict[str, Any] | None]]:
        """Groups of seeds to train. A group with a checkpoint goes on as it was begun, so that a kill changes no number."""
        saved = [] if self.job.retrain else self.store.checkpoints.read(self.head["recipe"])
        begun = [(one["seeds"], one) for one in saved if any(seed in missing for seed in one["seeds"]) and self.fits(one)]
        rest = [seed for seed in missing if not any(seed in seeds for seeds, _ in begun)]
        return begun + [(rest[i : i + size], None) for i in range(0, len(rest), size)]

    def resume(self, training: Training, snapshot: dict[str, Any]) -> None:
        """Continue from a checkpoint; one that does not fit is set aside."""
        blank = copy.deepcopy(training.snapshot())
        try:
            training.restore(snapshot)
        except Exception as error:  # an altered one may be wrong in any way
            self.store.checkpoints.set_aside(self.store.checkpoints.path(self.head["recipe"], training.seeds), error)
            training.restore(blank)
            training.random = None
