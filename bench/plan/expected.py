"""What a cell is expected to take: seconds of one thread, from a committed table of what cells took before.

    expected.csv    model, data set, seconds of training for 1,000 samples of one seed, on some machine

`python -m bench list --learn DIR` writes it from the runs in DIR. It weighs cells against each other (long ones start first, the time
left goes by it) and says what a grid costs; a machine may be faster or slower as a whole.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from bench.plan.grid import Cell
from bench.store.records import Record

TABLE = Path(__file__).with_name("expected.csv")
OVERHEAD = 2.0  # seconds of a cell besides training: its process, data, evaluation, costs, probe, scoring
FITTED = 1.0  # seconds of a model that brings `.fit`, where nobody has measured it
STEP = {"points": 2e-3, "table": 1.5e-3, "signal": 1.6e-2, "image": 6e-3, "tokens": 4e-2}  # seconds of a step nobody has measured


@cache
def measured() -> dict[tuple[str, str], float]:
    """Seconds for 1,000 samples by model and data set."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        return {(row["model"], row["dataset"]): float(row["seconds"]) for row in csv.DictReader(file)}


def guessed(cell: Cell) -> float:
    """Seconds for a seed of a cell that the table does not have."""
    assert cell.task is not None
    pixels = cell.budget.batch * cell.task.input.size if cell.task.input.kind == "image" else 0
    return cell.budget.steps * (STEP.get(cell.task.input.kind, 2e-3) + 1e-6 * pixels)


def seconds(cell: Cell) -> float:
    """What a cell will take one worker, all seeds together."""
    if cell.status or cell.task is None:
        return 0.01
    rate = measured().get((cell.model, cell.dataset))
    guess = FITTED if cell.fits else guessed(cell)
    seed = guess if rate is None else rate * cell.budget.samples / 1_000
    return OVERHEAD + seed * cell.budget.seeds


def learned(runs: Iterable[Record]) -> str:
    """The table as text, from finished runs: of each cell those with most samples, a mean over seeds. Other cells keep their line."""
    times: dict[tuple[str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        if run["kind"] == "run" and run["status"] == "ok" and run["train_seconds"] > 0:
            times[run["model"], run["dataset"]][run["budget"]["samples"]].append(run["train_seconds"])
    found = {key: 1_000 * sum(own[max(own)]) / len(own[max(own)]) / max(own) for key, own in times.items()}
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("model", "dataset", "seconds"))
    table.writerows((*key, f"{value:.3g}") for key, value in sorted((measured() | found).items(), key=lambda one: one[0][::-1]))
    return text.getvalue()
