"""The columns of runs.csv: a line for each trained seed that comparison.csv is the mean of, and for those that diverged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.core import machine
from bench.store.records import Record
from bench.tables.chosen import val
from bench.tables.column import Column
from bench.tables.converged import improving
from bench.tables.made import commit, day
from bench.tables.rows import Row
from bench.tables.scales import unit

PAIRED = 10  # digits: differences of two models, seed by seed, are small


@dataclass(frozen=True)
class Seed:
    """One trained seed of a row; `place` is its place among the row's runs."""

    row: Row
    run: Record
    place: int


def seeds(table: Sequence[Row]) -> list[Seed]:
    """Every trained seed of these rows, in their order."""
    return [Seed(row, run, place) for row in table for place, run in enumerate(row.runs)]


def mean_val(row: Row) -> float | None:
    """The mean of `val` over the seeds of a row that has a value."""
    found = [value for run in row.runs if (value := val(run)) is not None] if row.values or not row.chosen else []
    return sum(found) / len(found) if found else None


def of_row(name: str) -> Callable[[Seed], Any]:
    return lambda one: getattr(one.row, name)


def of_run(name: str) -> Callable[[Seed], Any]:
    return lambda one: one.run.get(name)


def of_budget(name: str) -> Callable[[Seed], Any]:
    return lambda one: one.run["budget"].get(name)


def cost(name: str) -> Callable[[Seed], Any]:
    return lambda one: one.run["costs"].get(name)


def tested(which: str) -> Callable[[Seed], float | None]:
    return lambda one: one.run["test"][which][one.row.metric.name] if one.run["status"] == "ok" and one.row.chosen else None


def score(name: str) -> Callable[[Seed], float | None]:
    return lambda one: one.row.scores[name][one.place] if name in one.row.scores else None


def still(one: Seed) -> str:
    return "yes" if improving(one.run) else "no"


COLUMNS: list[Column[Seed]] = [
    Column("model", "text", of_row("model"), "The model's name."),
    Column("dataset", "text", of_row("dataset"), "The data set's name."),
    Column("budget", "text", of_row("budget"), "What a run may spend, and its recipe."),
    Column("dtype", "text", of_row("dtype"), "Arithmetic of training; bfloat16 is autocast."),
    Column("arithmetic", "text", of_row("arithmetic"), "What computed in training: kind of device, and torch's minor version."),
    Column("seed", "count", of_run("seed"), "It draws the data where they are generated, the split, the order and the first weights."),
    Column("family", "text", of_row("family"), "What the model mixes by."),
    Column("machine", "text", lambda one: machine.name_of(one.run), "Name of the machine that trained."),
    Column("status", "text", of_run("status"), "What came of the run: ok or diverged."),
    Column("reason", "text", of_run("reason"), "Why it has no value, or what to know about it."),
    Column("metric", "text", lambda one: one.row.metric.name, "Name of the metric that ranks."),
    Column("unit", "text", lambda one: unit(one.row.metric), "What `value`, `value_last` and `val` are counted in."),
    Column("direction", "text", lambda one: one.row.metric.better, "Whether a higher or a lower `value` is better."),
    Column(
        "value", "figure", tested("best"), "The metric on the test split, with the weights best on val.", better="metric", digits=PAIRED
    ),
    Column("value_last", "figure", tested("last"), "The same with the weights at the end of training.", better="metric", digits=PAIRED),
    Column("val", "figure", lambda one: val(one.run), "The metric on val, with the weights best there.", better="metric", digits=PAIRED),
    Column("best_samples", "count", of_run("best_samples"), "Training samples seen when val was best."),
    Column("improving", "text", still, "Whether val gained more than the margin in its last tenth."),
    Column("samples", "count", of_budget("samples"), "Training samples that the budget allows, repetitions included."),
    Column("batch", "count", of_budget("batch"), "Samples in one training step."),
    Column("lr", "figure", of_budget("lr"), "Highest learning rate."),
    Column("weight_decay", "figure", of_budget("weight_decay"), "Weight decay."),
    Column("tuned", "text", of_row("tuned"), "Whether learning rate and weight decay are those that tuning found: yes or no."),
    Column("seconds", "figure", of_run("train_seconds"), "Training time; seeds trained together share it.", "s", "lower"),
    Column("together", "count", of_run("together"), "Seeds that were trained at once in stacked weights."),
    Column("params", "count", cost("params"), "Elements of all parameters.", "", "lower"),
    Column("params_active", "count", cost("params_active"), "Elements of parameters that can learn.", "", "lower"),
    Column("flops", "count", cost("flops"), "Floating-point operations of one forward pass of one sample.", "", "lower"),
    Column("peak_bytes", "count", cost("peak_bytes"), "Most bytes of tensors alive in one training step.", "bytes", "lower"),
    Column("recipe", "text", of_run("recipe"), "A name for all runs of a cell that differ in nothing but seed and code."),
    Column("torch", "text", lambda one: one.run["machine"].get("torch"), "Version of torch."),
    Column("date", "text", lambda one: day(one.run), "The day it was trained, in UTC."),
    Column("commit", "text", lambda one: commit(one.run), "The commit whose code trained it; -dirty: with local changes."),
]


def columns(scores: Sequence[Column[Row]]) -> list[Column[Seed]]:
    """All columns, one for each score of comparison.csv among them."""
    own = [
        Column(
            one.name,
            one.kind,
            score(one.name.removeprefix("test_")),
            one.about.replace(": the mean over seeds", ""),
            better=one.better,
            digits=PAIRED,
        )
        for one in scores
    ]
    return [*COLUMNS, *own]
