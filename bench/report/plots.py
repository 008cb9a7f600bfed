"""Pictures from the store: curves of training, and quality against cost. PNG bytes, the same for the same records."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullFormatter
from PIL import Image

from bench.tables.columns import column
from bench.tables.look import COLOURS, SHAPES, looks
from bench.tables.look import DASHES as LENGTHS
from bench.tables.rows import LATENCY, Row

PALETTE = 64  # colours of the report's pictures: lines, bands and their edges
DASHES: list[Any] = [(0, lengths) if lengths else "-" for lengths in LENGTHS]
MARKERS = {family: shapes[0] for family, shapes in SHAPES.items()}
STYLE: Any = {
    **{name: value for name, value in matplotlib.rcParamsDefault.items() if name != "backend"},  # whatever somebody's matplotlibrc says
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "figure.dpi": 100,
}


def styles(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Colour and dashes of each model's line, as matplotlib has them."""
    return {name: {"color": look.colour, "linestyle": DASHES[LENGTHS.index(look.dashes)]} for name, look in looks(rows).items()}


def png(figure: Figure) -> bytes:
    """The picture without the version of the library that drew it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def small(figure: Figure, colours: int = 256) -> bytes:
    """The picture as a PNG of few colours, a third of the size or less. The same bytes for the same figure."""
    buffer = io.BytesIO()
    full = Image.open(io.BytesIO(png(figure))).convert("RGB")
    full.quantize(colours, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    return buffer.getvalue()


def spread(heights: Sequence[float], least: float, top: float = 1.0, bottom: float = 0.0) -> list[float]:
    """Heights moved apart to at least `least`, in order, as little as a sweep up and one down achieve."""
    order = np.argsort(heights, kind="stable")
    placed = np.clip(np.asarray(heights, float), bottom, top)
    for low, high in itertools.pairwise(order):
        placed[high] = max(placed[high], placed[low] + least)
    overflow = placed[order[-1]] - top if len(order) else 0
    if overflow > 0:
        placed[order[-1]] = top
        for high, low in itertools.pairwise(order[::-1]):
            placed[low] = min(placed[low], placed[high] - least)
    return placed.tolist()


def label_ends(axes: Axes, ends: dict[str, tuple[float, float]], look: dict[str, dict[str, Any]]) -> None:
    """Write each line's name to the right of the plot, level with its end, without overlaps, joined by a thin line."""
    names = list(ends)
    to_axes = axes.transData + axes.transAxes.inverted()
    heights = [float(to_axes.transform(ends[name])[1]) for name in names]
    for name, wanted, placed in zip(names, heights, spread(heights, 0.062), strict=True):
        x_end = float(to_axes.transform(ends[name])[0])
        colour = look[name]["color"]
        axes.plot([x_end, 1.02, 1.035], [wanted, placed, placed], transform=axes.transAxes, clip_on=False, color=colour, lw=0.6, alpha=0.7)
        axes.text(1.04, placed, name, transform=axes.transAxes, color=str(colour), va="center", fontsize=7.5)


