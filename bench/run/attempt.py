"""A worker's side of tuning: trials of a cell, stacked with a learning rate and a decay each where the model stacks, else one by one."""

from __future__ import annotations

from dataclasses import asdict, replace

import torch

import datasets
from bench.core import machine
from bench.plan.trials import Trial
from bench.run.doubts import Probes, Tell
from bench.run.job import Finished, Job, Share
from bench.run.worker import AT_ONCE, Checkpoints, prepared
from bench.store import fingerprint
from bench.store.records import Record
from bench.train.loading import load
from bench.train.loop import Training
from bench.train.optimiser import Rates
from bench.train.trained import Trained
from datasets.data import Data
from datasets.registry import describe
from datasets.task import Budget

ROOM = 2**29  # bytes of training data in a stack, which holds them once for every seed of every trial
Attempt = tuple[Trial, int]  # and its seed


def rates(group: list[Attempt]) -> Rates | None:
    """Of a stack; an attempt alone has them in its budget."""
    if len(group) == 1:
        return None
    return Rates(tuple(trial.lr for trial, _ in group), tuple(trial.weight_decay for trial, _ in group))


def fitting(data: Data) -> int:
    """Attempts in one stack at most."""
    parts = (data.train.x, data.train.y, data.val.x, data.val.y)
    return max(1, min(AT_ONCE, ROOM // max(1, sum(part.nbytes for part in parts))))


def record(job: Job, head: Record, one: Trained, trial: Trial, budget: Budget) -> Record:
    """What is kept of one seed of a trial. Its weights are not."""
    return head | {
        "recipe": fingerprint.recipe(job.model, job.dataset, budget, job.device),
        "plan": head["recipe"],
        "plain": asdict(job.budget),
        "budget": asdict(budget),
        "trial": trial.number,
        "seed": one.seed,
        "status": one.status,
        "reason": one.reason,
        "curve": asdict(one.curve),
        "train_seconds": one.seconds,
        "together": one.together,
    }


def attempt(job: Job, head: Record, tell: Tell) -> None:
    """Train the trials of a job, on what training may see, and tell of each group as it is done. Test stays shut."""
    task, device = datasets.task(job.dataset), torch.device(job.device)
    subject = prepared(job)
    why = subject.alone
    every = [(trial, seed) for trial in job.trials for seed in trial.seeds]
    loaded = {seed: load(job.dataset, job.root, seed, job.download) for _, seed in every}
    size = 1 if why else fitting(loaded[every[0][1]][0])
    groups = [every[i : i + size] for i in range(0, len(every), size)]
    done = 0
    while groups:
        group = groups.pop(0)
        seeds, own = [seed for _, seed in group], [trial.of(job.budget) for trial, _ in group]
        budget = job.budget if len(group) > 1 else own[0]
        try:
            data = [loaded[seed][0].for_training for seed in seeds]
            training = Training(subject.build, task, budget, seeds, data, device, rates(group))
        except Exception as error:
            if len(group) == 1:
                raise
            why = f"does not stack: {describe(error)}"[:200]
            groups = [[one] for one in group] + groups
            continue
        # a checkpoint belongs to these trials with these seeds in this order, and to no run
        name = fingerprint.digest({"plan": head["recipe"], "trials": [asdict(trial) for trial, _ in group]})
        checkpoints = Checkpoints(plan := replace(job, budget=budget), head | {"recipe": name}, Probes(plan))
        for begun, snapshot in checkpoints.groups(seeds, len(seeds)):
            if snapshot is not None and begun == seeds:
                checkpoints.resume(training, snapshot)

        def evaluated(part: float, n: int = len(group), done: int = done) -> None:
            tell(Share((done + part * n) / len(every)))

        trained = training.run(evaluated, checkpoints.save, job.checkpoint_every)
        head_ = head | {"alone": machine.anonymous(why), "checkpoint": name}
        found = zip(group, own, trained, strict=True)
        records = [record(job, head_ | {"files": loaded[one.seed][1] | subject.files}, one, trial, its) for (trial, _), its, one in found]
        tell(Finished(tuple(records), (None,) * len(records), tuple(seeds)))
        done += len(group)
