"""Names -> things, filled by decorators as the files of a folder are imported. Serves data sets and models alike."""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def message(error: BaseException) -> str:
    """What an exception says; how it says it is code of whoever made it, and may raise in turn."""
    try:
        return str(error)
    except BaseException as second:
        return f"its message cannot be read: {type(second).__name__}"


def describe(error: BaseException) -> str:
    """One line: the type, the message, and the file and line it came from."""
    where = traceback.extract_tb(error.__traceback__)
    last = f" ({Path(where[-1].filename).name}:{where[-1].lineno})" if where else ""
    text = " ".join(message(error).split()) or "no message"
    return f"{type(error).__name__}: {text}{last}"


def did_you_mean(word: str, among: Sequence[str]) -> str:
    """The nearest names as the end of a sentence, '' if nothing is near."""
    near = difflib.get_close_matches(word, among, n=3)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


class Registry(Generic[T]):
    """Registered things by name; `errors` holds, by file stem, why a file of the folder did not import."""

    def __init__(self, noun: str, package: str) -> None:
        self.noun, self.package = noun, package
        self.sources: dict[str, Path] = {}
        self.errors: dict[str, str] = {}
        self._things: dict[str, T] = {}

    def add(self, name: str, thing: T, definition: Callable[..., Any]) -> None:
        """Register `thing`, defined in the file of `definition`. ValueError if the name is taken or malformed."""
        path = Path(inspect.getsourcefile(inspect.unwrap(definition)) or "")
        if not re.fullmatch(r"[a-z0-9_]{1,64}", name):
            raise ValueError(f"{self.noun} {name!r} in {path.name}: a name is made of a-z, 0-9 and _ only, at most 64 of them")
        if name in self._things:
            raise ValueError(f"{self.noun} {name!r} in {path.name} is already registered by {self.sources[name].name}")
        self._things[name], self.sources[name] = thing, path

    def names(self, published: bool = False) -> list[str]:
        return [name for name in self._things if published or not name.endswith("_published")]

    def __getitem__(self, name: str) -> T:
        if name not in self._things:
            raise KeyError(self.unknown(name))
        return self._things[name]

    def unknown(self, name: str) -> str:
        """The message for a name nobody registered, with the nearest ones."""
        return f"unknown {self.noun} {name!r}{did_you_mean(name, [*self._things, *self.errors])} (python -m bench list)"

    def guarded(self, stem: str, run: Callable[[], object]) -> None:
        """Run an import; if it fails, forget what it registered and keep the reason under `stem`."""
        before, sources = dict(self._things), dict(self.sources)
        try:
            run()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # it may leave, or skip itself as a test
            self._things, self.sources = before, sources
            self.errors[stem] = f"does not import: {describe(error)}"

    def import_folder(self, folder: Path) -> None:
        """Import every module of a package folder, in alphabetical order."""
        for path in sorted(folder.glob("*.py")):
            module = f"{self.package}.{path.stem}"
            if path.stem != "__init__":
                self.guarded(path.stem, lambda module=module: importlib.import_module(module))  # type: ignore[misc]
