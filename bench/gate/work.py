"""Work that takes time and changes nothing: what the self-test adds to a model to make it slower."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def work(iterations: int) -> int:
    """A chain of integer arithmetic, about 50 ns an iteration; no sleep, and nothing an interpreter could leave out."""
    value = 1
    for _ in range(iterations):
        value = (value * 1_103_515_245 + 12_345) & 0x7FFF_FFFF
    return value


def slowed(forward: Callable[[Any], Any], iterations: int) -> Callable[[Any], Any]:
    """The same function with work before it."""
    return lambda x: (work(iterations), forward(x))[1]
