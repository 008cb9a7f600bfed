"""Tables and page of a session that is still training, so that there is something to read from its first cell on."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.page import build
from bench.report import report
from bench.store.records import Store

EVERY = 20.0  # seconds between two writings at least
SHARE = 0.1  # of the time that a session takes, at most


class Growing:
    """To be called whenever a cell is done: writes what there is, unless it did so a moment ago. Pictures are drawn at the end.

    `say` is told where to look, once. Raises what report and page raise, StoreError if the folder cannot be written to.
    """

    def __init__(self, store: Store, say: Callable[[str], None]) -> None:
        self.store, self.say = store, say
        self.due = 0.0

    def __call__(self) -> None:
        start = time.monotonic()
        if start < self.due:
            return
        report.write(self.store, draw=False)
        page = build.told(self.store)
        if not self.due:
            self.say(f"growing: {page}")
        end = time.monotonic()
        self.due = end + max(EVERY, (end - start) / SHARE)
