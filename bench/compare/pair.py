"""Two rows of one data set side by side: their difference with its verdict, where they disagree, what each costs; as columns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from bench.compare import val
from bench.compare.disagreement import Seed, differ
from bench.compare.sides import remark
from bench.core.stats import LEVEL, interval
from bench.store.records import BATCHES
from bench.tables import headline
from bench.tables.column import Column
from bench.tables.columns import DOUBTED, PLACES
from bench.tables.formatting import escape, number, quality
from bench.tables.rows import Row
from bench.tables.scales import scale
from bench.tables.verdict import OPEN, Verdict, between, judge

SHOWN = {"latency_cpu_b1": "CPU latency ×", "latency_cuda_b1": "CUDA latency ×"}  # of all timings, where there is room for few


@dataclass(frozen=True)
class Pair:
    """Two rows that may be compared."""

    a: Row
    b: Row

    @cached_property
    def seeds(self) -> list[int]:
        return sorted(self.a.values.keys() & self.b.values.keys())

    @cached_property
    def verdict(self) -> Verdict:
        """How much better A is, read off a 95 % interval that stands alone, by the rules of the committed family."""
        found = between(self.a, self.b, LEVEL)
        found = replace(found, why=found.why or remark(self.a, self.b))
        return found if found.why else replace(found, word=judge(found.low, found.high, scale(found.metric).margin))

    @property
    def split(self) -> str:
        return val.split(self.a)

    @cached_property
    def differing(self) -> list[Seed | str]:
        runs = [{run["seed"]: run for run in row.runs} for row in (self.a, self.b)]
        return [differ(runs[0][seed], runs[1][seed]) for seed in self.seeds]

    @property
    def untold(self) -> str:
        """Why nobody can tell where the runs of some seed differ."""
        return next((one for one in self.differing if isinstance(one, str)), "")

    @cached_property
    def by_seed(self) -> list[Seed]:
        """Where the runs of each seed differ; [] if any two cannot be told apart."""
        told = [one for one in self.differing if isinstance(one, Seed)]
        return told if not self.untold and len({one.by for one in told}) == 1 else []

    def ratio(self, name: str) -> float | None:
        """A cost of A over that of B, None where one is not known: counted, or a median time, `latency_cpu_b1` say."""
        a, b = (row.costs.get(name, row.latency.get(f"{name}_p50_ms")) for row in (self.a, self.b))
        return a / b if a and b else None

    @property
    def doubt(self) -> str:
        """What was wrong with the timings that are compared."""
        told = {
            f"{row.model}: {why}" for row in (self.a, self.b) for place, why in row.doubts.items() if why and self.ratio(f"latency_{place}")
        }
        return "; ".join(sorted(told))


def mean(side: str) -> Callable[[Pair], float]:
    return lambda one: float(np.mean([getattr(one, side).values[seed] for seed in one.seeds]))


def said(side: str) -> Callable[[Pair], str]:
    """A side's mean with its interval, of the seeds that are compared."""

    def say(one: Pair) -> str:
        row = getattr(one, side)
        return quality(scale(row.metric).bounded(interval([row.values[seed] for seed in one.seeds])), row.metric)

    return say


def figure(name: str) -> Callable[[Pair], float | None]:
    return lambda one: None if math.isnan(value := getattr(one.verdict, name)) else value


def margin(one: Pair) -> float:
    return scale(one.a.metric).margin


def within(one: Pair) -> str:
    """The margin for people, '' where there is none."""
    return headline.amount(one.verdict, margin(one)) if margin(one) else ""


def counted(name: str) -> Callable[[Pair], int | None]:
    """Over all seeds: samples, or those on which A, or B, was better."""

    def count(one: Pair) -> int | None:
        found = [getattr(seed, name) for seed in one.by_seed]
        return sum(found if name == "samples" else map(len, found)) if found else None

    return count


def median_p(one: Pair) -> float | None:
    return float(np.median([seed.p for seed in one.by_seed])) if one.by_seed else None


def told(one: Pair) -> str:
    """The verdict, or why there is none; where it cannot tell, what is found every second time."""
    seen = f", ± {headline.amount(one.verdict, one.verdict.half)}" if one.verdict.word == OPEN else ""
    return escape(one.verdict.word or one.verdict.why) + seen


