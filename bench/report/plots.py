"""What all pictures share: their style, the finding above them, the families' key, and PNG bytes, the same for the same records."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable
from typing import Any

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from bench.report.palette import fewer
from bench.tables.formatting import number
from bench.tables.look import COLOURS, NAMES, SHAPES, Look

INK, GREY = "#555555", "#6b6b6b"
BAND = 0.12  # how much of its colour a band has
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
PLAIN = STYLE | {"axes.grid": False}


def png(figure: Figure) -> bytes:
    """The picture without the version of the library that drew it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def tint(family: str) -> tuple[float, ...]:
    """The family's colour as a band has it on white paper, (red, green, blue) up to 255."""
    return tuple(255 * (BAND * part + 1 - BAND) for part in to_rgb(COLOURS[family]))


def small(figure: Figure) -> bytes:
    """The picture as a PNG of at most 88 colours, about a third of the size. The families' colours and tints stay as they are."""
    with matplotlib.rc_context(STYLE):  # ticks are made as they are drawn
        full = np.asarray(Image.open(io.BytesIO(png(figure))).convert("RGB"))
    solid = [tuple(255 * part for part in to_rgb(colour)) for colour in COLOURS.values()]
    return fewer(full, 24, 56, [*solid, *(tint(family) for family in COLOURS)])


def headline(figure: Figure, title: str, told: str) -> float:
    """The finding at the top left, and below it, smaller, what is drawn. Lines are broken to the figure's width; the inches they take."""
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(title.replace(" %", "\N{NO-BREAK SPACE}%"), int(width * 10))
    figure.text(0.12 / width, 1 - 0.1 / height, "\n".join(lines), fontsize=10.5, va="top", fontweight="bold")
    below = textwrap.wrap(told, int(width * 17))
    figure.text(0.12 / width, 1 - (0.14 + 0.19 * len(lines)) / height, "\n".join(below), fontsize=8, va="top", color=INK)
    return 0.14 + 0.19 * len(lines) + 0.15 * len(below)


def headed(width: float, below: float, title: str, told: str) -> tuple[Figure, float]:
    """A figure of this width in inches with its headline and so much room below that; and how much the headline takes."""
    head = headline(Figure(figsize=(width, 1)), title, told)
    figure = Figure(figsize=(width, head + below))
    headline(figure, title, told)
    return figure, head


def key(figure: Figure, seen: Iterable[Look], top: float) -> None:
    """The families of these models in one line, their colours and the markers that they have, `top` inches below the upper edge."""
    width, height = figure.get_size_inches()
    used = {(one.family, one.marker) for one in seen}
    for place, family in enumerate(family for family in COLOURS if any(family == one for one, _ in used)):
        y, colour, marks = 1 - top / height, COLOURS[family], [shape for shape in SHAPES[family] if (family, shape) in used]
        for x, marker in enumerate(marks):
            across = [(0.2 + 1.25 * place + 0.12 * x) / width]
            figure.add_artist(Line2D(across, [y], marker=marker, ms=6, color=colour, transform=figure.transFigure))
        figure.text(across[0] + 0.1 / width, y, NAMES[family], va="center", fontsize=8.5, color=colour)


def plain(value: float) -> str:
    """A tick's figure without powers of ten."""
    return number(value) if abs(value) >= 0.001 else np.format_float_positional(float(f"{value:.3g}"), trim="-")
