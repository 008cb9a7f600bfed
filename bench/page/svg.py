"""Inline SVG: text, lines, markers and axes. All text is escaped; colours are classes, which page.css fills."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf

from markupsafe import Markup, escape
from matplotlib.ticker import MaxNLocator

from bench.report.labels import ticks
from bench.tables.formatting import number
from bench.tables.look import Look


def plain(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def element(tag: str, *inside: object, **attributes: object) -> Markup:
    """`<tag …>inside</tag>`, escaped. `class_` is class, `stroke_width` stroke-width; figures have one decimal; None leaves one out."""
    given = (
        f' {name.rstrip("_").replace("_", "-")}="{plain(value) if isinstance(value, float) else escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{tag}{''.join(given)}>{''.join(escape(one) for one in inside)}</{tag}>")


def corners(n: int, turn: float = 0.0, inner: float = 1.0) -> str:
    """A polygon of radius 1, every second corner at `inner`."""
    at = [(2 * math.pi * i / n + turn, inner if i % 2 else 1) for i in range(n)]
    return "M" + "L".join(f"{r * math.sin(a):.2f} {-r * math.cos(a):.2f}" for a, r in at) + "Z"


QUARTER = math.pi / 4
LETTER = 6.0  # pixels across, of most text a little less
PATHS = {  # markers by matplotlib's names
    "o": corners(16),
    "*": corners(10, inner=0.45),
    "p": corners(5),
    "h": corners(6),
    "s": corners(4, QUARTER),
    "P": corners(8, inner=0.35),
    "X": corners(8, QUARTER, inner=0.35),
    "^": corners(3),
    "v": corners(3, math.pi),
    "<": corners(3, -math.pi / 2),
    ">": corners(3, math.pi / 2),
    "D": corners(4),
    "d": "M0 -1.2L.7 0L0 1.2L-.7 0Z",
}


def marker(look: Look, x: float, y: float, size: float = 4.5, hollow: bool = False) -> Markup:
    return element(
        "path", d=PATHS[look.marker], transform=f"translate({plain(x)} {plain(y)}) scale({size:g})", class_="h" if hollow else "k"
    )


def slug(name: str) -> str:
    """A name as part of an address within the page."""
    return re.sub(r"[^A-Za-z0-9_-]", lambda found: f".{ord(found[0]):x}", name)


def text(x: float, y: float, said: object, anchor: str | None = None, class_: str | None = None) -> Markup:
    return element("text", said, x=x, y=y, text_anchor=anchor, class_=class_)


def straight(points: Iterable[tuple[float, float]], class_: str, dashes: Sequence[float] = ()) -> Markup:
    d = "M" + "L".join(f"{plain(x)} {plain(y)}" for x, y in points)
    return element("path", d=d, class_=class_, stroke_dasharray=" ".join(f"{2 * one:g}" for one in dashes) or None)


def svg(width: float, height: float, *inside: object, label: str, role: str = "img") -> Markup:
    """A drawing; its role is `group` where there are links in it, which an image hides from who cannot see."""
    return element("svg", *inside, viewBox=f"0 0 {width:g} {height:g}", role=role, aria_label=label)


def sample(look: Look) -> Markup:
    """A model's line and marker, for a table or a legend."""
    drawn = straight([(0, 5), (26, 5)], "l", look.dashes), marker(look, 13, 5, 3.5)
    return element("svg", *drawn, viewBox="0 0 26 10", class_=f"chip f-{look.family}", aria_hidden="true")


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` -> pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def around(cls, values: Iterable[float], start: float, end: float, log: bool = False, least: float = -inf, most: float = inf) -> Axis:
        """With a margin around the finite values, the positive ones where it is logarithmic, inside what is possible."""
        found = [v for v in values if math.isfinite(v) and (v > 0 or not log)] or [1.0]
        low, high = (math.log10(end_) if log else end_ for end_ in (min(found), max(found)))
        least, most = ((math.log10(end_) if end_ > 0 else -inf) if log else end_ for end_ in (least, most))
        room = 0.05 * (high - low) or (0.15 if log else 0.05 * abs(low) or 1)
        return cls(max(low - room, least), min(high + room, most), start, end, log)

    def __call__(self, value: float) -> float:
        at = (math.log10(value) if value > 0 else self.low) if self.log else value
        share = (min(max(at, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        low, high = (10**self.low, 10**self.high) if self.log else (self.low, self.high)
        if self.log:
            return ticks(low, high)
        return [float(one) for one in MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= one <= high]


def apart(places: Sequence[float], told: Callable[[float, int], str]) -> list[str]:
    """Ticks as they are written, with as many digits as tell them apart."""
    for digits in range(3, 9):
        said = [told(place, digits) or "0" for place in places]
        if len(set(said)) == len(said):
            break
    return said


def frame(
    x: Axis, y: Axis | None, bottom: float, top: float, said: str, told: Callable[[float, int], str] = number, up: str = ""
) -> list[Markup]:
    """Grid, ticks and titles: `said` under the x axis, `up` above the y axis."""
    parts = []
    for tick, words in zip(x.ticks(), apart(x.ticks(), told), strict=True):
        parts += [straight([(x(tick), top), (x(tick), bottom)], "g"), text(x(tick), bottom + 14, words, "middle", "t")]
    for at, words in zip(map(y, y.ticks()), apart(y.ticks(), number), strict=True) if y is not None else []:
        parts += [straight([(x.start, at), (x.end, at)], "g"), text(x.start - 5, at + 4, words, "end", "t")]
    middle = min((x.start + x.end) / 2, x.end + 10 - LETTER / 2 * len(said))  # a long title would run into the drawing beside it
    return [*parts, text(middle, bottom + 30, said, "middle"), *([text(2, top - 8, up)] if up else [])]
