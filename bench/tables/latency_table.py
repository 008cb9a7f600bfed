"""Latency records -> what a reader may know of each timing: the rows of latency.csv. Reads, never measures.

An interval is over the medians of processes that took turns. Records of one process have none; those of version 0.2 have samples alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from bench.core import machine
from bench.core.stats import between, quantiles
from bench.store.encoding import unpack
from bench.store.records import Record
from bench.tables.column import Column, Kind
from bench.tables.formatting import number
from bench.tables.made import commit, day

UNCHECKED = "not checked: timed before version 0.3"
OTHER_SOURCE = "another source than the trained weights"
PLACES = ("cpu", "cpu_all", "cuda")  # one thread, all threads, a GPU
CUDA = ("events", "graph", "async")
Flat = Mapping[str, Any]  # a row of latency.csv by column
QUANTILES = {"p50": "half", "p95": "95 %", "p99": "99 %"}
CONVOLUTION = "backbone_conv"  # what others are held against


def own(name: str, kind: Kind, about: str, unit: str = "", better: Literal["", "lower", "higher"] = "") -> Column[Flat]:
    """A column of latency.csv; `flat` has its figures."""
    return Column(name, kind, lambda row: row.get(name), about, unit, better)


def ends(name: str, unit: str = "") -> list[Column[Flat]]:
    """The ends of the interval of `name`, with `unit` in their names."""
    kept = {"low": "lower", "high": "upper"}
    return [own(f"{name}_{end}{unit}", "figure", f"The {word} end of its 95 % interval over processes.") for end, word in kept.items()]


COLUMNS = [
    own("model", "text", "The model's name."),
    own("dataset", "text", "The data set's name."),
    own("machine", "text", "Name of the machine that timed."),
    own("device", "text", "What computed: cpu or cuda."),
    own("threads", "count", "Threads of the CPU."),
    own("dtype", "text", "Arithmetic; bfloat16 is autocast."),
    own("batch", "count", "Samples in one forward pass."),
    own("samples", "count", "Calls that were timed."),
    own("processes", "count", "Processes that took turns."),
    *(
        own(f"{name}_ms", "figure", f"The time that {share} of the calls did not exceed.", "ms", "lower")
        for name, share in QUANTILES.items()
    ),
    *ends("p50", "_ms"),
    own("times_conv", "figure", f"Median time over that of `{CONVOLUTION}` on the same data, in the same turns.", "", "lower"),
    *ends("times_conv"),
    own("twin", "figure", "Median time of the same once more, over the first, in the same turns."),
    own("timed_as", "text", "The data set for which this structure was timed, where it was another."),
    own("samples_per_second", "figure", "The batch over the median time.", "samples/s", "higher"),
    own("noop_ms", "figure", "The same loop around no model.", "ms"),
    own("warm_up_calls", "count", "Calls before the first that was timed."),
    own("settled", "text", "Whether the warm-up ended because times had settled."),
    own("operators", "count", "Operators that one forward pass dispatches, counted.", "", "lower"),
    own("forward_peak_bytes", "count", "Most bytes of tensors alive in one pass, weights and input included, counted.", "bytes", "lower"),
    own("flops", "count", "Floating-point operations of one forward pass of one sample, by torch's counter.", "", "lower"),
    own("params", "count", "Elements of all parameters.", "", "lower"),
    own("events_p50_ms", "figure", "Median by the device's own clock; CUDA only.", "ms", "lower"),
    own("graph_p50_ms", "figure", "Median of the same kernels replayed as one CUDA graph.", "ms", "lower"),
    own("async_p50_ms", "figure", "Median until the call returns, the device not waited for.", "ms"),
    own("sync_over_async", "figure", "How many times too fast not waiting would have claimed the model to be."),
    own("kernels", "count", "Kernels that one forward pass launches; CUDA only.", "", "lower"),
    own("validity", "text", "What was wrong with the timing; empty: nothing was found."),
    own("notes", "text", "What to know about the timing."),
    own("torch", "text", "Version of torch."),
    own("date", "text", "The day it was timed, in UTC."),
    own("commit", "text", "The commit whose code was timed; -dirty: with local changes."),
]
KEY = ("model", "dataset", "machine", "device", "threads", "dtype", "batch")
NAMES = {column.name for column in COLUMNS}
Sources = Mapping[tuple[str, str], set[str]]  # model and data set -> digests of source under which its runs stand


def threads(r: Record) -> int:
    """A record's threads; older ones have those of the process."""
    return int(r.get("threads", r["machine"].get("threads", 1)))


def place(r: Record) -> str:
    """Which columns a record fills, `cpu_b1` say."""
    where = "cpu_all" if r["device"] == "cpu" and threads(r) != 1 else r["device"]
    return f"{where}_b{r['batch']}"


