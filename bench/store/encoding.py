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
import bz2
import json
import lzma
import math
import re
import zlib
from typing import Any

import numpy as np

NAN = float("nan")
MOST = 2**28  # bytes of an unpacked array
LZMA = [{"id": lzma.FILTER_LZMA1, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 2**20, "lc": 0, "lp": 0, "pb": 0}]
OPEN = {"lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=LZMA), "bz2": bz2.BZ2Decompressor}
DIGITS = np.full(256, -1)  # of base 85, by character
DIGITS[[base64.b85encode(bytes([0, 0, 0, n]))[-1] for n in range(85)]] = range(85)
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
    return record | {name: numbers(record[name]) for name in NUMERIC if name in record} if "null" in text else record


def pack(values: np.ndarray) -> str:
    """A numpy array as text: its type, how it was compressed, and the shorter of what LZMA and bzip2 make of it.

    All first bytes of its numbers come first, then all second ones: neighbours then look alike.
    """
    split = values.reshape(-1, 1).view("u1").T.tobytes()
    way, body = min(
        (("lzma", lzma.compress(split, lzma.FORMAT_RAW, filters=LZMA)), ("bz2", bz2.compress(split))), key=lambda one: len(one[1])
    )
    return f"{values.dtype.str}:{way}:{base64.b85encode(body).decode()}"


def unpack(text: str) -> np.ndarray:
    """What `pack` was given, flat; also from text of before, zlib in base 64. ValueError for other text."""
    dtype, *way, body = text.split(":", 2)
    if not re.fullmatch(r"[<>|=]?[fiub][1248]", dtype):
        raise ValueError(f"{dtype[:20]!r} is no type of numbers")
    if not way:
        return np.frombuffer(inflate(zlib.decompressobj(), base64.b64decode(body)), dtype=dtype)
    if way[0] not in OPEN:
        raise ValueError(f"{way[0][:20]!r} is no way of compressing")
    split = np.frombuffer(inflate(OPEN[way[0]](), decode85(body)), dtype="u1")
    width = np.dtype(dtype).itemsize
    if len(split) % width:
        raise ValueError(f"{len(split)} bytes are no numbers of {width}")
    return split.reshape(width, -1).T.copy().view(dtype).ravel()


def inflate(values: Any, packed: bytes) -> bytes:
    """The bytes that a decompressor makes. ValueError where it cannot, where they do not end or are more than `MOST`."""
    try:
        flat = values.decompress(packed, MOST)
    except (zlib.error, lzma.LZMAError, OSError) as error:  # OSError: bzip2's
        raise ValueError(f"it cannot be unpacked: {error}") from error
    if not values.eof:
        raise ValueError(f"it is cut off, or unpacks to more than {MOST} bytes")
    return flat


def decode85(text: str) -> bytes:
    """As base64.b85decode, which takes longer than all else that is done with a record. ValueError for other text."""
    missing = -len(text) % 5
    digits = DIGITS[np.frombuffer((text + "~" * missing).encode("ascii"), "u1")].reshape(-1, 5)
    words = digits @ np.array([85**4, 85**3, 85**2, 85, 1])
    if (digits < 0).any() or (words >= 2**32).any():
        raise ValueError("it is not written in base 85")
    return words.astype(">u4").tobytes()[: 4 * len(words) - missing]