def averaged(row: Row, field: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Samples, mean seconds, and mean, lowest and highest of a curve over the seeds, up to where all seeds have it.

    Seconds are of the machine whose times are shown, nan where it trained none of them.
    """
    curves = [run["curve"] for run in row.runs]
    n = min(len(curve["samples"]) for curve in curves)
    values = np.array([curve[field][:n] for curve in curves], float)
    clocks = [run["curve"]["seconds"][:n] for run in row.clocked]
    seconds = np.mean(clocks, 0) if clocks else np.full(n, np.nan)
    return np.array(curves[0]["samples"][:n]), seconds, values.mean(0), values.min(0), values.max(0)


def curves(dataset: str, rows: Sequence[Row]) -> bytes:
    """Loss on train and val against samples and against seconds: mean over seeds, band from the worst to the best."""
    drawn = [row for row in rows if row.runs]
    look = styles(drawn)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 7.2), layout="constrained")
        grid = figure.subplots(2, 2, sharey="row")
        markers = {name: one.marker for name, one in looks(drawn).items()}
        for line, (field, split) in enumerate((("val_loss", "validation"), ("train_loss", "training"))):
            for across in range(2):
                axes: Axes = grid[line][across]
                ends, values = {}, []
                for row in drawn:
                    samples, seconds, mean, low, high = averaged(row, field)
                    x = samples if across == 0 else seconds
                    axes.plot(x, mean, lw=1.6, **look[row.model])
                    axes.fill_between(x, low, high, color=str(look[row.model]["color"]), alpha=0.12, lw=0)
                    finite = np.isfinite(mean) & (mean > 0) & np.isfinite(x)
                    if finite.any():
                        ends[row.model] = (float(x[finite][-1]), float(mean[finite][-1]))
                        values += mean[finite].tolist()
                axes.set_yscale("log")
                if values:
                    axes.set_ylim(min(values) / 1.25, np.percentile(values, 99) * 1.25)
                if across == 1 and values:
                    axes.set_xscale("log")
                elif across == 1:  # nobody's times are shown: another machine trained these
                    axes.text(0.5, 0.5, "trained on another machine", ha="center", va="center", transform=axes.transAxes, color="0.4")
                axes.set_xlabel("training samples" if across == 0 else f"training seconds per seed, {drawn[0].machine}")
                axes.set_ylabel(f"{split} loss" if across == 0 else "")
                axes.set_title(f"{split} loss against {'samples' if across == 0 else 'seconds'}")
                if across == 0:
                    label_ends(axes, ends, look)
                else:
                    for row in drawn:
                        if row.model in ends:  # in time the lines end at different places; their names stand beside the left panel
                            axes.plot(*ends[row.model], marker=markers[row.model], ms=4, color=look[row.model]["color"])
        seeds = max((len(row.runs) for row in drawn), default=0)
        figure.suptitle(
            f"{dataset}, budget {drawn[0].budget}: mean of {seeds} seed{'s' * (seeds != 1)}, band from lowest to highest"
            "     (orange: attention, blue: convolution, green: MLP, grey: other)",
            fontsize=10,
            x=0.01,
            ha="left",
        )
        return small(figure, PALETTE)


COSTS = ("params_active", "flops", LATENCY)


def front(points: Sequence[tuple[float, float]], higher: bool) -> list[tuple[float, float]]:
    """The points no other beats in both cost (lower) and quality, by rising cost."""
    best: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda p: (p[0], -p[1] if higher else p[1])):
        if not best or (y > best[-1][1] if higher else y < best[-1][1]):
            best.append((x, y))
    return best


def pareto(dataset: str, rows: Sequence[Row]) -> bytes:
    """Quality on test against parameters, FLOPs and latency, with the front that no other model beats in both."""
    drawn = [row for row in rows if row.values]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 3.9), layout="constrained")
        panels = figure.subplots(1, 3, sharey=True)
        metric = drawn[0].metric if drawn else None
        scale = 100 if metric is not None and metric.percent else 1
        look = looks(drawn)
        for axes, cost in zip(panels, map(column, COSTS), strict=True):
            points = {r.model: (float(c), scale * r.value.mean) for r in drawn if (c := cost.of(r)) and r.value is not None}
            axes.set_xscale("log")
            if metric is not None and metric.better == "lower":
                axes.set_yscale("log")
            for row in drawn:
                if row.model in points and row.value is not None:
                    x, y = points[row.model]
                    down, up = (scale * abs(end - row.value.mean) if row.value.n > 1 else 0 for end in (row.value.low, row.value.high))
                    if axes.get_yscale() == "log":
                        down = min(down, 0.9 * y)
                    axes.errorbar(
                        [x],
                        [y],
                        yerr=[[down], [up]],
                        fmt=look[row.model].marker,
                        ms=5,
                        color=look[row.model].colour,
                        elinewidth=0.8,
                        capsize=2,
                    )
            edge = front(list(points.values()), metric is not None and metric.better == "higher")
            if edge:
                axes.step(*zip(*edge, strict=True), where="post", color="#999999", lw=0.9, zorder=0)
            axes.set_xlabel(cost.axis)
            if not points:
                axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color="#6b6b6b")
            axes.margins(x=0.36, y=0.12)
            label_points(axes, points, {name: one.family for name, one in look.items()})
            low, high = np.log10(axes.get_xlim())
            if np.floor(high) >= np.ceil(low):  # a power of ten is in sight: names of the ticks between would overlap
                axes.xaxis.set_minor_formatter(NullFormatter())
        if metric is not None:
            panels[0].set_ylabel(f"test {metric.name}{' (%)' if metric.percent else ''}, {metric.better} is better")
        figure.suptitle(
            f"{dataset}: quality against cost, 95 % intervals; no model beats the grey front in both", fontsize=10, x=0.01, ha="left"
        )
        return small(figure, PALETTE)


def label_points(axes: Axes, points: dict[str, tuple[float, float]], families: dict[str, str]) -> None:
    """Name the points beside them; names that would overlap are moved apart in height."""
    if not points:
        return
    costs = [x for x, _ in points.values()]
    if min(costs) == max(costs) > 0:  # a logarithmic axis needs some width
        axes.set_xlim(costs[0] / 10, costs[0] * 10)
    axes.autoscale_view(scalex=min(costs) < max(costs))
    to_axes = axes.transData + axes.transAxes.inverted()
    names = list(points)
    places = np.array([to_axes.transform(points[name]) for name in names])
    heights = places[:, 1].copy()
    for side in (places[:, 0] < 0.5, places[:, 0] >= 0.5):
        index = np.flatnonzero(side)
        if len(index):
            heights[index] = spread(places[index, 1].tolist(), 0.06, top=1.02, bottom=-0.02)
    for name, (x, y), height in zip(names, places, heights, strict=True):
        left = x < 0.5
        axes.text(
            x - 0.025 if left else x + 0.025,
            height,
            name,
            transform=axes.transAxes,
            ha="right" if left else "left",
            va="center",
            fontsize=6.8,
            path_effects=[withStroke(linewidth=2, foreground="white")],
            color=COLOURS[families[name]],
        )
        if abs(height - y) > 0.02:
            axes.plot([x, x + (-0.02 if left else 0.02)], [y, height], transform=axes.transAxes, color="#bbbbbb", lw=0.5, clip_on=False)
