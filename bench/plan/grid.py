"""Names and patterns -> cells: every model on every data set, each with the reason if it cannot be."""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch

import datasets
import models
from bench.plan import tuned
from bench.plan.request import RequestError as RequestError
from bench.plan.request import whole
from bench.store.records import DEVICES
from datasets.registry import describe, did_you_mean
from datasets.task import Budget, Task


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory was not enough, on any device."""
    text = str(error)
    told = any(words in text for words in ("not enough memory", "can't allocate memory", "out of memory"))
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (isinstance(error, RuntimeError) and told)


@dataclass(frozen=True)
class Cell:
    """A model on a data set. `status` is '' if it can be run, else skipped or error, and then `reason` says why.

    `standard` is the task's budget where the model declares a recipe of its own or was tuned to another, and `why` says so.
    `tuned`: the rates are those that tuning found, be they the plain ones.
    """

    model: str
    dataset: str
    task: Task | None
    budget: Budget
    status: str = ""
    reason: str = ""
    standard: Budget | None = None
    why: str = ""
    tuned: bool = False
    fits: bool = False  # it brings `.fit`: there are no rates to tune, and no forward pass to time before it is fitted

    @property
    def id(self) -> str:
        return f"{self.model}-{self.dataset}"


def located(name: str) -> Path:
    """A path as a user writes it, with ~ for a home, made absolute. RequestError for no name and for the home of nobody."""
    if not name:
        raise RequestError("an empty path was given; name a file or a folder")
    try:
        return Path(name).expanduser().resolve()
    except RuntimeError as error:
        raise RequestError(f"{name}: {error}") from error


def data_root(name: str | None, download: bool) -> None:
    """RequestError for a data root that was named and is not there, unless it may be made."""
    if name is not None and not located(name).is_dir() and not download:
        raise RequestError(f"data root {name} is not a folder (pass --download to make and fill it)")


PLUGIN: dict[str, Any] = {
    "action": "append",
    "default": [],
    "metavar": "FILE",
    "help": "a Python file that registers models or data sets",
}  # the option --plugin


def plugin_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plugin", **PLUGIN)


def plugin(file: str) -> None:
    """Import a file from anywhere that registers models or data sets. RequestError if it does not import."""
    path = located(file)
    if not path.is_file():
        raise RequestError(f"plugin {file}: no such file")
    name = f"plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RequestError(f"plugin {file}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise RequestError(f"plugin {file} does not import: {describe(error)}") from error


def split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def select(
    noun: str, patterns: str | None, default: Sequence[str], everything: Sequence[str], hint: str = " (python -m bench list)"
) -> list[str]:
    """Names matching comma-separated patterns, in the registry's order; `default` without patterns.

    A wildcard chooses among names that are part of a grid; an exact name may be an as-published one too. RequestError for a
    pattern that matches nothing; it ends with the hint where to look.
    """
    if patterns is None:
        return list(default)
    chosen: set[str] = set()
    for pattern in split(patterns):
        hits = [name for name in everything if name == pattern or (fnmatchcase(name, pattern) and not name.endswith("_published"))]
        if not hits:
            raise RequestError(f"unknown {noun} {pattern!r}{did_you_mean(pattern, everything)}{hint}")
        chosen.update(hits)
    if not chosen:
        raise RequestError(f"no {noun} named; leave the option out for all of them{hint}")
    return [name for name in everything if name in chosen]


def budget_of(task: Task, name: str, seeds: int | None) -> Budget | None:
    try:
        budget = task.budget(name)
    except KeyError:
        return None
    return replace(budget, seeds=seeds) if seeds else budget


def cell(model: str, dataset: str, budget_name: str, seeds: int | None, untuned: bool = False) -> Cell:
    """One cell, its reason found by building the model once, with the rates that tuning found unless `untuned`.

    RequestError where a file of tuning says what cannot be.
    """
    nothing = Budget(budget_name, samples=1, batch=1, seeds=seeds or 1)
    if dataset in datasets.errors:
        return Cell(model, dataset, None, nothing, "error", f"datasets/{dataset}.py {datasets.errors[dataset]}")
    task = datasets.task(dataset)
    budget = budget_of(task, budget_name, seeds)
    if budget is None:
        return Cell(model, dataset, task, nothing, "skipped", f"{dataset} has no budget {budget_name!r}")
    if model in models.errors:
        return Cell(model, dataset, task, budget, "error", f"models/{model}.py {models.errors[model]}")
    try:
        fits = isinstance(models.build(model, task), models.Fits)
    except models.Unsupported as reason:
        return Cell(model, dataset, task, budget, "skipped", str(reason))
    except Exception as error:
        return Cell(model, dataset, task, budget, "out_of_memory" if out_of_memory(error) else "error", describe(error))
    if fits:
        return Cell(model, dataset, task, budget, fits=True)
    own, why = models.recipe(model)
    plain, standard = budget, None
    if own:
        try:
            plain, standard, why = replace(budget, **own), budget, f"own recipe {own}: {why}"
        except (TypeError, ValueError) as error:
            return Cell(model, dataset, task, budget, "error", f"its own recipe {own} cannot be: {error}")
    used = tuned.Applied(plain) if untuned else tuned.applied(model, task, plain)
    if used.budget != plain:
        standard = budget
    return Cell(model, dataset, task, used.budget, standard=standard, why="; ".join(filter(None, [why, used.note])), tuned=used.tuned)


def listed(registry_names: list[str], errors: dict[str, str]) -> list[str]:
    return registry_names + sorted(set(errors) - set(registry_names))


def cells(models_: str | None, datasets_: str | None, budget: str, seeds: int | None, untuned: bool = False) -> list[Cell]:
    """The grid, data set by data set. Default: all models on all embedded data sets, but for shuffled twins, and routes, which
    explain the mixers, with those alone. RequestError for what is unknown."""
    tuned.check()
    every_model = listed(models.names(published=True), models.errors)
    every_dataset = listed(datasets.names(published=True), datasets.errors)
    default_models = [name for name in every_model if not name.endswith("_published")]
    default_datasets = [
        name
        for name in every_dataset
        if not name.endswith("_published")
        and (name in datasets.errors or (datasets.task(name).embedded and datasets.task(name).role != "twin"))
    ]
    chosen_models = select("model", models_, default_models, every_model)
    chosen_datasets = select("data set", datasets_, default_datasets, every_dataset)
    known = {b.name for name in chosen_datasets if name not in datasets.errors for b in datasets.task(name).budgets}
    if known and budget not in known:
        elsewhere = sorted({b.name for name in every_dataset if name not in datasets.errors for b in datasets.task(name).budgets} - known)
        others = f"; other data sets have {', '.join(elsewhere)}" if elsewhere else ""
        raise RequestError(
            f"unknown budget {budget!r}{did_you_mean(budget, sorted(known))} (there are: {', '.join(sorted(known))}{others})"
        )
    return [cell(m, d, budget, seeds, untuned) for d in chosen_datasets for m in chosen_models if models_ is not None or explains(m, d)]


def explains(model: str, dataset: str) -> bool:
    """Whether a model that nobody named belongs on a data set."""
    route = dataset not in datasets.errors and datasets.task(dataset).role == "route"
    return not route or model.startswith("backbone_") or model in models.errors


def parse_seeds(text: str | None) -> int | None:
    return None if text is None else whole("--seeds", text, 1000)


def parse_devices(text: str | None, cuda: bool) -> list[str]:
    """Devices in order; the first one trains. Default: every device there is, the GPU first."""
    if text is None:
        return ["cuda", "cpu"] if cuda else ["cpu"]
    return several("device", text, DEVICES)


def several(noun: str, text: str, among: Sequence[str], hint: Callable[[str], str] = lambda name: "") -> list[str]:
    """The names that the option --`noun`s lists, in order and each once. RequestError for one that is not `among` them, and for none."""
    chosen = list(dict.fromkeys(split(text)))
    for name in chosen:
        if name not in among:
            raise RequestError(f"unknown {noun} {name!r}{hint(name)}; there are {' and '.join(among)}")
    if not chosen:
        raise RequestError(f"no {noun} named; --{noun}s takes {', '.join(among)} or both")
    return chosen
