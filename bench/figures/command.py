"""python -m bench figures: every kind of picture for every cell it makes sense for, from the store, without training.

DIR/figures/<dataset>/<model>-<kind>.png|gif        DIR/figures/<kind>.png for the whole suite
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

import datasets
import models
from bench import grid, machine
from bench.figures import kinds
from bench.figures.subject import NoPicture, Subject
from bench.store import PICTURED, Store
from bench.summary import Row, rows, shown
from datasets.data import Data
from datasets.registry import describe


def add(commands: Any) -> None:
    """The command's options."""
    figures = commands.add_parser("figures", help="pictures of what models learned, from the weights that runs kept; never trains")
    figures.add_argument("--results", default=str(machine.ROOT / "results" / "local"), metavar="DIR")
    figures.add_argument("--models", help="names or patterns, comma-separated; default: all in the store")
    figures.add_argument("--datasets", help="names or patterns, comma-separated; default: all in the store")
    figures.add_argument("--budget", help="of the runs drawn; default: the one that the report ranks")
    figures.add_argument("--kinds", help="kinds of pictures, names or patterns, comma-separated; default: all")
    figures.add_argument("--data", metavar="ROOT", help="where real data lie")
    figures.add_argument("--plugin", action="append", default=[], metavar="FILE")
    figures.set_defaults(run=run)


def chosen(table: list[Row], options: argparse.Namespace) -> list[Row]:
    """The rows to draw. RequestError for a name the store does not know."""
    if options.budget is None:
        table = [row for own in shown(table).values() for row in own]
    else:
        known = sorted({row.budget for row in table})
        grid.select("budget", options.budget, known, known)
        table = [row for row in table if row.budget == options.budget]
    names = {noun: sorted({getattr(row, noun) for row in table}) for noun in ("model", "dataset")}
    wanted = {
        "model": grid.select("model", options.models, names["model"], names["model"]),
        "dataset": grid.select("data set", options.datasets, names["dataset"], names["dataset"]),
    }
    return [row for row in table if all(getattr(row, noun) in wanted[noun] for noun in wanted)]


def subject(row: Row, store: Store, root: str | None, load: Any) -> Subject:
    """NoPicture where the row has no run to draw from."""
    if row.model not in models.names(published=True) or row.dataset not in datasets.names(published=True):
        raise NoPicture("the model or the data set is not registered here; name its file with --plugin")
    run = next((run for run in row.runs if run["seed"] == PICTURED and run["status"] == "ok"), None)
    if run is None:
        raise NoPicture(f"no finished run of seed {PICTURED}{': ' + row.reason if row.reason else ''}")
    return Subject(row, run, datasets.task(row.dataset), store, load, root)


def run(options: argparse.Namespace) -> int:
    """Draw; say what could not be drawn and why. 1 if a drawing raised, else 0."""
    for file in options.plugin:
        grid.plugin(file)
    folder = Path(options.results).expanduser().resolve()
    if not (folder / "runs").is_dir():
        raise grid.RequestError(f"no runs in {options.results}; make some: pytest bench --benchmark-only --results {options.results}")
    kinds.load()
    every = [*kinds.cells, *kinds.suites]
    wanted = grid.select("kind of picture", options.kinds, every, every)
    store = Store(folder)
    store.writable()
    table = rows(store)
    reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    failures, made = 0, 0

    @lru_cache(maxsize=2)
    def load(dataset: str) -> Data:
        return datasets.load(dataset, options.data, PICTURED)

    def put(path: Path, draw: Any, kind: str, name: str) -> None:
        nonlocal failures, made
        try:
            content = draw()
        except NoPicture as reason:
            reasons[kind, str(reason)].append(name)
        except Exception as error:
            failures += 1
            print(f"attention-bench: {name}: {kind} could not be drawn: {describe(error)}", file=sys.stderr)
        else:
            store.write(path, content)
            made += 1

    torch.set_num_threads(1)  # single samples: more threads only wait for each other
    with tqdm(chosen(table, options), unit="cell", file=sys.stderr, disable=None) as bar:
        for row in bar:
            name = f"{row.model}-{row.dataset}"
            bar.set_postfix_str(name)
            if row.status == "skipped":  # no run was asked for; the tables say why
                continue
            try:
                one = subject(row, store, options.data, load)
            except NoPicture as reason:
                reasons["no picture", str(reason)].append(name)
                continue
            own = [kind for kind in kinds.cells.values() if kind.fits(one.task)]
            if not own:
                reasons["no picture", f"no kind of picture is of {one.task.input.kind} -> {one.task.output.kind}"].append(name)
            for kind in own:
                if kind.name in wanted:
                    path = folder / "figures" / row.dataset / f"{row.model}-{kind.name}.{kind.suffix}"
                    put(path, lambda kind=kind, one=one: kind.draw(one), kind.name, name)
    for kind_name, draw in kinds.suites.items():
        if kind_name in wanted:
            put(folder / "figures" / f"{kind_name}.png", lambda draw=draw: draw(shown(table)), kind_name, "the suite")
    for (kind_name, why), names in sorted(reasons.items()):
        told = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        print(f"{kind_name}: {why} ({told})", file=sys.stderr)
    print(f"figures: {made} in {folder / 'figures'}")
    return 1 if failures else 0
