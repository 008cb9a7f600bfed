"""Running one cell: what is in the store is left alone, what is missing is trained, scored on test and stored."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import datasets
import models
from bench import cost, fingerprint, machine
from bench.evaluate import means, outputs, score
from bench.grid import Cell
from bench.learners import Single, stays_alone
from bench.store import Record, Store, StoreError, pack
from bench.train import Trained, Training, together
from datasets.data import Data, Split, generator
from datasets.registry import describe
from datasets.task import Budget, Task

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


def out_of_memory(error: BaseException) -> bool:
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "not enough memory" in text or "can't allocate memory" in text


def header(cell: Cell, settings: Settings, recipe: str) -> Record:
    """The part all records of a cell share."""
    return {
        "recipe": recipe,
        "model": cell.model,
        "dataset": cell.dataset,
        "budget": asdict(cell.budget),
        "metric": asdict(cell.task.metric) if cell.task is not None else None,
        "summary": cell.task.summary if cell.task is not None else "",
        "family": "other" if cell.model in models.errors else models.family(cell.model),
        "device": settings.device.type,
        "machine": {"slug": machine.slug(), **machine.facts()},
    }


def recipe_of(cell: Cell, device: str) -> str:
    """The cell's recipe; a cell whose file does not import has none of its own."""
    if cell.model in models.errors or cell.dataset in datasets.errors:
        return "unimported"
    return fingerprint.recipe(cell.model, cell.dataset, cell.budget, device)


def to_train(cell: Cell, settings: Settings) -> list[int]:
    """Seeds of a cell that are not in the store yet; none for a cell that cannot be run."""
    if cell.status or (settings.device.type == "cuda" and not torch.cuda.is_available()):
        return []
    seeds, recipe = list(range(cell.budget.seeds)), recipe_of(cell, settings.device.type)
    if settings.retrain and recipe not in settings.redone:
        return seeds
    done = settings.store.finished(cell.model, cell.dataset, cell.budget.name, recipe, seeds)
    return [seed for seed in seeds if seed not in done]


def run(cell: Cell, settings: Settings, progress: Callable[[float], None] = lambda share: None) -> Outcome:
    """Train what is missing. A failure becomes a record and an Outcome; only StoreError and interrupts come through."""
    recipe = recipe_of(cell, settings.device.type)
    head = header(cell, settings, recipe)

    def failed(status: str, reason: str) -> Outcome:
        reason = machine.anonymous(reason, settings.root, settings.store.folder)
        settings.store.put_cell(head | {"status": status, "reason": reason})
        return Outcome(status, reason, 0)

    if cell.status:
        return failed(cell.status, cell.reason)
    if settings.device.type == "cuda" and not torch.cuda.is_available():
        return failed("skipped", "no CUDA device")
    seeds, missing = list(range(cell.budget.seeds)), to_train(cell, settings)
    present = [seed for seed in seeds if seed not in missing]
    done = settings.store.finished(cell.model, cell.dataset, cell.budget.name, recipe, present)
    try:
        if missing:
            done |= train(cell, settings, head, missing, progress)
    except StoreError:
        raise
    except datasets.Missing as error:
        return failed("skipped", str(error))
    except datasets.Corrupt as error:
        return failed("error", str(error))
    except Exception as error:
        status, reason = ("out_of_memory", describe(error)) if out_of_memory(error) else ("error", describe(error))
        release()
        return failed(status, reason)
    settings.redone.add(recipe)
    runs = tuple(done[seed] for seed in seeds)
    broken = [f"seed {r['seed']}: {r['reason']}" for r in runs if r["status"] != "ok"]
    stopped = [r["reason"] for r in runs if r["status"] == "ok" and r["reason"]]
    return Outcome("diverged" if broken else "ok", "; ".join(broken or stopped[:1]), len(missing), runs)


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
    costs, notes = measure(build().to(settings.device), task, budget)
    alone = stays_alone(build(), costs["flops"] or float("inf"), budget, settings.device)
    groups = resumed(settings, head["recipe"], missing)
    rest = [seed for seed in missing if not any(seed in group["seeds"] for group in groups)]
    size = 1 if alone else AT_ONCE
    plans: list[tuple[list[int], dict[str, Any] | None]] = [(group["seeds"], group) for group in groups]
    plans += [(rest[i : i + size], None) for i in range(0, len(rest), size)]
    records: dict[int, Record] = {}
    share = {"done": 0}

    def advance(part: float, seeds: list[int]) -> None:
        progress((share["done"] + part * len(seeds)) / sum(len(s) for s, _ in plans))

    for seeds, snapshot in plans:
        data = [load(cell.dataset, settings.root, seed, settings.download) for seed in seeds]
        trained, note = train_group(build, task, budget, seeds, data, settings, head["recipe"], snapshot, partial(advance, seeds=seeds))
        for one, samples in zip(trained, data, strict=True):
            if one.seed in missing:
                record = (
                    head
                    | {"costs": costs, "alone": note or alone or "", "notes": notes}
                    | scored(build, one, samples, task, budget, settings)
                )
                settings.store.put_run(record)
                records[one.seed] = record
        settings.store.drop_checkpoint(head["recipe"], seeds)
        share["done"] += len(seeds)
    return records


