"""The page's drawings: every seed, quality against cost, curves, attention minus each mixer. What a mark says is its title."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup

from bench.page.svg import LETTER, Axis, corners, element, frame, marker, plain, slug, straight, svg, text
from bench.report import forest
from bench.report.costs import Cost, front, points
from bench.report.curves import averaged
from bench.report.labels import spread
from bench.tables.formatting import amount, number, quality
from bench.tables.headline import measured
from bench.tables.look import Look
from bench.tables.rows import Row
from bench.tables.scales import called, scale
from bench.tables.verdict import Verdict

LINE = 17  # pixels from one model to the next
POINTS = 20  # of a curve
MANY = 40  # models of one drawing, beyond which numbers at points would hide them


def model(row: Row, look: Look, said: str, *inside: object) -> Markup:
    """What belongs to one model: hovered or reached by keyboard it says so."""
    return element("g", element("title", f"{row.model}: {said}"), *inside, class_=f"m f-{look.family}", data_m=row.model)


@dataclass(frozen=True)
class Study:
    """What one data set's drawings are of: rows with a value, best first, as many as are drawn; the metric's figures times `scale`."""

    rows: Sequence[Row]
    look: dict[str, Look]
    bounds: dict[str, float] = field(default_factory=dict)  # chance and the best there can be, by their names

    @property
    def scale(self) -> float:
        return 100 if self.rows[0].metric.percent else 1

    @property
    def log(self) -> bool:
        return self.rows[0].metric.better == "lower" and all(min(row.values.values()) > 0 for row in self.rows)

    def axis(self, values: Sequence[float], start: float, end: float) -> Axis:
        """Around values of the metric, times `scale`; it passes nothing that the metric cannot be."""
        possible = scale(self.rows[0].metric)
        return Axis.around(values, start, end, self.log, self.scale * possible.lowest, self.scale * possible.highest)

    @property
    def measure(self) -> str:
        metric = self.rows[0].metric
        return f"{called(metric)}{' (%)' if metric.percent else ''}, {metric.better} is better"


def ends(row: Row) -> tuple[float, float, float]:
    """A row's mean and the ends of its interval; the mean three times where one seed has none."""
    value = row.value
    assert value is not None
    return (value.mean, value.low, value.high) if value.n > 1 else (value.mean,) * 3


def seeds(study: Study) -> Markup:
    """Every seed a dot, a model a line, best first; its mean as a stroke, its interval as a bar."""
    values = [v for row in study.rows for v in (*row.values.values(), *ends(row))] + list(study.bounds.values())
    bottom = 14 + LINE * len(study.rows)
    x = study.axis([study.scale * v for v in values], 206, 350)
    parts = frame(x, None, bottom, 8, study.measure)
    for name, at in study.bounds.items():
        parts += [
            straight([(x(study.scale * at), 8), (x(study.scale * at), bottom)], "b"),
            text(x(study.scale * at), 7, name, "middle", "t"),
        ]
    for place, row in enumerate(study.rows):
        y, look = 20.0 + LINE * place, study.look[row.model]
        mean, low, high = (x(study.scale * at) for at in ends(row))
        dots = [element("circle", cx=x(study.scale * v), cy=y, r=2.2, class_="s") for v in row.values.values()]
        legend = [straight([(17, y), (43, y)], "l", look.dashes), marker(look, 30, y, 4)]
        n = len(row.values)
        said = f"{quality(row.value, row.metric)}, {n} seed{'s' * (n != 1)}"
        short = row.model if len(row.model) < 27 else f"{row.model[:14]}…{row.model[-11:]}"  # what varies stands at the end
        named = [text(14, y + 4, place + 1, "end", "t"), *legend, text(47, y + 4, short)]
        bar, stroke = straight([(low, y), (high, y)], "i"), straight([(mean, y - 6), (mean, y + 6)], "k l")
        parts.append(model(row, look, said, *named, bar, *dots, stroke))
    ranking = "; ".join(f"{i + 1} {row.model} {quality(row.value, row.metric)}" for i, row in enumerate(study.rows))
    return svg(360, bottom + 36, *parts, label=f"Every seed of every model, test {study.measure}: {ranking}")


def free(x: float, y: float, said: str, taken: list[tuple[float, float, float, float]]) -> tuple[float, float] | None:
    """Where a number beside a point hides nothing: the left end of its line of text; None if nowhere near."""
    wide = 6.5 * len(said)
    for dx, dy in ((7, 4), (-7 - wide, 4), (-wide / 2, -8), (-wide / 2, 16), (6, -5), (-6 - wide, -5), (6, 13), (-6 - wide, 13)):
        box = (x + dx, y + dy - 9, x + dx + wide, y + dy)
        if not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken):
            taken.append(box)
            return x + dx, y + dy
    return None


