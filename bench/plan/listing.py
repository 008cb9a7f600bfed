"""python -m bench list: the grid before anything is run, what it will take, and the table which that is read from."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from tabulate import tabulate

import datasets
from bench.core import machine
from bench.plan import expected, grid, variants
from bench.plan.opened import opened


def run(options: argparse.Namespace) -> int:
    """Print every cell, or every budget, or write the table. RequestError for names that are none and for a folder without results."""
    if options.learn is not None:
        expected.TABLE.write_text(expected.learned(opened(options.learn).runs()), encoding="utf-8")
        print(f"written: {expected.TABLE.relative_to(machine.ROOT)}")
        return 0
    changes = variants.recipe(options.set, options.samples)
    cells = grid.cells(options.models, options.datasets, options.budget, None, options.untuned, changes)
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
            "seconds": round(expected.seconds(cell), 1),
            "samples": cell.budget.samples,
            "lr": cell.budget.lr,
            "decay": cell.budget.weight_decay,
            "reason": cell.reason or cell.why,
        }
        for cell in cells
    ]
    print(json.dumps(facts, indent=1) if options.json else tabulate(facts, headers="keys", maxcolwidths=[None] * 8 + [80]))
    if not options.json:
        waiting = [name for name in datasets.names() if not datasets.task(name).embedded]
        total = sum(map(expected.seconds, cells))
        print(f"\n{len(cells)} cells, about {total:,.0f} seconds of training for one core.")
        print(f"On request, with --datasets and what each of them says it needs, a data root or a package: {', '.join(waiting)}")
    return 0
