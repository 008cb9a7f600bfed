"""Data sets. One file adds one or more: decorate a function `(root, seed, download) -> Data` with `@register(Task(...))`.

Every file of this folder is imported by itself; one that does not import is listed in `errors` and stops nothing else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from datasets.data import Corrupt, Data, Missing, Split, Unfetched
from datasets.own_files import from_csv, from_folder
from datasets.registry import Registry
from datasets.task import Task
from datasets.vocabulary import Vocabulary
from datasets.weighted import from_arrays

__all__ = [
    "Corrupt",
    "Data",
    "Missing",
    "Split",
    "Task",
    "Unfetched",
    "amend",
    "errors",
    "family",
    "from_arrays",
    "from_csv",
    "from_folder",
    "load",
    "names",
    "pool",
    "register",
    "source",
    "task",
    "vocabularies",
]

Load = Callable[[Path, int, bool], Data]
Vocabularies = Callable[[Path, int], tuple[Vocabulary, Vocabulary]]
_registry: Registry[tuple[Task, Load, Vocabularies | None]] = Registry("data set", __name__)
_resplit: set[str] = set()
_families: dict[str, Callable[..., None]] = {}
errors = _registry.errors


def register(
    task: Task, *, vocabularies: Vocabularies | None = None, resplit: bool = False, place: Path | None = None
) -> Callable[[Load], Load]:
    """Add a data set under `task.name`. A name twice, or one that is not [a-z0-9_]+, is a ValueError.

    A data set of tokens says what they mean: `vocabularies(root, seed)` -> that of the input, that of the answer.
    `resplit`: seeds split one pool of samples anew, so that they are no independent draws (see `pool`). `place`: the file it belongs
    to, where that is not the function's own.
    """

    def add(load: Load) -> Load:
        _registry.add(task.name, (task, load, vocabularies), load)
        if place is not None:
            _registry.sources[task.name] = place
        if resplit:
            _resplit.add(task.name)
        return load

    return add


def amend(task: Task) -> None:
    """Let the data set `task.name`, registered before, ask what `task` says of the same samples. KeyError if there is none."""
    _, load, tell = _registry[task.name]
    _registry._things[task.name] = (task, load, tell)


def family(pattern: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Data sets without number, told by their names: the decorated function registers the one whose whole name matches, from its groups.

    They stand in no list until one is asked for by its name.
    """

    def add(make: Callable[..., None]) -> Callable[..., None]:
        _families[pattern] = make
        return make

    return add


def _made(name: str) -> str:
    """The name, its data set registered if it is the first of its family to be asked for."""
    if name not in _registry.sources:
        for pattern, make in _families.items():
            if found := re.fullmatch(pattern, name):
                make(*found.groups())
                break
    return name


def names(published: bool = False) -> list[str]:
    """Names of all data sets, in order; those ending in _published only if asked for."""
    return _registry.names(published)


def task(name: str) -> Task:
    """What data set `name` asks. Touches no data. KeyError with the nearest names if there is none."""
    return _registry[_made(name)][0]


def source(name: str) -> Path:
    """The file that defines data set `name`."""
    return _registry.sources[_made(name)]


def pool(name: str) -> float | None:
    """Test samples / training samples, where every seed splits the same samples anew; None where seeds share none, or nobody said so."""
    train, _, test = task(name).sizes
    return test / train if name in _resplit else None


def load(name: str, root: str | Path | None = None, seed: int = 0, download: bool = False) -> Data:
    """The samples of `name` for `seed`. Raises Missing (with the way to get them) or Corrupt (with the file)."""
    return _registry[_made(name)][1](data_root(root), seed, download)


def vocabularies(name: str, root: str | Path | None = None, seed: int = 0) -> tuple[Vocabulary, Vocabulary] | None:
    """The words of input and answer; None if the data set has none or does not tell. Raises Missing or Corrupt as `load` does."""
    tell = _registry[_made(name)][2]
    return tell(data_root(root), seed) if tell is not None else None


def data_root(root: str | Path | None = None) -> Path:
    """Where real data lie: `root`, else $ATTENTION_BENCH_DATA, else ~/.cache/attention-bench; below the current folder without a home."""
    chosen = root or os.environ.get("ATTENTION_BENCH_DATA")
    if chosen:
        return Path(chosen).expanduser()
    try:
        return Path.home() / ".cache" / "attention-bench"
    except RuntimeError:  # a user without a home, as containers have
        return Path(".cache", "attention-bench").absolute()


_registry.import_folder(Path(__file__).parent)
