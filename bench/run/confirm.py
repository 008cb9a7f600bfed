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


def confirm(driver: Driver) -> tuple[dict[str, str], list[str]]:
    """Settle which stored runs stand under today's code, and train nothing. Why the others do not, by their cell, and the cells
    that have no run of this recipe and arithmetic: nothing is said of theirs."""
    fell: dict[str, str] = {}
    passed = []
    engine = driver.engine = driver.make()
    for cell in driver.cells.values():
        job = driver.open(cell)
        if not driver.stored(cell, range(cell.budget.seeds)):
            passed.append(cell.id)
        elif job.doubts:
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
    return fell, passed


def run(store: Store, results: str, data: str | None, workers: str | None, plugins: list[str]) -> int:
    """Probe every cell of a store and say which fell; 1 if any did. RequestError for what cannot be."""
    fell, seen, unseen = 0, set(), set()
    asked: dict[tuple[str, bool], list[grid.Cell]] = defaultdict(list)
    with grid.Builder() as builder:
        for model, dataset, budget, seeds in store.cells():
            asked[budget, False].append(cell := grid.cell(model, dataset, budget, seeds, builder=builder))
            if cell.standard is not None and (plain := grid.cell(model, dataset, budget, seeds, True, builder)).budget != cell.budget:
                asked[budget, True].append(plain)
    for (budget, _), cells in asked.items():
        request = session.begin(results=results, data=data, workers=workers, plugins=plugins, budget=budget, cells=cells)
        with tqdm(total=len(cells), desc=f"probing {budget}", file=sys.stderr, mininterval=1) as bar:
            found, passed = confirm(request.driver(cells, lambda _, share, bar=bar: bar.update(share)))  # type: ignore[misc]
        fell += len(found)
        seen |= {(cell.id, budget) for cell in cells if cell.id not in passed}
        unseen |= {(name, budget) for name in passed}
        for name, why in found.items():
            print(f"{name} ({budget}): {why}")
    unseen -= seen  # asked for with tuned rates and with plain ones, and found under one of them
    for name, budget in sorted(unseen):
        print(f"{name} ({budget}): not probed, its runs are of another recipe or arithmetic")
    print(f"{len(seen | unseen)} cells, {fell} of them to be trained again" + (f", {len(unseen)} not probed" if unseen else ""))
    return 1 if fell else 0