@lru_cache(maxsize=2**15)
def measured(samples_ms: str) -> dict[str, float]:
    """Quantiles of packed samples and how many there are: asked for by several tables, and of several budgets."""
    samples = unpack(samples_ms)
    return {**quantiles(samples), "samples": len(samples)} if len(samples) else {}


def median(name: str, values: Sequence[float] | np.ndarray, unit: str = "") -> dict[str, float]:
    """The median over processes, and its interval where they are enough."""
    found = between(np.asarray(values), 0.5)
    bounds = zip(("low", "high"), found or (), strict=False)
    return {f"{name}{unit}": float(np.median(values)), **{f"{name}_{end}{unit}": value for end, value in bounds}}


def figures(r: Record) -> dict[str, float]:
    """All that was measured; a figure that is not there was not."""
    found = dict(measured(r["samples_ms"]))
    if not found:
        return {}
    if "medians_ms" in r:
        found |= median("p50", r["medians_ms"], "_ms") | {"processes": len(r["medians_ms"])}
    if "twin_ms" in r:
        found["twin"] = float(np.median(r["twin_ms"])) / found["p50_ms"]
    found["samples_per_second"] = 1e3 * r["batch"] / found["p50_ms"]
    found |= {name: r[name] for name in ("noop_ms", "warm_up_calls", "kernels") if r.get(name) is not None}
    counted = {"forward_peak_bytes" if name == "peak_bytes" else name: value for name, value in r.get("exact", {}).items()}
    found |= {name: value for name, value in counted.items() if name in NAMES}
    found |= {f"{name}_p50_ms": float(np.median(unpack(r[f"{name}_ms"]))) for name in CUDA if f"{name}_ms" in r}
    if found.get("async_p50_ms"):
        found["sync_over_async"] = found["p50_ms"] / found["async_p50_ms"]
    return found


def validity(r: Record, sources: Sources) -> str:
    """What speaks against a timing, in words; '' if it was looked for and nothing was found."""
    known = sources.get((r["model"], r["dataset"]), set())
    stale = [OTHER_SOURCE] if known and r["source"] not in known else []
    return r.get("reason") or "; ".join([*r.get("validity", [UNCHECKED]), *stale])


def notes(r: Record) -> list[str]:
    """What to know about a timing, of its machine included."""
    emulated = machine.doubt(r["machine"], r["device"], r["dtype"])
    return [*r.get("notes", []), *([emulated] if emulated else [])]


def against_convolution(records: Sequence[Record]) -> list[dict[str, float]]:
    """Of each record its time over convolution's, process by process, where both were timed in the same turns."""

    def turns(r: Record) -> tuple[Any, ...]:
        return r.get("turns"), machine.name_of(r), r["dataset"], r["device"], r["batch"], r["dtype"], threads(r)

    base = {turns(r): r["medians_ms"] for r in records if r["model"] == CONVOLUTION and "turns" in r}
    found = []
    for r in records:
        own, other = r.get("medians_ms", []), base.get(turns(r), [])
        paired = r["model"] != CONVOLUTION and len(own) == len(other) > 0
        found.append(median("times_conv", np.divide(own, other)) if paired else {})
    return found


def twins(records: Sequence[Record]) -> str:
    """By how much things that are the same differed, in a sentence; '' if nothing was timed twice."""
    apart = [max(ratio, 1 / ratio) - 1 for r in records if (ratio := figures(r).get("twin"))]
    if not apart:
        return ""
    return (
        f"What a clock is worth here: {len(apart)} timings were made twice, in the same processes, and differed by"
        f" {number(100 * float(np.median(apart)), 2)} % in the median and {number(100 * max(apart), 2)} % at most: no smaller"
        " difference says anything."
    )


def flat(r: Record, sources: Sources) -> dict[str, Any]:
    """The row of latency.csv, without what other records have to do with."""
    row = {name: r.get(name) for name in ("model", "dataset", "device", "dtype", "batch", "settled", "timed_as")}
    row |= {"machine": machine.name_of(r), "threads": threads(r), **figures(r)}
    row |= {"torch": r["machine"].get("torch"), "date": day(r), "commit": commit(r)}
    return {**row, "validity": validity(r, sources), "notes": "; ".join(notes(r))}


def ordered(records: Sequence[Record]) -> list[Record]:
    def key(r: Record) -> tuple[object, ...]:
        return r["dataset"], r["model"], machine.name_of(r), r["device"], r["batch"], r["dtype"] != "float32", threads(r)

    return sorted(records, key=key)


def lines(records: Sequence[Record], sources: Sources) -> list[Flat]:
    """The rows of latency.csv: a line for each timing."""
    own = ordered(records)
    return [flat(r, sources) | ratio for r, ratio in zip(own, against_convolution(own), strict=True)]
