"""Warm-up: call until the medians of successive windows agree, so that what is timed then is not still getting faster.

calls   | | | | |   | | | |   | | | |   | | | |     each window lasts a share of the time a timing may take
median     9.1         4.2       4.1       4.1      the last AGREE lie within WITHIN of each other: settled
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

AGREE, WITHIN = 3, 0.05  # windows; closer than this the medians of a few milliseconds wander on an idle machine, too
WINDOW, MOST = 1 / 60, 1 / 2  # shares of the seconds of a timing: of one window, and of all
FEWEST_WINDOWS = 6  # however slow a call is


@dataclass(frozen=True)
class WarmUp:
    """What came of it. `typical` is the median of the last window, in seconds."""

    calls: int
    settled: bool
    typical: float


def agreed(medians: Sequence[float]) -> bool:
    """Whether the last windows have about the same median."""
    last = medians[-AGREE:]
    return len(last) == AGREE and max(last) <= (1 + WITHIN) * min(last)


def warm_up(call: Callable[[], object], seconds: float, clock: Callable[[], float] = time.perf_counter) -> WarmUp:
    """Call until settled, or until half of `seconds` has gone into at least FEWEST_WINDOWS windows; once, where that takes all of them."""
    medians: list[float] = []
    calls, begun = 0, clock()
    while not agreed(medians) and (clock() < begun + MOST * seconds or len(medians) < FEWEST_WINDOWS):
        window: list[float] = []
        while sum(window) < WINDOW * seconds:
            start = clock()
            call()
            window.append(clock() - start)
        calls += len(window)
        medians.append(statistics.median(window))
        if medians[0] > seconds:
            return WarmUp(calls, True, medians[0])  # one call takes longer than a whole timing may: what is cold in it hardly counts
    return WarmUp(calls, agreed(medians), medians[-1])
