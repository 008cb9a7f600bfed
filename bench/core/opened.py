"""Which files are read: what a run was made of includes the bytes that its data set's loader opened under the data root, the names in
folders that it listed there, and what plugins read of the files beside them.

What a library opens by itself, in its own C, C++ or Rust, Python is not told of: open(path, "rb").close() tells.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

EVENTS = ("open", "os.listdir", "os.scandir", "sqlite3.connect")  # that Python tells of
WRITES = os.O_WRONLY | os.O_RDWR
Places = dict[str, Path]  # folders by the word that names of their files begin with; '' for the data root
_watching: list[tuple[list[tuple[str, str]], set[str]]] = []
_hooked: list[bool] = []
_importing: dict[Path, set[str]] = {}  # what plugins read while they were imported, by their file


def places(root: Path, **sources: Path) -> Places:
    """The data root, and the folders of files that register a thing from outside the checkout: plugins read what lies beside them."""
    own = Path(__file__).parents[2]
    return {"": root} | {f"{noun}:": file.parent for noun, file in sources.items() if not file.is_relative_to(own)}


def spelled(folder: Path) -> set[str]:
    """A folder as its user writes it and as it is without links."""
    return {os.path.abspath(folder), os.path.realpath(folder)}  # noqa: PTH100


def heard(event: str, arguments: tuple[Any, ...]) -> None:
    """Python tells of every file that is opened and every folder that is listed; an audit hook stays for the life of its process."""
    if event not in EVENTS or not _watching or not isinstance(arguments[0], str | bytes | os.PathLike):
        return
    if event == "open" and (set(arguments[1] or "") & set("wax+") or (arguments[1] is None and arguments[2] & WRITES)):
        return
    bases, names = _watching[-1]
    path = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100 - a link is known by its own name
    for word, base in bases:
        if Path(path).is_relative_to(base):
            if not (word and (path.endswith((".py", ".pyc")) or event.startswith("os."))):  # modules are known by their code
                names.add(word + Path(path).relative_to(base).as_posix())
            return


@contextlib.contextmanager
def watch(folders: Places) -> Iterator[set[str]]:
    """Collects the names of files in these places that are opened for reading inside, and of folders that are listed."""
    if not _hooked:
        _hooked.append(True)
        sys.addaudithook(heard)
    names: set[str] = set()
    _watching.append(([(word, base) for word, folder in folders.items() for base in spelled(folder)], names))
    try:
        yield names
    finally:
        _watching.pop()


@contextlib.contextmanager
def importing(plugin: Path) -> Iterator[None]:
    """Remembers what a plugin reads of the files beside it while it is imported."""
    with watch({"": plugin.parent}) as names:
        yield
    _importing[plugin] = {name for name in names if not name.endswith((".py", ".pyc")) and (plugin.parent / name).is_file()}


def while_imported(noun: str, file: Path) -> set[str]:
    return {f"{noun}:{name}" for name in _importing.get(file, set())}


@lru_cache(maxsize=1024)
def digest(path: Path, size: int, changed: int) -> str:
    """A file's content, or the names in a folder, in 16 digits; read again only if its size or time has changed."""
    if path.is_dir():
        return hashlib.sha256("\0".join(sorted(entry.name for entry in path.iterdir())).encode(errors="surrogateescape")).hexdigest()[:16]
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def found(folders: Places, names: Iterable[str]) -> dict[str, Path]:
    """Those of the names that are there. None leads out of its place, whatever a record says."""
    paths = {}
    for name in sorted(names):
        word = next((word for word in folders if word and name.startswith(word)), "")
        relative = Path(name.removeprefix(word))
        if not relative.is_absolute() and ".." not in relative.parts and (path := folders[word] / relative).exists():
            paths[name] = path
    return paths


def digests(folders: Places, names: Iterable[str]) -> dict[str, str]:
    """What is in these files and folders, by their names."""
    stats = {name: (path.absolute(), path.stat()) for name, path in found(folders, names).items()}
    return {name: digest(path, stat.st_size, stat.st_mtime_ns) for name, (path, stat) in stats.items() if path.is_dir() or path.is_file()}


def changed(folders: Places, names: Iterable[str], since: int) -> bool:
    """Whether one of them was written, or put there, after a time in nanoseconds."""
    return any(path.stat().st_ctime_ns >= since for path in found(folders, names).values())


def same(folders: Places, recorded: dict[str, str]) -> bool:
    """Whether the files that a run read are what they were. Those that are not at hand cannot be told to be others."""
    return all(recorded[name] == value for name, value in digests(folders, recorded).items())
