"""What every study is: a record to be completed, and how that is done. How options that they share are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bench.core import machine
from bench.plan import grid
from bench.plan.request import RequestError, whole
from bench.store.records import Record, Store


class Study(Protocol):
    """One study as it was asked for. `record` says all about it, and nothing that was measured."""

    record: Record

    def stored(self, store: Store) -> list[Record]:
        """Its records that are there, of any machine and any settings."""

    def continues(self, before: Record) -> bool:
        """Whether what a record has was measured as it is asked for now."""

    def measure(self, store: Store, record: Record, write: Callable[[], None]) -> None:
        """Complete a record; `write` keeps what it has so far."""

    def failed(self, record: Record) -> list[str]:
        """What could not be measured, and why."""


def numbers(option: str, text: str | None, default: tuple[int, ...], most: int, what: str, least: int = 2) -> list[int]:
    """Different whole numbers in order. RequestError for anything else and for fewer than `least`."""
    if text is None:
        return list(default)
    found = sorted({whole(option, part, most) for part in grid.split(text)})
    if len(found) < least:
        raise RequestError(f"{option} takes {'two or more' if least == 2 else 'one or more'} {what} say, not {text!r}")
    return found


def at_least(option: str, text: str | None, default: int, least: int, most: int, why: str) -> int:
    """A whole number. RequestError for one that is smaller than what the study needs."""
    found = default if text is None else whole(option, text, most)
    if found < least:
        raise RequestError(f"{option} takes {least} or more: {why}; not {found}")
    return found


def here() -> Record:
    """What a record says of the machine."""
    return {"slug": machine.slug(), **machine.facts()}