def disagreement(one: Pair) -> str:
    """'8.1 %: 310 to 240' of the samples of all seeds."""
    a, b, samples = (counted(name)(one) for name in ("a", "b", "samples"))
    if a is None or b is None or not samples:
        return ""
    return f"{number(100 * (a + b) / samples, 2) or '0'} % of {one.by_seed[0].by}: {a:,} to {b:,}"


def times(name: str) -> Callable[[Pair], str]:
    """A ratio for people, marked where a timing is doubted."""
    return lambda one: (
        number(one.ratio(name))
        + DOUBTED * bool(one.ratio(name) and any(row.doubts.get(name.removeprefix("latency_")) for row in (one.a, one.b)))
    )


def cost(name: str, about: str, head: str = "") -> Column[Pair]:
    return Column(
        f"{name}_ratio", "figure", lambda one: one.ratio(name), f"{about} of A over that of B.", better="lower", head=head, say=times(name)
    )


COLUMNS: list[Column[Any]] = [
    Column("dataset", "text", lambda one: one.a.dataset, "The data set's name.", head="data set"),
    Column("budget_a", "text", lambda one: one.a.budget, "Budget of A."),
    Column("budget_b", "text", lambda one: one.b.budget, "Budget of B."),
    Column("metric", "text", lambda one: one.a.metric.name, "The metric that ranks.", head="metric"),
    Column(
        *("split", "text", lambda one: one.split, "test; val between variants of one model, of which val chooses."),
        head="on",
        say=lambda one: one.split if one.split == "val" else "",
    ),
    Column("seeds", "count", lambda one: len(one.seeds), "Seeds that both have: n.", head="n"),
    Column("a", "figure", mean("a"), "The metric of A on this split, the mean over these seeds.", head="A", say=said("a")),
    Column("b", "figure", mean("b"), "The metric of B.", head="B", say=said("b")),
    Column("compared_by", "text", lambda one: headline.compared_by(one.verdict), "What differences are of; `log`: a ratio of errors."),
    Column(
        *("better_by", "figure", figure("mean"), "How much better A is, the mean; positive is better."),
        head="A is",
        say=lambda one: headline.measured(one.verdict),
        digits=10,
    ),
    Column("low", "figure", figure("low"), "Lower end of its 95 % interval.", digits=10),
    Column("high", "figure", figure("high"), "Upper end of that interval.", digits=10),
    Column("margin", "figure", margin, "A smaller difference is none.", head="margin", say=within),
    Column("verdict", "text", lambda one: one.verdict.word, "beats, loses, equal or cannot tell.", head="verdict", say=told),
    Column("why", "text", lambda one: one.verdict.why, "Why there is no verdict."),
    Column("compared_samples", "count", counted("samples"), "Samples of all these seeds.", head="disagree", say=disagreement),
    Column("compared_on", "text", lambda one: one.by_seed[0].by if one.by_seed else None, "answers: right or wrong; losses: lower."),
    Column("a_better", "count", counted("a"), "Samples on which only A was right, or its loss lower."),
    Column("b_better", "count", counted("b"), "Likewise of B."),
    Column(
        "p",
        "figure",
        median_p,
        "McNemar's exact test, of losses the sign test: the median of the seeds' p.",
        head="p",
        say=lambda one: number(median_p(one), 2),
    ),
    cost("params", "Parameters"),
    cost("params_active", "Parameters that can learn", "parameters ×"),
    cost("flops", "Floating-point operations of a forward pass", "FLOPs ×"),
    cost("peak_bytes", "Most bytes alive in a training step"),
    *(
        cost(key, f"Median latency (batch {batch}; {where})", SHOWN.get(key, ""))
        for place, where in PLACES.items()
        for batch in BATCHES
        for key in [f"latency_{place}_b{batch}"]
    ),
    Column(
        "machine",
        "text",
        lambda one: one.a.machine if any(one.ratio(f"latency_{place}") for place in one.a.doubts) else None,
        "The machine that timed both.",
    ),
    Column("validity", "text", lambda one: one.doubt, "What was wrong with these timings; empty: nothing was found."),
]
