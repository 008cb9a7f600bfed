"""Signals to signals: which positions a model's attention joins, beside the signal."""

from __future__ import annotations

import math
import textwrap
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
from bench.report.plots import STYLE
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


def preference(weights: Tensor, y: Tensor, group: Tensor) -> float:
    """How many times as much a position of a shape weighs a position of another shape of its group as one of the other group.

    weights (n, length, length), targets y (n, 1, length), which are 0 outside the shapes, group (n, shapes). Means over pairs of shapes.
    """
    here = (y[:, 0] != 0).float().view(len(y), SHAPES, QUARTER)
    inside = (torch.eye(SHAPES)[..., None] * here[:, None]).flatten(2)  # (n, shape, length)
    inside = inside / inside.sum(2, keepdim=True)
    each = inside @ weights @ inside.mT  # (n, shape, shape)
    same = group[:, :, None] == group[:, None]
    other = ~torch.eye(SHAPES, dtype=torch.bool).expand_as(same)
    return float(each[same & other].mean() / each[~same].mean())


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
    for group, (first, last) in zip(rule.groups(target), spans(target), strict=True) if rule else ():
        at = (high + 0.35 * (high - low), (first + last) / 2)
        axes.text(*(at if upright else at[::-1]), rule.marks[group] if rule else "", color=GROUPS[group], ha="center", va="center")
    if upright:
        axes.text(-0.15, 0.5, "query position (samples)", transform=axes.transAxes, rotation=90, ha="right", va="center")
    axes.set_axis_off()


@of_cell(of_signals)
@matplotlib.rc_context(STYLE)
def signal_attention(subject: Subject) -> Figure:
    """A panel a head, a row a layer: query positions down, key positions along, the input beside both."""
    task, test, rule = subject.task, subject.data.test, RULES.get(subject.row.dataset)
    length = task.input.shape[-1]
    layers = joined(subject.module, test.x[:COUNTED], task)
    groups = torch.tensor([rule.groups(y) if rule else [0] * SHAPES for y in test.y[:COUNTED, 0]])
    sample = int((groups.sum(1) == SHAPES // 2).int().argmax())  # the first with two shapes of each group: they show most
    signal, target = test.x[sample, 0], test.y[sample, 0]
    panels = {
        (row, h): (", ".join([name] * bool(name) + [f"head {h + 1}"] * (weights.shape[1] > 1)), weights[:, h])
        for row, (name, weights) in enumerate(layers)
        for h in range(weights.shape[1])
    }
    ratios = (
        {name: preference(at_positions(weights, length), test.y[:COUNTED], groups) for name, weights in panels.values()} if rule else {}
    )
    top = max(float(weights[sample].max()) for _, weights in panels.values())
    rows, heads = len(layers), max(h for _, h in panels) + 1
    size, between, left, right = 5.2 if heads == 1 else 2.0, 0.3, 0.3, 0.75  # inches, of panels, gaps and margins
    width = left + 0.5 + heads * size + 0.15 + between * (heads + 1) + right
    words = told(ratios, rule) if rule else "what each position looks at"
    lines = f"{subject.title}: {words}\nTest sample {sample}, input beside the matrix. Weights of the last step".splitlines()
    text = "\n".join(textwrap.fill(line, int(11.5 * width)) for line in lines)
    above = 0.35 + 0.17 * len(text.splitlines())
    height = 0.5 + rows * size + between * rows + 0.5 + above
    figure = Figure(figsize=(width, height))
    grid: Any = figure.add_gridspec(
        1 + rows,
        2 + heads,
        width_ratios=[0.5, *[size] * heads, 0.15],
        height_ratios=[0.5, *[size] * rows],
        left=left / width,
        right=1 - right / width,
        bottom=0.5 / height,
        top=1 - above / height,
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
        axes.set_xlabel("key position (samples)" if row == rows - 1 else "")
    figure.colorbar(image, cax=figure.add_subplot(grid[1, -1]), label="weight (√ scale)")
    figure.suptitle(text, fontsize=9.5, x=0.1 / width, y=1 - 0.1 / height, ha="left")
    return figure


def times(ratio: float) -> str:
    return f"{ratio:.{2 if ratio < 10 else 0}f}\N{NO-BREAK SPACE}×"


def told(ratios: dict[str, float], rule: Rule) -> str:
    """The finding in words, of the head that tells the groups apart most, and what frames and figures are."""
    best = max(ratios, key=lambda name: abs(math.log(ratios[name])))
    where = f"in {best} " if best else ""
    if abs(math.log(ratios[best])) < math.log(ALIKE):
        words = f"{'no head tells' if best else 'its attention does not tell'} {rule.what} apart ({times(ratios[best])})"
    else:
        words = f"{where}a shape weighs {rule.own} {times(ratios[best])} as much as those of {rule.other}"
    return f"{words}\nFramed: a shape and {rule.own}; ×: their weight per position over that of {rule.other} ({COUNTED} test samples)"
