"""Whether two probes agree: the same numbers, to a part in a hundred million of the largest of their kind.

Rounding differs with the silicon, and some models make more of it. A bias in front of a batch norm has a gradient of 0 but for rounding,
and Adam makes a step of it: the same `stn` answered 1.2e-9 apart. It also starts as the identity, which samples at whole pixels, where
rounding decides which of two slopes its gradient is: in float32, norms 4e-4 apart; between instruction sets whole probes differ.
"""

from __future__ import annotations

import numpy as np

from bench.store.encoding import unpack
from bench.store.schema import Record

VERSION = 1  # of what is compared: another one compares with nothing
LATER = ("choice", "ending")  # kinds of numbers that runs made before have none of, and are not compared by
CLOSE = 1e-8  # relative to the largest number of its kind
ROUNDED = dict.fromkeys(("val", "score", "choice"), 2**-22)  # answers are float32 before they are scored: on other silicon 6e-8 apart
ROUGHLY = {"float32": 1e-3, "bfloat16": 5e-2}  # the same for one batch in the budget's own arithmetic


def kinds(probe: Record) -> dict[str, np.ndarray]:
    """A stored probe's numbers by their kind."""
    ends = np.cumsum(list(probe["sizes"].values()))
    return dict(zip(probe["sizes"], np.split(unpack(probe["numbers"]), ends[:-1]), strict=True))


def difference(before: Record, now: Record, dtype: str) -> str:
    """Why two probes do not agree, in a few words, or ''."""
    if before["version"] != now["version"] or before["stacked"] != now["stacked"]:
        return "probed in another way"
    data = next((data for data in ("own", "synthetic") if data in before and data in now), "")
    if not data:
        return "probed on other data"
    old, new = kinds(before[data]), kinds(now[data])
    for kind in dict.fromkeys([*old, *new]):
        if kind in LATER and kind not in old:
            continue
        if kind not in old or kind not in new or len(old[kind]) != len(new[kind]):
            return f"{kind}: other numbers than before"
        scale = np.abs([*old[kind], *new[kind]]).max(initial=0.0)
        allowed = ROUGHLY[dtype] if kind == "own_size" else ROUNDED.get(kind, CLOSE)
        if not np.isclose(old[kind], new[kind], rtol=0, atol=allowed * scale, equal_nan=True).all():
            return f"{kind}: differs by {np.abs(old[kind] - new[kind]).max() / scale:.1e} of its size"
    return ""


def richer(before: Record, now: Record) -> bool:
    """Whether a probe says all that another one says, on the same data, and more kinds of numbers."""
    data = before.keys() & {"own", "synthetic"}
    return data <= now.keys() and any(now[one]["sizes"].keys() > before[one]["sizes"].keys() for one in data)
