"""Two processes on one results folder: each claims a cell before it trains it, so that nothing is trained twice."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import IO


class Claim:
    """That this process is at a cell, so that another one is not: a lock on an open file, which ends with its process."""

    def __init__(self, path: Path, file: IO[bytes] | None) -> None:
        self.path, self.file = path, file

    def release(self) -> None:
        if self.file is not None:
            self.path.unlink(missing_ok=True)
            self.file.close()
            self.file = None


def claimed(path: Path) -> Claim | None:
    """The claim that a file stands for, or None while another process has it. Where there are no locks there is no such care.

    Raises OSError where the file cannot be made.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return Claim(path, None)
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = open(path, "wb")  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return Claim(path, file)
        file.close()  # its holder has just released it, and removed the file
