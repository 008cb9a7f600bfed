"""Curves as a record keeps them: six digits, more than any table or picture shows, and nothing is said twice.

`val_scores` holds the metrics on val that are neither the one of `val_metric` nor the same numbers as `val_loss`.
"""

from __future__ import annotations

from typing import Any

DIGITS = {"seconds": 5}
USUAL = 6


def short(curve: dict[str, Any]) -> dict[str, Any]:
    """A curve with every number cut to its significant digits, without what it says twice."""
    cut = {name: rounded(values, DIGITS.get(name, USUAL)) for name, values in curve.items()}
    if "val_scores" in cut:
        said = [cut.get("val_metric"), cut.get("val_loss")]
        cut["val_scores"] = {name: values for name, values in cut["val_scores"].items() if values not in said}
    return cut


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
