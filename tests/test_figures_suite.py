"""Pictures of the whole suite: what they compute against slow references, and what stands in them."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from bench.figures import costs, kinds
from bench.figures.subject import NoPicture
from bench.report import labels, plots
from bench.report.costs import front
from bench.store.records import Store
from bench.tables.family import MIXERS
from bench.tables.look import SHAPES
from bench.tables.rows import LATENCY, Row, rows
from bench.tables.sections import shown
from datasets.task import ACCURACY, Metric
from tests.conftest import ROOT

Pictures = Callable[[str], Figure]
KINDS = tuple(costs.COSTS)
MARKS = {*"".join(SHAPES.values())}


def row(
    model: str, values: Sequence[float], family: str = "other", metric: Metric = ACCURACY, latency: float | None = None, **more: Any
) -> Row:
    """A row by hand: costs `params` and `flops`, and `runs`, (seconds, value on val) by evaluation, at `samples`."""
    curves = [{"seconds": s, "val_metric": v, "samples": more.get("samples")} for s, v in more.get("runs", ())]
    runs = [
        {"seed": seed, "machine": {"slug": "box"}, "train_seconds": curve["seconds"][-1], "curve": curve}
        for seed, curve in enumerate(curves)
    ]
    found = Row(model, "d", "default", "float32", "here", "ok", "", metric=metric, family=family, values=dict(enumerate(values)), runs=runs)
    found.machine = "box"
    found.costs = {"params_active": more.get("params"), "flops": more.get("flops")}
    found.latency = {} if latency is None else {LATENCY: latency}
    return found


@pytest.fixture(scope="module")
def reference() -> dict[str, list[Row]]:
    return shown(rows(Store(Path(ROOT) / "results" / "reference")))


@pytest.fixture(scope="module")
def picture(reference: dict[str, list[Row]]) -> Pictures:
    """Each kind drawn once of the reference results."""
    return cache(lambda kind: costs.picture(reference, costs.COSTS[kind]))


@pytest.mark.parametrize("kind", costs.COSTS)
def test_a_panel_shows_every_measured_model_and_the_front_of_plots(kind: str, reference: dict[str, list[Row]], picture: Pictures) -> None:
    cost = costs.COSTS[kind]
    kept = costs.compared(reference, cost)
    panels = [axes for axes in picture(kind).axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in panels] == list(kept)
    for axes, own in zip(panels, kept.values(), strict=True):
        scale, higher = (100 if own[0].metric.percent else 1), own[0].metric.better == "higher"
        want = {
            o.model: (cost.column.of(o), float(f"{scale * o.value.mean:.9g}")) for o in own if cost.column.of(o) and o.value is not None
        }
        drawn = {tuple(np.ravel(line.get_xydata())) for line in axes.lines if line.get_marker() in MARKS}
        assert drawn == set(want.values())
        edge = front(list(want.values()), higher)  # type: ignore[arg-type]
        (line,) = (line for line in axes.lines if line.get_gid() == "front")
        assert [tuple(corner) for corner in line.get_xydata()[1:-1:2]] == edge
        assert all((a == b).any() for a, b in itertools.pairwise(line.get_xydata()))  # quality changes only at a model's cost
        (band,) = (shape for shape in axes.collections if shape.get_gid() == "front_interval")
        heights = {height for _, height in band.get_paths()[0].vertices}
        best = [o.value for o in own if o.value is not None and want.get(o.model) in edge]
        ends = [end for value in best for end in ((value.low, value.high) if value.n > 1 else (value.mean,))]
        inside = [scale * end for end in ends if axes.get_ylim()[0] < scale * end]
        assert inside and all(np.isclose([*heights], end).any() for end in inside)  # the interval of each model on the front
        named = {text.get_text() for text in axes.texts}
        assert {name for name, point in want.items() if point in edge} | (set(MIXERS) & set(want)) <= named
        assert any(text.startswith("not measured: ") for text in named) == (len(want) < len(own))


def test_what_was_not_measured_is_said_and_a_doubtful_timing_is_hollow() -> None:
    run: dict[str, Any] = {"runs": [([1, 2], [0.5, 0.6])], "samples": [1, 2]}
    sections = {"d": [row("a", [0.9, 0.8], params=5, latency=1.0, **run), row("b", [0.7, 0.8], "mlp", params=9, latency=2.0, **run)]}
    sections["d"] += [row("c", [0.5, 0.6], params=7, **run)]
    sections["d"][1].doubts["cpu_b1"] = "not settled"
    sections["e"] = [row("a", [0.9, 0.8], params=5, **run), row("b", [0.7, 0.8], params=9, **run)]
    figure = costs.picture(sections, costs.TIMED)
    (first,) = (axes for axes in figure.axes if axes.get_visible())
    assert "not measured: c" in [text.get_text() for text in first.texts]
    assert "Not drawn, fewer than two models with a value and CPU latency: e." in [text.get_text() for text in figure.texts]
    assert [line.get_markerfacecolor() for line in first.lines if line.get_marker() == "^"] == ["white"]
    with pytest.raises(NoPicture, match="FLOPs"):
        kinds.suites["quality_flops"](sections)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_compare_is_told(kind: str) -> None:
    for sections in ({}, {"d": []}, {"d": [row("a", [0.5, 0.6])]}, {"d": [row("a", []), row("b", [])]}):
        with pytest.raises(NoPicture, match="no data set has"):
            kinds.suites[kind](sections)


@pytest.mark.parametrize("kind", [KINDS[0], *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS[1:])])
def test_the_same_rows_give_the_same_small_picture(kind: str, reference: dict[str, list[Row]]) -> None:
    few = {name: reference[name] for name in ("digits", "shapes", "xor")}
    content = plots.small(kinds.suites[kind](few))
    assert content == plots.small(kinds.suites[kind](few))
    image = Image.open(io.BytesIO(content))
    assert image.format == "PNG" and 800 <= image.width <= 1100 and not image.info
    assert len(content) < 100_000


def test_few_colours_look_like_all_of_them(picture: Pictures) -> None:
    made = plots.png(picture("quality_flops")), plots.small(picture("quality_flops"))
    full, few = (np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), int) for content in made)
    assert np.abs(full - few).max() <= 40 and np.abs(full - few).mean() < 1


def test_names_find_free_places_or_are_left_out() -> None:
    axes = (figure := Figure(figsize=(3, 2), dpi=100)).subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    points = {f"model_{i}": (0.5, 0.5) for i in range(60)}
    texts = labels.label(axes, points, dict.fromkeys(points, "black"), [])
    boxes = [text.get_window_extent(FigureCanvasAgg(figure).get_renderer()) for text in texts]
    assert 10 < len(texts) < 60
    assert all(axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 for box in boxes)
    assert not any(one.overlaps(two) for one, two in itertools.combinations(boxes, 2))


def test_ticks_are_round_and_in_sight() -> None:
    assert labels.ticks(3, 2e5) == [10, 100, 1e3, 1e4, 1e5]
    assert labels.ticks(0.25, 0.7) == [0.3, 0.4, 0.5, 0.7]
    assert labels.ticks(41, 49) == [42, 44, 46, 48]
    assert labels.ticks(0.9e-3, 0.02) == [0.001, 0.003, 0.01]
    assert len(labels.ticks(1, 1e12)) <= 6
