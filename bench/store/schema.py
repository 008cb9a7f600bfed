"""What a record must hold, and of which kind: whoever reads one checks it first. The written description for other readers, too."""

from __future__ import annotations

import math
import re
from typing import Any

from bench.store.encoding import unpack
from models.naming import readable

SCHEMA = 1
Record = dict[str, Any]
SHARED = ("created", "model", "dataset", "machine")
REQUIRED = {
    "run": (*SHARED, "recipe", "conditions", "source", "budget", "seed", "status", "reason", "metric", "curve", "costs"),
    "cell": (*SHARED, "recipe", "budget", "status", "reason"),
    "trial": (*SHARED, "recipe", "budget", "seed", "status", "reason", "metric", "curve", "code", "plan", "trial", "plain"),
    "latency": (*SHARED, "device", "batch", "dtype", "source", "samples_ms"),
    "probe": ("model", "dataset", "probe"),
    "machine": ("machine",),
}

NUMBERS = {int, float, bool}
NUMBER = (int, float, bool)
MAYBE = (int, float, type(None))
TEXT = (str,)
CURVES = ("samples", "seconds", "train_loss", "val_loss")  # one value an evaluation; others may have fewer
EACH = "*"  # every name that is not listed
# What a field is wherever there is one: types, a list of such, or an object's fields. Fields that are not listed may be anything plain.
Kind = Any
BUDGET: dict[str, Kind] = {
    **dict.fromkeys(("name", "optimizer", "schedule", "dtype", "choose"), TEXT),
    **dict.fromkeys(("samples", "batch", "evaluations", "seeds"), (int,)),
    **dict.fromkeys(("lr", "decay", "warmup", "momentum", "weight_decay", "clip", "init_std", "seconds"), MAYBE),
}
FIELDS: dict[str, Kind] = {
    **dict.fromkeys(("created", "recipe", "model", "dataset", "device", "summary", "conditions", "own_recipe", "source", "family"), TEXT),
    **dict.fromkeys(("status", "reason", "code", "counted_by", "trained_by", "scored_by", "dtype", "alone"), TEXT),
    **dict.fromkeys(("samples_ms", "events_ms", "async_ms", "graph_ms", "plan", "turns", "timed_as"), TEXT),
    **dict.fromkeys(("schema", "seed", "version", "batch", "threads", "continued_from", "best_samples", "together"), (int,)),
    **dict.fromkeys(("warm_up_calls", "kernels"), (int,)),
    **dict.fromkeys(("train_seconds", "noop_ms"), MAYBE),
    "pool": MAYBE,  # where seeds split one pool of samples anew: test / training samples
    **dict.fromkeys(("passing", "settled"), (bool,)),
    "medians_ms": [NUMBER],
    "twin_ms": [NUMBER],
    "sources": [TEXT],
    "validity": [TEXT],
    "files": {EACH: TEXT},
    "packages": {EACH: TEXT},
    "budget": BUDGET,
    "plain": BUDGET,  # of a trial: the recipe it was tuned from
    "machine": {
        **dict.fromkeys(("slug", "cpu", "gpu", "driver", "cuda", "torch", "python", "system", "commit", "facts"), TEXT),
        **dict.fromkeys(("cores", "memory_gib", "threads"), NUMBER),
        "silicon": {"numbers": [TEXT], "instructions": [TEXT]},
    },
    "metric": {"name": TEXT, "better": TEXT, "percent": (bool,)},
    "costs": {EACH: MAYBE},
    "exact": {EACH: MAYBE},
    "test": {EACH: {EACH: NUMBER}},
    "curve": {"val_scores": {EACH: [NUMBER]}, EACH: [NUMBER]},
    "derived": {EACH: MAYBE},
    "examples": {
        **dict.fromkeys(("kind", "loss", "prediction", "target", "scores"), TEXT),
        "left_out": [TEXT],
        "derived": {EACH: MAYBE},
    },
    "probe": (str, dict),  # its name; runs up to 0.6 hold it themselves
}
NOTES: dict[str, Kind] = {"latency": [TEXT]}  # several of a timing, of all others one text
NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,127}")  # of folders and files
DEEP, GREAT = 16, 2**63
FAR = 1e100  # no figure of a run is farther from 1, nor nearer to 0 without being 0: pictures could not show it
LONGEST = 1e12  # milliseconds
ZEROS = bytes.maketrans(b"123456789E", b"000000000e")
WILD = (b"0" * 19, b"e000", b"e+000", b"e-000")  # 19 digits; 1e100 and beyond


def tame(text: bytes) -> bool:
    """Whether a record's text holds neither half characters nor numbers out of range, so that `plain` need not look for them."""
    if not text.isascii() or b"\\ud" in text or b"\\uD" in text or b'\\"' in text:
        return False
    numbers = b"".join(text.split(b'"')[::2]).translate(ZEROS)  # what stands in no string: digests look like numbers out of range
    numbers = numbers.replace(b"." + b"0" * 16, b".")  # a double's digits behind its point
    return not any(wild in numbers for wild in WILD)


def plain(value: Any, depth: int = 0) -> None:
    """ValueError for what could stop a reader: numbers that no double holds, half characters, objects in objects without end."""
    if isinstance(value, str):
        if not value.isascii():
            value.encode()  # UnicodeEncodeError is a ValueError
    elif isinstance(value, dict | list):
        if depth == DEEP:
            raise ValueError("fields lie too deep in each other")
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        for one in parts:
            plain(one, depth + 1)
    elif isinstance(value, int) and abs(value) >= GREAT:
        raise ValueError("a whole number is too great")
    elif isinstance(value, float) and math.isfinite(value) and value and not 1 / FAR < abs(value) < FAR:
        raise ValueError("a number is out of any range")


