"""The store in a folder that a user names."""

from __future__ import annotations

from bench.plan.grid import located
from bench.plan.request import RequestError
from bench.store.records import Store


def opened(results: str) -> Store:
    """RequestError if no results are there."""
    folder = located(results)
    if not (folder / "runs").is_dir() and not (folder / "latency").is_dir():
        raise RequestError(f"no results in {results}; make some: pytest bench --benchmark-only --results {results}")
    return Store(folder)
