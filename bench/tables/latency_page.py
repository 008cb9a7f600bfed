"""Latency records -> latency.md: a table a data set and machine, a line a model, and below it what was wrong with which timing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby

from bench.core import machine
from bench.store.records import Record
from bench.tables.columns import DOUBTED
from bench.tables.formatting import escape, markdown, number
from bench.tables.latency_table import CONVOLUTION, Sources, against_convolution, figures, notes, ordered, threads, twins, validity

HEAD = (
    "Milliseconds of a forward pass, in evaluation mode, on weights that were not trained: a pass takes as long. Processes take turns;"
    " a figure is the median of their medians, in brackets its 95 % interval over them (from six processes on). *× conv* is it over that of"
    f" `{CONVOLUTION}` in the same turns. bf16 is autocast, as in training: casting the float32 weights is part of the pass. {DOUBTED} says"
    " that something was wrong, or is to be known, and below each table stands what. [latency.csv](latency.csv) has every timing in full:"
    " other quantiles, warm-up, what an empty call takes, operators and bytes."
)
HEAD_CUDA = (
    "On a GPU the clock stops after the device has finished. *Events* is the device's own clock, *graph* the same kernels replayed"
    " as one CUDA graph: where it is much shorter, launching takes the time; where it is as long, computing does."
    " *Unwaited* stops the clock when the call returns, and in brackets is how many times too fast that would have claimed the model to be."
)


def bounded(found: Mapping[str, float], name: str, unit: str = "") -> str:
    """A figure with its interval: '1.21 [1.2, 1.24]'."""
    value, low, high = (number(found.get(f"{name}{bound}{unit}")) for bound in ("", "_low", "_high"))
    return f"{value} [{low}, {high}]" if low else value


def place(r: Record) -> str:
    """Where a timing was taken, in words."""
    count = threads(r)
    return f"{'CUDA' if r['device'] == 'cuda' else f'{count} thread' + 's' * (count != 1)}, batch {r['batch']}"


def name(r: Record) -> str:
    return r["model"] + (", bf16" if r["dtype"] == "bfloat16" else "")


def cells(r: Record, ratio: Mapping[str, float], doubt: str) -> dict[str, str]:
    """What one timing adds to its model's line."""
    found, at = figures(r), place(r)
    said = {f"{at}: ms": bounded(found, "p50", "_ms") + (DOUBTED if doubt and found else "")}
    if r["device"] == "cuda":
        said |= {f"{at}: {clock} ms": number(found.get(f"{clock}_p50_ms")) for clock in ("events", "graph")}
        claimed = f" ({number(found['sync_over_async'])} ×)" if "sync_over_async" in found else ""
        return said | {f"{at}: unwaited ms": number(found.get("async_p50_ms")) + claimed, f"{at}: kernels": number(found.get("kernels"))}
    return said | {f"{at}: × conv": bounded(ratio, "times_conv")}


def table(group: Sequence[tuple[Record, Mapping[str, float]]], sources: Sources) -> str:
    """The lines of one data set and machine, and what is to be known of single timings."""
    lines: dict[str, dict[str, str]] = defaultdict(dict)
    doubts: dict[str, list[str]] = defaultdict(list)
    for r, ratio in sorted(group, key=lambda pair: (pair[0]["device"], threads(pair[0]), pair[0]["batch"])):
        told = "; ".join(filter(None, [validity(r, sources), *notes(r)]))
        lines[name(r)] |= cells(r, ratio, told)
        if told:
            doubts[escape(told)].append(f"{name(r)} ({place(r)})")
    heads = [
        head for head in dict.fromkeys(head for line in lines.values() for head in line) if any(line.get(head) for line in lines.values())
    ]
    shown = markdown([{"model": model} | {head: lines[model].get(head, "") for head in heads} for model in sorted(lines)])
    return "\n\n".join([shown, *["\n".join(f"- {told}: {', '.join(where)}" for told, where in doubts.items())] * bool(doubts)])


def page(records: Sequence[Record], sources: Sources) -> str:
    """latency.md."""
    gpu = any(r["device"] == "cuda" for r in records)
    parts = ["# Latency", *filter(None, [twins(records)]), HEAD, *([HEAD_CUDA] if gpu else ["No CUDA device: nothing was timed on one."])]
    own = ordered(records)
    pairs = sorted(zip(own, against_convolution(own), strict=True), key=lambda pair: (pair[0]["dataset"], machine.name_of(pair[0])))
    for (dataset, slug), group in groupby(pairs, lambda pair: (pair[0]["dataset"], machine.name_of(pair[0]))):
        parts += [f"## {dataset}", f"On `{slug}`.", table(list(group), sources)]
    return "\n\n".join(parts if records else [*parts, "Nothing was timed yet."]) + "\n"
