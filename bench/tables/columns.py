"""The columns of comparison.csv, and of all that derives from it: comparison.md, the page, the axes of plots, the dictionary.

A new column is one entry in COLUMNS. A new metric needs none: `scores` makes one of every metric that a row was scored by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import datasets
from bench.core.stats import mean
from bench.store.records import BATCHES
from bench.tables import latency_table
from bench.tables.column import Column, OnPage, filled
from bench.tables.converged import count
from bench.tables.formatting import amount, escape, number, quality
from bench.tables.made import commits
from bench.tables.rows import COUNTED, LATENCY, TIMED, Row
from bench.tables.runs import mean_val
from bench.tables.scales import unit
from datasets.task import Metric

DOUBTED = "†"
PLACES = {"cpu": "CPU, one thread", "cpu_all": "CPU, all threads", "cuda": "CUDA"}
FIGURES = {
    "p50": "Median time of one forward pass",
    "p95": "95 % of forward passes took no longer; needs 20 calls",
    "p99": "99 % of forward passes took no longer; needs 500 calls",
    "p50_low": "Lower end of the median's 95 % interval",
    "p50_high": "Upper end of the median's 95 % interval",
    "operators": "Operators that one forward pass dispatches, counted",
    "forward_peak_bytes": "Most bytes of tensors alive in one forward pass, weights and input included, counted",
}
HEADS = {  # of latencies and throughputs in comparison.md, where there is room for few
    LATENCY: "CPU ms, b1",
    "throughput_cpu_b64_per_s": "CPU samples/s, b64",
    "latency_cuda_b1_p50_ms": "CUDA ms, b1",
    "throughput_cuda_b64_per_s": "CUDA samples/s, b64",
}


def known(name: str) -> Callable[[Row], Any]:
    return lambda row: getattr(row, name)


def cost(name: str) -> Callable[[Row], int | None]:
    return lambda row: row.costs.get(name)


def bound(name: str) -> Callable[[Row], float | None]:
    """An end of the interval over seeds; a single seed has none."""
    return lambda row: getattr(value, name) if (value := row.value) is not None and value.n > 1 else None


def last(row: Row) -> float | None:
    return mean([*row.values_last.values()]) if row.values_last else None


def deviation(row: Row) -> float | None:
    return float(np.std([*row.values.values()], ddof=1)) if len(row.values) > 1 else None


def score(name: str) -> Callable[[Row], float | None]:
    return lambda row: mean(values) if (values := row.scores.get(name)) else None


def said_amount(name: str) -> Callable[[Row], str]:
    return lambda row: amount(row.costs.get(name))


def timed(row: Row, name: str) -> str:
    """A latency or throughput, marked where its certificate has a complaint."""
    doubted = any(f"_{place}_" in name for place, doubt in row.doubts.items() if doubt)
    return number(row.latency.get(name)) + DOUBTED * doubted


def latency(name: str) -> Callable[[Row], float | None]:
    return lambda row: row.latency.get(name)


def marked(name: str) -> Callable[[Row], str]:
    return lambda row: timed(row, name)


def doubt(place: str) -> Callable[[Row], str | None]:
    return lambda row: row.doubts.get(place)


def timing(device: str, batch: int, figure: str) -> Column[Row]:
    """The column of a figure of one batch's latency; medians and their bounds are on the page, of one sample."""
    place, plain = f"{device}_b{batch}", figure.removesuffix("_ms")
    name, counted = f"latency_{place}_{figure}", figure in COUNTED
    label = ("latency, batch 1" if batch == 1 else f"per sample, batch {batch}") if plain == "p50" else ""
    page = OnPage(label, f"ms, {PLACES[device]}", "latency", scale=1 / batch, place=device)
    return Column(
        name,
        "count" if counted else "figure",
        latency(name),
        f"{FIGURES[plain]} (batch {batch}; {PLACES[device]}).",
        ("bytes" if "bytes" in figure else "") if counted else "ms",
        "lower",
        HEADS.get(name, ""),
        marked(name),
        axis="CPU latency, batch 1 (ms)" if name == LATENCY else "",
        page=page if plain.startswith("p50") else None,
    )


def timings(device: str) -> list[Column[Row]]:
    """The columns of one place where latency is measured."""
    found: list[Column[Row]] = []
    for batch in BATCHES:
        found += [timing(device, batch, figure) for figure in TIMED]
        place = f"{device}_b{batch}"
        about = f"What was wrong with the timing; empty: nothing was found, or nothing timed (batch {batch}; {PLACES[device]})."
        found.append(Column(f"latency_{place}_validity", "text", doubt(place), about))
    name = f"throughput_{device}_b{BATCHES[-1]}_per_s"
    about = f"Samples a second at the median time (batch {BATCHES[-1]}; {PLACES[device]})."
    return [*found, Column(name, "figure", latency(name), about, "samples/s", "higher", HEADS.get(name, ""), marked(name))]