def whole(value: Any) -> Any:
    """The same with ? for half characters, which `plain` refuses: what others' code raises may hold such."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {whole(name): whole(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [one if type(one) is float else whole(one) for one in value]
    return value


def match(value: Any, kind: Kind, where: str) -> None:
    """TypeError where a field is not what `FIELDS` says; ValueError where one that is not listed is not plain."""
    if kind is None:
        if isinstance(value, dict | list):
            plain(value, 1)
    elif isinstance(kind, tuple):
        if type(value) not in kind:
            raise TypeError(f"{where} is {type(value).__name__}, not {' or '.join(one.__name__ for one in kind)}")
        if type(value) is dict:
            plain(value, 1)
    elif isinstance(kind, list):
        if not isinstance(value, list):
            raise TypeError(f"{where} is no list")
        if not set(map(type, value)).issubset(kind[0]):
            raise TypeError(f"{where} is not made of {'numbers' if kind[0] == NUMBER else ' or '.join(one.__name__ for one in kind[0])}")
    elif not isinstance(value, dict):
        raise TypeError(f"{where} is no object")
    else:
        match_each(value, kind, f"{where}.")


def match_each(fields: dict[str, Any], kinds: dict[str, Kind], where: str = "") -> None:
    each = kinds.get(EACH)
    if len(kinds) == 1 and type(each) is tuple and set(map(type, fields.values())).issubset(each):
        return
    for name, value in fields.items():
        kind, own = kinds.get(name, each), type(value)
        if not (type(kind) is tuple and own in kind and own is not dict):
            match(value, kind, where + name)


def check(record: Record, tamed: bool = False) -> None:
    """Raise KeyError if something that tables need is not there, TypeError or ValueError if it is not what it should be.

    `tamed`: it was read from text that is `tame`, or was found `plain`.
    """
    if not tamed:
        plain(record)
    required = REQUIRED[record["kind"]]
    absent = [field for field in required if field not in record]
    match_each(record, FIELDS)
    if "notes" in record:
        match(record["notes"], NOTES.get(record["kind"], TEXT), "notes")
    absent += ["machine.slug"] if "machine" in required and "slug" not in record.get("machine", {}) else []
    if "budget" in required:
        absent += [f"budget.{field}" for field in ("name", "dtype", "samples") if field not in record.get("budget", {})]
    if record["kind"] in ("run", "trial") and record.get("status") == "ok":
        test = record.get("test", {})
        if record["kind"] == "run":
            absent += [f"test.{which}" for which in ("best", "last") if record["metric"]["name"] not in test.get(which, {})]
            absent += ["train_seconds"] if record.get("train_seconds") is None else []
        absent += [f"curve.{name}" for name in CURVES if name not in record["curve"]]
    if absent:
        raise KeyError(f"no {', '.join(absent)}")
    check_names(record)
    if record["kind"] == "latency":
        calls = unpack(record["samples_ms"])
        if calls.size and not (calls.min() >= 0 and calls.max() < LONGEST):
            raise ValueError("timed calls are not numbers from 0 on")
        for times in (record[name] for name in ("medians_ms", "twin_ms") if name in record):
            if not times or not all(1 / LONGEST < value < LONGEST for value in times):
                raise ValueError("times are not positive numbers, one at least")
    if any(not 0 <= cost < GREAT for name in ("costs", "exact") for cost in record.get(name, {}).values() if cost is not None):
        raise ValueError("a cost is no number from 0 on")
    if record["kind"] == "run":
        check_run(record)


def check_names(record: Record) -> None:
    """ValueError where a record would lie, or names something that lies, outside its results folder."""
    required = REQUIRED[record["kind"]]
    names = [record["dataset"]] if "dataset" in required else []
    if "machine" in required:  # it lies in folders of these names, or names a file there
        kept = record["kind"] == "machine" or "facts" in record["machine"]
        names += [record["machine"].get(name, "") for name in (("slug", "torch") if kept else ("slug",))]
        names += [record["machine"]["facts"]] if "facts" in record["machine"] else []
    names += [record["budget"]["name"]] if "budget" in required else []
    names += [probe] if isinstance(probe := record.get("probe"), str) else []
    wrong = [name for name in names if not NAMED.fullmatch(name)]
    wrong += [record["model"]] if "model" in required and not readable(record["model"]) else []
    if wrong:
        raise ValueError(f"{wrong[0]!r} is no name of a file")


def check_run(record: Record) -> None:
    """That a metric can be read, that curves are as long as each other, and that what is kept of each sample can be unpacked."""
    if record["metric"].get("better") not in ("higher", "lower") or not record["metric"].keys() <= {"name", "better", "percent"}:
        raise ValueError("metric is not a name and which way is better")
    if len({len(values) for name, values in record["curve"].items() if name in CURVES}) > 1:
        raise ValueError("curves are not of one length")
    scores = {
        record["metric"].get("name", ""),
        *record.get("derived", {}),
        *(name for which in record.get("test", {}).values() for name in which),
    }
    if wrong := [name for name in scores if not NAMED.fullmatch(name)]:
        raise ValueError(f"{wrong[0]!r} is no name of a score")
    examples = record.get("examples", {})
    sizes = [unpack(examples[name]).size for name in ("loss", "prediction", "target", "scores") if name in examples]
    if any(size % max(sizes[0], 1) for size in sizes):
        raise ValueError("examples are not of one length")
