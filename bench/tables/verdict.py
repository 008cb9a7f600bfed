"""Attention against another mixer on a data set: the difference paired by seed, its simultaneous interval, and what it says.

beats, loses   the interval lies beyond 0, and not wholly within the margin
equal          the interval lies within the margin of bench/tables/scales.py
cannot tell    neither: a difference of half the interval's width is found every second time
""            no verdict, and `why`: few seeds, a smoke run, rates nobody tuned, mixers at their ceiling, none better than no mixing
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

import datasets
from bench.core import paired
from bench.core.stats import LEVEL as ALONE
from bench.store.encoding import unpack
from bench.store.records import Record
from bench.tables import cuts
from bench.tables.family import ATTENTION, FEWEST, LEVEL, MIXERS, NONE, OTHERS, POOLS, SETS
from bench.tables.rows import UNKNOWN, Row
from bench.tables.scales import scale
from datasets.task import Metric

BEATS, LOSES, EQUAL, OPEN = "beats", "loses", "equal", "cannot tell"
SATURATED, OUTSIDE, UNRUN, UNMIXED = "saturated", "outside the family", "not run", "no mixer certainly helps"
TUNED = {0: "neither was tuned", 1: "only one of them was tuned", 2: ""}  # by how many were: why there is no verdict


@dataclass(frozen=True)
class Verdict:
    """`mean`, `low`, `high`: how much better attention is, in the metric's unit, or in logarithms where they are compared as ratios;
    nan where there is none. `n` seeds that both have; `sizes` of attention's tokens and the other's, where val chose them."""

    dataset: str
    other: str
    metric: Metric = UNKNOWN
    budget: str = ""
    n: int = 0
    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan
    word: str = ""
    why: str = ""
    sizes: tuple[int | None, ...] = ()

    @property
    def half(self) -> float:
        """The difference that is found every second time."""
        return (self.high - self.low) / 2


def judge(low: float, high: float, margin: float) -> str:
    """What an interval of how much better attention is says."""
    if -margin <= low and high <= margin:
        return EQUAL
    return BEATS if low > 0 else LOSES if high < 0 else OPEN


def hits(runs: Sequence[Record]) -> tuple[np.ndarray, np.ndarray] | None:
    """Which test samples each run answered rightly, and their classes, both (runs, samples); None if the runs did not keep that."""
    kept = [run.get("examples", {}) for run in runs]
    if not all(one.get("kind") == "classes" and {"prediction", "target"} <= one.keys() for one in kept):
        return None
    said, true = (np.array([unpack(one[name]) for one in kept]) for name in ("prediction", "target"))
    return said == true, true


def difference(a: Row, b: Row, seeds: Sequence[int]) -> tuple[paired.Estimate, str]:
    """How much better `a` is than `b` on at least two seeds, and what keeps it from being a verdict, '' if nothing does."""
    pairs = np.array([[a.values[seed], b.values[seed]] for seed in seeds])
    if scale(a.metric).ratio:
        if pairs.min() <= 0:
            return paired.by_seed(np.full(len(seeds), math.nan)), f"a {a.metric.name} of 0 has no ratio"
        pairs = np.log(pairs)
    by_seed = (pairs[:, 0] - pairs[:, 1]) * a.metric.sign
    if share := next((run["pool"] for run in a.runs if run.get("pool")), None):
        return paired.resplit(by_seed, share), ""
    if a.dataset not in POOLS:
        return paired.by_seed(by_seed), ""
    found = [hits([run for run in row.runs if run["seed"] in seeds]) for row in (a, b)] if a.metric.name == "accuracy" else [None]
    if None in found:
        return paired.resplit(by_seed, POOLS[a.dataset]), "the runs do not keep what each test sample was taken for"
    (right_a, true), (right_b, other) = found  # type: ignore[misc]
    if not np.array_equal(true, other):
        return paired.resplit(by_seed, POOLS[a.dataset]), "the models were tested on different samples"
    if (true == true[0]).all():  # one test set for all seeds
        return paired.crossed(right_a.astype(float) - right_b), ""
    return paired.resplit(by_seed, POOLS[a.dataset]), ""


def compare(dataset: str, other: str, rows: dict[str, Row], level: float) -> Verdict:
    """One comparison of the mixers' rows on a data set, as far as it goes, without a word."""
    empty = Verdict(dataset, other)
    for model in (ATTENTION, other):
        if model not in rows:
            return replace(empty, why=UNRUN)
        if not rows[model].values:
            return replace(empty, why=f"{model.removeprefix('backbone_')} {rows[model].status}")
    found = between(rows[ATTENTION], rows[other], level)
    return replace(found, other=other, why=found.why or TUNED[sum(rows[name].tuned == "yes" for name in (ATTENTION, other))])