def resumed(settings: Settings, recipe: str, missing: list[int]) -> list[dict[str, Any]]:
    """Checkpoints that lead to missing seeds. A group goes on as it was begun, so that a kill changes no number."""
    if settings.retrain:
        return []
    return [saved for saved in settings.store.checkpoints(recipe) if any(seed in missing for seed in saved["seeds"])]


def train_group(
    build: Callable[[], torch.nn.Module],
    task: Task,
    budget: Budget,
    seeds: list[int],
    data: list[Data],
    settings: Settings,
    recipe: str,
    snapshot: dict[str, Any] | None,
    progress: Callable[[float], None],
) -> tuple[list[Trained], str]:
    """One stack of seeds to the end; seeds that turn out not to stack are trained one by one, and the note says why."""
    try:
        training = Training(build, task, budget, seeds, data, settings.device)
    except Exception as error:
        if len(seeds) == 1:
            raise
        note = f"does not stack: {describe(error)}"[:200]
        trained = []
        for i, (seed, samples) in enumerate(zip(seeds, data, strict=True)):
            one = Training(build, task, budget, [seed], [samples], settings.device)
            trained += one.run(lambda part, i=i: progress((i + part) / len(seeds)))  # type: ignore[misc]
        return trained, note
    if snapshot is not None:
        training.restore(snapshot)
    save = partial(settings.store.save_checkpoint, recipe)
    trained = training.run(progress, save, settings.checkpoint_every)
    if len(seeds) > 1:  # a kill between the records of one stack must not make the rest a smaller stack
        save(training.snapshot())
    return trained, ""


def measure(module: torch.nn.Module, task: Task, budget: Budget) -> tuple[dict[str, int | None], str]:
    """The costs of a cell; a figure that cannot be measured is None, and the note says why."""
    parts: dict[str, Callable[[], int]] = {
        "params": lambda: sum(p.numel() for p in module.parameters()),
        "params_active": lambda: cost.active(module, task),
        "flops": lambda: cost.flops(module, task),
        "peak_bytes": lambda: cost.peak_bytes(module, task, budget),
    }
    costs: dict[str, int | None] = {}
    notes = []
    for name, count in parts.items():
        try:
            costs[name] = count()
        except Exception as error:
            costs[name] = None
            notes.append(f"{name} not measured: {describe(error)}")
    return costs, "; ".join(notes)


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
    learner = Single(build(), task, budget, settings.device, generator("test", one.seed, settings.device))
    last = score_with(learner, one.last, test, task)
    best = score_with(learner, one.best, test, task)
    record["test"] = {"best": means(best)[0], "last": means(last)[0]}
    record["examples"] = {
        "loss": pack(best["loss"][0].clamp(-6e4, 6e4).numpy().astype("<f2")),
        "prediction": pack(predictions(learner, test, task)),
    }
    return record


def score_with(learner: Single, state: dict[str, torch.Tensor], test: Split, task: Task) -> dict[str, torch.Tensor]:
    learner.module.load_state_dict(state)
    return score(learner.forward, test, task)


def predictions(learner: Single, test: Split, task: Task) -> np.ndarray:
    """What the loaded weights answer to every test sample: the class, or the value; a signal is too long to keep."""
    if task.output.kind == "signal":
        return np.empty(0, "<f2")
    out = outputs(learner.forward, test.x)[0].cpu()
    if task.output.kind == "classes":
        return out.argmax(-1).numpy().astype("u1" if task.output.size <= 256 else "<u2")
    return out.clamp(-6e4, 6e4).numpy().astype("<f2")
