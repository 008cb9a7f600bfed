"""What a study of length found: records in DIR/studies/length/, one a machine, and where attention costs more than another mixer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.core.stats import Interval, interval
from bench.store.records import Record, Store
from bench.tables import studies

LENGTHS = tuple(2**power for power in range(4, 13))
FORWARD, STEP, IMAGES, COMPILED = "forward", "training step", "forward of images", "forward, compiled"
LONGEST = {(FORWARD, 1): 4_096, (FORWARD, 64): 1_024, (STEP, 8): 1_024, (IMAGES, 1): 4_096, (COMPILED, 1): 1_024}  # tokens: in minutes
WORKS = tuple(LONGEST)
PLAIN = (FORWARD, STEP)  # on signals of any length, as they are; the others:
SQUARES = tuple(side**2 for side in (8, 16, 32, 64))  # pixels of images; compiled are as many tokens, for each length takes half a minute
REFERENCE, TWIN, CONV = "backbone_attention", "backbone_attention, again", "backbone_conv"
SCHEMA = 1
FIELDS = {"schema": int, "settings": dict, "code": str, "machine": dict, "rows": list, "counts": list}
ROW = {"model": str, "length": int, "work": str, "batch": int, "medians_ms": list, "reason": str}


def valid(record: Record) -> bool:
    """Whether a record has what readers rely on."""
    fields = all(isinstance(record.get(name), kind) for name, kind in FIELDS.items())
    if not fields or not isinstance(record["machine"].get("slug"), str) or record["schema"] != SCHEMA:
        return False
    if any(list(work) not in map(list, LONGEST) for work in record["settings"].get("works", [])):
        return False
    rows = [one for one in record["rows"] if isinstance(one, dict) and all(isinstance(one.get(name), kind) for name, kind in ROW.items())]
    times = [value for one in rows for value in one["medians_ms"]]
    counts = [one for one in record["counts"] if isinstance(one, dict) and {"model", "length", "work", "batch"} <= one.keys()]
    whole_ = len(rows) == len(record["rows"]) and len(counts) == len(record["counts"])
    return whole_ and all(isinstance(value, float) and value > 0 for value in times)


def check(record: Record) -> None:
    """ValueError for what no study keeps."""
    if not valid(record):
        raise ValueError("not what a study keeps")


def read(store: Store) -> list[Record]:
    """The studies of length in a store, one a machine. One that cannot be used is set aside, with a warning."""
    return studies.read(store, "length", SCHEMA, check)


def rounds(settings: Record) -> Iterator[tuple[str, int, int]]:
    """(work, batch, length) of every round that a study asks for, short ones first. Those of before did less, and did not say what."""
    asked = settings.get("works")
    most = {(FORWARD, 1): 4_096, (FORWARD, 64): 256, (STEP, 8): 1_024} if asked is None else {(*one,): LONGEST[*one] for one in asked}
    lengths = settings["lengths"]
    for length in lengths:
        for (work, batch), longest in most.items():
            if length <= max(longest, lengths[0]) and (work in PLAIN or length in SQUARES):
                yield work, batch, length


def missing(record: Record) -> list[tuple[str, int, int]]:
    """The rounds that a record lacks."""
    done = {(one["work"], one["batch"], one["length"]) for one in record["rows"]}
    return [one for one in rounds(record["settings"]) if one not in done]


def over_processes(logs: Sequence[float]) -> Interval:
    """Of logarithms, one a process, the geometric mean and its 95 % interval."""
    found = interval(logs)
    return Interval(math.exp(found.mean), math.exp(found.low), math.exp(found.high), found.n)


Medians = dict[tuple[str, int, str, int], np.ndarray]


def medians(rows: Sequence[Record]) -> Medians:
    """(model, length, work, batch) -> milliseconds, one for each process."""
    return {(one["model"], one["length"], one["work"], one["batch"]): np.array(one["medians_ms"]) for one in rows if one["medians_ms"]}


def log_ratios(found: Medians, other: str, work: str, batch: int) -> dict[int, np.ndarray]:
    """Length -> logarithms of attention's time over the other's, process by process, where both were timed."""
    lengths = sorted(length for model, length, *rest in found if model == other and tuple(rest) == (work, batch))
    both = [length for length in lengths if (REFERENCE, length, work, batch) in found]
    return {n: np.log(found[REFERENCE, n, work, batch] / found[other, n, work, batch]) for n in both}


@dataclass(frozen=True)
class Crossing:
    """From how many tokens on attention costs more. `side` says where, if not within what was measured: below or beyond; or unclear,
    and then `tokens` is from where on it costs more for certain, and `low` up to where less, nan if nowhere."""

    tokens: float = math.nan
    low: float = math.nan
    high: float = math.nan
    side: str = ""


def crossed(lengths: Sequence[int], logs: Sequence[float]) -> float:
    """Where one process's ratio passes 1 for good, on straight lines over log tokens. 0 if it never was lower, inf if it still is."""
    if logs[-1] <= 0:
        return math.inf
    cheap = [i for i, value in enumerate(logs) if value <= 0]
    if not cheap:
        return 0.0
    i = cheap[-1]
    share = -logs[i] / (logs[i + 1] - logs[i])
    return float(lengths[i] * (lengths[i + 1] / lengths[i]) ** share)


def crossing(ratios: dict[int, np.ndarray]) -> Crossing:
    """The crossings of all processes as one, with its 95 % interval."""
    lengths = list(ratios)
    each = [crossed(lengths, list(logs)) for logs in zip(*ratios.values(), strict=True)]
    if all(0 < one < math.inf for one in each):
        found = over_processes([math.log(one) for one in each])
        return Crossing(found.mean, found.low, found.high)
    if not any(each) or all(one == math.inf for one in each):
        return Crossing(side="beyond" if any(each) else "below")
    each_at = {length: over_processes(list(ratios[length])) for length in lengths}
    more = [*itertools.takewhile(lambda length: each_at[length].low > 1, reversed(lengths))]
    less = [*itertools.takewhile(lambda length: each_at[length].high < 1, lengths)]
    return Crossing(more[-1] if more else math.nan, less[-1] if less else math.nan, side="unclear")
