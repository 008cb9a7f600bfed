"""Names and patterns -> cells: every model on every data set, each with the reason if it cannot be."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial

import datasets
import models
from bench.plan import applied, tuned, variants
from bench.plan.builder import Builder as Builder
from bench.plan.builder import out_of_memory as out_of_memory
from bench.plan.plugins import PLUGGED
from bench.plan.plugins import PLUGIN as PLUGIN
from bench.plan.plugins import plugin as plugin
from bench.plan.plugins import plugin_files as plugin_files
from bench.plan.plugins import plugin_option as plugin_option
from bench.plan.request import RequestError as RequestError
from bench.plan.request import located as located
from bench.plan.request import whole
from bench.store.records import DEVICES
from datasets.registry import did_you_mean
from datasets.task import Budget, Task
from models.naming import changed, plain
from models.variants import terms

COVERED = "smoke"  # the budget that shows whether everything works: where nothing is named, it trains no more than that takes


@dataclass(frozen=True)
class Cell:
    """A model on a data set. `status` is '' if it can be run, else skipped or error, and then `reason` says why.

    `standard` is the task's budget where the model declares a recipe of its own or was tuned or changed to another, and `why` says so.
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


def data_root(name: str | None, download: bool) -> None:
    """RequestError for a data root that was named and is not there, unless it may be made."""
    if name is not None and not located(name).is_dir() and not download:
        raise RequestError(f"data root {name} is not a folder (pass --download to make and fill it)")


def split(text: str) -> list[str]:
    """The parts of a list at commas, but for those in brackets, which part the values of a size. RequestError where they do not pair."""
    try:
        return terms(text)
    except ValueError as error:
        raise RequestError(str(error)) from error


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


def cell(
    model: str,
    dataset: str,
    budget_name: str,
    seeds: int | None,
    untuned: bool = False,
    builder: Builder | None = None,
    tuned_on: Task | None = None,
) -> Cell:
    """One cell, its reason found by building the model once, with the rates that tuning found unless `untuned`.

    `tuned_on`: whose rates to use, where the data set is made of another one. RequestError where a file of tuning says what cannot be.
    """
    nothing = Budget(budget_name, samples=1, batch=1, seeds=seeds or 1)
    if dataset in datasets.errors:
        return Cell(model, dataset, None, nothing, "error", f"datasets/{dataset}.py {datasets.errors[dataset]}")
    task = datasets.task(dataset)
    budget = budget_of(task, budget_name, seeds)
    if budget is None:
        return Cell(model, dataset, task, nothing, "skipped", f"{dataset} has no budget {budget_name!r}")
    if plain(model) in models.errors:
        return Cell(model, dataset, task, budget, "error", f"models/{plain(model)}.py {models.errors[plain(model)]}")
    with Builder() if builder is None else contextlib.nullcontext(builder) as asked:
        built = asked.ask(model, dataset)
    if built.status:
        return Cell(model, dataset, task, budget, built.status, built.reason)
    if built.fits and changed(model):
        return Cell(model, dataset, task, budget, "skipped", "it is not trained by gradient: there is no recipe to change")
    if built.fits:
        return Cell(model, dataset, task, budget, fits=True)
    own, why = models.recipe(model)
    usual, standard = budget, None
    if own:
        try:
            usual, standard, why = replace(budget, **own), budget, f"own recipe {own}: {why}"
        except (TypeError, ValueError) as error:
            return Cell(model, dataset, task, budget, "error", f"its own recipe {own} cannot be: {error}")
    used = applied.Applied(usual) if untuned else applied.applied(model, tuned_on or task, usual)
    if used.budget != usual:
        standard = budget
    notes = [why, used.note]
    if not changed(model):
        return Cell(model, dataset, task, used.budget, standard=standard, why="; ".join(filter(None, notes)), tuned=used.tuned)
    more = "samples" in dict(models.variant(model).recipe)  # than what is ranked: other conditions
    notes.append(f"recipe changed on request{': not ranked' if more else ''}")
    standard = None if more else budget
    altered = variants.altered(used.budget, model)
    return Cell(model, dataset, task, altered, standard=standard, why="; ".join(filter(None, notes)))


def listed(registry_names: list[str], errors: dict[str, str]) -> list[str]:
    return registry_names + sorted(set(errors) - set(registry_names))


def cells(
    models_: str | None,
    datasets_: str | None,
    budget: str,
    seeds: int | None,
    untuned: bool = False,
    changes: dict[str, str] | None = None,
) -> list[Cell]:
    """The grid, data set by data set. Default: all models on all embedded data sets, but for shuffled twins, and routes, which
    explain the mixers, with those alone; at the smoke budget their `cover`. `changes` are made to every recipe. RequestError for what is
    unknown."""
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
    of_pattern = partial(select, "model", default=default_models, everything=every_model)
    chosen_models = variants.chosen(models_, default_models, every_model, of_pattern, changes or {})
    chosen_datasets = select("data set", datasets_, default_datasets, every_dataset)
    known = {b.name for name in chosen_datasets if name not in datasets.errors for b in datasets.task(name).budgets}
    if known and budget not in known:
        elsewhere = sorted({b.name for name in every_dataset if name not in datasets.errors for b in datasets.task(name).budgets} - known)
        others = f"; other data sets have {', '.join(elsewhere)}" if elsewhere else ""
        raise RequestError(
            f"unknown budget {budget!r}{did_you_mean(budget, sorted(known))} (there are: {', '.join(sorted(known))}{others})"
        )
    pairs = [(m, d) for d in chosen_datasets for m in chosen_models if models_ is not None or explains(m, d)]
    with Builder() as builder:
        found = [cell(m, d, budget, seeds, untuned, builder) for m, d in pairs]
        for one in found:
            if "[" in one.model and one.status == "error" and one.task is not None:
                raise RequestError(f"{one.model} cannot be built for {one.dataset}: {one.reason}; {models.takes(one.model)}")
        variants.trained_apart(((one.model, one.dataset, one.budget) for one in found if not one.status), builder.alike)
    return found if budget != COVERED or models_ or datasets_ else cover(found)


def cover(cells: Sequence[Cell]) -> list[Cell]:
    """Of a grid each model once, on the first data set that takes it; each data set with its first two, attention and convolution;
    and whatever a plugin brings."""
    models_seen: set[str] = set()
    on: Counter[str] = Counter()
    found = []
    for one in cells:
        if one.status == "skipped":
            continue
        own = not one.status and {str(models.source(one.model)), str(datasets.source(one.dataset))}.intersection(PLUGGED)
        if own or one.model not in models_seen or on[one.dataset] < 2:
            found.append(one)
        models_seen.add(one.model)
        on[one.dataset] += 1
    return found


def explains(model: str, dataset: str) -> bool:
    """Whether a model that nobody named belongs on a data set."""
    route = dataset not in datasets.errors and datasets.task(dataset).role == "route"
    return not route or model.startswith("backbone_") or plain(model) in models.errors


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
