"""The whole suite: each model's rank on every data set, and its mean rank with an interval."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import rankdata

from bench.core.stats import Interval
from bench.figures.kinds import of_suite
from bench.figures.suite import DARK, GREY, WORDS, key, left_out, level, scored
from bench.report.plots import COLOURS, MARKERS, STYLE, small
from bench.tables.rows import Row
from bench.tables.verdict import against, ranked

FEWEST_MODELS, FEWEST_DATASETS, DRAWS = 3, 3, 2000
LINE, NAMES, WIDTH, HEAD, FOOT = 0.235, 2.0, 11.0, 1.75, 0.95  # inches


@dataclass(frozen=True)
class Ranks:
    """`table` is (models, data sets): ranks from 1, the best, with ties at their mean; nan where a model has no value.

    `open` says, in the same places, whether no difference to the best model was shown (paired by seed, Holm-corrected within the
    data set; the best itself is open if anyone is). `means` has the mean rank of every model with enough data sets. The models on
    at least half of the data sets come first, `wide` of them, each group by mean rank, those without one last.
    """

    models: list[str]
    datasets: list[str]
    table: np.ndarray
    open: np.ndarray
    means: dict[str, Interval]
    wide: int
    families: dict[str, str]


def ranks_of(own: list[Row]) -> dict[str, float]:
    """Ranks of one data set's models by mean value, 1 for the best."""
    sign = -1 if own[0].metric.better == "higher" else 1
    means = [sign * level(row.value.mean) for row in own if row.value is not None]
    return dict(zip((row.model for row in own), rankdata(means).tolist(), strict=True))


def undecided(own: list[Row]) -> set[str]:
    """The models without a shown difference to the best one, the best included if there is any other."""
    order = ranked(own)
    found = {d.b for d in against(order[0], order[1:]) if not d.shown}
    return found | {order[0].model} if found else set()


