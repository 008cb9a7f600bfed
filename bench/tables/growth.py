"""What studies that train have found: a row a model, place and seed; means, differences paired by seed, and where one model passes another.

study       a row's place        its axis
data        size                 training samples
distance    width, length        tokens
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.core.stats import Interval, interval
from bench.store.records import Record, Store
from bench.tables import studies
from bench.tables.family import ATTENTION
from bench.tables.routes import usual

SCHEMA = 1
PLACES = {"data": ("size",), "distance": ("width", "length")}  # the last one is the axis
FIELDS = {
    "schema": int,
    "study": str,
    "settings": dict,
    "code": str,
    "device": str,
    "machine": dict,
    "metric": dict,
    "date": str,
    "rows": list,
}
ROW = {"model": str, "seed": int, "params": int, "reason": str}


def sound(row: Record, places: Iterable[str]) -> bool:
    """Whether a row has a value, or the reason why it has none."""
    numbers = [row.get("value"), row.get("val")]
    valued = all(isinstance(one, float) and math.isfinite(one) for one in numbers)
    samples = row.get("samples")
    return (
        all(isinstance(row.get(name), kind) for name, kind in ROW.items())
        and all(type(row.get(name)) is int and row[name] > 0 for name in places)
        and (samples is None or (type(samples) is int and samples > 0))
        and (valued if not row["reason"] else numbers == [None, None])
    )


def check(record: Record) -> None:
    """ValueError for what no study keeps."""
    fields = all(isinstance(record.get(name), kind) for name, kind in FIELDS.items())
    if not fields or (places := PLACES.get(record["study"])) is None:
        raise ValueError("not what a study keeps")
    settings, metric, machine = record["settings"], record["metric"], record["machine"]
    asked = {"models", "seeds", "steps", "tuned", *(f"{place}s" for place in places), *(["dataset"] if record["study"] == "data" else [])}
    measured = metric.keys() == {"name", "better", "percent"} and metric["better"] in ("higher", "lower")
    if not asked <= settings.keys() or not measured or not all(isinstance(machine.get(name), str) for name in ("slug", "torch")):
        raise ValueError("its settings, its metric or its machine is not all there")
    if not all(isinstance(row, dict) and sound(row, places) and row["model"] in settings["models"] for row in record["rows"]):
        raise ValueError("a row has neither a value nor a reason, or is of another model")


def read(store: Store, study: str) -> list[Record]:
    """The studies of one name in a store, one a machine."""
    return [record for record in studies.read(store, study, SCHEMA, check) if record["study"] == study]


def by_seed(record: Record, **at: int) -> dict[tuple[str, int], dict[int, float]]:
    """(model, place on the axis) -> value on test by seed, where there is one; `at` are the other places."""
    axis = PLACES[record["study"]][-1]
    found: dict[tuple[str, int], dict[int, float]] = defaultdict(dict)
    for row in record["rows"]:
        if row["value"] is not None and all(row[name] == value for name, value in at.items()):
            found[row["model"], row[axis]][row["seed"]] = row["value"]
    return dict(found)


def means(record: Record, **at: int) -> dict[str, dict[int, Interval]]:
    """Of every model the mean over seeds along the axis, with its 95 % interval."""
    found: dict[str, dict[int, Interval]] = {name: {} for name in record["settings"]["models"]}
    for (model, place), values in sorted(by_seed(record, **at).items()):
        found[model][place] = interval(list(values.values()))
    return {model: own for model, own in found.items() if own}


def samples(record: Record, **at: int) -> dict[str, dict[int, float | None]]:
    """Of every model the samples after which val was good along the axis, the median over seeds; None where most never got there."""
    axis = PLACES[record["study"]][-1]
    each: dict[str, dict[int, list[int | None]]] = {name: defaultdict(list) for name in record["settings"]["models"]}
    for row in record["rows"]:
        if row["value"] is not None and all(row[name] == value for name, value in at.items()):
            each[row["model"]][row[axis]].append(row.get("samples"))
    return {model: {place: usual(found) for place, found in sorted(own.items())} for model, own in each.items() if own}


def differences(record: Record, a: str, b: str, **at: int) -> dict[int, Interval]:
    """How much better `a` is than `b` along the axis: paired by seed, Student's 95 % interval over the seeds that both have."""
    values, sign = by_seed(record, **at), 1 if record["metric"]["better"] == "higher" else -1
    found = {}
    for place in sorted({place for model, place in values if model == a}):
        own, its = values[a, place], values.get((b, place), {})
        if shared := [sign * (own[seed] - its[seed]) for seed in sorted(own.keys() & its.keys())]:
            found[place] = interval(shared)
    return found


def certain(found: Interval) -> int:
    """1 where a difference is above 0 for all its interval, -1 where below; 0 where it cannot be told."""
    return int(found.low > 0) - int(found.high < 0)


@dataclass(frozen=True)
class Passing:
    """The better of two changes between `low`, the last place at which it was one for certain, and `high`, the first at which the other."""

    low: int
    high: int
    ahead: int  # who is from there on: 1 the first, -1 the second


def passings(along: dict[int, Interval]) -> list[Passing]:
    """Where the sign of a difference changes, both signs being certain."""
    signs = [(place, sign) for place, one in sorted(along.items()) if (sign := certain(one))]
    return [Passing(low, high, after) for (low, before), (high, after) in itertools.pairwise(signs) if before != after]


def first(models: Sequence[str]) -> str:
    """The model that others are compared with: attention, where it is studied."""
    return ATTENTION if ATTENTION in models else models[0]
