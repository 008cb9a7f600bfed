"""Running one cell: what is in the store is left alone, what is missing is trained, scored on test and stored."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch

import datasets
import models
from bench import cost, exact, fingerprint, machine
from bench.batches import together
from bench.evaluate import half, kept, means, score
from bench.grid import Cell, out_of_memory
from bench.learners import Single, stays_alone
from bench.snapshots import Snapshots
from bench.store import Record, Store, StoreError, pack
from bench.train import Trained, Training, fresh
from datasets import bleu
from datasets.data import Data, TrainingData, generator
from datasets.registry import describe
from datasets.task import BLEU, Budget, Task

AT_ONCE = 64  # seeds in one stack at most


@dataclass
class Settings:
    """What a session asks of every cell."""

    store: Store
    device: torch.device
    root: Path
    download: bool = False
    retrain: bool = False
    checkpoint_every: float = 30.0
    redone: set[str] = field(default_factory=set)  # recipes already trained anew in this session


@dataclass(frozen=True)
class Outcome:
    """What became of a cell: its worst status, why, and how many seeds were trained now (0: all from the store)."""

    status: str
    reason: str
    trained: int
    runs: tuple[Record, ...] = ()


@lru_cache(maxsize=5)
def load(dataset: str, root: Path, seed: int, download: bool) -> Data:
    """Data of one seed; kept for the next model of the same data set."""
    return datasets.load(dataset, root, seed, download)


def header(cell: Cell, device: str) -> Record:
    """The part all records of a cell share. A cell whose file does not import has no recipe of its own."""
    head: Record = {
        "recipe": "unimported",
        "model": cell.model,
        "dataset": cell.dataset,
        "budget": asdict(cell.budget),
        "device": device,
        "machine": {"slug": machine.slug(), **machine.facts()},
    }
    if cell.task is not None:
        head |= {"metric": asdict(cell.task.metric), "summary": cell.task.summary, "version": cell.task.version}
    if cell.task is not None and cell.model not in models.errors:
        head |= {
            "recipe": fingerprint.recipe(cell.model, cell.dataset, cell.budget, device),
            "conditions": fingerprint.digest(fingerprint.conditions(cell.dataset, cell.standard or cell.budget, device)),
            "own_recipe": cell.why,
            "source": fingerprint.closure(models.source(cell.model)),
            "family": models.family(cell.model),
        }
    return head


def to_train(cell: Cell, settings: Settings) -> list[int]:
    """Seeds of a cell that are not in the store yet; none for a cell that cannot be run."""
    if cell.status or (settings.device.type == "cuda" and not torch.cuda.is_available()):
        return []
    seeds, recipe = list(range(cell.budget.seeds)), fingerprint.recipe(cell.model, cell.dataset, cell.budget, settings.device.type)
    if settings.retrain and recipe not in settings.redone:
        return seeds
    done = settings.store.finished(cell.model, cell.dataset, cell.budget.name, recipe, seeds)
    return [seed for seed in seeds if seed not in done]


def run(cell: Cell, settings: Settings, progress: Callable[[float], None] = lambda share: None) -> Outcome:
    """Train what is missing. A failure becomes a record and an Outcome; only StoreError and interrupts come through.

    Whatever happens, the store is told what came of the cell, so that tables show the recipe that was asked for last.
    """
    head = header(cell, settings.device.type)

    def concluded(status: str, reason: str, passing: bool = False) -> Outcome:
        """`passing`: the reason is not the cell's own, and does not hide runs from before."""
        reason = machine.anonymous(reason)
        settings.store.put_cell(head | {"status": status, "reason": reason, "passing": passing})
        return Outcome(status, reason, 0)

    if cell.status:
        return concluded(cell.status, cell.reason)
    if settings.device.type == "cuda" and not torch.cuda.is_available():
        return concluded("skipped", "no CUDA device", passing=True)
    seeds, missing = list(range(cell.budget.seeds)), to_train(cell, settings)
    present = [seed for seed in seeds if seed not in missing]
    done = settings.store.finished(cell.model, cell.dataset, cell.budget.name, head["recipe"], present)
    try:
        if missing:
            done |= train(cell, settings, head, missing, progress)
    except StoreError:
        raise
    except datasets.Missing as error:
        return concluded("skipped", str(error), passing=True)
    except datasets.Corrupt as error:
        return concluded("error", str(error))
    except Exception as error:
        status = "out_of_memory" if out_of_memory(error) else "error"
        release()
        return concluded(status, describe(error))
    settings.redone.add(head["recipe"])
    runs = tuple(done[seed] for seed in seeds)
    broken = [f"seed {r['seed']}: {r['reason']}" for r in runs if r["status"] != "ok"]
    stopped = [r["reason"] for r in runs if r["status"] == "ok" and r["reason"]]
    outcome = concluded("diverged" if broken else "ok", "; ".join(broken or stopped[:1]))
    return Outcome(outcome.status, outcome.reason, len(missing), runs)


