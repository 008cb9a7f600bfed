"""A trained model opened again, with the weights that its reported value is from."""

from __future__ import annotations

from functools import partial

from torch import nn

import datasets
import models
from bench.compare.sides import Side, called, known, table
from bench.figures.subject import NoPicture, Subject
from bench.plan.grid import located
from bench.plan.request import RequestError
from bench.store.records import Record, Store
from bench.tables.rows import Row


def chosen(found: list[Row], side: Side, dataset: str) -> Row:
    """The row to open: of several budgets never smoke if there is another, then the one with most samples, newest. RequestError if none."""
    known(f"run of {side.said} on the data set", dataset, (row.dataset for row in found if row.runs), side.folder)
    own = [row for row in found if row.dataset == dataset and row.runs and side.budget in ("", row.budget)]
    if not own:
        raise RequestError(f"{side.said} was not run on {dataset} in {side.folder}; leave the budget out for the one there is")
    return max(own, key=lambda row: (bool(row.values), row.budget != "smoke", row.samples, row.newest))


def load(results: str, model: str, dataset: str, budget: str | None, seed: int | None) -> nn.Module:
    """What bench.load_run gives."""
    side = Side(results, called(model), budget or "")
    row = chosen(table([side], None)[0], side, dataset)
    try:
        datasets.task(dataset), models.source(side.model)
    except KeyError as error:
        raise RequestError(f"{model} or {dataset} is registered nowhere; first import the plugin file that it comes from") from error
    if row.runs[0]["budget"].get("choose") == "test":
        raise RequestError(
            f"the value of {model} under the budget {row.budget} is its best test score of any evaluation: no weights are kept of it"
        )
    ended = {run["seed"]: run for run in row.runs if run["status"] == "ok"}
    if seed is not None and seed not in ended:
        raise RequestError(
            f"no finished run of {side.said} on {dataset} with seed {seed}; there are {', '.join(map(str, ended)) or 'none'}"
        )
    store = Store(located(results))
    kept = [run for number, run in ended.items() if seed in (None, number) and store.weights_of(run).is_file()]
    return module(row, (kept or [*ended.values()] or row.runs)[0], store)


def module(row: Row, run: Record, store: Store) -> nn.Module:
    """The model of one run, in evaluation mode, float32 on the CPU. RequestError where its weights are not there or fit no more."""
    subject = Subject(row, run, datasets.task(row.dataset), store, partial(datasets.load, seed=run["seed"]))
    try:
        best = subject.kept["best"]
        if not best:
            raise NoPicture("the run kept its last weights only, as versions up to 0.5 did; train it again with --retrain")
        return subject.at(best)
    except NoPicture as why:
        raise RequestError(f"{row.model} on {row.dataset}, budget {row.budget}, seed {run['seed']}: {why}") from why
