"""What a record holds (schema.py) as a JSON Schema, json-schema.org, 2020-12: for whoever reads the files without this code."""

from __future__ import annotations

import json
from typing import Any

from bench.store.encoding import NUMERIC
from bench.store.schema import EACH, FIELDS, NOTES, REQUIRED, SCHEMA, TEXT, Kind

TYPES: dict[type, str] = {
    int: "integer",
    float: "number",
    bool: "boolean",
    str: "string",
    dict: "object",
    type(None): "null",
}


def said(kind: Kind, lost: bool = False) -> dict[str, Any]:
    """What a field may be. `lost`: null stands for a number that was not finite."""
    if isinstance(kind, tuple):
        return {"type": sorted({TYPES[one] for one in kind} | ({"null"} if lost else set()))}
    if isinstance(kind, list):
        return {"type": "array", "items": said(kind[0], lost)}
    own = {name: said(one, lost) for name, one in kind.items() if name != EACH}
    return {"type": "object", "properties": own} | ({"additionalProperties": said(kind[EACH], lost)} if EACH in kind else {})


def record_schema() -> dict[str, Any]:
    """The files under runs/, latency/, trials/, probes/ and machines/: one record each."""
    fields = {name: said(kind, name in NUMERIC) for name, kind in FIELDS.items()}
    fields |= {"schema": {"const": SCHEMA}, "kind": {"enum": list(REQUIRED)}}
    by_kind = [
        {
            "if": {"properties": {"kind": {"const": kind}}},
            "then": {"required": list(names), "properties": {"notes": said(NOTES.get(kind, TEXT))}},
        }
        for kind, names in REQUIRED.items()
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A record of attention-bench",
        "type": "object",
        "required": ["schema", "kind"],
        "properties": fields,
        "allOf": by_kind,
    }


def text() -> str:
    return json.dumps(record_schema(), indent=1) + "\n"
