"""Ratios of several trios -> slower, faster, same or undecided, corrected for the number of cells asked about.

The trio is the unit: rounds inside one share its processes and its core, and are not independent. A log ratio's interval is
Student's over trios; its lower end is corrected for the number of cells (Holm 1979), because it alone accuses.

    slower      the corrected lower end passes what is allowed, and again in a rerun with fresh trios
    faster      the upper end lies below what is allowed the other way
    same        the upper end lies below what is allowed: if it is slower at all, then by less
    undecided   the interval is wider than the question

Each look accuses wrongly in at most 2.5 % of gates, and looking again after more trios gives chance more opportunities, some 8 %
over a whole phase; the rerun takes them back: two phases of their own must both accuse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

ALPHA = 0.025  # one-sided: the ends of a 95 % interval
POWER = math.sqrt(0.8)  # of the minimum detectable slowdown in one phase: both accuse it four times in five
FEWEST = 8  # trios without which nothing is decided


@dataclass(frozen=True)
class Estimate:
    """A mean of log ratios, its standard error and its degrees of freedom."""

    mean: float
    error: float
    freedom: int

    def below(self, alpha: float) -> float:
        """The lower end of a one-sided interval."""
        return self.mean - float(special.stdtrit(self.freedom, 1 - alpha)) * self.error

    def p(self, limit: float) -> float:
        """The chance of a mean so far above `limit` if the truth were there."""
        if self.error == 0:
            return float(self.mean <= limit)
        return float(special.stdtr(self.freedom, (limit - self.mean) / self.error))


@dataclass(frozen=True)
class Latency:
    """A verdict on a cell. Ratios are head / base; `low` is corrected for the number of cells, `high` is not.

    mds   the minimum detectable slowdown: what a gate of this precision accuses four times in five, as a share
    """

    verdict: str
    ratio: float
    low: float
    high: float
    mds: float
    trios: int


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of independent values, two or more."""
    return Estimate(float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values))), len(values) - 1)


def levels(p: Sequence[float]) -> list[float]:
    """The level at which Holm's procedure tests each of several hypotheses: it stops being eased at the first that stands."""
    order = np.argsort(p, kind="stable")
    eased = ALPHA / np.arange(len(p), 0, -1)
    stands = np.asarray(p)[order] > eased
    if stands.any():
        eased[stands.argmax() :] = eased[stands.argmax()]
    found = np.empty(len(p))
    found[order] = eased
    return found.tolist()


def judge(samples: Mapping[str, Sequence[float]], allow: float, among: int | None = None) -> dict[str, Latency]:
    """A verdict for every cell with two samples or more. `allow` is the slowdown that is let pass, as a share.

    `among` is the number of cells that the correction counts, where some of them have no samples here.
    """
    limit = math.log1p(allow)
    measured = {cell: values for cell, values in samples.items() if len(values) >= 2}
    estimates = {cell: estimate(values) for cell, values in measured.items()}
    p = [one.p(limit) for one in estimates.values()]
    unseen = max(0, (among or len(p)) - len(p))
    corrected = levels(p + [1.0] * unseen)
    return {cell: verdict(one, limit, level, len(measured[cell])) for (cell, one), level in zip(estimates.items(), corrected, strict=False)}


def verdict(one: Estimate, limit: float, level: float, trios: int) -> Latency:
    low, high = one.below(level), 2 * one.mean - one.below(ALPHA)
    if trios < FEWEST:
        word = "undecided"
    elif low > limit:
        word = "slower"
    elif high < -limit:
        word = "faster"
    else:
        word = "same" if high < limit else "undecided"
    detectable = limit + float(special.stdtrit(one.freedom, 1 - level) + special.stdtrit(one.freedom, POWER)) * one.error
    return Latency(word, math.exp(one.mean), math.exp(low), math.exp(high), math.expm1(detectable), trios)
