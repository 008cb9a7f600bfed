"""Signals to signals: which positions a model's attention joins, beside the signal."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from bench.figures.kinds import of_cell
from bench.figures.signals import of_signals
from bench.figures.subject import NoPicture, Subject, answer
from bench.report.plots import STYLE, headed
from datasets.shapes import QUARTER, SHAPES
from datasets.task import Task
from models.attention import watch

GROUPS = ("#D55E00", "#0072B2")
COUNTED, LAYERS, HEADS = 200, 2, 4  # test samples that ratios are counted over; the last layers and the first heads drawn
ALIKE = 1.1  # ratios nearer to 1 are no finding


class Rule(NamedTuple):
    """Which shapes of a sample belong together: `groups(target)` (length,) -> a group, 0 or 1, for every quarter."""

    groups: Callable[[Tensor], list[int]]
    marks: str
    what: str
    own: str
    other: str


def kinds(target: Tensor) -> list[int]:
    """0 for triangles, 1 for rectangles. A rectangle covers three positions or more, all at one height; no triangle does."""
    shapes = [quarter[quarter != 0] for quarter in target.split(QUARTER)]
    return [int(len(shape) >= 3 and bool((shape - shape[0]).abs().max() < 1e-6)) for shape in shapes]


RULES = {
    "shapes": Rule(kinds, "▲■", "the kinds", "the others of its kind", "the other kind"),
    "shapes_pairs": Rule(lambda target: [0, 0, 1, 1], "AB", "the pairs", "the other of its pair", "the other pair"),
}


def joined(module: nn.Module, x: Tensor, task: Task) -> list[tuple[str, Tensor]]:
    """Name and weights (n, heads, query, key) of the last layers that weigh every piece of the signal for every piece.

    NoPicture if there is none.
    """
    with watch() as seen:
        answer(module, task, x)
    if not seen:
        raise NoPicture("no layer of it shows attention weights")
    layers = [(f"layer {i}" if len(seen) > 1 else "", one.weights[:, :HEADS]) for i, one in enumerate(seen, 1)]
    fitting = [(name, w) for name, w in layers if w.shape[2] == w.shape[3] and task.input.shape[-1] % w.shape[3] == 0]
    if not fitting:
        raise NoPicture("its attention does not join pieces of the signal")
    return fitting[-LAYERS:]


def at_positions(weights: Tensor, length: int) -> Tensor:
    """Weights between pieces (…, pieces, pieces) as weights between positions (…, length, length): a piece shares its own out."""
    each = length // weights.shape[-1]
    return weights.repeat_interleave(each, -2).repeat_interleave(each, -1) / each


def blocks(weights: Tensor, y: Tensor) -> Tensor:
    """Mean weight of the positions of a shape (row) for those of another (column): (n, shapes, shapes).

    weights (n, length, length), targets y (n, 1, length), which are 0 outside the shapes.
    """
    here = (y[:, 0] != 0).float().view(len(y), SHAPES, QUARTER)
    inside = (torch.eye(SHAPES)[..., None] * here[:, None]).flatten(2)  # (n, shape, length)
    inside = inside / inside.sum(2, keepdim=True)
    return inside @ weights @ inside.mT


def split(group: Tensor) -> tuple[Tensor, Tensor]:
    """Of group (n, shapes), which pairs of two shapes are of one group, and which are of two: (n, shapes, shapes) each."""
    same = group[:, :, None] == group[:, None]
    return same & ~torch.eye(group.shape[1], dtype=torch.bool), ~same


def preference(weights: Tensor, y: Tensor, group: Tensor) -> float:
    """How many times as much a position of a shape weighs a position of another shape of its group as one of the other group.

    Weights and targets as in `blocks`, group (n, shapes). Means over pairs of shapes.
    """
    each, (same, other) = blocks(weights, y), split(group)
    return float(each[same].mean() / each[other].mean())


class Chosen(NamedTuple):
    """The sample drawn, the ratio that it has by itself, the median of such ratios, and in how many samples every frame stands out."""

    sample: int
    ratio: float
    median: float
    clear: int


def chosen(each: Tensor, group: Tensor, ratio: float) -> Chosen:
    """A sample that shows what the `ratio` of all says: each (n, shapes, shapes) of one head, as `blocks` gives it.

    Of the quarter of samples whose own ratio is nearest to the median, the one in which the fewest blocks of one group are paler
    (darker, where the ratio is below 1) than one of two groups. Only of samples with two shapes of each group, where there are such.
    """
    same, other = (pairs.flatten(1) for pairs in split(group))
    value = each.flatten(1)
    own = (value * same).sum(1) / same.sum(1) / ((value * other).sum(1) / other.sum(1))  # nan where all are of one group
    median = float(own.nanmedian())
    sided = value if ratio > 1 else -value
    wrong = ((sided[:, :, None] <= sided[:, None]) & same[:, :, None] & other[:, None]).sum((1, 2))
    far = (own / median).log().abs().nan_to_num(math.inf)
    even = abs(math.log(ratio)) < math.log(ALIKE)  # no shade is to be seen
    two = (group.sum(1) == SHAPES // 2) & far.isfinite()
    among = sorted((two if two.any() else torch.ones_like(two)).nonzero()[:, 0].tolist(), key=far.__getitem__)
    sample = min(among[: -(-len(among) // 4)], key=lambda i: int(wrong[i]) * (not even))
    return Chosen(sample, float(own[sample]), median, int(((wrong == 0) & ~own.isnan()).sum()))


def spans(target: Tensor) -> list[tuple[int, int]]:
    """First and last position of the shape in each quarter."""
    found = [quarter.nonzero()[:, 0] + i * QUARTER for i, quarter in enumerate(target.split(QUARTER))]
    return [(int(places[0]), int(places[-1])) for places in found]


def mark(axes: Axes, rule: Rule, target: Tensor) -> None:
    """Frame where a shape (row) meets another of its group (column)."""
    group, places = rule.groups(target), spans(target)
    for query, (top, bottom) in zip(group, places, strict=True):
        for key, (left, right) in zip(group, places, strict=True):
            if query == key and (top, bottom) != (left, right):
                box = (left - 1, top - 1), right - left + 2, bottom - top + 2
                axes.add_patch(Rectangle(*box, fill=False, color=GROUPS[query], lw=1.3, ls=("-", (0, (2, 1)))[query]))


def strip(axes: Axes, signal: Tensor, upright: bool, rule: Rule | None, target: Tensor) -> None:
    """The input along the keys, or upright along the queries, its shapes marked by their group."""
    values, places, low, high = signal.numpy(), np.arange(len(signal)), min(float(signal.min()), 0.0), max(float(signal.max()), 1e-9)
    axes.plot(*((values, places) if upright else (places, values)), color="#333333", lw=1)
    (axes.set_xlim if upright else axes.set_ylim)(low - 0.1 * (high - low), high + 0.6 * (high - low))
    if upright:
        axes.invert_xaxis()
    if rule is not None:
        for group, (first, last) in zip(rule.groups(target), spans(target), strict=True):
            at = (high + 0.35 * (high - low), (first + last) / 2)
            axes.text(*(at if upright else at[::-1]), rule.marks[group], color=GROUPS[group], ha="center", va="center")
    if upright:
        axes.text(-0.15, 0.5, "position that looks (query)", transform=axes.transAxes, rotation=90, ha="right", va="center")
    axes.set_axis_off()


@of_cell(of_signals)
@matplotlib.rc_context(STYLE)
def signal_attention(subject: Subject) -> Figure:
    """A panel a head, a row a layer: query positions down, key positions along, the input beside both."""
    task, test, rule = subject.task, subject.data.test, RULES.get(subject.row.dataset)
    length = task.input.shape[-1]
    layers = joined(subject.module, test.x[:COUNTED], task)
    panels = {
        (row, h): (", ".join([name] * bool(name) + [f"head {h + 1}"] * (weights.shape[1] > 1)), weights[:, h])
        for row, (name, weights) in enumerate(layers)
        for h in range(weights.shape[1])
    }
    heads_of = dict(panels.values())
    sample, ratios, title, told = findings(heads_of, test.y[:COUNTED], rule) if rule else (0, {}, "what each position looks at", "")
    signal, target = test.x[sample, 0], test.y[sample, 0]
    top = max(float(weights[sample].max()) for weights in heads_of.values())
    rows, heads = len(layers), max(h for _, h in panels) + 1
    size, between, left, right = 5.2 if heads == 1 else 2.0, 0.3, 0.3, 0.75  # inches, of panels, gaps and margins
    width = left + 0.5 + heads * size + 0.15 + between * (heads + 1) + right
    title, told = f"{subject.title}: {title}", f"{told}Beside the matrix: the input of test sample {sample}; {subject.weights}"
    figure, head = headed(width, 0.25 + 0.5 + rows * size + between * rows + 0.5, title, told)
    height = figure.get_figheight()
    grid: Any = figure.add_gridspec(
        1 + rows,
        2 + heads,
        width_ratios=[0.5, *[size] * heads, 0.15],
        height_ratios=[0.5, *[size] * rows],
        left=left / width,
        right=1 - right / width,
        bottom=0.5 / height,
        top=1 - (head + 0.25) / height,
        wspace=between * (2 + heads) / (0.65 + heads * size),
        hspace=between * (1 + rows) / (0.5 + rows * size),
    )
    for (row, h), (name, weights) in panels.items():
        axes = figure.add_subplot(grid[1 + row, 1 + h])
        edges = (-0.5, length - 0.5, length - 0.5, -0.5)
        image = axes.imshow(
            weights[sample].numpy(), cmap="Greys", norm=PowerNorm(0.5, 0, top), extent=edges, aspect="auto", interpolation="nearest"
        )
        axes.set_title(f"{name}: {times(ratios[name])}" if rule and name else name, fontsize=8.5)
        axes.grid(False)
        axes.spines[:].set_visible(True)
        if rule is not None:
            mark(axes, rule, target)
        if row == 0:
            strip(figure.add_subplot(grid[0, 1 + h], sharex=axes), signal, False, rule, target)
        if h == 0:
            strip(figure.add_subplot(grid[1 + row, 0], sharey=axes), signal, True, rule, target)
        axes.set_xticks(range(0, length, QUARTER))
        axes.set_yticks(range(0, length, QUARTER))
        axes.tick_params(labelbottom=row == rows - 1, labelleft=h == 0)
        axes.set_xlabel("position looked at (key)" if row == rows - 1 else "")
    figure.colorbar(image, cax=figure.add_subplot(grid[1, -1]), label="weight (√ scale)")
    return figure


def times(ratio: float) -> str:
    return f"{ratio:.{2 if ratio < 10 else 0}f}\N{NO-BREAK SPACE}×"


def finding(ratios: dict[str, float], rule: Rule) -> str:
    """What the head that tells the groups apart most does."""
    best = telling(ratios)
    where = f"in {best} " if best else ""
    if abs(math.log(ratios[best])) < math.log(ALIKE):
        return f"{'no head tells' if best else 'its attention does not tell'} {rule.what} apart ({times(ratios[best])})"
    return f"{where}a shape weighs {rule.own} {times(ratios[best])} as much as those of {rule.other}"


def telling(ratios: dict[str, float]) -> str:
    """The head whose ratio is furthest from 1."""
    return max(ratios, key=lambda name: abs(math.log(ratios[name])))


def findings(heads: dict[str, Tensor], y: Tensor, rule: Rule) -> tuple[int, dict[str, float], str, str]:
    """The sample to draw, the ratio of each of the heads (n, pieces, pieces), the title, and below it what frames and figures are."""
    groups = torch.tensor([rule.groups(target) for target in y[:, 0]])
    wide = {name: at_positions(weights, y.shape[-1]) for name, weights in heads.items()}
    ratios = {name: preference(weights, y, groups) for name, weights in wide.items()}
    best = telling(ratios)
    one = chosen(blocks(wide[best], y), groups, ratios[best])
    told = f"Framed: a shape and {rule.own}; ×: their weight per position over that of {rule.other}, {len(y)} test samples. "
    told += (
        f"Drawn: sample {one.sample}, by itself {times(one.ratio)}{f' in {best}' * bool(best)}; the median sample has {times(one.median)}. "
    )
    told += f"In {one.clear} of {len(y)} all frames are {'darker' if ratios[best] > 1 else 'paler'} than wherever {rule.what} meet. "
    return one.sample, ratios, finding(ratios, rule), told
