"""Intervals over seeds, of a share, and quantiles of latency. Differences of models paired by seed: paired.py."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special

LEVEL = 0.95
FOR_P95, FOR_P99 = 20, 500  # a percentile of fewer samples says nothing


@dataclass(frozen=True)
class Interval:
    """A mean with its two-sided 95 % Student interval; low and high are nan for a single value."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def half(self) -> float:
        return (self.high - self.low) / 2


@lru_cache
def student(n: int) -> float:
    """Half the width of the interval over n values, in standard errors."""
    return float(special.stdtrit(n - 1, 0.5 + LEVEL / 2))


def mean(values: Sequence[float]) -> float:
    """Of a few numbers: numpy takes ten times as long."""
    return float(sum(values) / len(values))


def interval(values: Sequence[float]) -> Interval:
    """Mean and interval of independent values, one per seed."""
    n, middle = len(values), mean(values)
    if n < 2:
        return Interval(middle, math.nan, math.nan, n)
    half = student(n) * math.dist(values, [middle] * n) / math.sqrt(n * (n - 1))
    return Interval(middle, middle - half, middle + half, n)


def share(successes: int, n: int) -> tuple[float, float]:
    """The exact 95 % interval of a probability from how often something came out, of n times (Clopper and Pearson 1934)."""
    tail = (1 - LEVEL) / 2
    low = float(special.betaincinv(successes, n - successes + 1, tail)) if successes else 0.0
    high = float(special.betaincinv(successes + 1, n - successes, 1 - tail)) if successes < n else 1.0
    return low, high


def quantiles(samples_ms: np.ndarray) -> dict[str, float]:
    """p50 and, from enough samples, p95 and p99 in milliseconds."""
    wanted = {"p50_ms": (50, 1), "p95_ms": (95, FOR_P95), "p99_ms": (99, FOR_P99)}
    return {name: float(np.percentile(samples_ms, q)) for name, (q, least) in wanted.items() if len(samples_ms) >= least}


@lru_cache(maxsize=4096)
def ranks(n: int, share: float) -> tuple[int, int]:
    """How many of n independent samples lie below a quantile, at least and at most, in 95 of 100 cases: binomial."""

    def fewest(p: float) -> int:
        """The smallest count that is not exceeded with probability p; the inverse is off by rounding where p is met exactly."""
        count = math.ceil(special.bdtrik(p, n, share))
        return count - 1 if count > 0 and special.bdtr(count - 1, n, share) >= p else count

    tail = (1 - LEVEL) / 2
    return fewest(tail), fewest(1 - tail)


def between(samples: np.ndarray, share: float) -> tuple[float, float] | None:
    """The 95 % interval of a quantile, whatever the distribution; None if there are too few samples to bound it.

    It goes from one ordered sample to another.
    """
    n = len(samples)
    if n == 0:
        return None
    below, above = ranks(n, share)
    if below == 0 or above == n:
        return None
    ordered = np.sort(samples)
    return float(ordered[below - 1]), float(ordered[above])
