"""The whole suite: quality on test against parameters, FLOPs, latency and training seconds, one panel a data set."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator, ScalarFormatter

from bench.figures.kinds import of_suite
from bench.figures.suite import GREY, Box, label, scored, ticks
from bench.report.plots import COLOURS, MARKERS, STYLE, front, small
from bench.tables.column import Column
from bench.tables.columns import column
from bench.tables.family import MIXERS
from bench.tables.formatting import amount, number
from bench.tables.rows import LATENCY, Row

WORDS = {"attention": "attention", "convolution": "convolution", "mlp": "MLP", "other": "other"}  # for families
COLUMNS = 3
WIDTH, PANEL, HEAD, FOOT = 11.0, 2.4, 0.95, 0.55  # inches; a panel's with its labels


@dataclass(frozen=True)
class Cost:
    """What quality is drawn against: its name in the title, its column, and how a tick says it."""

    words: str
    column: Column[Row]
    said: Callable[[float], str] = amount
    doubt: Callable[[Row], str | None] = lambda row: None


TIMED = Cost("CPU latency", column(LATENCY), number, lambda row: row.doubts.get("cpu_b1"))
COSTS = {
    "quality_params": Cost("active parameters", column("params_active")),
    "quality_flops": Cost("FLOPs", column("flops")),
    "quality_latency": TIMED,
    "quality_seconds": Cost("training time", column("train_seconds"), number),
}


@dataclass(frozen=True)
class Point:
    """A model in a panel: its cost, its mean quality in the units shown, how far the 95 % interval
    reaches down and up (0: one seed), family, doubt."""

    x: float
    y: float
    down: float
    up: float
    family: str
    doubt: str


def points(rows: Sequence[Row], cost: Cost) -> dict[str, Point]:
    """The models with both a value and the cost, by name. Shares are in per cent."""
    found = {}
    for row in rows:
        value, x = row.value, cost.column.of(row)
        if value is not None and x:
            scale = 100 if row.metric.percent else 1
            down, up = (scale * abs(end - value.mean) if value.n > 1 else 0.0 for end in (value.low, value.high))
            y = float(f"{scale * value.mean:.9g}")  # without the noise of adding in another order, so that equal scores tie
            found[row.model] = Point(float(x), y, down, up, row.family, cost.doubt(row) or "")
    return found


def on_front(found: dict[str, Point], higher: bool) -> list[str]:
    """Names of the models that no other beats in both."""
    best = set(front([(p.x, p.y) for p in found.values()], higher))
    return [name for name, p in found.items() if (p.x, p.y) in best]


def limits(found: dict[str, Point], log: bool) -> tuple[tuple[float, float], tuple[float, float]]:
    """Limits of x and y that hold every point and interval, with room for names."""
    exponents = [math.log10(p.x) for p in found.values()]
    pad = max(0.3, 0.1 * (max(exponents) - min(exponents)))
    bars = [(p.y - p.down, p.y + p.up) for p in found.values()]
    if log:
        low = min(max(low, 0.5 * p.y) for (low, _), p in zip(bars, found.values(), strict=True))
        y = (low / 1.25, 1.25 * max(high for _, high in bars))
    else:
        low, high = min(low for low, _ in bars), max(high for _, high in bars)
        room = 0.1 * (high - low) or 1.0
        y = (low - room, high + room)
    return (10 ** (min(exponents) - pad), 10 ** (max(exponents) + pad)), y


def unmeasured(names: Sequence[str]) -> str:
    """Which models a panel lacks, by name where that fits."""
    said = ", ".join(names)
    return f"not measured: {said if len(said) <= 30 else f'{len(names)} models'}"


def panel(axes: Axes, dataset: str, rows: Sequence[Row], cost: Cost) -> None:
    """One data set: its models, the front, and the names of those on it and of the backbones that are compared."""
    metric, found = rows[0].metric, points(rows, cost)
    absent = [row.model for row in rows if row.model not in found]
    axes.set_title(dataset, fontweight="bold")
    if not found:
        axes.text(0.5, 0.5, f"{cost.words} not measured", transform=axes.transAxes, ha="center", color=GREY)
        axes.set(xticks=[], yticks=[])
        return
    log = metric.better == "lower"
    x, y = limits(found, log)
    axes.set(xscale="log", yscale="log" if log else "linear", xlim=x, ylim=y)
    axes.xaxis.set(major_locator=FixedLocator(ticks(*x)), major_formatter=FixedFormatter([cost.said(t) for t in ticks(*x)]))
    axes.xaxis.set(minor_locator=NullLocator())
    if log:
        axes.yaxis.set(major_locator=FixedLocator(ticks(*y)), major_formatter=FixedFormatter([number(t) for t in ticks(*y)]))
        axes.yaxis.set(minor_locator=NullLocator())
    else:
        axes.yaxis.set(major_locator=MaxNLocator(5), major_formatter=ScalarFormatter(useOffset=False))
    edge = front([(p.x, p.y) for p in found.values()], not log)
    corners = [corner for (_, before), (x1, y1) in itertools.pairwise([edge[0], *edge]) for corner in ((x1, before), (x1, y1))]
    corners.append((x[1], edge[-1][1]))
    axes.plot(*zip(*corners, strict=True), color="#999999", lw=1, zorder=0, gid="front")
    taken: list[Box] = []
    for (x0, y0), (x1, y1) in itertools.pairwise(axes.transData.transform(corners)):
        taken.append((x0 - 1, min(y0, y1) - 1, x1 + 1, max(y0, y1) + 1))
    for p in found.values():
        colour, down = COLOURS[p.family], min(p.down, 0.999 * p.y) if log else p.down
        axes.errorbar(
            [p.x],
            [p.y],
            yerr=[[down], [p.up]],
            fmt=MARKERS[p.family],
            ms=5,
            color=colour,
            mfc="white" if p.doubt else colour,
            elinewidth=0.8,
        )
        across, low = axes.transData.transform((p.x, p.y - down))
        (_, middle), (_, high) = axes.transData.transform([(p.x, p.y), (p.x, p.y + p.up)])
        taken += [(across - 4, middle - 4, across + 4, middle + 4), (across - 1, low, across + 1, high)]
    if absent:
        text = axes.text(0.99, 0.02, unmeasured(absent), transform=axes.transAxes, ha="right", fontsize=7, color=GREY)
        taken.append(text.get_window_extent().extents)
    named = {name: (p.x, p.y) for name, p in found.items() if name in on_front(found, not log) or name in MIXERS}
    label(axes, named, {name: COLOURS[found[name].family] for name in named}, taken)
    axes.set_xlabel(cost.column.axis, fontsize=7.5)
    axes.set_ylabel(f"{metric.name}{' (%)' if metric.percent else ''}, {metric.better} is better", fontsize=7.5)
    axes.tick_params(labelsize=7, length=2)


def finding(kept: dict[str, list[Row]], cost: Cost) -> str:
    """On how many fronts each family stands, the most frequent first."""
    count: Counter[str] = Counter()
    measured = 0
    for own in kept.values():
        found = points(own, cost)
        measured += len(found) > 1
        count.update({found[name].family for name in on_front(found, own[0].metric.better == "higher")} if len(found) > 1 else ())
    if not measured:
        return f"Quality against {cost.words}: no two models of a data set were measured"
    (first, most), *others = sorted(count.items(), key=lambda item: (-item[1], item[0]))
    said = [
        f"{WORDS[first]} is on {most} of {measured} Pareto front{'s' * (measured > 1)}",
        *(f"{WORDS[name]} on {n}" for name, n in others),
    ]
    return f"Quality against {cost.words}: {', '.join(said)}"


def picture(sections: dict[str, list[Row]], cost: Cost) -> Figure:
    """One panel for each data set on which two models or more have a value. NoPicture if there is none."""
    kept = scored(sections)
    alone = [name for name, own in sections.items() if name not in kept and any(row.values for row in own)]
    lines = -(-len(kept) // COLUMNS)
    height = HEAD + lines * PANEL + FOOT
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height))
        edges = {"left": 0.6 / WIDTH, "right": 1 - 0.1 / WIDTH, "top": 1 - HEAD / height, "bottom": (FOOT + 0.42) / height}
        grid = figure.subplots(lines, COLUMNS, squeeze=False, gridspec_kw=edges | {"wspace": 0.22, "hspace": 0.48})
        for i, axes in enumerate(grid.flat):
            if i < len(kept):
                name = list(kept)[i]
                panel(axes, name, kept[name], cost)
            else:
                axes.set_visible(False)
        figure.text(0.12 / WIDTH, 1 - 0.2 / height, finding(kept, cost), fontsize=11, fontweight="bold", va="center")
        for i, (family, said) in enumerate(WORDS.items()):
            x, y, colour = (0.2 + 1.25 * i) / WIDTH, 1 - 0.46 / height, COLOURS[family]
            figure.add_artist(Line2D([x], [y], marker=MARKERS[family], ms=6, color=colour, transform=figure.transFigure))
            figure.text(x + 0.1 / WIDTH, y, said, va="center", fontsize=8.5, color=colour)
        note = (
            "Means over seeds with 95 % Student intervals; no model beats the grey line in both mean quality and cost. Named: models on it"
            " and the four backbones."
        )
        note += " Hollow: the timing's certificate has a doubt." if cost is TIMED else ""
        note += f"\nNot drawn, one model only: {', '.join(alone)}." if alone else "\n"
        figure.text(0.12 / WIDTH, 0.12 / height, note, fontsize=7.5, color=GREY)
    return figure


def against(cost: Cost, sections: dict[str, list[Row]]) -> bytes:
    return small(picture(sections, cost))


for kind, one in COSTS.items():
    of_suite(kind)(partial(against, one))
