"""Which rates a cell is trained with: those that tuning found for it, or for the nearest of its model's sizes; else its recipe's."""

from __future__ import annotations

from typing import NamedTuple

import models
from bench.plan.trials import Trial, tunable
from bench.plan.tuned import home, read
from datasets.task import Budget, Task
from models.naming import plain


def nearest(model: str, dataset: str) -> str:
    """Whose rates a model uses: its own, whatever recipe its name says; in sizes that were not tuned those of the tuned ones that it
    has most of, else the plain model's."""
    if not (own := set(models.variant(model).sizes)):
        return plain(model)
    found = {plain(model): 0}
    for path in home(plain(model), dataset).parent.glob(f"{plain(model)}[[]*].json"):
        if (sizes := set(models.variant(read(path).model).sizes)) <= own:
            found[path.stem] = len(sizes)
    return max(sorted(found), key=found.__getitem__)


class Applied(NamedTuple):
    """A cell's budget as runs are to use it, whether its rates are those that tuning found, be they the plain ones, and a note about it."""

    budget: Budget
    tuned: bool = False
    note: str = ""


def applied(model: str, task: Task, budget: Budget) -> Applied:
    """The budget with the rates that were found for this cell, or its `nearest`; as it was, where none were found for this recipe."""
    if not tunable(budget):
        return Applied(budget)
    whose = nearest(model, task.name)
    if not (path := home(whose, task.name)).is_file():
        return Applied(budget)
    found = read(path)
    if found.version != task.version:
        return Applied(budget, note=f"not tuned: version {found.version} of the data was, this is {task.version}")
    if other := found.recipe_differs(budget):
        return Applied(budget, note=f"not tuned: another recipe was ({other})")
    note = found.applied_as() if whose == model else f"rates that were tuned for {whose}"
    return Applied(Trial(found.chosen, *found.rates).of(budget), whose == model, note)
