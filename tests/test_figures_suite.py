"""Pictures of the whole suite: what they compute against slow references, and what stands in them."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image

from bench.figures import costs, kinds, map, ranks, suite
from bench.figures.subject import NoPicture
from bench.report import plots
from bench.store.records import Store
from bench.tables.rows import CONTROLLED, Row, rows, shown
from bench.tables.verdict import against, ranked
from datasets.task import ACCURACY, MSE, Metric
from tests.conftest import ROOT

Pictures = Callable[[str], Figure]
KINDS = (*costs.COSTS, "ranks", "map")


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
    found.latency = {} if latency is None else {map.LATENCY: latency}
    return found


@pytest.fixture(scope="module")
def reference() -> dict[str, list[Row]]:
    return shown(rows(Store(Path(ROOT) / "results" / "reference")))


@pytest.fixture(scope="module")
def picture(reference: dict[str, list[Row]]) -> Pictures:
    """Each kind drawn once of the reference results."""
    other = {"ranks": ranks.picture, "map": map.picture}
    return cache(lambda kind: other[kind](reference) if kind in other else costs.picture(reference, costs.COSTS[kind]))


def won(own: list[Row], condition: str) -> tuple[str, str, float]:
    found = map.field(own, map.CONDITIONS[condition](own))
    assert found is not None
    return found.model, found.lead.b, found.lead.better_by.mean


def test_equal_samples_is_won_by_the_best_test_value_over_the_best_of_another_family() -> None:
    own = [row("a", [0.90, 0.92, 0.91], "attention"), row("b", [0.89, 0.90, 0.91], "attention"), row("c", [0.80, 0.83, 0.82], "mlp")]
    assert won(own, "equal samples") == ("a", "c", pytest.approx(0.28 / 3))
    lower = [row("a", [3.0, 3.1, 3.3], "attention", MSE), row("c", [1.0, 1.2, 1.1], "mlp", MSE), row("d", [2.0, 2.0, 2.1], "other", MSE)]
    assert won(lower, "equal samples") == ("c", "d", pytest.approx(2.8 / 3))
    assert map.field(own[:2], map.whole(own[:2])) is None  # one family only


def test_a_lead_is_shown_only_from_three_seeds_and_a_tie_has_no_family() -> None:
    clear = map.field(own := [row("a", [0.90, 0.92, 0.91], "mlp"), row("b", [0.50, 0.51, 0.52], "other")], map.whole(own))
    two = map.field(own := [row("a", [0.90, 0.92], "mlp"), row("b", [0.50, 0.51], "other")], map.whole(own))
    noisy = map.field(own := [row("a", [0.9, 0.2, 0.9], "mlp"), row("b", [0.5, 0.6, 0.7], "other")], map.whole(own))
    tie = map.field(own := [row("a", [0.1, 0.2, 0.3], "mlp"), row("b", [0.3, 0.2, 0.1], "other")], map.whole(own))
    assert clear and two and noisy and tie
    assert [one.shown for one in (clear, two, noisy, tie)] == [True, False, False, False]
    assert [one.family for one in (clear, two, noisy, tie)] == ["mlp", "mlp", "mlp", ""]


def test_equal_seconds_takes_each_models_last_evaluation_within_the_median_of_whole_runs() -> None:
    quick = row("quick", [0.5], "mlp", runs=[([1, 2], [0.3, 0.6])])  # done long before: its last evaluation counts
    middle = row("middle", [0.5], "other", runs=[([2, 4], [0.2, 0.55])])  # the median: 4 s, reached exactly
    slow = row("slow", [0.9], "attention", runs=[([3, 8, 12], [0.4, 0.8, 0.9])])  # best in the end, but not within 4 s
    late = row("late", [0.9], "convolution", runs=[([4.5], [1.0])])
    own = [quick, middle, slow]
    assert map.within_spending(own, map.seconds) == {"quick": {0: 0.6}, "middle": {0: 0.55}, "slow": {0: 0.4}}
    assert won(own, "equal training seconds")[:2] == ("quick", "middle")
    assert won(own, "equal samples")[0] == "slow"
    assert "late" not in map.within_spending([*own, row("two", [0.1], "mlp", runs=[([4], [0.1])]), late], map.seconds)


def test_equal_seconds_looks_at_every_seed_by_its_own_clock() -> None:
    uneven = row("uneven", [0.5, 0.5], "mlp", runs=[([1, 2, 9], [0.1, 0.2, 0.3]), ([3, 4, 5], [0.4, 0.5, 0.6])])  # 7 s on average
    other = row("other", [0.5, 0.5], "other", runs=[([1, 3], [0.1, 0.1]), ([1, 3], [0.1, 0.1])])  # median 5 s
    assert map.within_spending([uneven, other], map.seconds)["uneven"] == {0: 0.2, 1: 0.6}


def test_equal_flops_counts_three_forward_passes_a_sample() -> None:
    small = row("small", [0.7], "mlp", runs=[([1, 1], [0.5, 0.7])], samples=[10, 20], flops=1)  # 60 in all
    middle = row("middle", [0.8], "other", runs=[([1, 1], [0.6, 0.8])], samples=[10, 20], flops=5)  # 300: the median
    large = row("large", [0.9], "attention", runs=[([1, 1], [0.65, 0.9])], samples=[10, 20], flops=10)  # 300 at its first
    own = [small, middle, large]
    assert [map.training_flops(one, one.runs[0]).tolist() for one in own] == [[30, 60], [150, 300], [300, 600]]  # type: ignore[union-attr]
    assert map.within_spending(own, map.training_flops) == {"small": {0: 0.7}, "middle": {0: 0.8}, "large": {0: 0.65}}
    assert won(own, "equal training FLOPs")[:2] == ("middle", "small")


@pytest.mark.parametrize(("condition", "cost"), [("equal parameters", "params"), ("equal latency", "latency")])
def test_equal_size_lets_every_family_take_part_and_nothing_larger(condition: str, cost: str) -> None:
    sizes: dict[str, Any] = {"a1": 100, "a2": 500, "m1": 10, "m2": 300, "c1": 301}
    values = {"a1": 0.5, "a2": 0.99, "m1": 0.4, "m2": 0.6, "c1": 0.55}
    families = {"a": "attention", "m": "mlp", "c": "convolution"}
    own = [row(name, [values[name]] * 3, families[name[0]], **{cost: size}) for name, size in sizes.items()]
    own.append(row("unknown", [1.0] * 3, "mlp"))  # no cost: takes no part
    assert set(map.CONDITIONS[condition](own)) == {"a1", "m1", "m2", "c1"}  # the convolution's smallest, 301, is the limit
    assert won(own, condition)[:2] == ("m2", "c1")
    own.append(row("stranger", [1.0] * 3, "other"))  # of a family nobody measured: what would let it take part is not known
    assert map.CONDITIONS[condition](own) == {}


def test_the_map_counts_and_draws_what_it_found(reference: dict[str, list[Row]], picture: Pictures) -> None:
    kept = suite.scored(reference, 2)
    found = map.fields(kept)
    every = [one for line in found.values() for one in line if one is not None]
    figure = picture("map")
    patches = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert len(patches) == len(every) and len(every) <= len(kept) * len(map.CONDITIONS)
    solid = [patch for patch in patches if not patch.get_hatch() and patch.get_facecolor() != (1, 1, 1, 1)]
    assert len(solid) == sum(one.shown for one in every)
    assert {patch.get_facecolor() for patch in solid} == {to_rgba(map.mixed(one.family, 0.82, 0)) for one in every if one.shown}
    written = [text.get_text() for text in figure.axes[0].texts]
    for name, line in found.items():
        for one in (one for one in line if one is not None and one.family):
            assert one.model in written and f"over {one.lead.b}" in written and map.ahead(one, kept[name]) in written
    title, wins = figure.texts[0].get_text(), {f: sum(o.family == f and o.shown for o in every) for f in suite.WORDS}
    assert f"Of {len(every)} " in title and f"in {len(every) - sum(wins.values())} no family" in title
    assert all(f" {wins[family]}" in title for family in wins if wins[family])


def slow_ranks(means: dict[str, float], higher: bool) -> dict[str, float]:
    """A rank is one more than the models that are better, and half a place for each that is as good."""
    every = [mean if higher else -mean for mean in means.values()]
    return {name: 1 + sum(other > own for other in every) + (every.count(own) - 1) / 2 for name, own in zip(means, every, strict=True)}


def test_ranks_ties_and_missing_models_equal_a_slow_reference() -> None:
    generator = np.random.default_rng(1)
    sections, means = {}, {}
    for i in range(8):
        metric, names = (ACCURACY, MSE)[i % 2], [f"m{k}" for k in range(7) if generator.random() < 0.7 or k < 3]
        means[f"d{i}"] = {name: float(generator.integers(1, 5)) / 8 for name in names}  # few levels: many ties
        sections[f"d{i}"] = [row(name, [mean, mean], metric=metric) for name, mean in means[f"d{i}"].items()] + [row("never", [])]
    r = ranks.rank(sections | {"two": [row("m0", [0.1]), row("m1", [0.2])]})  # too few models: no line
    assert r.datasets == list(sections) and "never" not in r.models
    for x, name in enumerate(r.datasets):
        want = slow_ranks(means[name], higher=x % 2 == 0)
        assert {m: r.table[y, x] for y, m in enumerate(r.models) if not np.isnan(r.table[y, x])} == want
    for model, mean in r.means.items():
        own = [want[model] for x, name in enumerate(r.datasets) if model in (want := slow_ranks(means[name], x % 2 == 0))]
        assert mean.mean == pytest.approx(np.mean(own)) and mean.n == len(own) >= 3
    order = [r.means[model].mean for model in r.models[: r.wide]]
    assert order == sorted(order) and r.wide == sum(2 * mean.n >= 8 for mean in r.means.values())


def test_equal_scores_tie_whatever_the_order_of_their_seeds() -> None:
    values = [0.1, 0.2, 0.3]
    assert sum(values) != sum(values[::-1])
    assert ranks.ranks_of([row("a", values), row("b", values[::-1]), row("c", [0.1] * 3)]) == {"a": 1.5, "b": 1.5, "c": 3}


def test_the_mean_ranks_interval_is_that_of_every_possible_resample() -> None:
    own = np.array([1.0, 2.0, 2.0, 7.0])
    every = [np.mean(draw) for draw in itertools.product(own, repeat=4)]
    found = ranks.mean_rank(own)
    assert [found.mean, found.low, found.high] == pytest.approx([3, *np.percentile(every, [2.5, 97.5])], abs=0.26)
    assert found == ranks.mean_rank(own)


def test_the_title_says_apart_only_of_intervals_that_do_not_meet() -> None:
    def sections(second: Sequence[float]) -> dict[str, list[Row]]:
        last = [row("z", [0.0] * 3), row("y", [0.01] * 3)]
        return {f"d{i}": [row("a", [0.9] * 3), row("b", [value] * 3), *last] for i, value in enumerate(second)}

    assert "a has the best mean rank, 1.0, apart from b's 2.0" in ranks.finding(ranks.rank(sections([0.5] * 4)))
    assert "not apart from b's 1.8" in ranks.finding(ranks.rank(sections([0.5, 0.5, 0.5, 0.95])))


def test_a_dot_stands_where_no_difference_to_the_best_is_shown(reference: dict[str, list[Row]], picture: Pictures) -> None:
    r = ranks.rank(reference)
    for x, name in enumerate(r.datasets):
        order = ranked(reference[name])
        clear = {d.b for d in against(order[0], order[1:]) if d.shown}
        assert {m for y, m in enumerate(r.models) if r.open[y, x]} - {order[0].model} == {o.model for o in order[1:]} - clear
    heat = picture("ranks").axes[0]
    dots = {(round(float(np.ravel(line.get_ydata())[0])), round(float(np.ravel(line.get_xdata())[0]) - 0.36)) for line in heat.lines[:-1]}
    assert dots == set(zip(*(index.tolist() for index in np.nonzero(r.open)), strict=True))
    assert [text.get_text() for text in heat.texts] == [f"{value:g}" for value in r.table.ravel() if not np.isnan(value)]


@pytest.mark.parametrize("kind", costs.COSTS)
def test_a_panel_shows_every_measured_model_and_the_front_of_plots(kind: str, reference: dict[str, list[Row]], picture: Pictures) -> None:
    cost = costs.COSTS[kind]
    kept = suite.scored(reference, 2)
    panels = [axes for axes in picture(kind).axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in panels] == list(kept)
    for axes, own in zip(panels, kept.values(), strict=True):
        scale, higher = (100 if own[0].metric.percent else 1), own[0].metric.better == "higher"
        want = {
            o.model: (cost.column.of(o), float(f"{scale * o.value.mean:.9g}")) for o in own if cost.column.of(o) and o.value is not None
        }
        drawn = {tuple(np.ravel(line.get_xydata())) for line in axes.lines if line.get_marker() in plots.MARKERS.values()}
        assert drawn == set(want.values())
        edge = plots.front(list(want.values()), higher)  # type: ignore[arg-type]
        if not want:
            continue
        (line,) = (line for line in axes.lines if line.get_gid() == "front")
        assert [tuple(corner) for corner in line.get_xydata()[1:-1:2]] == edge
        assert all((a == b).any() for a, b in itertools.pairwise(line.get_xydata()))  # quality changes only at a model's cost
        named = {text.get_text() for text in axes.texts}
        assert {name for name, point in want.items() if point in edge} | (set(CONTROLLED) & set(want)) <= named
        assert costs.unmeasured([o.model for o in own if o.model not in want]) in named or len(want) == len(own)


def test_what_was_not_measured_is_said_and_a_doubtful_timing_is_hollow() -> None:
    run: dict[str, Any] = {"runs": [([1, 2], [0.5, 0.6])], "samples": [1, 2]}
    sections = {"d": [row("a", [0.9, 0.8], params=5, **run), row("b", [0.7, 0.8], "mlp", params=9, latency=2.0, **run)]}
    sections["d"][1].doubts["cpu_b1"] = "not settled"
    sections["e"] = [row("a", [0.9, 0.8], params=5, **run), row("b", [0.7, 0.8], params=9, **run)]
    first, second = (axes for axes in costs.picture(sections, costs.TIMED).axes if axes.get_visible())
    assert "not measured: a" in [text.get_text() for text in first.texts]
    assert "CPU latency not measured" in [text.get_text() for text in second.texts]
    assert [line.get_markerfacecolor() for line in first.lines if line.get_marker() == "^"] == ["white"]
    assert all(kinds.suites[name](sections) for name in KINDS if name != "ranks")  # nothing raises
    assert "no two models" in costs.finding(sections, costs.COSTS["quality_flops"])


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_compare_is_told(kind: str) -> None:
    for sections in ({}, {"d": []}, {"d": [row("a", [0.5, 0.6])]}, {"d": [row("a", []), row("b", [])]}):
        with pytest.raises(NoPicture, match="no data set has"):
            kinds.suites[kind](sections)


def texts_drawn(figure: Figure, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Text, Any]]:
    """What the renderer is asked to write, with its place in pixels."""
    drawn: list[Text] = []
    draw = Text.draw
    monkeypatch.setattr(Text, "draw", lambda self, renderer: (drawn.append(self), draw(self, renderer))[1])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return [(text, text.get_window_extent(canvas.get_renderer())) for text in drawn if text.get_visible() and text.get_text().strip()]


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_meets_another_or_leaves_the_picture(kind: str, picture: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = texts_drawn(figure := picture(kind), monkeypatch)
    assert len(drawn) > 40 and min(text.get_fontsize() for text, _ in drawn) >= 7
    for text, box in drawn:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, text
    for (a, one), (b, two) in itertools.combinations(drawn, 2):
        if not a.get_rotation() % 90 and not b.get_rotation() % 90:
            assert not (one.x0 < two.x1 and two.x0 < one.x1 and one.y0 < two.y1 and two.y0 < one.y1), (a, b)
    slanted = [text for text, _ in drawn if text.get_rotation() % 90]
    for a, b in itertools.pairwise(slanted):  # parallel lines: what counts is the distance between them
        gap = abs(np.subtract(*(text.get_transform().transform(text.get_position())[0] for text in (a, b))))
        assert gap * math.sin(math.radians(a.get_rotation())) >= 1.2 * a.get_fontsize() * figure.dpi / 72


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_rows_give_the_same_small_picture(kind: str, reference: dict[str, list[Row]]) -> None:
    few = {name: reference[name] for name in ("digits", "shapes", "xor")}
    content = kinds.suites[kind](few)
    assert content == kinds.suites[kind](few)
    image = Image.open(io.BytesIO(content))
    assert image.format == "PNG" and 800 <= image.width <= 1100 and not image.info
    assert len(content) < 100_000


def test_256_colours_look_like_all_of_them(picture: Pictures) -> None:
    made = plots.png(picture("map")), plots.small(picture("map"))
    full, few = (np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), int) for content in made)
    assert np.abs(full - few).max() <= 40 and np.abs(full - few).mean() < 1


def test_names_find_free_places_or_are_left_out() -> None:
    axes = (figure := Figure(figsize=(3, 2), dpi=100)).subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    points = {f"model_{i}": (0.5, 0.5) for i in range(60)}
    texts = suite.label(axes, points, dict.fromkeys(points, "black"), [])
    boxes = [text.get_window_extent(FigureCanvasAgg(figure).get_renderer()) for text in texts]
    assert 10 < len(texts) < 60
    assert all(axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 for box in boxes)
    assert not any(one.overlaps(two) for one, two in itertools.combinations(boxes, 2))


def test_ticks_are_round_and_in_sight() -> None:
    assert suite.ticks(3, 2e5) == [10, 100, 1e3, 1e4, 1e5]
    assert suite.ticks(0.25, 0.7) == [0.3, 0.4, 0.5, 0.6, 0.7]
    assert all(41 <= tick <= 49 for tick in suite.ticks(41, 49)) and len(suite.ticks(41, 49)) >= 2
    assert suite.ticks(0.9e-3, 0.02) == [0.001, 0.01]
    assert len(suite.ticks(1, 1e12)) <= 6
