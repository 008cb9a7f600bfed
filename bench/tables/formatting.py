"""Figures and differences as people read them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from tabulate import tabulate

from bench.core.stats import Interval, interval
from bench.store.records import Record
from bench.tables.chosen import val
from bench.tables.scales import scale
from datasets.task import Metric
from models.naming import plain

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def markdown(lines: Sequence[dict[str, Any]]) -> str:
    """A table, one column a key; figures stay as they were written."""
    return tabulate(lines, headers="keys", tablefmt="pipe", disable_numparse=True)


def number(value: float | None, digits: int = 3) -> str:
    """A figure for people: 3 significant digits, thousands separated, tiny ones as 9.7 × 10⁻⁵; '' if there is none."""
    if value is None or value != value:
        return ""
    rounded = float(f"{value:.{digits}g}")
    if abs(rounded) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    mantissa, _, power = f"{rounded:.{digits}g}".partition("e")
    return f"{mantissa} × 10{str(int(power)).translate(RAISED)}" if power else mantissa


def amount(value: float | None, digits: int = 3) -> str:
    """A large figure with a unit prefix: 1.21 M."""
    for size, prefix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value is not None and float(f"{value:.{digits}g}") >= size:
            return number(value / size, digits) + prefix
    return number(value, digits)


def quality(value: Interval | None, metric: Metric) -> str:
    """Mean ± half the 95 % interval, or its ends in brackets where one is the end of what is possible; shares in per cent."""
    if value is None:
        return ""
    scale = 100 if metric.percent else 1

    def said(figure: float) -> str:
        return f"{scale * figure:.2f}" if metric.percent else number(scale * figure, 4)

    dust = 1e-12 * abs(value.mean)  # of adding up
    within = "" if value.n < 2 else f" ± {number(scale * value.half if value.half > dust else 0.0, 2)}"
    down, up = value.mean - value.low, value.high - value.mean
    if abs(up - down) > max(1e-9 * (up + down), dust):
        within = f" [{said(value.low)}, {said(value.high)}]"
    return f"{said(value.mean)}{within}{' %' if metric.percent else ''}"


def between(counts: Iterable[int]) -> str:
    """The smallest and the largest that is not 0: 5, or 2–10; '' if there is none."""
    found = sorted({count for count in counts if count})
    return "–".join(map(str, dict.fromkeys((found[0], found[-1])))) if found else ""


def seeded(counts: Iterable[int]) -> str:
    """How many seeds these are: one seed, 5 seeds, 2–10 seeds."""
    return "one seed" if (said := between(counts)) == "1" else f"{said or 'no'} seeds"


def escape(text: str) -> str:
    """Text that can stand in a cell of a Markdown table, and makes no link, picture or element there."""
    return re.sub(r"[\\|]|\](?=[(\[:])", r"\\\g<0>", " ".join(text.split())).replace("<", "&lt;")


def cell_line(model: str, dataset: str, status: str, reason: str, runs: Sequence[Record], trained: int, seconds: float) -> str:
    """One line about a cell that has just been run, for the terminal: of a variant, between which val chooses, what val says."""
    place = f"{dataset:18} {model:20}"
    if status != "ok":
        return f"{place} {status}: {reason}"
    metric = Metric(**runs[0]["metric"])
    shut = model != plain(model) and runs[0]["budget"].get("choose") != "test"
    values = [found for run in runs if (found := val(run) if shut else run["test"]["best"][metric.name]) is not None]
    said = quality(scale(metric).bounded(interval(values)) if values else None, metric)
    how = f"{len(runs)} seed{'s' * (len(runs) != 1)}, " + (f"{seconds:.1f} s" if trained else "from store")
    return f"{place} {metric.name}{' on val' * shut} {said} ({how}){' ' + reason if reason else ''}"
