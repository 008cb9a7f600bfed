"""The whole suite: who wins where, at equal samples, seconds, FLOPs, parameters and latency.

equal samples      test value after the whole run
equal seconds      value on val at the last evaluation that each model reached within T training seconds, T the median over models
                   of what the whole run took; a model that was done earlier counts with its last evaluation
equal FLOPs        the same for training FLOPs: 3 × those of a forward pass × samples
equal parameters   test value, among models with at most P active parameters, P the fewest that let every family take part
equal latency      the same for CPU latency at batch 1, p50
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.core import machine
from bench.core.stats import Difference, paired
from bench.figures.kinds import of_suite
from bench.figures.suite import DARK, GREY, WORDS, key, left_out, level, plain, scored
from bench.report.plots import COLOURS, MARKERS, STYLE, small
from bench.store.records import Record
from bench.tables.rows import LATENCY, Row

BACKWARD = 3  # a training step costs about three forward passes: one forward, two backward
LINE, NAMES, WIDTH, HEAD, FOOT = 0.47, 1.75, 11.0, 1.0, 0.95  # inches
LONGEST = 26  # letters of a name that fit

Values = dict[str, dict[int, float]]  # by model, then by seed
Spent = Callable[[Row, Record], np.ndarray | None]  # what a run had spent at each evaluation, (evaluations,); None: not known
Cost = Callable[[Row], float | None]


@dataclass(frozen=True)
class Field:
    """One data set under one condition: the best model, its family ('' for a tie), and its lead over the best of another family."""

    model: str
    family: str
    lead: Difference

    @property
    def shown(self) -> bool:
        """Whether the lead is more than chance, at p < 0.05, not corrected for the number of fields."""
        return bool(self.family) and self.lead.shown


def whole(rows: list[Row]) -> Values:
    """Test values of the whole run."""
    return {row.model: row.values for row in rows}


def within_spending(rows: list[Row], spent: Spent) -> Values:
    """Values on val at the last evaluation within the median over models of what a whole run spent, the mean of its seeds.

    A model that had no evaluation by then takes no part.
    """
    known = {row.model: [(run, found) for run in row.runs if (found := spent(row, run)) is not None] for row in rows}
    totals = [float(np.mean([found[-1] for _, found in pairs])) for pairs in known.values() if pairs]
    limit = float(np.median(totals)) if totals else 0.0
    values: Values = {}
    for model, pairs in known.items():
        reached = {run["seed"]: int(np.searchsorted(found, limit, side="right")) - 1 for run, found in pairs}
        if reached and min(reached.values()) >= 0:
            values[model] = {run["seed"]: run["curve"]["val_metric"][reached[run["seed"]]] for run, _ in pairs}
    return values


def within_size(rows: list[Row], cost: Cost) -> Values:
    """Test values of the models that cost at most what lets every family take part: the largest of the families' least costs.

    Nothing if that is not known: a family without any measured model could have the cheapest.
    """
    costs = {row.model: float(found) for row in rows if (found := cost(row)) is not None}
    least: dict[str, float] = {}
    for row in rows:
        if row.model in costs:
            least[row.family] = min(costs[row.model], least.get(row.family, np.inf))
    if {row.family for row in rows} - set(least):
        return {}
    return {row.model: row.values for row in rows if row.model in costs and costs[row.model] <= max(least.values())}


def seconds(row: Row, run: Record) -> np.ndarray | None:
    """None where another machine trained than the one whose times are shown."""
    return np.asarray(run["curve"]["seconds"], float) if machine.name_of(run) == row.machine else None


def training_flops(row: Row, run: Record) -> np.ndarray | None:
    forward = row.costs.get("flops")
    return None if forward is None else BACKWARD * forward * np.asarray(run["curve"]["samples"], float)


CONDITIONS: dict[str, Callable[[list[Row]], Values]] = {
    "equal samples": whole,
    "equal training seconds": lambda rows: within_spending(rows, seconds),
    "equal training FLOPs": lambda rows: within_spending(rows, training_flops),
    "equal parameters": lambda rows: within_size(rows, lambda row: row.costs.get("params_active")),
    "equal latency": lambda rows: within_size(rows, lambda row: row.latency.get(LATENCY)),
}


def field(rows: list[Row], values: Values) -> Field | None:
    """Who wins among the models with values; None if they are of fewer than two families."""
    families = {row.model: row.family for row in rows}
    higher = rows[0].metric.better == "higher"
    means = {model: level(float(np.mean(list(by_seed.values())))) for model, by_seed in values.items()}
    order = sorted(values, key=lambda model: (-means[model] if higher else means[model], model))
    rival = next((model for model in order if families[model] != families[order[0]]), None)
    if rival is None:
        return None
    lead = paired(order[0], rival, values[order[0]], values[rival], higher)
    return Field(order[0], "" if means[rival] == means[order[0]] else families[order[0]], lead)


def fields(kept: dict[str, list[Row]]) -> dict[str, list[Field | None]]:
    """The map: for every data set its fields in the order of CONDITIONS."""
    return {name: [field(own, values(own)) for values in CONDITIONS.values()] for name, own in kept.items()}


def tally(found: dict[str, list[Field | None]]) -> tuple[dict[str, tuple[int, int]], int]:
    """By family how many fields it wins with a shown difference and how many it leads; and the number of fields with two families."""
    every = [one for line in found.values() for one in line if one is not None]
    led = Counter(one.family for one in every)
    won = Counter(one.family for one in every if one.shown)
    return {family: (won[family], led[family]) for family in WORDS}, len(every)


def finding(found: dict[str, list[Field | None]]) -> str:
    """How many fields each family wins with a shown difference, and how many are open."""
    count, total = tally(found)
    order = sorted((family for family in count if count[family][0]), key=lambda family: -count[family][0])
    parts = [f"{WORDS[family]} {'wins ' if i == 0 else ''}{count[family][0]}" for i, family in enumerate(order)]
    open_ = total - sum(won for won, _ in count.values())
    said = ", ".join(parts) if parts else "no family wins one"
    return f"Of {total} data sets × conditions {said}; in {open_} no family is shown to be ahead"


def ahead(one: Field, rows: list[Row]) -> str:
    """The lead in the metric's units: '+3.1 points', '−0.002 mse' where lower is better."""
    metric = rows[0].metric
    gap = plain(abs(one.lead.better_by.mean) * (100 if metric.percent else 1))
    unit = f"point{'s' * (gap != '1')}" if metric.percent else metric.name
    return f"{'+' if metric.better == 'higher' else '−'}{gap} {unit}"


