"""When a record was made and from which commit: every record says it of itself."""

from __future__ import annotations

from collections.abc import Iterable

from bench.store.records import Record


def day(record: Record) -> str:
    """2026-11-27, in UTC."""
    return str(record["created"])[:10]


def commit(record: Record) -> str:
    """The commit whose code made it, with `-dirty` where that had local changes; '' if it does not say."""
    known = record["machine"]
    name = str(known.get("commit", ""))
    return f"{name}-dirty" if name and known.get("dirty") else name


def commits(records: Iterable[Record]) -> str:
    """Of several records each commit once, in order."""
    return " ".join(sorted({commit(one) for one in records} - {""}))
