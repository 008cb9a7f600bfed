"""After training the test split is opened: for the best checkpoint and the last, once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, replace

import torch

from bench.store.examples import keep, storable
from bench.store.schema import Record
from bench.train.batches import together
from bench.train.evaluation import means, score
from bench.train.learners import Single
from bench.train.loop import fresh
from bench.train.trained import Trained
from datasets.data import Data, TrainingData, generator
from datasets.task import Budget, Task


def handed(data: Data, budget: Budget) -> TrainingData:
    """What training may see: never the test split, but where a `published` budget repeats a source that chose on it."""
    return replace(data.for_training, peek=data.test) if budget.choose == "test" else data.for_training


def scored(build: Callable[[], torch.nn.Module], one: Trained, data: Data, task: Task, budget: Budget, device: torch.device) -> Record:
    """The rest of a run's record. Here, after training, the test split is opened: for the best checkpoint and the last."""
    record: Record = {
        "seed": one.seed,
        "status": one.status,
        "reason": one.reason,
        "curve": asdict(one.curve),
        "best_samples": one.best_samples,
        "train_seconds": one.seconds,
        "together": one.together,
    }
    if one.status != "ok":
        return record
    test = together([data.test], device)
    # the seed's own initialisation again: it may hold random numbers that are neither parameters nor saved buffers
    learner = Single(fresh(build, budget, one.seed), task, budget, device, generator("test", one.seed, device))
    learner.module.load_state_dict(one.best)
    found = score(learner, test, task)
    best = means(found.scores, task)[0]
    last = best
    if one.best_samples != one.curve.samples[-1]:
        learner.module.load_state_dict(one.last)
        last = means(score(learner, test, task).scores, task)[0]
    for scores in (best, last):
        if wrong := [name for name in (task.metric.name, "loss") if not math.isfinite(scores[name])]:
            return record | {"status": "diverged", "reason": f"{wrong[0]} of the test split is no finite number"}
    record["test"] = {"best": best, "last": last}
    if budget.choose == "test":  # the source's choice: the highest of its test scores; ours, made on val, stands beside it
        name, sign = task.metric.name, task.metric.sign
        record["test"]["on_val"] = best
        record["test"]["best"] = {name: sign * max(sign * value for value in one.curve.test_metric)}
    record["examples"] = keep(
        found.scores["loss"][0], found.predicted[0], found.out[0] if found.out is not None else None, data.test.y, task
    )
    record["derived"] = storable(record)
    return record
