"""The whole suite: quality on test against parameters, FLOPs, latency and training seconds, one panel a data set."""

from __future__ import annotations

import textwrap
from collections import Counter
from functools import partial

import matplotlib
from matplotlib.figure import Figure

from bench.figures.kinds import of_suite
from bench.figures.subject import Outdated
from bench.report.costs import FLOPS, HOLLOW, NOTE, PARAMS, TIMED, Cost, on_front, panel, points
from bench.report.plots import GREY, STYLE, headline, key
from bench.tables.columns import column
from bench.tables.family import MIXERS
from bench.tables.formatting import number
from bench.tables.look import NAMES, looks
from bench.tables.rows import Row

COSTS = {
    "quality_params": PARAMS,
    "quality_flops": FLOPS,
    "quality_latency": TIMED,
    "quality_seconds": Cost("training time", column("train_seconds"), number),
}
COLUMNS = 3
WIDTH, PANEL, HEAD, FOOT = 11.0, 2.4, 1.15, 0.55  # inches; a panel's with its labels


def compared(sections: dict[str, list[Row]], cost: Cost) -> dict[str, list[Row]]:
    """The rows with values of every data set on which two models or more also have the cost. NoPicture if there is none."""
    kept = {name: [row for row in own if row.values] for name, own in sections.items() if len(points(own, cost)) >= 2}
    if not kept:
        raise Outdated(f"no data set has 2 models with a value and {cost.words} to compare")
    return kept


def finding(kept: dict[str, list[Row]], cost: Cost) -> str:
    """On how many fronts each family stands, the most frequent first."""
    count: Counter[str] = Counter()
    for own in kept.values():
        found = points(own, cost)
        count.update({found[name].family for name in on_front(found, own[0].metric.better == "higher")})
    (first, most), *others = sorted(count.items(), key=lambda item: (-item[1], item[0]))
    said = [
        f"{NAMES[first]} on {most} of {len(kept)} data set{'s' * (len(kept) > 1)}",
        *(f"{NAMES[name]} on {n}" for name, n in others),
    ]
    return f"Beaten by no model in both quality and {cost.words}: {', '.join(said)}"


@matplotlib.rc_context(STYLE)
def picture(sections: dict[str, list[Row]], cost: Cost) -> Figure:
    """One panel for each data set on which two models or more have a value and the cost. NoPicture if there is none."""
    kept = compared(sections, cost)
    left = [name for name, own in sections.items() if name not in kept and any(row.values for row in own)]
    lines = -(-len(kept) // COLUMNS)
    height = HEAD + lines * PANEL + FOOT
    figure = Figure(figsize=(WIDTH, height))
    edges = {"left": 0.6 / WIDTH, "right": 1 - 0.1 / WIDTH, "top": 1 - HEAD / height, "bottom": (FOOT + 0.42) / height}
    grid = figure.subplots(lines, COLUMNS, squeeze=False, gridspec_kw=edges | {"wspace": 0.22, "hspace": 0.48})
    for axes in grid.flat[len(kept) :]:
        axes.set_visible(False)
    for axes, (name, own) in zip(grid.flat, kept.items(), strict=False):
        panel(axes, own, cost, MIXERS)
        axes.set_title(name, fontweight="bold")
    told = f"Means over seeds with 95 % Student intervals. {NOTE}. Named: models on it and the backbones"
    headline(figure, finding(kept, cost), told + (f". {HOLLOW}" if cost is TIMED else ""))
    key(figure, looks([row for own in kept.values() for row in own]).values(), HEAD - 0.4)
    note = f"Not drawn, fewer than two models with a value and {cost.words}: {', '.join(left)}." if left else ""
    figure.text(0.12 / WIDTH, 0.12 / height, textwrap.fill(note, int(WIDTH * 15)), fontsize=7.5, color=GREY)
    return figure


for kind, one in COSTS.items():
    of_suite(kind, partial(picture, cost=one))
