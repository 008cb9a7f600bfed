"""Quality on test against what it costs, and the front that no model beats in both. DIR/pareto/<dataset>.png is a panel a cost."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from bench.report.labels import Box, label, logarithmic
from bench.report.plots import GREY, STYLE, headline, key
from bench.tables.column import Column
from bench.tables.columns import column
from bench.tables.formatting import amount, number, seeded
from bench.tables.headline import listed
from bench.tables.look import looks
from bench.tables.rows import LATENCY, Row
from bench.tables.scales import called, scale
from bench.tables.verdict import ranked

WIDTH, PANEL, HEAD, FOOT, LEFT, GAP = 11.0, 2.6, 1.0, 0.5, 0.6, 0.6  # inches
CUT = 20  # an interval that goes on below this part of its value, on a logarithmic axis, runs to the panel's edge
NOTE = "Grey: the best at this cost or less, with its interval"
HOLLOW = "Hollow: the timing's certificate has a doubt"


@dataclass(frozen=True)
class Cost:
    """What quality is drawn against: its name in the title, its column, how a tick says it, and what was wrong with a row's."""

    words: str
    column: Column[Row]
    said: Callable[[float], str] = amount
    doubt: Callable[[Row], str] = lambda row: ""


PARAMS, FLOPS = Cost("active parameters", column("params_active")), Cost("FLOPs", column("flops"))
TIMED = Cost("CPU latency", column(LATENCY), number, lambda row: row.doubts.get("cpu_b1", ""))
COSTS = (PARAMS, FLOPS, TIMED)


@dataclass(frozen=True)
class Point:
    """A model in a panel: its cost, its mean quality in the units shown and the ends of its 95 % interval (one seed: itself)."""

    x: float
    y: float
    low: float
    high: float
    family: str
    doubt: str


def points(rows: Sequence[Row], cost: Cost) -> dict[str, Point]:
    """The models with both a value and the cost, by name. Shares are in per cent."""
    found = {}
    for row in rows:
        value, x = row.value, cost.column.of(row)
        if value is not None and x:
            unit = 100 if row.metric.percent else 1
            y = float(f"{unit * value.mean:.9g}")  # without the noise of adding in another order, so that equal scores tie
            low, high = (unit * value.low, unit * value.high) if value.n > 1 else (y, y)
            found[row.model] = Point(float(x), y, low, high, row.family, cost.doubt(row))
    return found


def front(points: Sequence[tuple[float, float]], higher: bool) -> list[tuple[float, float]]:
    """The points no other beats in both cost (lower) and quality, by rising cost."""
    best: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda p: (p[0], -p[1] if higher else p[1])):
        if not best or (y > best[-1][1] if higher else y < best[-1][1]):
            best.append((x, y))
    return best


def on_front(found: dict[str, Point], higher: bool) -> list[str]:
    """Names of the models that no other beats in both."""
    best = set(front([(p.x, p.y) for p in found.values()], higher))
    return [name for name, p in found.items() if (p.x, p.y) in best]


def ratios(found: dict[str, Point], row: Row) -> bool:
    """Whether quality stands on a logarithmic axis: errors do, unless one is 0."""
    return row.metric.better == "lower" and all(p.y > 0 for p in found.values())


def limits(found: dict[str, Point], row: Row) -> tuple[tuple[float, float], tuple[float, float]]:
    """Limits of x and y that hold every point and interval, with room for names, and pass nothing that `row`'s metric cannot be."""
    exponents = [math.log10(p.x) for p in found.values()]
    pad = max(0.3, 0.1 * (max(exponents) - min(exponents)))
    high = max(p.high for p in found.values())
    if ratios(found, row):
        y = (min(max(p.low, p.y / CUT) for p in found.values()) / 1.25, 1.25 * high)
    else:
        low = min(p.low for p in found.values())
        room, unit, bounds = 0.1 * (high - low) or 1.0, 100 if row.metric.percent else 1, scale(row.metric)
        y = (max(low - room, unit * bounds.lowest), min(high + room, unit * bounds.highest))
    return (10 ** (min(exponents) - pad), 10 ** (max(exponents) + pad)), y