def mean_rank(ranks: np.ndarray) -> Interval:
    """Mean of ranks, one a data set, with the 95 % percentile interval of a bootstrap over data sets. The same for the same ranks."""
    drawn = np.random.default_rng(0).choice(ranks, (DRAWS, len(ranks))).mean(1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(float(ranks.mean()), float(low), float(high), len(ranks))


def rank(sections: dict[str, list[Row]]) -> Ranks:
    """Of every data set with at least three models that have a value; NoPicture if there is none."""
    kept = scored(sections, FEWEST_MODELS)
    families = {row.model: row.family for own in kept.values() for row in own}
    by_dataset = {name: ranks_of(own) for name, own in kept.items()}
    every = {model: np.array([found[model] for found in by_dataset.values() if model in found]) for model in families}
    means = {model: mean_rank(found) for model, found in every.items() if len(found) >= FEWEST_DATASETS}
    wide = {model for model in means if 2 * len(every[model]) >= len(kept)}
    models = sorted(families, key=lambda m: (m not in wide, m not in means, means[m].mean if m in means else every[m].mean(), m))
    table = np.array([[found.get(model, np.nan) for found in by_dataset.values()] for model in models])
    unclear = [undecided(own) for own in kept.values()]
    return Ranks(models, list(kept), table, np.array([[m in names for names in unclear] for m in models]), means, len(wide), families)


def finding(r: Ranks) -> str:
    """Who has the best mean rank among the models on most data sets, and whether the next is apart."""
    most = r.models[: r.wide]
    if len(most) < 2:
        return f"No two models ran on at least {FEWEST_DATASETS} data sets and half of the {len(r.datasets)}: no mean ranks to compare"
    best, following = r.means[most[0]], r.means[most[1]]
    apart = "apart from" if best.high < following.low else "not apart from"
    lead = f"{most[0]} has the best mean rank, {best.mean:.1f}, {apart} {most[1]}'s {following.mean:.1f}"
    return f"Of the {len(most)} models above the line {lead}" if len(most) < len(r.models) else lead


def written(value: float) -> str:
    """A rank as people write it: 3, and 3.5 for a tie."""
    return f"{value:.0f}" if value == int(value) else f"{value:.1f}"


def heat(axes: Axes, r: Ranks) -> None:
    """The ranks, dark for the best and white for the last of each data set; a dot where no difference to the best is shown."""
    last = np.nanmax(r.table, axis=0)
    shade = 1 - (r.table - 1) / np.maximum(last - 1, 1)
    axes.imshow(shade, cmap="Greys", vmin=0, vmax=1.25, aspect="auto")
    for (y, x), value in np.ndenumerate(r.table):
        if not np.isnan(value):
            colour = "white" if shade[y, x] > 0.6 else DARK
            axes.text(x, y, written(value), ha="center", va="center", fontsize=7.5, color=colour)
            if r.open[y, x]:
                axes.plot(x + 0.36, y, "o", ms=2.2, color=colour)
    axes.set_xticks(range(len(r.datasets)), r.datasets, rotation=45, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(len(r.models)), r.models)
    for tick, model in zip(axes.get_yticklabels(), r.models, strict=True):
        tick.set_color(COLOURS[r.families[model]])
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.set_xticks(np.arange(len(r.datasets) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(r.models) + 1) - 0.5, minor=True)
    axes.grid(False)
    axes.grid(which="minor", color="white", lw=1)
    axes.tick_params(which="minor", length=0, top=False)
    axes.spines[:].set_visible(False)


def means(axes: Axes, r: Ranks) -> None:
    """Mean ranks with their intervals, level with the models' lines."""
    for y, model in enumerate(r.models):
        if model in r.means:
            mean, colour = r.means[model], COLOURS[r.families[model]]
            axes.plot([mean.low, mean.high], [y, y], color=colour, lw=1.2)
            axes.plot(mean.mean, y, MARKERS[r.families[model]], ms=5, color=colour)
            axes.text(
                1.02, y, f"{mean.mean:.1f}  (n = {mean.n})", transform=axes.get_yaxis_transform(), va="center", fontsize=7.5, color=colour
            )
        else:
            axes.text(1.02, y, "too few", transform=axes.get_yaxis_transform(), va="center", fontsize=7.5, color=GREY)
    most = float(np.nanmax(r.table))
    axes.set(xlim=(0.5, most + 0.5), xticks=[1, *range(5, int(most) + 1, 5)])
    axes.set_xlabel("mean rank over n data sets, 1 is best")
    axes.tick_params(axis="y", which="both", left=False, labelleft=False)
    axes.grid(False, axis="y")
    axes.xaxis.set_label_position("top")
    axes.xaxis.tick_top()
    axes.spines["bottom"].set_visible(False)
    axes.spines[["top", "left"]].set_visible(True)


def picture(sections: dict[str, list[Row]]) -> Figure:
    """The heat map of ranks, and the mean ranks beside it."""
    r = rank(sections)
    height = HEAD + LINE * len(r.models) + FOOT
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height))
        edges = {"left": NAMES / WIDTH, "right": 1 - 0.95 / WIDTH, "top": 1 - HEAD / height, "bottom": FOOT / height}
        left, right = figure.subplots(1, 2, sharey=True, gridspec_kw=edges | {"wspace": 0.04, "width_ratios": [2.6, 1]})
        heat(left, r)
        means(right, r)
        for axes in (left, right) if 0 < r.wide < len(r.models) else ():
            axes.axhline(r.wide - 0.5, color=DARK, lw=1)
        figure.text(0.12 / WIDTH, 1 - 0.2 / height, finding(r), fontsize=11, fontweight="bold", va="center")
        key(figure, WORDS, 0.2, 0.46, 1.25)
        note = (
            "Rank by mean test value among the models of a data set, ties at their mean; white is last, blank was not run."
            " Dot: no difference to the best is shown (paired by seed, Holm-corrected).\n"
            "Intervals: 95 %, bootstrap over data sets. Above the line: models on at least half of the data sets; mean ranks compare only"
            f" there. A mean needs {FEWEST_DATASETS} data sets."
        )
        out = left_out(sections, scored(sections, FEWEST_MODELS), f"fewer than {FEWEST_MODELS} models").strip()
        figure.text(0.12 / WIDTH, 0.12 / height, note + "\n" + out, fontsize=7.5, color=GREY, linespacing=1.4)
    return figure


@of_suite()
def ranks(sections: dict[str, list[Row]]) -> bytes:
    """Who ranks where on every data set, and the mean rank of each model."""
    return small(picture(sections))
