"""Ticks that are round and few, and names that find a free place: beside a point, or level with the end of a line."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from bench.report.plots import plain

Box = tuple[float, float, float, float]  # left, bottom, right, top in pixels


STEPS = ((10,), (10, 30), (10, 20, 50), (10, 20, 30, 50), (10, 15, 20, 30, 40, 50, 70))  # of a decade, the fewest that will do


def ticks(low: float, high: float) -> list[float]:
    """Three to seven round places of a logarithmic axis: powers of ten, and steps between where fewer than three are in sight."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in STEPS:
        found = [place for decade in decades for step in steps if low <= (place := float(f"{step}e{decade - 1}")) <= high]
        if len(found) >= 3:
            return found[:: math.ceil(len(found) / 6)]
    return [float(place) for place in MaxNLocator(5, steps=[1, 2, 5, 10], min_n_ticks=3).tick_values(low, high) if low <= place <= high]


def logarithmic(axis: Axis, said: Callable[[float], str] = plain) -> None:
    """Give an axis that is logarithmic and has its limits plain ticks."""
    places = ticks(*axis.get_view_interval())
    axis.set(major_locator=FixedLocator(places), major_formatter=FixedFormatter([said(t) for t in places]), minor_locator=NullLocator())


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


def overlaps(boxes: np.ndarray, taken: Sequence[Box]) -> np.ndarray:
    """For each of `boxes`, (n, 4), whether it shares a pixel with any of those taken, (n,)."""
    other, one = np.asarray(taken, float).reshape(-1, 4), boxes[:, None]
    apart: np.ndarray = (one[..., 2:] <= other[:, :2]) | (other[:, 2:] <= one[..., :2])  # across, upwards
    return np.logical_not((apart[..., 0] | apart[..., 1]).all(1))


def label(axes: Axes, points: dict[str, tuple[float, float]], colours: dict[str, str], taken: list[Box]) -> list[Text]:
    """Name points, given in data units, one by one at the free place of the panel nearest to it; a thin line leads to one further off.

    `taken` are boxes that stay free, in pixels of the figure; the axes' limits must be final. A name for which there is no
    place is left out: those that matter come first.
    """
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    renderer = FigureCanvasAgg(figure).get_renderer()
    panel, inverse = axes.bbox, axes.transAxes.inverted()
    taken, texts = list(taken), []
    for name, point in points.items():
        x, y = axes.transData.transform(point)
        text = axes.text(0, 0, name, transform=axes.transAxes, fontsize=7, color=colours[name])
        text.set_path_effects([withStroke(linewidth=2, foreground="white")])
        size = text.get_window_extent(renderer)
        width, height = size.width + 2, size.height + 1
        grid = np.meshgrid(np.arange(panel.x0 + 3, panel.x1 - width, 3), np.arange(panel.y0 + 1, panel.y1 - height, 2))
        left, bottom = np.append(grid[0], [x + 6, x - 6 - width]), np.append(grid[1], [y - height / 2] * 2)
        boxes = np.stack([left, bottom, left + width, bottom + height], 1)
        inside = (boxes[:, 0] >= panel.x0) & (boxes[:, 2] <= panel.x1) & (boxes[:, 1] >= panel.y0) & (boxes[:, 3] <= panel.y1)
        aside = np.maximum(0, np.maximum(left - x, x - left - width))
        above = np.maximum(0, np.maximum(bottom - y, y - bottom - height))
        far = np.hypot(aside, 1.3 * above) + 0.05 * abs(bottom + height / 2 - y)
        far[~inside | overlaps(boxes, taken)] = np.inf
        best = int(np.argmin(far))
        if not np.isfinite(far[best]):
            text.remove()
            continue
        across, up = inverse.transform((left[best] + 1, bottom[best]))
        text.set_position((float(across), float(up)))
        text.set_verticalalignment("bottom")
        taken.append(tuple(boxes[best]))
        texts.append(text)
        if far[best] > 10:
            end = (min(max(x, left[best]), left[best] + width), min(max(y, bottom[best]), bottom[best] + height))
            axes.plot(*zip(*inverse.transform([(x, y), end]), strict=True), transform=axes.transAxes, color="#bbbbbb", lw=0.6, zorder=1)
    return texts


def label_ends(axes: Axes, ends: dict[str, tuple[float, float]], colours: dict[str, str]) -> None:
    """Write each line's name to the right of the plot, level with its end, without overlaps, joined by a thin line."""
    places = dict(zip(ends, axes.transAxes.inverted().transform(axes.transData.transform(list(ends.values()))), strict=True))
    least = 11 / axes.bbox.height
    for (name, (x, y)), height in zip(places.items(), spread([y for _, y in places.values()], least), strict=True):
        axes.plot([x, 1.02, 1.035], [y, height, height], transform=axes.transAxes, clip_on=False, color=colours[name], lw=0.6, zorder=1)
        axes.text(1.04, height, name, transform=axes.transAxes, color=colours[name], va="center", fontsize=7.5)