def release() -> None:
    """Give memory back after a cell that ran out of it."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def train(cell: Cell, settings: Settings, head: Record, missing: list[int], progress: Callable[[float], None]) -> dict[int, Record]:
    """Train, score and store the missing seeds of a cell: together where that is possible and pays."""
    task, budget = cell.task, cell.budget
    assert task is not None
    build = partial(models.build, cell.model, task)
    module = build().to(settings.device)
    check_answer(module, task, budget, settings.device)
    costs, notes = cost.measure(exact.countable(module), task, budget)
    why = stays_alone(module, costs["flops"] or float("inf"), budget, settings.device) or ""
    plans = planned(settings, head["recipe"], missing, 1 if why else AT_ONCE)
    records: dict[int, Record] = {}
    while plans:
        seeds, snapshot = plans.pop(0)
        data = [load(cell.dataset, settings.root, seed, settings.download) for seed in seeds]
        n, left, done = len(seeds), sum(len(group) for group, _ in plans), len(records)
        try:
            training = Training(build, task, budget, seeds, [handed(one, budget) for one in data], settings.device)
        except Exception as error:
            if len(seeds) == 1:
                raise
            why = f"does not stack: {describe(error)}"[:200]
            plans = [([seed], None) for seed in seeds] + plans
            continue
        if snapshot is not None:
            resume(training, snapshot, settings.store, head["recipe"])
        snapshots = Snapshots(training, task, snapshot)
        start = training.position.step * budget.batch

        def evaluated(part: float, n: int = n, left: int = left, done: int = done, snapshots: Snapshots = snapshots) -> None:
            snapshots.take()
            progress(1 - (left + (1 - part) * n) / (done + n + left))

        def save(_: Record, snapshots: Snapshots = snapshots) -> None:
            settings.store.save_checkpoint(head["recipe"], snapshots.checkpoint())

        trained = training.run(evaluated, save, settings.checkpoint_every)
        if len(seeds) > 1:  # a kill between the records of one stack must not make the rest a smaller stack
            save({})
        by = {"scored_by": bleu.signature()} if task.metric == BLEU else {}
        shared = by | {"costs": costs, "notes": machine.anonymous(notes), "alone": machine.anonymous(why), "continued_from": start}
        for one, samples in zip(trained, data, strict=True):
            if one.seed in missing:
                records[one.seed] = head | shared | scored(build, one, samples, task, budget, settings)
                settings.store.put_run(records[one.seed])  # first: a picture is worth less than a run
                if one.status == "ok" and (kept := snapshots.kept(one)) is not None:
                    settings.store.put_weights(records[one.seed], kept)
        settings.store.drop_checkpoint(head["recipe"], seeds)
    return records


def handed(data: Data, budget: Budget) -> TrainingData:
    """What training may see: never the test split, but where a `published` budget repeats a source that chose on it."""
    return replace(data.for_training, peek=data.test) if budget.choose == "test" else data.for_training


def check_answer(module: torch.nn.Module, task: Task, budget: Budget, device: torch.device) -> None:
    """ValueError if the model's answer is not shaped as the task asks: broadcasting would make a number of it all the same."""
    x, _ = task.sample(2)
    found = tuple(Single(module, task, budget, device, generator("check", 0, device)).forward(x.to(device)[None])[0].shape)
    decoded = task.output.kind == "tokens" and found == (2, task.output.size)
    if decoded and not hasattr(module, "teach"):
        raise ValueError("answers with tokens, which have no loss: bring .teach(x, y), the logits given the true prefix")
    if found != (2, *task.output.shape) and not decoded:
        raise ValueError(f"answers two samples with shape {found}; {task.name} asks for {(2, *task.output.shape)}")


def planned(settings: Settings, recipe: str, missing: list[int], size: int) -> list[tuple[list[int], dict[str, Any] | None]]:
    """Groups of seeds to train. A group with a checkpoint goes on as it was begun, so that a kill changes no number."""
    saved = [] if settings.retrain else settings.store.checkpoints(recipe)
    begun = [(snapshot["seeds"], snapshot) for snapshot in saved if any(seed in missing for seed in snapshot["seeds"])]
    rest = [seed for seed in missing if not any(seed in seeds for seeds, _ in begun)]
    return begun + [(rest[i : i + size], None) for i in range(0, len(rest), size)]


def resume(training: Training, snapshot: dict[str, Any], store: Store, recipe: str) -> None:
    """Continue from a checkpoint; one that does not fit is set aside."""
    blank = copy.deepcopy(training.snapshot())
    try:
        training.restore(snapshot)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        store.set_checkpoint_aside(store.checkpoint(recipe, training.seeds), error)
        training.restore(blank)
        training.random = None


def scored(build: Callable[[], torch.nn.Module], one: Trained, data: Data, task: Task, budget: Budget, settings: Settings) -> Record:
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
    test = together([data.test], settings.device)
    # the seed's own initialisation again: it may hold random numbers that are neither parameters nor saved buffers
    learner = Single(fresh(build, budget, one.seed), task, budget, settings.device, generator("test", one.seed, settings.device))
    learner.module.load_state_dict(one.best)
    scores, predicted = score(learner, test, task)
    best = means(scores, task)[0]
    record["test"] = {"best": best, "last": best}
    if one.best_samples != one.curve.samples[-1]:
        learner.module.load_state_dict(one.last)
        record["test"]["last"] = means(score(learner, test, task)[0], task)[0]
    if budget.choose == "test":  # the source's choice: the highest of its test scores; ours, made on val, stands beside it
        name, sign = task.metric.name, 1 if task.metric.better == "higher" else -1
        record["test"]["on_val"] = best
        record["test"]["best"] = {name: sign * max(sign * value for value in one.curve.test_metric)}
    record["examples"] = {"loss": pack(half(scores["loss"][0])), "prediction": pack(kept(predicted[0], task))}
    return record
