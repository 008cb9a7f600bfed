"""Which stored runs still stand under today's code: all are probed, none is trained."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import replace

from tqdm import tqdm

from bench.plan import grid
from bench.run import session
from bench.run.driver import Driver, Underway
from bench.run.job import Ended
from bench.store.records import Store


def confirm(driver: Driver) -> dict[str, str]:
    """Settle which stored runs stand under today's code, and train nothing. Why the others do not, by their cell."""
    fell: dict[str, str] = {}
    engine = driver.engine = driver.make()
    for cell in driver.cells.values():
        job = driver.open(cell)
        if job.doubts:
            job = replace(job, seeds=(), train=False)
            driver.underway[cell.id] = Underway(cell, job, driver.store.unclaimed)
            engine.submit(job)
        elif not job.retrain and (left := driver.stored(cell, job.seeds)):
            fell[cell.id] = f"{len(left)} runs say nothing of what their code did"
    while driver.underway:
        for job, message in engine.poll(0.5):
            one = driver.underway[job.cell_id]
            if not isinstance(message, Ended):
                driver.hear(one, job, message)
                continue
            driver.end(one)
            if message.status != "ok":
                fell[job.cell_id] = message.reason
    return fell


def run(store: Store, results: str, data: str | None, workers: str | None, plugins: list[str]) -> int:
    """Probe every cell of a store and say which fell; 1 if any did. RequestError for what cannot be."""
    fell = 0
    asked: dict[tuple[str, bool], list[grid.Cell]] = defaultdict(list)
    with grid.Builder() as builder:
        for model, dataset, budget, seeds in store.cells():
            asked[budget, False].append(cell := grid.cell(model, dataset, budget, seeds, builder=builder))
            if cell.standard is not None and (plain := grid.cell(model, dataset, budget, seeds, True, builder)).budget != cell.budget:
                asked[budget, True].append(plain)
    for (budget, _), cells in asked.items():
        request = session.begin(results=results, data=data, workers=workers, plugins=plugins, budget=budget, cells=cells)
        with tqdm(total=len(cells), desc=f"probing {budget}", file=sys.stderr, mininterval=1) as bar:
            found = confirm(request.driver(cells, lambda _, share, bar=bar: bar.update(share)))  # type: ignore[misc]
        fell += len(found)
        for name, why in found.items():
            print(f"{name} ({budget}): {why}")
    print(f"{sum(map(len, asked.values()))} cells, {fell} of them to be trained again")
    return 1 if fell else 0
