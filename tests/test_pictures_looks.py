"""What a model looks like in pictures: its marker is the same in all, and few colours leave its family's own as they were asked for."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from bench.report import costs, curves, plots
from bench.report.palette import NEAR
from bench.tables.look import COLOURS
from bench.tables.rows import Row
from tests.test_pictures import DOTS, picture, sections


def shades(content: bytes, axes: Axes, own: Row, field: str) -> tuple[Counter[tuple[int, ...]], Counter[tuple[int, ...]]]:
    """Pixels along a model's mean curve, where it is nearly level, and those between it and the ends of its band, by colour."""
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), int)
    samples, _, *heights = curves.averaged(own, field)
    mean, low, high = (axes.transData.transform(np.stack([samples, line], 1)) for line in heights)
    line: Counter[tuple[int, ...]] = Counter()
    band: Counter[tuple[int, ...]] = Counter()
    for x in np.arange(mean[1, 0], mean[-1, 0]):
        centre, bottom, top = (float(np.interp(x, one[:, 0], one[:, 1])) for one in (mean, low, high))
        column = pixels[::-1, int(x)]
        line[tuple(column[int(centre)].tolist())] += 1
        for one in (*np.arange(bottom + 2, centre - 4), *np.arange(centre + 4, top - 2)):
            band[tuple(column[int(one)].tolist())] += 1
    return line, band


def losses(figure: Figure) -> list[tuple[Axes, str]]:
    """The panels against samples, and which loss they show."""
    by_words = {f"{words} against samples": field for field, words in curves.LOSSES.items()}
    return [(axes, by_words[axes.get_title(loc="left")]) for axes in figure.axes if axes.get_title(loc="left") in by_words]


def test_lines_and_bands_have_the_colours_asked_for() -> None:
    """One model of each family in a picture, with bands of its own height, so that no two mix; and all of them, as they are drawn."""
    own = [row for row in sections()["mnist_5k"] if row.values]
    first = {row.family: row for row in own if len(row.values) > 1}
    for name, row in first.items():
        figure = curves.picture("mnist_5k", [row])
        content = plots.small(figure)
        lines, bands = zip(*(shades(content, axes, row, field) for axes, field in losses(figure)), strict=True)
        line, band = sum(lines, Counter()), sum(bands, Counter())
        solid, pale = (np.array(to_rgb(COLOURS[name])) * 255).round(), np.array(plots.tint(name))
        assert line.most_common(1)[0][0] == tuple(solid), name
        assert np.abs(np.array(band.most_common(1)[0][0]) - pale).max() <= NEAR, name
    figure = curves.picture("mnist_5k", own)
    full, few = (np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), int) for content in (plots.png(figure), plots.small(figure)))
    for name in first:
        for wanted in ((np.array(to_rgb(COLOURS[name])) * 255).round(), np.array(plots.tint(name))):
            here = np.abs(full - wanted).max(2) <= NEAR
            assert here.sum() > 100, name
            assert np.abs(few[here] - wanted).max() <= 2, (name, wanted)
    assert len(plots.small(figure)) < len(plots.png(figure)) / 3


def markers(name: str) -> dict[str, set[object]]:
    """What stands at the place of each model: in panels of quality against cost, and at the ends of curves."""
    own = [row for row in sections()[name.partition("/")[2]] if row.values]
    found: dict[str, set[object]] = {}
    for axes in picture(name).figure.axes:
        dots = {tuple(np.ravel(line.get_xydata())): line.get_marker() for line in axes.lines if line.get_marker() in DOTS}
        for row in own:
            if name.startswith("pareto/"):
                costs_of = [cost for cost in costs.COSTS if cost.column.axis == axes.get_xlabel()]
                at = [(p.x, p.y) for cost in costs_of if (p := costs.points([row], cost).get(row.model))]
            else:
                field = next(field for field, words in curves.LOSSES.items() if axes.get_title(loc="left").startswith(words))
                samples, seconds, mean, *_ = curves.averaged(row, field)
                at = [(x[-1], mean[-1]) for x in (samples, seconds)]
            found.setdefault(row.model, set()).update(dots[place] for place in at if place in dots)
    return found


def test_a_model_has_one_marker_in_every_picture() -> None:
    pareto, curve = markers("pareto/xor"), markers("curves/xor")
    assert len(pareto) >= 5 and {len(one) for one in pareto.values()} == {1}
    assert pareto == curve
    assert pareto["heads"] != pareto["transformer"]
