"""What trained models make of each val sample, from the weights that runs keep: runs themselves keep that of test samples alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import torch

import datasets
import models
from bench.compare import val
from bench.compare.loaded import module
from bench.figures.subject import answer
from bench.plan.request import RequestError
from bench.store.examples import keep
from bench.store.records import Record, Store
from bench.tables.rows import Row
from models.naming import plain

BATCH = 64


def answered(both: tuple[Row, Row], stores: Sequence[Store]) -> list[Row]:
    """Two rows, those on val with what every seed that both have makes of each val sample, or why nobody can tell."""
    seeds = both[0].values.keys() & both[1].values.keys()
    return [
        replace(row, runs=[run | {"examples": examples(row, run, store) if run["seed"] in seeds else {}} for run in row.runs])
        if val.split(row) == "val"
        else row
        for row, store in zip(both, stores, strict=True)
    ]


@torch.no_grad()
def examples(row: Row, run: Record, store: Store) -> Record:
    """Of one run what bench.store.examples keeps of a split; {"untold": why} where weights or data are not there."""
    if plain(row.model) not in models.names(published=True) or row.dataset not in datasets.names(published=True):
        return {"untold": f"{row.model} or {row.dataset} is registered nowhere; name the plugin file with --plugin"}
    try:
        opened, data = module(row, run, store), datasets.load(row.dataset, seed=run["seed"]).val
    except (RequestError, datasets.Missing, datasets.Corrupt) as why:
        return {"untold": str(why)}
    task, teach = datasets.task(row.dataset), getattr(opened, "teach", None)
    parts = defaultdict(list)
    for x, y in zip(data.x.split(BATCH), data.y.split(BATCH), strict=True):
        out = answer(opened, task, x)
        parts["loss"].append(task.scores(out, y, None if teach is None else teach(x, y))["loss"])
        parts["predicted"].append(task.predicted(out))
    return keep(torch.cat(parts["loss"]), torch.cat(parts["predicted"]), None, data.y, task)
