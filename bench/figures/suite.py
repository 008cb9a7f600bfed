"""What pictures of the whole suite share: which data sets they compare, ticks of a logarithmic axis, labels that find a free place."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

from bench.figures.subject import Outdated
from bench.report.plots import COLOURS, MARKERS
from bench.tables.rows import Row

Box = tuple[float, float, float, float]  # left, bottom, right, top in pixels
GREY, PALE = "#6b6b6b", "#bbbbbb"
WORDS = {"attention": "attention", "convolution": "convolution", "mlp": "MLP", "other": "other"}


def scored(sections: dict[str, list[Row]], least: int) -> dict[str, list[Row]]:
    """The rows with values of every data set on which at least `least` models have one. NoPicture if there is none."""
    found = {name: [row for row in own if row.values] for name, own in sections.items()}
    kept = {name: own for name, own in found.items() if len(own) >= least}
    if not kept:
        raise Outdated(f"no data set has {least} models with a value to compare")
    return kept


def left_out(sections: dict[str, list[Row]], kept: dict[str, list[Row]], why: str) -> str:
    """A sentence about the data sets with a value that are not drawn, '' if all are."""
    names = [name for name, own in sections.items() if name not in kept and any(row.values for row in own)]
    return f" Not drawn, {why}: {', '.join(names)}." if names else ""


def level(mean: float) -> float:
    """A mean without the noise of adding floats in another order, so that equal scores tie."""
    return float(f"{mean:.9g}")


def ticks(low: float, high: float) -> list[float]:
    """At most six round places of a logarithmic axis: powers of ten, and steps between where fewer than two are in sight."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for steps in ((10,), (10, 30), (10, 20, 50), range(10, 100, 10), range(10, 100)):
        found = [place for decade in decades for step in steps if low <= (place := float(f"{step}e{decade - 1}")) <= high]
        if len(found) >= 2:
            break
    return found[:: max(1, math.ceil(len(found) / 6))]


def overlaps(boxes: np.ndarray, taken: Sequence[Box]) -> np.ndarray:
    """For each of `boxes`, (n, 4), whether it shares a pixel with any of those taken, (n,)."""
    other = np.asarray(taken, float).reshape(-1, 4)
    apart: np.ndarray = (
        (boxes[:, None, 2] <= other[None, :, 0])
        | (other[None, :, 2] <= boxes[:, None, 0])
        | (boxes[:, None, 3] <= other[None, :, 1])
        | (other[None, :, 3] <= boxes[:, None, 1])
    )
    return np.logical_not(apart.all(1))


def label(axes: Axes, points: dict[str, tuple[float, float]], colours: dict[str, str], taken: list[Box], fontsize: float = 7) -> list[Text]:
    """Name points, given in data units, each at the free place of the panel nearest to it; a thin line leads to one further off.

    `taken` are boxes that stay free, in pixels of the figure; the axes' limits must be final. A name for which there is no
    place is left out.
    """
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    renderer = FigureCanvasAgg(figure).get_renderer()
    panel, inverse = axes.bbox, axes.transAxes.inverted()
    spots = {name: axes.transData.transform(point) for name, point in points.items()}
    taken, texts = list(taken), []
    for name in sorted(points, key=lambda name: (spots[name][0], spots[name][1], name)):
        x, y = spots[name]
        text = axes.text(0, 0, name, transform=axes.transAxes, fontsize=fontsize, color=colours[name])
        text.set_path_effects([withStroke(linewidth=2, foreground="white")])
        size = text.get_window_extent(renderer)
        width, height = size.width + 2, size.height + 1
        grid = np.meshgrid(np.arange(panel.x0, panel.x1 - width, 3), np.arange(panel.y0 + 1, panel.y1 - height, 2))
        left, bottom = np.append(grid[0], [x + 5, x - 5 - width]), np.append(grid[1], [y - height / 2] * 2)
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
            axes.plot(*zip(*inverse.transform([(x, y), end]), strict=True), transform=axes.transAxes, color=PALE, lw=0.6, zorder=1)
    return texts


def key(figure: Figure, words: dict[str, str], x: float, y: float, step: float) -> None:
    """A line of families, each its marker and some words, from `x`, `y` in inches from the left and the top, `step` inches apart."""
    width, height = figure.get_size_inches()
    for i, (family, said) in enumerate(words.items()):
        place = (x + i * step) / width, 1 - y / height
        figure.add_artist(Line2D([place[0]], [place[1]], marker=MARKERS[family], ms=6, color=COLOURS[family], transform=figure.transFigure))
        figure.text(place[0] + 0.1 / width, place[1], said, va="center", fontsize=8.5, color=COLOURS[family])
