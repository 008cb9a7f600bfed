"""A record as text and back: strict JSON, one line for each field of the record, so that a change of one field is a change of one line.

    {                                           {"seed": 0, "curve": {"val_loss": [0.7, nan]}, …}
    "seed": 0,                            <->
    "curve": {"val_loss":[0.7,null]},
    …

JSON has no numbers that are not finite. They are written as null, and where a list of a curve or a test score must be a number, null
is read as nan: which of nan and the infinities it was is lost. Records written before, over many lines and with NaN, are read as well.
"""

from __future__ import annotations

import base64
import json
import math
import re
import zlib
from typing import Any

import numpy as np

NAN = float("nan")
MOST = 2**28  # bytes of an unpacked array
NUMERIC = ("curve", "test")  # fields in which null stands for a number that was not finite


def finite(value: Any) -> Any:
    """The same with None for every number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return value


def numbers(value: Any) -> Any:
    """The same with nan for every None."""
    if isinstance(value, dict):
        return {name: numbers(one) for name, one in value.items()}
    if isinstance(value, list):
        return [numbers(one) for one in value] if None in value or any(isinstance(one, dict | list) for one in value[:1]) else value
    return NAN if value is None else value


def as_text(record: dict[str, Any]) -> str:
    """ValueError or TypeError for what JSON cannot say."""
    fields = (f"{json.dumps(name)}: {json.dumps(finite(value), separators=(',', ':'), allow_nan=False)}" for name, value in record.items())
    return "{\n" + ",\n".join(fields) + "\n}\n"


def as_record(text: str) -> dict[str, Any]:
    """ValueError for what is no JSON, TypeError for JSON that is no object."""
    record = json.loads(text)
    if not isinstance(record, dict):
        raise TypeError("no object")
    return record | {name: numbers(record[name]) for name in NUMERIC if name in record}


def pack(values: np.ndarray) -> str:
    """A numpy array as text: its type, then its compressed bytes."""
    return f"{values.dtype.str}:" + base64.b64encode(zlib.compress(values.tobytes(), 9)).decode()


def unpack(text: str) -> np.ndarray:
    """What `pack` was given, flat. ValueError or zlib.error for other text."""
    dtype, body = text.split(":", 1)
    if not re.fullmatch(r"[<>|=]?[fiub][1248]", dtype):
        raise ValueError(f"{dtype[:20]!r} is no type of numbers")
    values = zlib.decompressobj()
    flat = values.decompress(base64.b64decode(body), MOST)
    if not values.eof:
        raise ValueError(f"it is cut off, or unpacks to more than {MOST} bytes")
    return np.frombuffer(flat, dtype=dtype)
