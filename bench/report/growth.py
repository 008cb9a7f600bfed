"""Models along an axis that grows: panels of lines with their intervals, and figures for tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from bench.core.stats import Interval
from bench.report.labels import logarithmic
from bench.report.plots import STYLE, headline, small
from bench.tables.formatting import amount, number, quality
from bench.tables.growth import certain
from bench.tables.look import Look, of_families
from bench.tables.routes import NAMES
from bench.tables.scales import scale
from datasets.task import Metric

WIDTH, PANEL, BETWEEN, FOOT, LEFT = 9.6, 2.5, 0.62, 0.95, 0.8  # inches
NEAREST, MARGIN = 0.55, 1.06  # inches between two ticks; of the axis beyond what was measured


@dataclass(frozen=True)
class Panel:
    """`lines` are along the axis; with a metric they are values, without one samples on a logarithmic scale."""

    title: str
    what: str
    lines: Mapping[str, Mapping[int, Interval]]
    metric: Metric | None = None


def named(model: str) -> str:
    """As people call it."""
    return NAMES.get(model, model)


def value(one: Interval | None, metric: Metric) -> str:
    """A mean over seeds with its interval, inside what is possible."""
    return quality(scale(metric).bounded(one) if one is not None else None, metric)


def difference(one: Interval | None, metric: Metric) -> str:
    """With its interval, in points where the metric is a share; bold where it is certain which of the two is better."""
    if one is None:
        return ""
    unit = 100 if metric.percent else 1
    mean, low, high = (number(unit * value, 2) for value in (one.mean, one.low, one.high))
    told = f"{mean} [{low}, {high}]" if one.n > 1 else mean
    return f"**{told}**" if certain(one) else told


def ticked(axes: Axes, places: Sequence[int], inches: float) -> None:
    """Ticks where something was measured, from the last one backwards, those left out that are too near to the next."""
    logs = np.log(places)
    kept: list[int] = []
    for at in range(len(places) - 1, -1, -1):
        if not kept or (logs[kept[-1]] - logs[at]) / max(np.ptp(logs), 1e-9) * inches > NEAREST:
            kept.append(at)
    chosen = [places[at] for at in kept]
    formatter = FixedFormatter([f"{place:,}" for place in chosen])
    axes.xaxis.set(major_locator=FixedLocator(chosen), major_formatter=formatter, minor_locator=NullLocator())


def draw(axes: Axes, panel: Panel, look: Mapping[str, Look]) -> None:
    """A line a model, with a marker wherever it was measured, and a band that is its interval."""
    unit = 100 if panel.metric is not None and panel.metric.percent else 1
    for model, line in panel.lines.items():
        own, found = look[model], list(line.values())
        if panel.metric is not None:
            found = [scale(panel.metric).bounded(one) for one in found]
        bands = np.array([(one.mean, one.low, one.high) for one in found]).T * unit
        dashes = (0, own.dashes) if own.dashes else "-"
        axes.plot([*line], bands[0], color=own.colour, ls=dashes, lw=1.5, marker=own.marker, ms=4, mew=0, clip_on=False, zorder=3)
        axes.fill_between([*line], bands[1], bands[2], color=own.colour, alpha=0.1, lw=0)
    axes.set_title(panel.title)


def bound(row: Sequence[Axes], metric: Metric | None) -> None:
    """The limits of panels that share them: all that is drawn, and nothing that cannot be."""
    if metric is not None:
        low, high = row[0].get_ylim()
        unit, bounds = 100 if metric.percent else 1, scale(metric)
        row[0].set_ylim(max(low, unit * bounds.lowest), min(high, unit * bounds.highest))
        return
    drawn = [value for axes in row for line in axes.lines for value in np.asarray(line.get_ydata(), float)]
    row[0].set(yscale="log", ylim=(min(drawn) / 1.5, max(drawn) * 1.5))
    logarithmic(row[0].yaxis, lambda value: amount(value) or "0")


@matplotlib.rc_context(STYLE)
def picture(title: str, told: str, rows: Sequence[Sequence[Panel]], axis: str) -> bytes:
    """Rows of panels over one axis, their finding above and their key below."""
    models = list(dict.fromkeys(model for row in rows for panel in row for model in panel.lines))
    places = sorted({place for row in rows for panel in row for line in panel.lines.values() for place in line})
    look = of_families(dict.fromkeys(models, "other"))
    rows = rows if places else []  # nothing was trained: the title says so
    titled = any(panel.title for row in rows for panel in row)
    head = headline(Figure(figsize=(WIDTH, 1)), title, told) + (0.45 if titled else 0.3)
    height = head + len(rows) * PANEL + (len(rows) - 1) * BETWEEN + FOOT
    figure = Figure(figsize=(WIDTH, height))
    headline(figure, title, told)
    for down, row in enumerate(rows):
        wide = (WIDTH - LEFT - 0.25) / len(row) - 0.2
        drawn: list[Axes] = []
        for across, panel in enumerate(row):
            left, bottom = LEFT + across * (wide + 0.2), height - head - down * (PANEL + BETWEEN) - PANEL
            axes = figure.add_axes((left / WIDTH, bottom / height, wide / WIDTH, PANEL / height), sharey=drawn[0] if drawn else None)
            draw(axes, panel, look)
            axes.set(xscale="log", xlabel=axis if down == len(rows) - 1 else "", ylabel="" if across else panel.what)
            axes.set_xlim(places[0] / MARGIN, places[-1] * MARGIN)
            ticked(axes, places, wide)
            axes.tick_params(labelleft=not across)
            drawn.append(axes)
        bound(drawn, row[0].metric)
    handles = [
        Line2D(
            [], [], color=one.colour, ls=(0, one.dashes) if one.dashes else "-", lw=1.5, marker=one.marker, ms=4, mew=0, label=named(name)
        )
        for name, one in look.items()
    ]
    if handles:
        figure.legend(handles=handles, loc="lower center", ncols=6, frameon=False, fontsize=8, handlelength=3.5)
    return small(figure)


def exactly(value: float) -> Interval:
    """A figure without an interval, as a line has it."""
    return Interval(value, math.nan, math.nan, 1)
