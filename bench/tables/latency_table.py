"""Latency records -> what a reader may know of each timing: latency.csv and latency.md. Reads, never measures.

Records of version 0.2 have samples and nothing else; they are shown with what they have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from bench.core import machine
from bench.core.stats import quantile_intervals, quantiles
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


def own(name: str, kind: Kind, about: str, unit: str = "", better: Literal["", "lower", "higher"] = "") -> Column[Flat]:
    """A column of latency.csv; `flat` has its figures."""
    return Column(name, kind, lambda row: row.get(name), about, unit, better)


def bounds(percentile: str) -> list[Column[Flat]]:
    about = f"The time that {QUANTILES[percentile]} of the calls did not exceed"
    ends = [own(f"{percentile}_{end}_ms", "figure", f"The {end} end of its 95 % interval.", "ms", "lower") for end in ("low", "high")]
    return [own(f"{percentile}_ms", "figure", f"{about}.", "ms", "lower"), *ends]


COLUMNS = [
    own("model", "text", "The model's name."),
    own("dataset", "text", "The data set's name."),
    own("machine", "text", "Name of the machine that timed."),
    own("device", "text", "What computed: cpu or cuda."),
    own("threads", "count", "Threads of the CPU."),
    own("dtype", "text", "Arithmetic; bfloat16 is autocast."),
    own("batch", "count", "Samples in one forward pass."),
    own("samples", "count", "Calls that were timed."),
    *(column for percentile in QUANTILES for column in bounds(percentile)),
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
    "Every timing of a forward pass, in evaluation mode, on weights that were not trained: a pass takes as long. p50, p95 and p99 are"
    " quantiles of single calls, in brackets their 95 % intervals from ordered samples (none where there are too few; p95 needs"
    " 20 calls, p99 500). *Empty call* is the same loop around no model. Warm-up goes on until the medians of three successive"
    " windows agree within 5 %. *Operators* and *peak bytes* are counted, not timed: operators that one pass dispatches, and the most"
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
    """Quantiles of packed samples, their intervals and how many there are: asked for by several tables, and of several budgets."""
    samples = unpack(samples_ms)
    return {**quantiles(samples), **quantile_intervals(samples), "samples": len(samples)} if len(samples) else {}


def figures(r: Record) -> dict[str, float]:
    """All that was measured; a figure that is not there was not."""
    found = dict(measured(r["samples_ms"]))
    if not found:
        return {}
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


def flat(r: Record, sources: Sources) -> dict[str, Any]:
    """The row of latency.csv."""
    row = {name: r.get(name) for name in ("model", "dataset", "device", "dtype", "batch", "settled")}
    row |= {"machine": machine.name_of(r), "threads": threads(r), **figures(r)}
    row |= {"torch": r["machine"].get("torch"), "date": day(r), "commit": commit(r)}
    return {**row, "validity": validity(r, sources), "notes": "; ".join(notes(r))}


def ordered(records: Sequence[Record]) -> list[Record]:
    def key(r: Record) -> tuple[object, ...]:
        return r["dataset"], r["model"], machine.name_of(r), r["device"], r["batch"], r["dtype"] != "float32", threads(r)

    return sorted(records, key=key)


def lines(records: Sequence[Record], sources: Sources) -> list[Flat]:
    """The rows of latency.csv: a line for each process that timed."""
    return [flat(r, sources) for r in ordered(records)]


def bounded(found: Mapping[str, float], percentile: str) -> str:
    """A quantile with its interval: '1.21 [1.2, 1.24]'."""
    value, low, high = (number(found.get(f"{percentile}{bound}_ms")) for bound in ("", "_low", "_high"))
    return f"{value} [{low}, {high}]" if low else value


def line(r: Record, sources: Sources, gpu: bool, slug: bool) -> dict[str, str]:
    """The row of latency.md."""
    found = figures(r)
    count = threads(r)
    on = "cuda" if r["device"] == "cuda" else f"cpu, {count} thread{'s' * (count != 1)}"
    cells = {"model": r["model"], **({"machine": machine.name_of(r)} if slug else {})}
    cells |= {"on": on + (", bf16" if r["dtype"] == "bfloat16" else ""), "batch": str(r["batch"])}
    cells |= {f"{percentile} ms": bounded(found, percentile) for percentile in ("p50", "p95", "p99")}
    if gpu:
        ratio = f" ({number(found['sync_over_async'])} ×)" if "sync_over_async" in found else ""
        cells |= {f"{name} ms": number(found.get(f"{name}_p50_ms")) for name in ("events", "graph")}
        cells |= {"unwaited ms": number(found.get("async_p50_ms")) + ratio, "kernels": number(found.get("kernels"))}
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
    parts = ["# Latency, with certificates", HEAD, *([HEAD_CUDA] if gpu else [])]
    for dataset in sorted({r["dataset"] for r in records}):
        body = [line(r, sources, gpu, several) for r in ordered(records) if r["dataset"] == dataset]
        parts += [f"## {dataset}", markdown(body)]
    return "\n\n".join(parts if records else [*parts, "Nothing was timed yet."]) + "\n"
