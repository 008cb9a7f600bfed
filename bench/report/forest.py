"""Attention minus each other mixer, a row for each data set of the family: simultaneous intervals, and the margin as a grey band."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from bench.report.plots import GREY, STYLE, headline
from bench.tables.family import FEWEST, OTHERS, SETS
from bench.tables.headline import measured, missing
from bench.tables.look import VERDICTS
from bench.tables.scales import called, scale
from bench.tables.verdict import BEATS, EQUAL, LOSES, OPEN, Verdict

FAR = 100  # margins: what lies beyond stands at the edge, as an arrow
TICKS = (-10, -1, 0, 1, 10)  # the ends of two panels would meet
INK = {BEATS: VERDICTS["beats"][0], LOSES: VERDICTS["loses"][0], EQUAL: "black", OPEN: GREY, "": GREY}
WORDS = {BEATS: "attention beats it", LOSES: "attention loses", EQUAL: "equal", OPEN: "cannot tell", "": "no verdict"}
LINE, NAMES, WIDTH, HEAD, FOOT = 0.42, 1.65, 11.0, 1.25, 0.75  # inches


def in_margins(verdict: Verdict) -> tuple[float, float, float]:
    """Mean, low and high in margins of the metric, cut where the picture ends."""
    margin = scale(verdict.metric).margin
    mean, low, high = (max(-FAR, min(FAR, value / margin)) for value in (verdict.mean, verdict.low, verdict.high))
    return mean, low, high


def draw(axes: Axes, y: int, verdict: Verdict) -> None:
    """One interval: solid where it is a verdict, hollow where it is none; an arrow where it goes on."""
    mean, low, high = in_margins(verdict)
    colour = INK[verdict.word]
    axes.plot([low, high], [y, y], color=colour, lw=1.6, solid_capstyle="butt", zorder=2)
    for end, marker in ((low, "<"), (high, ">")):
        axes.plot(end, y, marker=marker if abs(end) == FAR else "|", ms=5, color=colour, clip_on=False, zorder=2)
    axes.plot(mean, y, "o", ms=5, color=colour, mfc=colour if verdict.word else "white", zorder=3, gid="mean")
    axes.text(0.985, y - 0.3, f"{measured(verdict).split(' [')[0]}, n = {verdict.n}", transform=axes.get_yaxis_transform(), **SMALL)


SMALL: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": 7, "color": "#555555"}


def panel(axes: Axes, other: str, found: dict[str, Verdict]) -> None:
    """All data sets against one mixer."""
    axes.axvspan(-1, 1, color="#e2e2e2", lw=0, zorder=0, gid="margin")
    axes.axvline(0, color="#777777", lw=0.8, zorder=1)
    for y, verdict in enumerate(found.values()):
        if math.isnan(verdict.low):
            axes.text(0.985, y, "not run" if verdict.n == 0 else f"n = {verdict.n}", transform=axes.get_yaxis_transform(), **SMALL)
        else:
            draw(axes, y, verdict)
    axes.set_xscale("symlog", linthresh=1, linscale=0.8)
    axes.set(xlim=(-FAR, FAR), ylim=(len(found) - 0.4, -0.6))
    axes.xaxis.set(major_locator=FixedLocator(TICKS), minor_locator=NullLocator())
    axes.set_xticklabels([f"{tick:g}".replace("-", "−") for tick in TICKS], fontsize=7.5)
    axes.tick_params(length=2, axis="x")
    axes.tick_params(length=0, axis="y")
    axes.set_title(f"attention minus {OTHERS[other]}", fontsize=8.5)
    axes.set_xlabel("← worse      margins      better →", fontsize=7.5)
    axes.grid(visible=False, axis="y")


@matplotlib.rc_context(STYLE)
def picture(family: Sequence[Verdict]) -> Figure | None:
    """A panel for each mixer; None if nothing was compared."""
    by_place = {(one.dataset, one.other): one for one in family}
    sets = [name for name in SETS if any(one.dataset == name and not math.isnan(one.low) for one in family)]
    if not sets:
        return None
    height = HEAD + LINE * len(sets) + FOOT
    figure = Figure(figsize=(WIDTH, height))
    edges = {"left": NAMES / WIDTH, "right": 1 - 0.15 / WIDTH, "top": 1 - HEAD / height, "bottom": FOOT / height}
    panels = figure.subplots(1, len(OTHERS), sharey=True, gridspec_kw=edges | {"wspace": 0.07}, squeeze=False)[0]
    for axes, other in zip(panels, OTHERS, strict=True):
        panel(axes, other, {name: by_place[name, other] for name in sets})
    metrics = [next(one.metric for one in family if one.dataset == name and one.metric.name) for name in sets]
    panels[0].set_yticks(range(len(sets)), [f"{name}\n{called(metric)}" for name, metric in zip(sets, metrics, strict=True)], fontsize=8)
    told = "Attention minus each mixer in one backbone, paired by seed, n seeds. Intervals hold together in 95 of 100 cases, over the"
    headline(figure, finding(family), f"{told} whole family; with fewer than {FEWEST} seeds they decide nothing")
    for place, (word, said) in enumerate(WORDS.items()):
        figure.text((0.3 + 1.5 * place) / WIDTH, 1 - 0.74 / height, f"{'●' if word else '○'} {said}", color=INK[word], fontsize=8.5)
    note = (
        "Grey: the margin, one everywhere: 1 point of accuracy, 1 BLEU, 10 % of an error (ratios on a logarithmic scale)."
        " The axis is linear inside it and logarithmic outside."
    )
    figure.text(0.12 / WIDTH, 0.1 / height, note, fontsize=7.5, color=GREY)
    return figure


def finding(family: Sequence[Verdict]) -> str:
    """How the comparisons came out, in one line."""
    words = [one.word for one in family if one.word]
    if not words:
        return f"No verdict yet, of {len(family)} comparisons: {missing(family)}"
    won, lost, equal, unsure = (words.count(word) for word in (BEATS, LOSES, EQUAL, OPEN))
    return (
        f"Of {len(family)} comparisons attention won {won}, lost {lost} and equalled {equal}; {unsure} cannot be told,"
        f" {len(family) - len(words)} have no verdict"
    )
