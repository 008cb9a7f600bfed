"""How much work makes a cell slower by how much: measured where the work is done, between a model's other calls.

The slower head is a copy of this checkout with one file more, which adds work.py's arithmetic to each forward pass of the cells it
names. Done by itself an iteration takes less time than there, where the caches are full of other things; so trios of the plain
tree and two slowed ones give two points, and the amount is read off the line through them.
"""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.core import machine
from bench.gate import trees
from bench.gate.trio import TURN, Failed, Nursery, arms, cores, measure
from bench.plan.grid import RequestError

ARMS, TRIOS = 4, 60  # fresh ones that the calibration is a median of, roughly and finely
POINTS = (0.03, 0.1)  # slowdowns between which the amount of work is read off

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


@dataclass(frozen=True)
class Line:
    """Two amounts of work and the slowdowns they make, as shares."""

    work: tuple[int, int]
    slowdown: tuple[float, ...]

    def amount(self, share: float) -> int:
        """The work that makes a slowdown of `share`."""
        (few, many), (less, more) = self.work, self.slowdown
        return max(0, round(few + (share - less) * (many - few) / (more - less)))


def asked_for(cell: str) -> dict[str, Any]:
    model, dataset = cell.rsplit("-", 1)
    return {"model": model, "dataset": dataset, "batch": 1}


def rough(cells: Sequence[str], nursery: Nursery, base: trees.Tree) -> dict[str, dict[str, float]]:
    """Seconds of each cell's call, of an iteration of work and of its wrapper, each by itself: medians over fresh arms."""
    found: dict[str, list[dict[str, float]]] = {cell: [] for cell in cells}
    where = cores()
    for i in range(ARMS):
        with arms(nursery, {"base": base}, i, where[i % len(where)]) as one:
            for cell in cells:
                reply = one["base"].ask("open", **asked_for(cell))
                if "error" not in reply:
                    reply = one["base"].ask("calibrate", calls=max(1, round(TURN / reply["seconds"])))
                if "error" in reply:
                    raise RequestError(f"the self-test cannot time {cell}: {reply['error']}")
                found[cell].append(reply)
    return {cell: {name: float(np.median([one[name] for one in several])) for name in several[0]} for cell, several in found.items()}


def iterations(share: float, seconds: dict[str, float]) -> int:
    """How much work should make a call longer by that share, the wrapper's own time included."""
    return max(0, round((share * seconds["call"] - seconds["wrapper"]) / seconds["iteration"]))


def slower_tree(place: Path, work: dict[str, int], name: str = "slowed") -> trees.Tree:
    """A copy of this checkout's measured parts, in which the named cells do more work."""
    folder = place / name
    shutil.rmtree(folder, ignore_errors=True)
    for part in trees.PARTS:
        shutil.copytree(machine.ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "models" / "zz_slowed.py").write_text(SLOWED.format(work=work), encoding="utf-8")
    return trees.Tree("this checkout with work added" if work else "this checkout", folder)


def calibrated(cells: Sequence[str], nursery: Nursery, base: trees.Tree, place: Path) -> dict[str, Line]:
    """What work does to each cell where it is done: a line through two amounts, measured by trios of the plain and both slowed trees.

    By itself, an iteration takes less time than between a model's layers, where it finds the caches full of other things.
    """
    alone = rough(cells, nursery, base)
    amounts = {share: {cell: iterations(share, alone[cell]) for cell in cells} for share in POINTS}
    little, much = (slower_tree(place, work, name) for name, work in zip(("little", "much"), amounts.values(), strict=True))
    seen: dict[str, list[tuple[float, float]]] = {cell: [] for cell in cells}
    rng, where = random.Random(0), cores()
    for i in range(TRIOS):
        with arms(nursery, {"base": base, "head": much, "again": little}, 1000 + i, where[i % len(where)]) as trio:
            for cell in cells:
                found = measure(trio, asked_for(cell), 0.4, rng)
                if isinstance(found, Failed):
                    raise RequestError(f"the self-test cannot time {cell}: {found.reason}")
                seen[cell].append((found.noise, found.ratio + found.noise / 2))
    few, many = POINTS
    return {
        cell: Line(
            (amounts[few][cell], amounts[many][cell]), tuple(math.expm1(float(np.median(logs))) for logs in zip(*pairs, strict=True))
        )
        for cell, pairs in seen.items()
    }
