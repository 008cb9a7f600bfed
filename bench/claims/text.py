"""The text of a ledger, to find the line of what is wrong in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn

from bench.core import machine
from bench.plan.grid import RequestError


def called(path: Path) -> str:
    """A ledger as messages and pages name it: from the project's folder, or one that lies elsewhere with its own folder."""
    return path.relative_to(machine.ROOT).as_posix() if path.is_relative_to(machine.ROOT) else f"{path.parent.name}/{path.name}"


class Page:
    """The text of the file, to find the line of a table or of a key in it."""

    def __init__(self, path: Path, text: str) -> None:
        self.name, self.lines = called(path), text.splitlines()

    def found(self, pattern: str, start: int = 0, end: int | None = None) -> list[int]:
        """Numbers, from 1, of the lines after `start` and up to `end` that begin so; quotes do not count."""
        end = len(self.lines) if end is None else end
        return [n + 1 for n in range(start, end) if re.match(rf"\s*{pattern}", self.lines[n].replace('"', ""))]

    def line(self, table: str, index: int, key: str = "") -> int:
        """The line of the index-th [[table]], or of `key` in it: `a.b` is `a.b = …`, or b below [table.a], or in what a is."""
        starts = self.found(rf"\[\[\s*{table}\s*\]\]")
        if index >= len(starts):  # written inline
            return (self.found(rf"{table}\s*=") or [1])[0]
        start = starts[index]
        end = next(iter(self.found(r"\[\[", start)), len(self.lines) + 1) - 1
        head, _, tail = key.partition(".")
        below = self.found(rf"\[\s*{table}\.{re.escape(head)}\s*\]", start, end)
        places = self.found(rf"{re.escape(key)}\s*[.=]", start, end) if key else []
        places += self.found(rf"{re.escape(tail)}\s*=", below[0], end) if below and tail else []
        places += below + (self.found(rf"{re.escape(head)}\s*[.=]", start, end) if tail else [])
        return (places or [start])[0]

    def wrong(self, line: int, message: str) -> NoReturn:
        raise RequestError(f"{self.name}:{line}: {message}")
