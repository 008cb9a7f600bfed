"""Asks for trios until every cell is decided or the time is up.

survey     both trees say what they have; every cell is built once in each, its exact costs counted (survey.py)
first      trios over all open cells; after 8 and then every 4 those that are decided leave
confirm    a cell found slower needs 8 trios of its own again, and must be found slower by them alone
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bench.gate.survey import Cell, Choose, Contest, Say, survey
from bench.gate.trio import Arm, Died, Failed, Nursery, arms, cores, measure
from bench.gate.verdicts import FEWEST, judge

EVERY = 4  # trios between two looks
MOST = 40  # trios a cell may ask for in one phase
AIM = 20  # trios the time should be enough for
SHORTEST, LONGEST = 0.1, 0.6  # seconds of turns that a cell gets from a trio
SURVEY = 2  # minutes that the survey may take at least
STILLBORN = 3  # trios in which a process does not come to life, and the gate gives up


def look(contest: Contest, last: bool = False) -> None:
    """Judge all cells that have new samples; the last look settles whatever is left."""
    rivals = [cell for cell in contest.cells if cell.first]
    for phase in ("first", "confirm"):
        samples = {c.id: [s.ratio for s in getattr(c, phase)] for c in rivals if (c.confirm is None) == (phase == "first")}
        found = judge(samples, contest.allow, among=len(rivals))
        for cell in rivals:
            if cell.id not in found or cell.verdict:
                continue
            cell.latency = found[cell.id]
            n = len(cell.samples)
            if n >= FEWEST and (n % EVERY == 0 or last):
                conclude(cell, found[cell.id].verdict)
    for cell in contest.cells:
        if not cell.verdict and (last or len(cell.samples) >= MOST):
            unsettled(cell)


def conclude(cell: Cell, word: str) -> None:
    if word == "slower" and cell.confirm is None:
        cell.confirm = []
    elif word == "slower":
        cell.settle("slower", f"also in {len(cell.samples)} fresh trios")
    elif word != "undecided":
        cell.settle(word, "" if cell.confirm is None else "found slower at first; the rerun did not confirm it")


def unsettled(cell: Cell) -> None:
    n = len(cell.samples)
    why = f"{n} trios in the time there was, {FEWEST} are needed" if n < FEWEST else "the interval is wider than the question"
    cell.settle("undecided", why if cell.confirm is None else f"found slower at first, not confirmed: {why}")


def share(minutes: float, cells: int) -> float:
    """Seconds of turns for a cell in a trio, so that the time is enough for the trios we aim at."""
    return min(LONGEST, max(SHORTEST, (60 * minutes / AIM - 4) / max(1, cells) - 0.15))


def rounds(contest: Contest, nursery: Nursery, started: float, say: Say) -> Iterator[None]:
    """Trio after trio over the cells that are open, yielding after each; ends when none is open or the next would be late."""
    stop, length, stillborn, rng = started + 60 * contest.minutes, 0.0, 0, random.Random(0)
    seconds = share(contest.minutes, sum(not cell.verdict for cell in contest.cells))
    where = cores()
    while waiting := [cell for cell in contest.cells if not cell.verdict]:
        begun = time.perf_counter()
        if begun + length * len(waiting) > stop:
            return
        try:
            with arms(nursery, contest.trees, contest.trios + 1, where[contest.trios % len(where)]) as trio:
                for i, cell in enumerate(rng.sample(waiting, len(waiting))):
                    if time.perf_counter() > stop:
                        break
                    gone = (time.perf_counter() - started) / (60 * contest.minutes)
                    say(gone, f"trio {contest.trios + 1}, {len(waiting) - i} cells: {cell.id}")
                    if not one(cell, trio, seconds, rng):
                        break  # a process ended: the next trio goes on with the other cells
        except Died:
            stillborn += 1
            if stillborn == STILLBORN:
                raise
            continue
        contest.trios += 1
        length = (time.perf_counter() - begun) / len(waiting)
        yield


def one(cell: Cell, trio: dict[str, Arm], seconds: float, rng: random.Random) -> bool:
    """One sample of a cell; False if the trio is of no more use. A process that ends may be the machine's fault: once."""
    try:
        found = measure(trio, cell.request, seconds, rng)
    except Died as error:
        cell.deaths += 1
        if cell.deaths > 1:
            cell.settle("failing" if error.role == "head" else "crashed", f"{error.role}: {error}, twice")
        return False
    if isinstance(found, Failed):
        cell.settle("failing" if found.roles == ("head",) else "crashed", f"{found.roles[0]}: {found.reason}")
    else:
        cell.samples.append(found)
    return True


def run(contest: Contest, choose: Choose, bytecode: Path, say: Say) -> Contest:
    """Compare; fills the contest. RequestError if nothing can be compared."""
    started = time.perf_counter()
    with closing(Nursery(bytecode, started + 60 * max(SURVEY, contest.minutes))) as nursery:
        survey(contest, nursery, choose, say)
        for _ in rounds(contest, nursery, started, say):
            look(contest)
        look(contest, last=True)
    contest.seconds = time.perf_counter() - started
    return contest
