"""Objects that stay to the end of a process: Python's search for cycles need not go through them again and again."""

from __future__ import annotations

import atexit
import gc


def freeze() -> None:
    """Pass over whatever there is by now, until the process ends: what was still frozen then, extensions would report as leaked."""
    gc.freeze()
    atexit.unregister(gc.unfreeze)
    atexit.register(gc.unfreeze)