def between(a: Row, b: Row, level: float) -> Verdict:
    """How much better a row is than another of the same data set, metric and seeds, as far as it goes, without a word."""
    seeds = sorted(a.values.keys() & b.values.keys())
    few = f"no verdict from {len(seeds)} seed{'s' * (len(seeds) != 1)}"
    empty = Verdict(a.dataset, b.model, a.metric, a.budget, len(seeds))
    if len(seeds) < 2:
        return replace(empty, why=few)
    estimate, why = difference(a, b, seeds)
    mean, half, widest = float(estimate.mean), float(estimate.half(level)), scale(a.metric).widest
    mean = 0.0 if abs(mean) < 1e-12 else mean  # what is left of rounding has no direction
    if not why and half <= 1e-12 * max(1.0, abs(mean)):
        why = "the seeds do not differ"
    if "smoke" in (a.budget, b.budget):
        why = "smoke runs decide nothing"
    elif len(seeds) < FEWEST:
        why = few
    return replace(empty, mean=mean, low=max(mean - half, -widest), high=min(mean + half, widest), why=why)


def saturated(rows: dict[str, Row]) -> bool:
    """Whether every mixer is within the margin of the best value there is."""
    found = [row for name, row in rows.items() if name in MIXERS and row.value is not None]
    if len(found) < len(MIXERS) or (best := scale(found[0].metric).best) is None:
        return False
    return all(abs(best - row.value.mean) <= scale(row.metric).margin for row in found if row.value is not None)


def unmixed(rows: dict[str, Row]) -> bool:
    """Whether no mixer is certainly better than none at all: such a set says nothing of mixing. False where that was not run."""
    ran = {name: row for name, row in rows.items() if row.values}
    if NONE not in ran:
        return False
    found = [between(ran[mixer], ran[NONE], LEVEL) for mixer in MIXERS if mixer in ran]
    return bool(found) and all(one.n >= FEWEST and one.low <= 0 for one in found)


def on(dataset: str, own: Sequence[Row]) -> list[Verdict]:
    """Attention against each other mixer: verdicts on a set of the family, elsewhere 95 % intervals that stand alone."""
    rows = cuts.compared(dataset, own)
    if dataset not in SETS:
        found = [compare(dataset, other, rows, ALONE) for other in OTHERS]
        return [replace(one, why=one.why if math.isnan(one.low) or one.budget == "smoke" else OUTSIDE) for one in found]
    found = [compare(dataset, other, rows, LEVEL) for other in OTHERS]
    if cuts.free(dataset, own) and dataset in datasets.names():  # of one whose file does not import nobody knows how it is cut
        found = [replace(one, sizes=(cuts.size(rows[ATTENTION]), cuts.size(rows[one.other]))) for one in found]
    if saturated(rows):
        return [replace(one, why=SATURATED) for one in found]
    if unmixed(rows):
        return [replace(one, why=one.why or UNMIXED) for one in found]
    return [one if one.why else replace(one, word=judge(one.low, one.high, scale(one.metric).margin)) for one in found]


def family(sections: dict[str, list[Row]]) -> list[Verdict]:
    """All comparisons of the family, those that nobody ran included."""
    return [verdict for dataset in SETS for verdict in on(dataset, sections.get(dataset, []))]


def ranked(own: Sequence[Row]) -> list[Row]:
    """Rows with a value, best first; nothing is said about whether they differ."""
    return sorted((row for row in own if row.value is not None), key=lambda row: -row.metric.sign * row.value.mean)  # type: ignore[union-attr]
