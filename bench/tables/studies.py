"""Where studies lie: DIR/studies/<study>/<machine>.json, one a machine, and DIR/studies/<study>/work/ with the runs they are made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.store.records import Record, Store


def folder(store: Store, study: str) -> Path:
    return store.folder / "studies" / study


def read(store: Store, study: str, schema: int, check: Callable[[Record], None]) -> list[Record]:
    """The records of a study, one a machine. One that cannot be used is set aside, with a warning."""
    paths = sorted(folder(store, study).glob("*.json"))
    return [record for path in paths if (record := store.load(path, schema, check)) is not None]
