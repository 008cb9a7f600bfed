"""Intervals over seeds, differences between models paired by seed, and quantiles of latency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special

LEVEL = 0.95
FEWEST = 3  # seeds below which no difference is called one
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


def interval(values: Sequence[float]) -> Interval:
    """Mean and interval of independent values, one per seed."""
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Interval(mean, math.nan, math.nan, n)
    half = float(student(n) * np.std(values, ddof=1) / math.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


@dataclass(frozen=True)
class Difference:
    """How much better `a` is than `b` on the same seeds (positive: better), and its two-sided p value."""

    a: str
    b: str
    better_by: Interval
    p: float

    @property
    def shown(self) -> bool:
        """Whether the difference passes, at the corrected p value that `holm` puts in."""
        return self.p < 1 - LEVEL


def paired(a: str, b: str, values_a: dict[int, float], values_b: dict[int, float], higher_is_better: bool) -> Difference:
    """Difference of two models over the seeds both have. Without spread, or with fewer than 3 seeds, p is 1: no verdict."""
    seeds = sorted(set(values_a) & set(values_b))
    sign = 1 if higher_is_better else -1
    differences = [sign * (values_a[seed] - values_b[seed]) for seed in seeds]
    if not seeds:
        return Difference(a, b, Interval(math.nan, math.nan, math.nan, 0), 1.0)
    spread, mean, n = float(np.std(differences)), float(np.mean(differences)), len(seeds)
    enough = n >= FEWEST and spread > 1e-12 * max(1.0, abs(mean))
    # Student's two-sided test, without the checks around scipy's, which take a hundred times as long
    p = float(2 * special.stdtr(n - 1, -abs(mean) / (spread / math.sqrt(n - 1)))) if enough else 1.0
    return Difference(a, b, interval(differences), p)


def holm(differences: Sequence[Difference]) -> list[Difference]:
    """The same differences with p values corrected for their number (Holm 1979): step down, never decreasing."""
    order = sorted(range(len(differences)), key=lambda i: differences[i].p)
    corrected, floor = list(differences), 0.0
    for rank, i in enumerate(order):
        d = differences[i]
        floor = max(floor, min(1.0, (len(differences) - rank) * d.p))
        corrected[i] = Difference(d.a, d.b, d.better_by, floor)
    return corrected


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


def quantile_intervals(samples_ms: np.ndarray) -> dict[str, float]:
    """Low and high of each quantile that is shown and can be bounded: p50_low_ms, p50_high_ms, …"""
    found: dict[str, float] = {}
    for name in quantiles(samples_ms):
        percentile = name.removesuffix("_ms")
        if (bounds := between(samples_ms, int(percentile[1:]) / 100)) is not None:
            found |= dict(zip((f"{percentile}_low_ms", f"{percentile}_high_ms"), bounds, strict=True))
    return found