def panel(axes: Axes, rows: Sequence[Row], cost: Cost, named: Collection[str]) -> None:
    """Models, intervals and the front; names of those on it and of those `named`. One at least has both value and cost."""
    metric, found, look = rows[0].metric, points(rows, cost), looks(rows)
    higher = metric.better != "lower"
    x, y = limits(found, rows[0])
    axes.set(xscale="log", yscale="log" if ratios(found, rows[0]) else "linear", xlim=x, ylim=y)
    logarithmic(axes.xaxis, cost.said)
    if axes.get_yscale() == "log":
        logarithmic(axes.yaxis)
    else:
        axes.yaxis.set(major_locator=MaxNLocator(5), major_formatter=ScalarFormatter(useOffset=False))
    edge = front([(p.x, p.y) for p in found.values()], higher)
    corners = [corner for (_, before), (x1, y1) in itertools.pairwise([edge[0], *edge]) for corner in ((x1, before), (x1, y1))]
    corners.append((x[1], edge[-1][1]))
    axes.plot(*zip(*corners, strict=True), color="#999999", lw=1, zorder=0, gid="front")
    ends = [next((max(p.low, y[0]), p.high) for p in found.values() if (p.x, p.y) == corner) for corner in edge]
    lows, highs = zip(*ends, ends[-1], strict=True)
    axes.fill_between([*(at for at, _ in edge), x[1]], lows, highs, step="post", color="#eeeeee", lw=0, zorder=-1, gid="front_interval")
    taken: list[Box] = []
    for (x0, y0), (x1, y1) in itertools.pairwise(axes.transData.transform(corners)):
        taken.append((x0 - 1, min(y0, y1) - 1, x1 + 1, max(y0, y1) + 1))
    for name, p in found.items():
        colour, low = look[name].colour, max(p.low, y[0])
        axes.plot([p.x, p.x], [low, p.high], color=colour, lw=0.8, zorder=1.5, solid_capstyle="butt")
        fill = "white" if p.doubt else colour
        axes.plot(p.x, p.y, look[name].marker, ms=5, color=colour, mfc=fill, zorder=3, clip_on=False)
        (across, middle), (_, bottom), (_, top) = axes.transData.transform([(p.x, p.y), (p.x, low), (p.x, p.high)])
        taken += [(across - 6, middle - 6, across + 6, middle + 6), (across - 1, bottom, across + 1, top)]
    absent = [row.model for row in rows if row.value is not None and row.model not in found]
    if absent:
        said = f"not measured: {names if len(names := ', '.join(absent)) <= 30 else f'{len(absent)} models'}"
        text = axes.text(0.99, 0.02, said, transform=axes.transAxes, ha="right", fontsize=7, color=GREY)
        taken.append(text.get_window_extent().extents)
    best = on_front(found, higher)
    order = sorted({*best, *named} & set(found), key=lambda name: (name not in best, found[name].x, found[name].y, name))
    label(axes, {name: (found[name].x, found[name].y) for name in order}, {name: look[name].colour for name in order}, taken)
    axes.set_xlabel(cost.column.axis, fontsize=7.5)
    axes.set_ylabel(f"test {called(metric)}{' (%)' if metric.percent else ''}, {metric.better} is better", fontsize=7.5)
    axes.tick_params(labelsize=7, length=2)


def finding(dataset: str, rows: Sequence[Row], costs: Sequence[Cost]) -> str:
    """Which model is best, and which no other beats, whichever cost is asked for."""
    best = ranked(rows)[0]
    value = f"{number((100 if best.metric.percent else 1) * best.value.mean, 4)}{' %' * best.metric.percent}"  # type: ignore[union-attr]
    if len(rows) == 1:
        return f"{dataset}: {best.model} alone has a value, {called(best.metric)} {value}"
    always = [row.model for row in rows if all(row.model in on_front(points(rows, cost), row.metric.better != "lower") for cost in costs)]
    whole = listed(always) if len(always) <= 3 else f"{len(always)} of {len(rows)} models"
    costly = any(best.model in points(rows, cost) for cost in costs)
    name = best.model if costly or not costs else f"{best.model} (no cost of it is counted)"
    kept = f"; nothing beats {whole} in both quality and cost" if costs and always else ""
    means = {row.model: row.value.mean for row in ranked(rows)}  # type: ignore[union-attr]
    tied = [one for one, mean in means.items() if math.isclose(mean, means[best.model])]
    if len(tied) > 1:
        name = listed(sorted(tied)) if len(tied) <= 3 else f"{len(tied)} models"
    has = "has" if len(tied) == 1 else "have"
    return f"{dataset}: {name} {has} the {'high' if best.metric.better == 'higher' else 'low'}est {called(best.metric)}, {value}{kept}"


@matplotlib.rc_context(STYLE)
def picture(dataset: str, rows: Sequence[Row]) -> Figure:
    """A panel for each cost that was measured of a model with a value."""
    drawn = [row for row in rows if row.value is not None]
    costs = [cost for cost in COSTS if points(drawn, cost)]
    height, pitch = HEAD + PANEL + FOOT, (WIDTH - 0.15 - LEFT + GAP) / max(2, len(costs))
    figure = Figure(figsize=(WIDTH, height))
    for place, cost in enumerate(costs):
        box = ((LEFT + place * pitch) / WIDTH, FOOT / height, (pitch - GAP) / WIDTH, PANEL / height)
        axes = figure.add_axes(box)
        panel(axes, drawn, cost, [row.model for row in drawn])
    doubted = any(p.doubt for cost in costs for p in points(drawn, cost).values())
    how = seeded(len(row.values) for row in drawn)
    told = [
        how[0].upper() + how[1:] + ("" if how == "one seed" else ": means with 95 % intervals"),
        NOTE,
        *([HOLLOW] if doubted else []),
    ]
    headline(figure, finding(dataset, drawn, costs) if drawn else f"{dataset}: no model has a value", ". ".join(told))
    key(figure, looks(drawn).values(), HEAD - 0.25)
    return figure