STILL = "Of these, how many were not converged: val gained more than the margin in the last tenth of training."
COLUMNS: list[Column[Row]] = [
    Column("model", "text", known("model"), "The model's name.", head="model", page=OnPage("model")),
    Column("dataset", "text", known("dataset"), "The data set's name.", head="data set", page=OnPage("data set")),
    Column("family", "text", known("family"), "What the model mixes by; a colour of the plots."),
    Column("budget", "text", known("budget"), "What a run may spend, and its recipe.", head="budget", page=OnPage("budget")),
    Column("dtype", "text", known("dtype"), "Arithmetic of training; bfloat16 is autocast.", page=OnPage()),
    Column(
        "arithmetic", "text", known("arithmetic"), "What computed in training: kind of device, and torch's minor version.", page=OnPage()
    ),
    Column(
        *("machine", "text", known("machine"), "Name of the machine that latencies are of, the same in all rows."),
        head="machine",
        late=True,
        page=OnPage("machine"),
    ),
    Column(
        *("status", "text", known("status"), "What came of the cell: ok, diverged, out_of_memory, error or skipped."),
        head="status",
        page=OnPage("status", late=True),
    ),
    Column(
        *("reason", "text", known("reason"), "Why there is no number, or what to know about the one there is."),
        head="reason",
        say=lambda row: escape(row.reason),
        late=True,
        page=OnPage("reason or remark", cell="long", late=True),
    ),
    Column(
        *("metric", "text", lambda row: row.metric.name, "Name of the metric that ranks."),
        head="metric",
        page=OnPage("metric", cell="metric"),
    ),
    Column("unit", "text", lambda row: unit(row.metric), "What that metric is counted in."),
    Column("direction", "text", lambda row: row.metric.better if row.metric.name else "", "Whether a higher or a lower `value` is better."),
    Column(
        *("value", "figure", lambda row: value.mean if (value := row.value) else None),
        "That metric on the test split, with the weights best on val: the mean over seeds. Shares are from 0 to 1.",
        better="metric",
        head="test",
        say=lambda row: quality(row.value, row.metric),
        page=OnPage("quality on test", "± half 95 % interval", cell="quality"),
    ),
    Column("low", "figure", bound("low"), "Lower end of the 95 % Student interval of `value` over seeds.", page=OnPage()),
    Column("high", "figure", bound("high"), "Upper end of the 95 % Student interval of `value` over seeds.", page=OnPage()),
    Column("sd", "figure", deviation, "Standard deviation of `value` over seeds (n - 1)."),
    Column("val", "figure", mean_val, "As `value`, on val, where those weights were chosen.", better="metric"),
    Column("value_last", "figure", last, "As `value`, with the weights at the end of training.", better="metric"),
    Column(
        *("seeds", "count", lambda row: len(row.values), "Seeds that `value` is the mean of: n."),
        head="seeds",
        say=lambda row: str(len(row.values) or ""),
        page=OnPage("n", "seeds", cell="whole", blank=0),
    ),
    Column("improving", "count", lambda row: count(row.runs) if row.values else None, STILL),
    Column("params", "count", cost("params"), "Elements of all parameters.", "", "lower", "params", said_amount("params")),
    Column(
        *("params_active", "count", cost("params_active"), "Elements of parameters that can learn."),
        better="lower",
        head="active",
        say=said_amount("params_active"),
        axis="parameters that learn",
        page=OnPage("parameters", "that learn", "whole"),
    ),
    Column(
        *("flops", "count", cost("flops"), "Floating-point operations of one forward pass of one sample, by torch's counter."),
        better="lower",
        head="FLOPs",
        say=said_amount("flops"),
        axis="FLOPs per sample",
        page=OnPage("FLOPs", "per sample", cell="amount"),
    ),
    Column(
        *("peak_bytes", "count", cost("peak_bytes"), "Most bytes of tensors alive in one training step.", "bytes", "lower", "peak bytes"),
        said_amount("peak_bytes"),
    ),
    Column(
        *("train_seconds", "figure", lambda row: row.train_seconds),
        *("Training time of one seed, the mean over seeds trained on `train_machine`.", "s", "lower"),
        "train s",
        lambda row: number(row.train_seconds),
        axis="training seconds per seed",
        page=OnPage("training", "s per seed", cell="number"),
    ),
    Column("train_machine", "text", known("trainer"), "Name of the machine that `train_seconds` are of, the same in all rows."),
    Column("trained_on", "text", lambda row: "; ".join(row.trained_on), "Names of the machines that trained its runs."),
    Column("date", "text", lambda row: row.newest[:10], "The day the newest of its runs was trained, in UTC."),
    Column("commit", "text", lambda row: commits(row.runs), "The commits whose code trained its runs; -dirty: with local changes."),
    *(TIMINGS := [column for device in latency_table.PLACES for column in timings(device)]),
]


def scores(table: Sequence[Row]) -> list[Column[Row]]:
    """A column for each metric that any row was scored by on test, whichever ranks: the place where a registered metric becomes one."""

    registered: dict[str, Metric] = {m.name: m for name in datasets.names(published=True) for m in datasets.task(name).metrics}

    def one(name: str) -> Column[Row]:
        metric, title = registered.get(name), name.replace("_", " ")
        about = f"{title[0].upper()}{title[1:]} on the test split, with the weights best on val: the mean over seeds."
        better = metric.better if metric is not None else "lower" if name == "loss" else ""
        return Column(
            f"test_{name}", "figure", score(name), about, better=better, page=OnPage(title, "on test", cell="number", choice=True)
        )

    return [one(name) for name in sorted({name for row in table for name in row.scores})]


def columns(table: Sequence[Row]) -> list[Column[Row]]:
    """All columns of these rows."""
    return [*COLUMNS, *scores(table)]


def written(table: Sequence[Row]) -> list[Column[Row]]:
    """The columns of comparison.csv: those of timings only where something was timed."""
    absent = {one.name for one in TIMINGS} - {one.name for one in filled(TIMINGS, table)}
    return [one for one in columns(table) if one.name not in absent]


def column(name: str) -> Column[Row]:
    """A column by its name, for a plot's axis. KeyError if there is none."""
    return {one.name: one for one in COLUMNS}[name]