def cost(study: Study, against: Cost) -> Markup | None:
    """Quality against one cost, numbered by rank; no model beats the grey front in both. Hollow: a doubtful timing. None: not measured."""
    found, axis = points(study.rows, against), against.column.axis
    if not found:
        return None
    x = Axis.around([p.x for p in found.values()], 40, 350, log=True)
    y = study.axis([end for p in found.values() for end in (p.low, p.high)], 250, 24)
    edge = front([(p.x, p.y) for p in found.values()], study.rows[0].metric.better == "higher")
    step = [(x(edge[0][0]), y(edge[0][1]))]
    for at, value in edge[1:]:
        step += [(x(at), step[-1][1]), (x(at), y(value))]
    parts = [*frame(x, y, 250, 24, axis, amount, f"test {study.measure}"), straight(step, "b")]
    taken = [(0.0, 0.0, 38.0, 288.0), (0.0, 0.0, 2 + LETTER * len(f"test {study.measure}"), 18.0)]  # ticks, and what they are of
    taken += [(x(p.x) - 5, y(p.y) - 5, x(p.x) + 5, y(p.y) + 5) for p in found.values()]
    for a, b in itertools.pairwise(step):
        taken.append((min(a[0], b[0]), min(a[1], b[1]) - 1, max(a[0], b[0]), max(a[1], b[1]) + 1))
    best = []
    for place, row in enumerate(study.rows):
        if (p := found.get(row.model)) is not None:
            px, py, look = x(p.x), y(p.y), study.look[row.model]
            best += [row.model] * ((p.x, p.y) in edge)
            spot = free(px, py, str(place + 1), taken) if len(found) <= MANY or row.model in best else None
            named = [text(*spot, place + 1, class_="t")] if spot else []
            said = f"{quality(row.value, row.metric)}; {axis}: {against.column.said(row) or number(p.x)}"
            bar = straight([(px, y(p.low)), (px, y(p.high))], "e")
            parts.append(model(row, look, said, bar, marker(look, px, py, 4.5, bool(p.doubt)), *named))
    return svg(360, 288, *parts, label=f"Test {study.measure} against {axis}. Nothing beats {', '.join(best)} in both.")


def curves(study: Study) -> Markup | None:
    """The metric on val while training, the mean over seeds, numbered by rank; None if there is no curve."""
    found = {}
    for place, row in enumerate(study.rows):
        if row.runs and all(run["curve"].get("val_metric") for run in row.runs):
            samples, _, mean, *_ = averaged(row, "val_metric")
            keep = np.unique(np.linspace(0, len(samples) - 1, min(len(samples), POINTS)).round().astype(int))
            line = [(float(a), study.scale * float(b)) for a, b in zip(samples[keep], mean[keep], strict=True) if math.isfinite(b)]
            if line:
                found[place] = line
    if not found:
        return None
    every = [v for line in found.values() for _, v in line]
    log = study.log and min(every) > 0
    if log:  # one model that fails must not flatten the others
        every = [v for v in every if v <= np.percentile(every, 99)]
    x = Axis(0, max(line[-1][0] for line in found.values()), 40, 320)
    y = Axis.around(every, 250, 24, log)
    parts = frame(x, y, 250, 24, "training samples", amount, f"val {study.measure}")
    heights = spread([-y(line[-1][1]) for line in found.values()], 10, top=-20.0, bottom=-254.0)
    for (place, line), height in zip(found.items(), heights, strict=True):
        row, look = study.rows[place], study.look[study.rows[place].model]
        end = (x(line[-1][0]), y(line[-1][1]))
        named = [straight([end, (334, -height)], "e"), text(337, 4 - height, place + 1, class_="t")] if len(found) <= MANY else []
        drawn = straight([(x(a), y(b)) for a, b in line], "l", look.dashes)
        parts.append(model(row, look, f"ends at {number(line[-1][1], 4)} on val", drawn, marker(look, *end, 3.5), *named))
    return svg(360, 288, *parts, label=f"Val {study.measure}, while {len(found)} models train")


def margins(at: float) -> float:
    """Pixels of a difference in margins: linear inside one, logarithmic outside, as the forest of the report."""
    share = abs(at) if abs(at) <= 1 else 1 + math.log10(abs(at))
    return 160 + math.copysign(share * 150 / (1 + math.log10(forest.FAR)), at)


def compared(own: Sequence[Verdict], against: str) -> Markup:
    """Attention minus one mixer, a data set a row; what lies beyond the edge ends in an arrow."""
    bottom = 12.0 + 36 * len(own)
    left, right = margins(-1), margins(1)
    parts = [element("rect", x=left, y=4, width=right - left, height=bottom - 4, class_="band"), straight([(160, 4), (160, bottom)], "b")]
    parts += [text(margins(t), bottom + 13, f"{t:g}".replace("-", "−"), "middle", "t") for t in forest.TICKS]
    parts += [text(10, bottom + 29, "← worse"), text(160, bottom + 29, "margins", "middle"), text(310, bottom + 29, "better →", "end")]
    for place, one in enumerate(own):
        y = 34.0 + 36 * place
        said = f"{one.word}, n = {one.n}" if one.word else one.why
        inside = [element("a", text(4, y - 14, one.dataset), href=f"#set-{slug(one.dataset)}"), text(316, y - 14, said, "end", "t")]
        if not math.isnan(one.low):
            mean, low, high = (margins(at) for at in forest.in_margins(one))
            tips = [corners(3, turn) for turn in (-math.pi / 2, math.pi / 2)]
            inside += [straight([(low, y), (high, y)], "l")]
            inside += [
                element("path", d=d, transform=f"translate({plain(at)} {plain(y)}) scale(5)", class_="k")
                for at, d in zip((10.0, 310.0), tips, strict=True)
                if at in (low, high)
            ]
            inside += [element("circle", cx=mean, cy=y, r=4.5, class_="k" if one.word else "h")]
        title = element("title", f"{one.dataset}, attention against {against}: {one.word or one.why}. {measured(one)}")
        parts.append(element("g", title, *inside, class_=f"m v-{(one.word or 'none').split()[0]}"))
    label = "; ".join(f"{one.dataset}: {one.word or one.why} {measured(one)}".strip() for one in own)
    return svg(320, bottom + 36, *parts, label=f"Attention minus {against}: {label}", role="group")
