"""python -m bench list: the grid before anything is run, for people and for programs."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from tabulate import tabulate

import datasets
from bench.plan import grid


def run(options: argparse.Namespace) -> int:
    """Print every cell, or every budget. RequestError for names that are none."""
    cells = grid.cells(options.models, options.datasets, options.budget, None, options.untuned)
    if options.budgets:
        names = list(dict.fromkeys(cell.dataset for cell in cells if cell.task is not None))
        found = [{"data set": name, **asdict(budget)} for name in names for budget in datasets.task(name).budgets]
        print(json.dumps(found, indent=1) if options.json else tabulate(found, headers="keys"))
        return 0
    facts = [
        {
            "model": cell.model,
            "dataset": cell.dataset,
            "budget": cell.budget.name,
            "seeds": cell.budget.seeds,
            "status": cell.status or "ok",
            "lr": cell.budget.lr,
            "decay": cell.budget.weight_decay,
            "reason": cell.reason or cell.why,
        }
        for cell in cells
    ]
    print(json.dumps(facts, indent=1) if options.json else tabulate(facts, headers="keys", maxcolwidths=[None] * 7 + [80]))
    if not options.json:
        waiting = [name for name in datasets.names() if not datasets.task(name).embedded]
        print(f"\n{len(cells)} cells. On request, with --datasets and a data root: {', '.join(waiting)}")
    return 0
