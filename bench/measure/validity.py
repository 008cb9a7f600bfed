"""What may be wrong with a timing: it never settled, the machine was busy with others, the clock or the harness is too coarse."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import psutil

from bench.measure.warmup import WarmUp

SHARE = 0.10  # of a core that others may use meanwhile, or of the time that one thread may wait for its core
TICKS = 0.02  # seconds by which the system's counters, which move in steps of 10 ms, may be off
COARSE = 0.01  # share of the median that a step of the clock, or an empty call, may take


@dataclass(frozen=True)
class Clocks:
    """Seconds since some moment: of the wall, and of CPU time of this process, of all processes, and taken by a hypervisor."""

    wall: float
    own: float
    busy: float
    stolen: float

    @classmethod
    def now(cls) -> Clocks:
        spent = psutil.cpu_times()
        busy = sum(getattr(spent, kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq"))
        return cls(time.perf_counter(), time.process_time(), busy, getattr(spent, "steal", 0.0))

    def since(self, before: Clocks) -> Clocks:
        return Clocks(self.wall - before.wall, self.own - before.own, self.busy - before.busy, self.stolen - before.stolen)


@lru_cache
def resolution(clock: Callable[[], float] = time.perf_counter) -> float:
    """The smallest step the clock was seen to take, in seconds."""
    steps: list[float] = []
    while len(steps) < 1000:
        start = clock()
        if (step := clock() - start) > 0:
            steps.append(step)
    return min(steps)


def percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.0f} %"


def coarse(median: float, step: float, empty: float) -> list[str]:
    """Whether the clock's step or the harness's own call, in seconds, is seen in the median."""
    found = []
    if step > COARSE * median:
        found.append(f"clock too coarse: steps of {1e6 * step:.2g} µs, {percent(step / median)} of the median")
    if empty > COARSE * median:
        found.append(f"an empty call takes {1e6 * empty:.2g} µs, {percent(empty / median)} of the median")
    return found


def disturbed(spent: Clocks, one_thread: bool) -> list[str]:
    """Who else used the machine, going by what was spent during the timed calls. Only one thread alone never waits."""
    found = []
    allowed = SHARE * spent.wall + TICKS
    if (others := spent.busy - spent.own) > allowed:
        found.append(f"other load on the machine: {percent(others / spent.wall)} of a core")
    if spent.stolen > allowed:
        found.append(f"a hypervisor took {percent(spent.stolen / spent.wall)} of a core")
    if one_thread and (waited := 1 - spent.own / spent.wall) > SHARE:
        found.append(f"waited for a core {percent(waited)} of the time")
    return found


def complaints(warm: WarmUp, spent: Clocks, one_thread: bool, median: float, step: float, empty: float) -> list[str]:
    """Everything that was wrong with a timing, in words; [] if nothing was found."""
    unsettled = [] if warm.settled else [f"not settled after {warm.calls} warm-up calls"]
    return [*unsettled, *disturbed(spent, one_thread), *coarse(median, step, empty)]
