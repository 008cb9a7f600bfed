"""What a record must hold, and of which kind: whoever reads one checks it first. The written description for other readers, too."""

from __future__ import annotations

import itertools
from typing import Any

from bench.store.encoding import unpack

SCHEMA = 1
Record = dict[str, Any]
SHARED = ("created", "model", "dataset", "machine")
REQUIRED = {
    "run": (*SHARED, "recipe", "conditions", "source", "budget", "seed", "status", "reason", "metric", "curve", "costs"),
    "cell": (*SHARED, "recipe", "budget", "status", "reason"),
    "trial": (*SHARED, "recipe", "budget", "seed", "status", "reason", "metric", "curve", "code", "plan", "trial", "plain"),
    "latency": (*SHARED, "device", "batch", "dtype", "source", "samples_ms"),
}


NUMBERS = {int, float, bool}
CURVES = ("samples", "seconds", "train_loss", "val_loss")  # one value an evaluation; others may have fewer


def check(record: Record) -> None:
    """Raise KeyError if something that tables need is not there, TypeError or ValueError if it is not what it should be."""
    absent = [field for field in REQUIRED[record["kind"]] if field not in record]
    absent += ["machine.slug"] if "slug" not in record.get("machine", {}) else []
    if "budget" in REQUIRED[record["kind"]]:
        absent += [f"budget.{field}" for field in ("name", "dtype", "samples") if field not in record.get("budget", {})]
    if record["kind"] == "run" and record.get("status") == "ok":
        test = record.get("test", {})
        absent += [f"test.{which}" for which in ("best", "last") if record["metric"]["name"] not in test.get(which, {})]
        absent += [f"curve.{name}" for name in CURVES if name not in record["curve"]]
        absent += ["train_seconds"] if "train_seconds" not in record else []
    if absent:
        raise KeyError(f"no {', '.join(absent)}")
    if record["kind"] == "latency":
        unpack(record["samples_ms"])
    if record["kind"] == "run":
        check_run(record)


def check_run(record: Record) -> None:
    """That a run's numbers are numbers and its curves as long as each other."""
    if not isinstance(record["seed"], int):
        raise TypeError("seed is no whole number")
    if record["metric"].get("better") not in ("higher", "lower") or not record["metric"].keys() <= {"name", "better", "percent"}:
        raise ValueError("metric is not a name and which way is better")
    curves = list(record["curve"].values())
    if isinstance(curve := record["curve"].get("val_scores"), dict):
        curves = [*(values for values in curves if values is not curve), *curve.values()]
    if not all(isinstance(values, list) for values in curves):
        raise TypeError("a curve is no list")
    if len({len(values) for name, values in record["curve"].items() if name in CURVES}) > 1:
        raise ValueError("curves are not of one length")
    scores = (
        [record["train_seconds"], *record["test"]["best"].values(), *record["test"]["last"].values()] if record["status"] == "ok" else []
    )
    if not set(map(type, itertools.chain(scores, *curves))) <= NUMBERS:
        raise TypeError("a score or a curve is not made of numbers")
