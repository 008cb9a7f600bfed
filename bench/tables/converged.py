"""Whether training went on long enough: val of a run that ended converged gains nothing that matters in its last tenth."""

from __future__ import annotations

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
    if (rule := scale(metric)).ratio:
        values = [math.log(value) if value > 0 else -math.inf for value in values]
    scores = [metric.sign * value for value in values]
    early = [score for score, seen in zip(scores, samples, strict=True) if seen <= LAST * samples[-1]]
    late = scores[len(early) :]
    return bool(early and late) and max(late) - max(early) > rule.margin


def count(runs: Sequence[Record]) -> int:
    """How many of them were still improving."""
    return sum(map(improving, runs))