def mixed(family: str, share: float, ground: float) -> tuple[float, float, float]:
    """`share` of the family's colour on black (0) or white (1)."""
    red, green, blue = (share * part + (1 - share) * ground for part in to_rgb(COLOURS[family]))
    return red, green, blue


def draw(axes: Axes, y: int, x: int, one: Field | None, rows: list[Row]) -> None:
    """One field: dark for a shown lead, pale and hatched for one that is not, white for a tie."""
    if one is None:
        axes.text(x + 0.5, y + 0.5, "not measured for every family", ha="center", va="center", fontsize=7, color=GREY)
        return
    model, rival = (
        name if len(name) <= most else name[: most - 1] + "…" for name, most in ((one.model, LONGEST), (one.lead.b, LONGEST - 5))
    )
    ink, ground, hatch, weight = DARK, (1.0, 1.0, 1.0), "", "normal"
    if one.family:
        ground, hatch = mixed(one.family, 0.1, 1), "////"
        if one.shown:
            ink, ground, hatch, weight = "white", mixed(one.family, 0.82, 0), "", "bold"
        axes.plot(x + 0.065, y + 0.5, MARKERS[one.family], ms=6, color="white" if one.shown else COLOURS[one.family])
    edge = mixed(one.family, 0.3, 1) if hatch else "#dddddd"
    axes.add_patch(Rectangle((x + 0.015, y + 0.04), 0.97, 0.92, lw=0 if one.family else 0.8, facecolor=ground, edgecolor=edge, hatch=hatch))
    lines = (model, ahead(one, rows), f"over {rival}") if one.family else (model, "ties with", rival)
    for line, height in zip(lines, (0.23, 0.51, 0.78), strict=True):
        box = {"facecolor": ground, "edgecolor": "none", "pad": 0.8}
        bold = weight if line == model else "normal"
        axes.text(x + 0.125, y + height, line, va="center", fontsize=7.2, color=ink, fontweight=bold, bbox=box)


def picture(sections: dict[str, list[Row]]) -> Figure:
    """Data sets down, conditions across. NoPicture if no data set has two models to compare."""
    kept = scored(sections, least=2)
    found = fields(kept)
    height = HEAD + LINE * len(kept) + FOOT
    with matplotlib.rc_context(STYLE | {"hatch.linewidth": 0.6}):
        figure = Figure(figsize=(WIDTH, height))
        axes = figure.add_axes((NAMES / WIDTH, FOOT / height, 1 - (NAMES + 0.1) / WIDTH, 1 - (HEAD + FOOT) / height))
        axes.set(xlim=(0, len(CONDITIONS)), ylim=(len(kept), 0))
        for y, (name, line) in enumerate(found.items()):
            for x, one in enumerate(line):
                draw(axes, y, x, one, kept[name])
            seeds = max(len(row.values) for row in kept[name])
            more = f"{kept[name][0].metric.name}, {len(kept[name])} models, {seeds} seed{'s' * (seeds > 1)}"
            axes.text(-0.03, y + 0.35, name, ha="right", va="center", fontsize=8.5)
            axes.text(-0.03, y + 0.68, more, ha="right", va="center", fontsize=7, color=GREY)
        axes.set_xticks(np.arange(len(CONDITIONS)) + 0.5, list(CONDITIONS), fontweight="bold")
        axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False, left=False, labelleft=False)
        axes.grid(False)
        axes.spines[:].set_visible(False)
        figure.text(0.12 / WIDTH, 1 - 0.2 / height, finding(found), fontsize=11, fontweight="bold", va="center")
        count, _ = tally(found)
        key(figure, {family: f"{WORDS[family]}: leads {led}, shown {won}" for family, (won, led) in count.items()}, 0.2, 0.5, 2.2)
        note = (
            "Colour: family of the best model; beneath its name the lead over the best model of another family. Pale and hatched: the lead"
            " is not shown (paired by seed, p ≥ 0.05 or fewer than 3 seeds).\n"
            "Equal samples: test value of the whole run. Equal seconds and FLOPs: value on val at the last evaluation within the median of"
            " what the models' whole runs took (FLOPs: 3 × forward × samples).\n"
            "Equal parameters and latency (CPU, batch 1, p50): test value among models no larger, or slower, than lets every family take"
            " part. Not corrected for the number of comparisons.\n"
        )
        out = left_out(sections, kept, "one model only").strip()
        figure.text(0.12 / WIDTH, 0.12 / height, note + out, fontsize=7.5, color=GREY, linespacing=1.35)
    return figure


@of_suite()
def map(sections: dict[str, list[Row]]) -> bytes:
    """Who wins where, and whether it is shown."""
    return small(picture(sections))
