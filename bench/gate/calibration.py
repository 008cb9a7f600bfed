"""How much work makes a cell slower by how much: measured where the work is done, between a model's other calls.

The slower head is a copy of this checkout with one file more, which adds work.py's arithmetic to each forward pass of the cells it
names. Done by itself an iteration takes less time than there, where the caches are full of other things; so that gives only a first
guess. Trios of the plain tree and two slowed ones give two points, and the amount is read off the line through them.
"""

from __future__ import annotations

import random
import shutil
import timeit
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.core import machine
from bench.gate import trees
from bench.gate.survey import Cell
from bench.gate.trio import Failed, Nursery, arms, cores, measure
from bench.gate.work import work
from bench.plan.grid import RequestError

TRIOS = 60  # that the calibration is a median of
POINTS = (0.03, 0.1)  # slowdowns, at first guess, between which the amount of work is read off

SLOWED = '''"""Written by the gate's self-test: adds work to the forward pass of the cells in WORK."""

import models
from bench.gate.work import slowed

WORK = {work}
plain = models.build


def build(name, task, **size):
    module = plain(name, task, **size)
    cell = f"{{name}}-{{task.name}}"
    if cell in WORK:  # also with no iterations: the wrapper alone is a few per cent of the smallest model
        module.forward = slowed(module.forward, WORK[cell])
    return module


models.build = build
'''


def slower_tree(place: Path, iterations: dict[str, int], name: str = "slowed") -> trees.Tree:
    """A copy of this checkout's measured parts, in which the named cells do more work."""
    folder = place / name
    shutil.rmtree(folder, ignore_errors=True)
    for part in trees.PARTS:
        shutil.copytree(machine.ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "models" / "zz_slowed.py").write_text(SLOWED.format(work=iterations), encoding="utf-8")
    return trees.Tree("this checkout with work added" if iterations else "this checkout", folder)


class Line:
    """The line through amounts of work and the slowdowns they make, as shares."""

    def __init__(self, work: Sequence[float], slowdowns: Sequence[float]) -> None:
        self.slope, self.start = np.polyfit(slowdowns, work, 1)

    def amount(self, share: float) -> int:
        """The work that makes a slowdown of `share`."""
        return max(0, round(self.slope * share + self.start))


def timed(name: str) -> Cell:
    """The cell of a name, model-dataset, as the self-test times it."""
    model, dataset = name.rsplit("-", 1)
    return Cell(model, dataset, 1)


def calibrated(names: Sequence[str], nursery: Nursery, base: trees.Tree, place: Path) -> dict[str, Line]:
    """What work does to each cell where it is done, by trios of the plain and both slowed trees."""
    cells = {name: timed(name) for name in names}
    each = min(timeit.repeat(lambda: work(10_000), number=1, repeat=20)) / 10_000
    with arms(nursery, {"base": base}, 0, cores()[0]) as one:
        alone = {name: one["base"].ask("open", **cell.request) for name, cell in cells.items()}
    for name, reply in alone.items():
        if "error" in reply:
            raise RequestError(f"the self-test cannot time {name}: {reply['error']}")
    little, much = ({name: round(share * reply["seconds"] / each) for name, reply in alone.items()} for share in POINTS)
    slowed = {"head": slower_tree(place, much, "much"), "again": slower_tree(place, little, "little")}
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in cells}
    rng, where = random.Random(0), cores()
    for i in range(TRIOS):
        with arms(nursery, {"base": base, **slowed}, 1000 + i, where[i % len(where)]) as trio:
            for name, cell in cells.items():
                found = measure(trio, cell.request, 0.4, rng)
                if isinstance(found, Failed):
                    raise RequestError(f"the self-test cannot time {name}: {found.reason}")
                seen[name].append((found.noise, found.ratio + found.noise / 2))
    return {name: Line((little[name], much[name]), np.expm1(np.median(logs, 0)).tolist()) for name, logs in seen.items()}
