"""A data set's samples for one seed, checked, with digests of the files they came from: loaded once for whatever needs them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import datasets
from bench.core import opened
from datasets.checks import check
from datasets.data import Data


@lru_cache(maxsize=5)
def load(dataset: str, root: Path, seed: int, download: bool) -> tuple[Data, dict[str, str]]:
    """Data of one seed, kept for the next group of the same data set, and digests of the files they were read from.

    ValueError if they are not what the task says.
    """
    with opened.watch(root) as files:
        data = datasets.load(dataset, root, seed, download)
    check(data, datasets.task(dataset))
    return data, opened.digests(root, files)
