"""Which files are read: what a run was made of includes the bytes that its data set's loader opened under the data root."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

_watching: list[tuple[Path, set[Path]]] = []
_hooked: list[bool] = []


def heard(event: str, arguments: tuple[Any, ...]) -> None:
    """Python tells of every file that is opened; an audit hook stays for the life of its process."""
    if event != "open" or not _watching or not isinstance(arguments[0], str | bytes | os.PathLike):
        return
    root, files = _watching[-1]
    mode = arguments[1] if isinstance(arguments[1], str) else "r"
    path = Path(os.fsdecode(arguments[0])).absolute()
    if path.is_relative_to(root) and not set(mode) & set("wax"):
        files.add(path)


@contextlib.contextmanager
def watch(root: Path) -> Iterator[set[Path]]:
    """Collects the files under `root` that are opened for reading inside."""
    if not _hooked:
        _hooked.append(True)
        sys.addaudithook(heard)
    files: set[Path] = set()
    _watching.append((root.absolute(), files))
    try:
        yield files
    finally:
        _watching.pop()


@lru_cache(maxsize=1024)
def digest(path: Path, size: int, changed: int) -> str:
    """A file's content, in 16 digits; read again only if its size or time has changed."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def digests(root: Path, files: set[Path]) -> dict[str, str]:
    """Digests of files by their path under `root`."""
    root = root.absolute()
    found = {}
    for path in sorted(files):
        if path.is_file():
            stat = path.stat()
            found[path.relative_to(root).as_posix()] = digest(path, stat.st_size, stat.st_mtime_ns)
    return found


def same(root: Path, recorded: dict[str, str]) -> bool:
    """Whether the files that a run read are what they were. Those that are not at hand cannot be told to be others."""
    names = {name: root / name for name in recorded if not Path(name).is_absolute() and ".." not in Path(name).parts}
    now = digests(root, {path.absolute() for path in names.values()})
    return all(recorded[name] == value for name, value in now.items())
