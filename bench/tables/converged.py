"""Whether training went on long enough: val of a run that ended converged gains nothing that matters in its last tenth."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence

from bench.store.records import Record
from bench.tables.scales import scale
from datasets.task import Metric

LAST = 0.9  # of the samples seen: what comes after is the last tenth


def improving(run: Record) -> bool:
    """Whether val was better in the last tenth of training than ever before, by more than the metric's margin. False where nobody
    can tell: runs that did not end well, keep no such curve, or were evaluated in one of the two parts alone."""
    values, samples = run["curve"].get("val_metric", []), run["curve"]["samples"]
    if run["status"] != "ok" or len(values) != len(samples):
        return False
    metric = Metric(**run["metric"])
    cut = bisect.bisect_right(samples, LAST * samples[-1])
    if not 0 < cut < len(values):
        return False
    best = max if metric.sign > 0 else min
    early, late = best(values[:cut]), best(values[cut:])
    if (rule := scale(metric)).ratio:
        early, late = (math.log(value) if value > 0 else -math.inf for value in (early, late))
    return metric.sign * (late - early) > rule.margin


def count(runs: Sequence[Record]) -> int:
    """How many of them were still improving."""
    return sum(map(improving, runs))
