"""What pictures of the whole suite share: which data sets they compare, ticks of a logarithmic axis, labels that find a free place."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

from bench.figures.subject import Outdated
from bench.tables.rows import Row

Box = tuple[float, float, float, float]  # left, bottom, right, top in pixels
GREY, PALE = "#6b6b6b", "#bbbbbb"


def scored(sections: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """The rows with values of every data set on which two models or more have one. NoPicture if there is none."""
    found = {name: [row for row in own if row.values] for name, own in sections.items()}
    kept = {name: own for name, own in found.items() if len(own) >= 2}
    if not kept:
        raise Outdated("no data set has 2 models with a value to compare")
    return kept


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
    other, one = np.asarray(taken, float).reshape(-1, 4), boxes[:, None]
    apart: np.ndarray = (one[..., 2:] <= other[:, :2]) | (other[:, 2:] <= one[..., :2])  # across, upwards
    return np.logical_not((apart[..., 0] | apart[..., 1]).all(1))


def label(axes: Axes, points: dict[str, tuple[float, float]], colours: dict[str, str], taken: list[Box]) -> list[Text]:
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
        text = axes.text(0, 0, name, transform=axes.transAxes, fontsize=7, color=colours[name])
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
