"""python -m bench figures: every kind of picture for every cell it makes sense for, from the store, without training.

DIR/figures/<dataset>/<model>-<kind>.png|webp       DIR/figures/<kind>.png for the whole suite, always of the rows that are ranked
DIR/figures/<dataset>/<kind>.png of the data set itself

Of rows that are not, the file's name also has the budget and the arithmetic. In the end the page is written anew, with what there is.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

import datasets
import models
from bench.figures import kinds
from bench.figures.subject import NoPicture, Outdated, Subject
from bench.page import build as page
from bench.plan import grid, variants
from bench.report.plots import small
from bench.store.records import PICTURED, Store
from bench.tables.rows import Row, rows
from bench.tables.sections import shown
from datasets.data import Data
from datasets.registry import describe


def chosen(table: list[Row], ranked: list[Row], options: argparse.Namespace) -> list[Row]:
    """The rows to draw. RequestError for what the store does not have."""
    columns = {
        "model": ("model", variants.spelled(options.models)),
        "dataset": ("data set", options.datasets),
        "budget": ("budget", options.budget),
    }
    found = [row for row in table if row.runs or row.status != "skipped"]  # where no run was asked for, the tables say why
    for field, (noun, patterns) in columns.items():
        names = sorted({getattr(row, field) for row in table})
        wanted = grid.select(noun, patterns, names, names, f"; the store has: {', '.join(names) or 'none'}")
        found = [row for row in found if getattr(row, field) in wanted]
    asked = any(patterns for _, patterns in columns.values())
    if asked and not found:
        under = " under this budget" if options.budget else ""
        raise grid.RequestError(f"the store has no runs of these models on these data sets{under}; leave one of the options out")
    if options.budget is None:
        found = [row for row in ranked if any(same(row, other) for other in found)] or (found if asked else [])
    return found


def same(a: Row, b: Row) -> bool:
    return (a.model, a.dataset, *a.terms) == (b.model, b.dataset, *b.terms)


def stem(row: Row, ranked: list[Row]) -> str:
    """How a row's files begin: its model, and what sets it apart where it is not the row that the report ranks."""
    if any(same(row, one) for one in ranked):
        return row.model
    return "-".join([row.model, row.budget, *([row.dtype] if row.dtype != "float32" else []), row.arithmetic.replace(" ", "-")])


def subject(row: Row, store: Store, root: str | None, load: Any) -> Subject:
    """NoPicture where the row has no run to draw from."""
    if models.plain(row.model) not in models.names(published=True) or row.dataset not in datasets.names(published=True):
        raise NoPicture("the model or the data set is not registered here; name its file with --plugin")
    if not row.chosen:
        raise Outdated("val chose another variant of the model, and pictures are of test samples")
    run = next((run for run in row.runs if run["seed"] == PICTURED and run["status"] == "ok"), None)
    if run is None:
        raise Outdated(f"no finished run of seed {PICTURED}{': ' + row.reason if row.reason else ''}")
    return Subject(row, run, datasets.task(row.dataset), store, load, root)


def run(options: argparse.Namespace) -> int:
    """Draw; say what could not be drawn and why. 1 if a drawing raised, else 0."""
    folder = grid.located(options.results)
    if not (folder / "runs").is_dir():
        raise grid.RequestError(f"no runs in {options.results}; make some: pytest bench --benchmark-only --results {options.results}")
    kinds.load()
    every = [*kinds.cells, *kinds.sets, *kinds.suites]
    wanted = grid.select("kind of picture", options.kinds, every, every, f"; there are: {', '.join(every)}")
    grid.data_root(options.data, options.download)
    store = Store(folder)
    store.writable()
    table = rows(store)
    sections = shown(table)
    ranked = [row for own in sections.values() for row in own]
    reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    failures, made = 0, 0

    @lru_cache(maxsize=2)
    def load(dataset: str) -> Data:
        return datasets.load(dataset, options.data, PICTURED, options.download)

    def place(row: Row, kind: kinds.Kind) -> Path:
        return folder / "figures" / row.dataset / f"{stem(row, ranked)}-{kind.name}.{kind.suffix}"

    def of_set(kind: str, dataset: str) -> bytes:
        data, words = load(dataset), datasets.vocabularies(dataset, options.data, PICTURED)
        return small(kinds.sets[kind](datasets.task(dataset), data, words))

    def put(path: Path, draw: Any, kind: str, name: str) -> None:
        nonlocal failures, made
        try:
            content = draw()
        except (NoPicture, datasets.Missing, datasets.Corrupt) as reason:
            reasons[kind, str(reason)].append(name)
            if isinstance(reason, Outdated):
                path.unlink(missing_ok=True)  # it would be taken for this run's
        except Exception as error:
            failures += 1
            print(f"attention-bench: {name}: {kind} could not be drawn: {describe(error)}", file=sys.stderr)
        else:
            store.write(path, content)
            made += 1

    torch.set_num_threads(1)  # single samples: more threads only wait for each other
    drawn = chosen(table, ranked, options)
    with tqdm(drawn, unit="cell", file=sys.stderr, disable=None) as bar:
        for row in bar:
            name = f"{row.model}-{row.dataset}"
            bar.set_postfix_str(name)
            try:
                one = subject(row, store, options.data, load)
            except NoPicture as reason:
                reasons["no picture", str(reason)].append(name)
                if isinstance(reason, Outdated):
                    for kind in kinds.cells.values():
                        place(row, kind).unlink(missing_ok=True)
                continue
            own = [kind for kind in kinds.cells.values() if kind.fits(one.task)]
            if not own:
                reasons["no picture", f"no kind of picture is of {one.task.input.kind} -> {one.task.output.kind}"].append(name)
            for kind in own:
                if kind.name in wanted:
                    put(place(row, kind), partial(kind.draw, one), kind.name, name)
    for dataset in dict.fromkeys(row.dataset for row in drawn if row.dataset in datasets.names(published=True)):
        for kind_name in kinds.sets.keys() & set(wanted):
            put(folder / "figures" / dataset / f"{kind_name}.png", partial(of_set, kind_name, dataset), kind_name, dataset)
    for kind_name, draw in kinds.suites.items():
        if kind_name in wanted:
            put(folder / "figures" / f"{kind_name}.png", lambda draw=draw: small(draw(sections)), kind_name, "the suite")
    for (kind_name, why), names in sorted(reasons.items()):
        told = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        print(f"{kind_name}: {why} ({told})", file=sys.stderr)
    left_out = sorted({row.budget for row in table if row.runs} - {row.budget for row in ranked})
    if options.budget is None and left_out:
        print(f"not drawn, as the report does not rank them: runs of {', '.join(left_out)}; name one with --budget", file=sys.stderr)
    print(f"figures: {made} in {folder / 'figures'}")
    print(page.told(store))
    return 1 if failures else 0
