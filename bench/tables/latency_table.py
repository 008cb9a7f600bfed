"""Latency records -> what a reader may know of each timing: latency.csv and latency.md. Reads, never measures.

An interval is over the medians of processes that took turns. Records of one process have none; those of version 0.2 have samples alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, Literal

import numpy as np

from bench.core import machine
from bench.core.stats import between, quantiles
from bench.store.encoding import unpack
from bench.store.records import Record
from bench.tables.column import Column, Kind
from bench.tables.formatting import amount, escape, markdown, number
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
HEAD = (
    "Every timing of a forward pass, in evaluation mode, on weights that were not trained: a pass takes as long. Processes take turns;"
    " p50 is the median of their medians, in brackets its 95 % interval over them (from six processes on), p95 and p99 are quantiles"
    f" of all calls (from 20, 500). *× conv* is p50 over that of `{CONVOLUTION}` in the same turns. Warm-up goes on until medians of three"
    " successive windows agree within 5 %. *Operators* and *peak bytes* are counted, not timed: operators that a pass dispatches, and most"
    " bytes of tensors alive in it, weights and input included. bf16 is autocast, as in training: casting the float32 weights is part"
    " of the pass. *Validity* names what was wrong; empty: nothing was found. A timing of earlier source stays where"
    " trained runs stand: its model computes the same. [latency.csv](latency.csv) has the same in full."
)
HEAD_CUDA = (
    "On a GPU, p50 stops the clock after the device has finished. *Events* is the device's own clock, *graph* the same kernels replayed"
    " as one CUDA graph: where it is much shorter than p50, launching takes the time; where it is as long, computing does."
    " *Unwaited* stops the clock when the call returns, and in brackets is how many times too fast that would have claimed the model to be."
)


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


def bounded(found: Mapping[str, float], name: str, unit: str = "") -> str:
    """A figure with its interval: '1.21 [1.2, 1.24]'."""
    value, low, high = (number(found.get(f"{name}{bound}{unit}")) for bound in ("", "_low", "_high"))
    return f"{value} [{low}, {high}]" if low else value


def line(r: Record, ratio: Mapping[str, float], sources: Sources, gpu: bool, slug: bool) -> dict[str, str]:
    """The row of latency.md."""
    found = figures(r)
    count = threads(r)
    on = "cuda" if r["device"] == "cuda" else f"cpu, {count} thread{'s' * (count != 1)}"
    cells = {"model": r["model"], **({"machine": machine.name_of(r)} if slug else {})}
    cells |= {"on": on + (", bf16" if r["dtype"] == "bfloat16" else ""), "batch": str(r["batch"])}
    cells |= {"p50 ms": bounded(found, "p50", "_ms"), "× conv": bounded(ratio, "times_conv")}
    cells |= {f"{percentile} ms": number(found.get(f"{percentile}_ms")) for percentile in ("p95", "p99")}
    if gpu:
        claimed = f" ({number(found['sync_over_async'])} ×)" if "sync_over_async" in found else ""
        cells |= {f"{name} ms": number(found.get(f"{name}_p50_ms")) for name in ("events", "graph")}
        cells |= {"unwaited ms": number(found.get("async_p50_ms")) + claimed, "kernels": number(found.get("kernels"))}
    cells |= {"samples/s": number(found.get("samples_per_second")), "calls": number(found.get("samples"))}
    empty = found.get("noop_ms")
    cells |= {"warm-up calls": number(found.get("warm_up_calls")), "empty call µs": number(1e3 * empty if empty is not None else None)}
    cells |= {"operators": number(found.get("operators"), 9), "peak bytes": amount(found.get("forward_peak_bytes"))}
    told = "; ".join(filter(None, [validity(r, sources), *notes(r)]))
    return cells | {"validity": escape(told)}


def page(records: Sequence[Record], sources: Sources) -> str:
    """latency.md: a table for each data set."""
    gpu = any(r["device"] == "cuda" for r in records)
    several = len({machine.name_of(r) for r in records}) > 1
    parts = ["# Latency, with certificates", *filter(None, [twins(records)]), HEAD, *([HEAD_CUDA] if gpu else [])]
    own = ordered(records)
    for dataset, group in groupby(zip(own, against_convolution(own), strict=True), lambda pair: pair[0]["dataset"]):
        parts += [f"## {dataset}", markdown([line(r, ratio, sources, gpu, several) for r, ratio in group])]
    return "\n\n".join(parts if records else [*parts, "Nothing was timed yet."]) + "\n"
