"""Ctrl-C, answered where it breaks nothing: while a cell trains or is timed.

Python raises KeyboardInterrupt at whatever instruction it has reached. Inside a callback of a weak reference it is printed and
forgotten, and the session goes on; at an instruction that belongs to no line pytest fails to describe it, and ends in a
traceback of its own; and in the middle of a switch of the capture the terminal would be left to nobody.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType


class Interrupts:
    """Answers SIGINT with KeyboardInterrupt, where it is held later. A second one ends the process at once, wherever it comes.

    That breaks nothing: files are written whole or not at all, and workers end with their driver.
    """

    def __init__(self, leave: Callable[[int], object] = os._exit) -> None:
        self.held = self.waiting = self.came_before = False
        self.leave = leave
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as a shell sets it for what it starts in the background
            signal.signal(signal.SIGINT, self.came)

    def came(self, number: int, frame: FrameType | None) -> None:
        if self.came_before:
            self.leave(130)
        self.came_before = self.waiting = True
        if not self.held:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def hold(self, held: bool) -> Iterator[None]:
        """Inside, an interrupt waits (`held`) or is answered (not). One that waited, or was lost, is answered at either end."""
        before, self.held = self.held, held
        try:
            self.answer()
            yield
        except KeyboardInterrupt:
            self.waiting = False
            raise KeyboardInterrupt from None  # from a line that pytest can show
        finally:
            self.held = before
        self.answer()

    def answer(self) -> None:
        if self.waiting and not self.held:
            raise KeyboardInterrupt
