"""Curves and times as a record keeps them: more digits than any table or picture shows, and nothing is said twice.

`val_scores` holds the metrics on val that are neither the one of `val_metric` nor the same numbers as `val_loss`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.store.encoding import pack, unpack

DIGITS = {"seconds": 5}
USUAL = 6
SCORES = 10
PARTS = 2**12  # a timed call is kept to one in so many: what is below is noise, which does not compress


def short(curve: dict[str, Any]) -> dict[str, Any]:
    """A curve with every number cut to its significant digits, without what it says twice."""
    cut = {name: rounded(values, DIGITS.get(name, USUAL)) for name, values in curve.items()}
    if "val_scores" in cut:
        said = [cut.get("val_metric"), cut.get("val_loss")]
        cut["val_scores"] = {name: values for name, values in cut["val_scores"].items() if values not in said}
    return cut


def short_scores(record: dict[str, Any]) -> dict[str, Any]:
    """A run with its scores cut to as many digits as runs.csv has."""
    test = {which: {name: cut(value) for name, value in scores.items()} for which, scores in record.get("test", {}).items()}
    derived = {name: cut(value) for name, value in record.get("derived", {}).items()}
    return record | {name: value for name, value in (("test", test), ("derived", derived)) if name in record}


def cut(value: float | None) -> float | None:
    return value if value is None else float(f"{value:.{SCORES}g}")


def short_times(latency: dict[str, Any]) -> dict[str, Any]:
    """A latency record with its timed calls, and the medians of its processes, as exact as anybody can use them."""
    fraction, exponent = np.frexp(unpack(latency["samples_ms"]).astype("f8"))
    samples = np.ldexp(np.round(fraction * PARTS) / PARTS, exponent).astype("<f4")
    medians = {name: rounded(latency[name], USUAL) for name in ("medians_ms", "twin_ms", "noop_ms") if name in latency}
    return latency | {"samples_ms": pack(samples)} | medians


def rounded(value: Any, digits: int) -> Any:
    if isinstance(value, dict):
        return {name: rounded(one, digits) for name, one in value.items()}
    if isinstance(value, list):
        return [rounded(one, digits) for one in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def on_val(run: dict[str, Any], metric: str) -> list[float]:
    """A metric on val at each evaluation, [] where the run does not tell."""
    curve = run["curve"]
    return curve["val_metric"] if metric == run["metric"]["name"] else curve.get("val_scores", {}).get(metric, [])
