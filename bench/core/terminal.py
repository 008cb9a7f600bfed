"""Output that says everything on any terminal: letters that its encoding has not are spelled, as \\xb1, and end no command."""

from __future__ import annotations

import io
import sys


def speak() -> None:
    """From now on. For streams that are files of text; what captures them has its own ways."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
