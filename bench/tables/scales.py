"""What a metric's values can be, and what difference in it is too small to matter: stated here, before anything is measured.

    accuracy and other shares    0 to 1      1 point
    r2                           up to 1     0.02
    bleu                         0 to 100    1 BLEU
    mse, mae, cross_entropy      from 0      10 %: compared as ratios, a factor of 1.1 either way

Values that are compared as ratios have no ceiling that a model reaches: such a set is never saturated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.core.stats import Interval
from datasets.task import Metric


@dataclass(frozen=True)
class Scale:
    """`margin`: a smaller difference is none, in the metric's unit, or of logarithms where `ratio`. `best` is the best value there is."""

    lowest: float
    highest: float
    margin: float
    best: float | None = None
    ratio: bool = False

    @property
    def widest(self) -> float:
        """The largest difference there can be."""
        return math.inf if self.ratio else self.highest - self.lowest

    def bounded(self, found: Interval) -> Interval:
        """The interval of a value, inside what is possible."""
        return Interval(found.mean, max(found.low, self.lowest), min(found.high, self.highest), found.n) if found.n > 1 else found


SHARE = Scale(0, 1, 0.01, 1)
RATIO = Scale(0, math.inf, math.log(1.1), ratio=True)
SCALES = {
    "r2": Scale(-math.inf, 1, 0.02, 1),
    "bleu": Scale(0, 100, 1, 100),
    **dict.fromkeys(("mse", "mae", "cross_entropy"), RATIO),
}


def scale(metric: Metric) -> Scale:
    """Of a metric that nobody listed: of shares like accuracy's, else without bounds and without a margin."""
    return SCALES.get(metric.name, SHARE if metric.percent else Scale(-math.inf, math.inf, 0))


NAMES = {  # as people write them
    "bleu": "BLEU",
    "r2": "R²",
    "auroc": "AUROC",
    "mse": "mean squared error",
    "mae": "mean absolute error",
    "cross_entropy": "cross-entropy",
}
UNITS = {"bleu": "BLEU", "cross_entropy": "nats", "mse": "target squared", "mae": "target", "r2": "share of variance"}


def unit(metric: Metric) -> str:
    """What a metric's values are counted in, '' for one that nobody listed; shares are from 0 to 1."""
    return UNITS.get(metric.name, "share" if metric.percent else "")


def called(metric: Metric) -> str:
    """A metric's name in words."""
    return NAMES.get(metric.name, metric.name.replace("_", " "))
