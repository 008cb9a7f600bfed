"""What is known of a machine, the same for thousands of records: kept once, named by its digest."""

from __future__ import annotations

from typing import Any

from bench.store.fingerprint import digest
from bench.store.schema import SCHEMA, Record

OWN = ("commit", "dirty")  # what changes with every record
NAMED = ("slug", "torch", *OWN)  # what a record says itself, so that it can be told by where its facts are lost


def apart(known: dict[str, Any]) -> tuple[dict[str, Any], Record | None]:
    """What a record says of its machine, and the record of the facts it names; None where it has none, or names them already."""
    facts = {name: fact for name, fact in known.items() if name not in OWN}
    if facts.keys() <= {*NAMED, "facts"} or "torch" not in facts:
        return known, None
    named = {name: known[name] for name in NAMED if name in known}
    return named | {"facts": digest(facts)}, {"schema": SCHEMA, "kind": "machine", "machine": facts}


def joined(named: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """The facts, and what a record says itself in place of their name."""
    return facts | {name: value for name, value in named.items() if name != "facts"}
