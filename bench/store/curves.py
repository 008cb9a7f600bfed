"""Curves as a record keeps them: losses were computed in float32, of whose digits eight tell all."""

from __future__ import annotations

from typing import Any

DIGITS = 8


def short(value: Any) -> Any:
    """The same with every float cut to `DIGITS` significant digits."""
    if isinstance(value, dict):
        return {name: short(one) for name, one in value.items()}
    if isinstance(value, list):
        return [short(one) for one in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
