"""A data set's samples for one seed, checked, with digests of the files they came from: loaded once for whatever needs them."""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path

import datasets
from bench.core import opened
from datasets.checks import check
from datasets.data import Corrupt, Data

MARGIN = 10_000_000  # nanoseconds: the clock of files moves in steps
TRIES = 3  # to read files that are replaced meanwhile
READ: dict[tuple[str, Path], dict[str, str]] = {}  # what loaders read in this process: they may keep it for later seeds


@lru_cache(maxsize=5)
def load(dataset: str, root: Path, seed: int, download: bool) -> tuple[Data, dict[str, str]]:
    """Data of one seed, kept for the next group of the same data set, and digests of the files they were read from.

    ValueError if they are not what the task says, Corrupt if their files change while they are read, or while the loader keeps them.
    """
    earlier = READ.setdefault((dataset, root), {})
    source = datasets.source(dataset)
    folders = opened.places(root, data=source)
    before: dict[str, str] | None = None
    for _ in range(TRIES):
        start = time.time_ns()
        with opened.watch(folders) as names:
            data = datasets.load(dataset, root, seed, download)
        names |= opened.while_imported("data", source)
        files = opened.digests(folders, names | earlier.keys())
        if stale := [name for name in earlier.keys() - names if files.get(name) != earlier[name]]:
            told = f"files of {dataset} were changed, and its loader keeps what it read before"
            raise Corrupt(f"{told}: {', '.join(sorted(stale))}; start again")
        earlier |= files
        if files == before or not opened.changed(folders, names, start - MARGIN):
            check(data, datasets.task(dataset))
            return data, files
        before = files
    raise Corrupt(f"files of {dataset} are written while they are read: {', '.join(sorted(files))}; start again when that is over")
