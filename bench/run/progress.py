"""A progress bar over all cells, with the time that is left; on a log instead of a terminal, a line now and then."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from tqdm import tqdm

from bench.plan import expected
from bench.plan.grid import Cell

BELIEVED = 60.0  # seconds: what is done in them weighs as much as what was expected of them


class Lines:
    """A log in place of a terminal: what a bar would draw over itself becomes a line."""

    encoding = "utf-8"

    def write(self, text: str) -> None:
        if line := text.strip():
            sys.stderr.write(line + "\n")

    def flush(self) -> None:
        sys.stderr.flush()


class Steady(tqdm):
    """Work is weighed in seconds of one core: until something is done, that is how long it takes."""

    @property
    def format_dict(self) -> Any:
        known: dict[str, Any] = dict(super().format_dict)
        done = known["n"] - known["initial"]
        return known | {"rate": (done + BELIEVED) / (known["elapsed"] + BELIEVED)}


class Progress:
    """Counts weighted work. `uncaptured` is a context in which pytest lets output through."""

    def __init__(self, total: float, uncaptured: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext) -> None:
        self.uncaptured = uncaptured
        terminal = sys.stderr.isatty()
        self.bar = Steady(
            total=round(total, 2),
            file=sys.stderr if terminal else Lines(),
            bar_format="{percentage:3.0f}%|{bar}| {elapsed} elapsed, {remaining} left{postfix}",
            mininterval=0.2 if terminal else 20,
            maxinterval=1 if terminal else 30,
            dynamic_ncols=terminal,
            ncols=None if terminal else 100,
        )

    def show(self, what: str) -> None:
        """What is waited for."""
        with self.uncaptured():
            self.bar.set_postfix_str(what, refresh=False)

    def advance(self, weight: float) -> None:
        """So much more is done, of the total."""
        with self.uncaptured():
            self.bar.update(min(weight, (self.bar.total or 0) - self.bar.n))

    def more(self, weight: float) -> None:
        """So much more is to be done than was known."""
        self.bar.total = (self.bar.total or 0) + weight

    def part(self, cell: Cell, share: float) -> None:
        """So much more of a cell is done."""
        self.advance(share * expected.seconds(cell))

    def line(self, text: str) -> None:
        """A line above the bar."""
        with self.uncaptured():
            self.bar.write(text, file=sys.stderr)

    def close(self) -> None:
        with self.uncaptured():
            self.bar.set_postfix_str("")
            self.bar.close()
