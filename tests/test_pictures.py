"""Pictures drawn from records, by matplotlib's own boxes: nothing lies on anything, nothing is cut, no axis passes what is possible."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from bench.figures import kinds
from bench.report import costs, curves, forest, plots, report, routes, studied
from bench.store.records import Store
from bench.tables.formatting import quality
from bench.tables.look import SHAPES
from bench.tables.routes import reached
from bench.tables.rows import LATENCY, Row, rows
from bench.tables.scales import scale
from bench.tables.sections import shown
from bench.tables.verdict import family
from datasets.task import MSE
from tests.conftest import ROOT

REFERENCE = ROOT / "results" / "reference"
QUICK = (  # one of each kind and of each trouble: one seed, one model, many models, a ceiling, nothing timed, names that meet
    "forest",
    "routes",
    "studies/length",
    "figures/quality_latency",
    *(f"pareto/{name}" for name in ("mnist", "mnist_translated", "digits", "translation", "copy_far")),
    *(f"curves/{name}" for name in ("digits", "xor")),
)
DOTS = {*"".join(SHAPES.values())}
SLACK = 0.5  # pixels: boxes that touch do not overlap


def committed() -> list[str]:
    paths = [
        *REFERENCE.glob("*.png"),
        *(path for kind in ("curves", "pareto", "studies", "figures") for path in REFERENCE.glob(f"{kind}/*.png")),
    ]
    return sorted(path.relative_to(REFERENCE).with_suffix("").as_posix() for path in paths)


PICTURES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in committed()]


@cache
def table() -> list[Row]:
    return rows(Store(REFERENCE))


@cache
def sections() -> dict[str, list[Row]]:
    return shown(table())


def curved() -> dict[str, list[Row]]:
    """Data sets that have curves: those of only published runs, too."""
    return sections() | report.repeated(table(), sections())


def draw(name: str) -> Any:
    """Make a picture of the reference results as `report`, `study` and `figures` do."""
    kind, _, one = name.partition("/")
    if kind == "forest":
        return plots.small(forest.picture(family(sections())))
    if kind == "routes":
        return plots.small(routes.picture(reached(sections())))
    if kind == "studies":
        pages = studied.STUDIES[one.partition("-")[0]]
        return pages.picture(*pages.read(Store(REFERENCE)))
    if kind == "figures":
        return plots.small(kinds.suites[one](sections()))
    return plots.small(curves.picture(one, curved()[one]) if kind == "curves" else costs.picture(one, sections()[one]))


@dataclass
class Seen:
    """A figure as it was saved: `texts` with their boxes, `dots` with theirs and their panel, in pixels."""

    figure: Figure
    texts: list[tuple[Text, Bbox]]
    dots: list[tuple[Axes | None, Bbox]]


def look(make: Callable[[], Any]) -> Seen:
    """What the last figure that `make` draws shows."""
    figures: list[Figure] = []
    texts: list[Text] = []
    draw_figure, draw_text = Figure.draw, Text.draw
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "draw", lambda self, renderer: (figures.append(self), texts.clear(), draw_figure(self, renderer))[-1])
        patch.setattr(Text, "draw", lambda self, renderer: (texts.append(self), draw_text(self, renderer))[1])
        make()
    figure = figures[-1]
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [(text, text.get_window_extent(renderer)) for text in texts if text.get_visible() and text.get_text().strip()]
    dots = []
    for axes, line in [*((panel, line) for panel in figure.axes for line in panel.lines), *((None, line) for line in figure.lines)]:
        if line.get_marker() in DOTS:
            marker = MarkerStyle(line.get_marker())
            extents = marker.get_path().transformed(marker.get_transform()).get_extents().get_points() * line.get_markersize()
            size = (extents + np.sign(extents) * line.get_markeredgewidth() / 2) * figure.dpi / 72
            places = line.get_transform().transform(line.get_xydata())
            dots += [(axes if line.get_clip_on() else None, Bbox(at + size)) for at in places[np.isfinite(places).all(1)]]
    return Seen(figure, boxes, dots)


@cache
def picture(name: str) -> Seen:
    kinds.load()
    return look(lambda: draw(name))


def meet(one: Bbox, other: Bbox) -> bool:
    shared = Bbox.intersection(one, other)
    return shared is not None and min(shared.width, shared.height) > SLACK


def inside(box: Bbox, frame: Bbox) -> bool:
    return bool((box.min >= frame.min - SLACK).all() and (box.max <= frame.max + SLACK).all())


def collisions(seen: Seen) -> list[str]:
    """Labels on labels, on dots, and on another panel."""
    found = [f"{a.get_text()!r} on {b.get_text()!r}" for (a, one), (b, two) in itertools.combinations(seen.texts, 2) if meet(one, two)]
    found += [f"{text.get_text()!r} on a dot" for text, box in seen.texts for _, dot in seen.dots if meet(box, dot)]
    panels = [axes for axes in seen.figure.axes if axes.get_visible()]
    return found + [
        f"{t.get_text()!r} in another panel" for t, box in seen.texts for a in panels if t.axes not in (None, a) and meet(box, a.bbox)
    ]


def cut(seen: Seen) -> list[str]:
    """Labels beyond the figure's edge, dots and data beyond their panel's."""
    found = [f"{text.get_text()!r} leaves the picture" for text, box in seen.texts if not inside(box, seen.figure.bbox)]
    found += [
        f"{text.get_text()!r} is clipped"
        for text, box in seen.texts
        if text.axes and text.get_clip_box() is not None and text.get_clip_on() and not inside(box, text.axes.bbox)
    ]
    found += [f"a dot at {dot.min} is cut" for axes, dot in seen.dots if not inside(dot, axes.bbox if axes else seen.figure.bbox)]
    for axes in seen.figure.axes:
        drawn = [line.get_transform().transform(line.get_xydata()) for line in axes.lines if line.get_clip_on()]
        drawn += [c.get_transform().transform(path.vertices) for c in axes.collections for path in c.get_paths()]
        points = np.concatenate([np.empty((0, 2)), *drawn])
        points = points[np.isfinite(points).all(1)]
        outside = (points < axes.bbox.min - 1).any(1) | (points > axes.bbox.max + 1).any(1)
        found += [f"{outside.sum()} places of {axes.get_title(loc='left')!r} are cut"] * bool(outside.any())
    return found


def impossible(seen: Seen, own: dict[str, Row]) -> list[str]:
    """Panels whose axis of quality passes what the metric can be; `own` has a row for the panels of each title."""
    found = []
    for axes in seen.figure.axes:
        row = own.get(axes.get_title(loc="left"), own.get(""))
        if row is not None and axes.lines:
            unit, bounds = 100 if row.metric.percent else 1, scale(row.metric)
            low, high = axes.get_ylim()
            if not unit * bounds.lowest <= low < high <= unit * bounds.highest * (1 + 1e-12):
                found.append(f"{row.metric.name} from {low:g} to {high:g}")
    return found


@pytest.mark.parametrize("name", PICTURES)
def test_nothing_lies_on_anything_and_nothing_is_cut(name: str) -> None:
    seen = picture(name)
    assert collisions(seen) == []
    assert cut(seen) == []
    assert min(text.get_fontsize() for text, _ in seen.texts) >= 6.5


@pytest.mark.parametrize("name", PICTURES)
def test_ticks_are_plain_and_tell_how_long_an_axis_is(name: str) -> None:
    axes = [axis for panel in picture(name).figure.axes if panel.lines for axis in (panel.xaxis, panel.yaxis)]
    shown = {axis: sum(tick.tick1line.get_visible() for tick in axis.get_major_ticks()) for axis in axes if axis.get_scale() == "log"}
    assert all(count >= 3 for count in shown.values())
    ticks = [text.get_text() for text, _ in picture(name).texts if re.fullmatch(r"[-−+$\d].*", text.get_text())]
    ticks = [tick for tick in ticks if ", n = " not in tick]  # what is said of a row
    assert [tick for tick in ticks if re.search(r"[$×]|\d\.?e[-−+]?\d", tick)] == []


@pytest.mark.parametrize("name", [p for p in PICTURES if str(getattr(p, "values", (p,))[0]).startswith(("pareto/", "figures/"))])
def test_no_axis_passes_what_is_possible(name: str) -> None:
    kind, _, one = name.partition("/")
    first = {dataset: next(row for row in own if row.values) for dataset, own in sections().items() if any(row.values for row in own)}
    assert impossible(picture(name), {"": first[one]} if kind == "pareto" else first) == []


OF_SETS = [name for name in QUICK if name.startswith(("curves/", "pareto/"))]


@pytest.mark.parametrize("name", OF_SETS)
def test_titles_say_what_was_found_and_one_seed_is_called_one_seed(name: str) -> None:
    kind, _, one = name.partition("/")
    drawn = [row for row in sections()[one] if row.values]
    if kind == "pareto":
        best = max(drawn, key=lambda row: (1 if row.metric.better == "higher" else -1) * np.mean(list(row.values.values())))
    else:
        best = min(drawn, key=lambda row: np.mean([run["curve"]["val_loss"][-1] for run in row.runs]))
    said = [text.get_text() for text, _ in picture(name).texts if text.axes is None]
    names = [text.removeprefix(f"{one}: ").partition(" ha")[0] for text in said if text.startswith(f"{one}: ")]
    assert any(text.startswith(f"{best.model} ") or best.model in re.split(", | and ", text) for text in names)
    counts = {len(row.values) for row in drawn}
    assert any("one seed" in text.lower() for text in said) == (counts == {1})
    assert any("means" in text for text in said) == (counts != {1})


@pytest.mark.parametrize("name", [name for name in OF_SETS if name.startswith("pareto/")])
def test_doubted_timings_are_hollow(name: str) -> None:
    timed = [row for row in sections()[name.partition("/")[2]] if row.values and row.latency.get(LATENCY)]
    panels = [axes for axes in picture(name).figure.axes if "latency" in axes.get_xlabel()]
    hollow = [line for axes in panels for line in axes.lines if line.get_marker() in DOTS and line.get_markerfacecolor() == "white"]
    assert len(panels) == bool(timed) and len(hollow) == sum(bool(row.doubts.get("cpu_b1")) for row in timed)


def test_a_title_names_all_that_are_best_and_dust_is_no_interval() -> None:
    metric = replace(MSE, name="bleu", better="higher", percent=False)
    own = [
        Row(name, "d", "b", "float32", "cpu", "ok", "", metric=metric, values=values, costs={"params_active": 5})
        for name, values in (("a", {0: 100.0, 1: 100.0}), ("b", {0: 100.00000000000004, 1: 100.0}), ("c", {0: 99.0, 1: 99.5}))
    ]
    assert costs.finding("d", own, []) == "d: a and b have the highest BLEU, 100"
    assert {quality(row.value, metric) for row in own[:2]} == {"100 ± 0"}


def test_an_error_of_nothing_stands_on_an_axis_that_has_0() -> None:
    def row(model: str, value: float) -> Row:
        return Row(model, "d", "b", "float32", "cpu", "ok", "", metric=MSE, values={0: value, 1: value}, costs={"params_active": 5})

    seen = look(lambda: plots.small(costs.picture("d", [row("a", 0.0), row("b", 0.5)])))
    assert seen.figure.axes[0].get_yscale() == "linear" and seen.figure.axes[0].get_ylim()[0] == 0
    assert collisions(seen) == cut(seen) == []
