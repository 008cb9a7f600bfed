"""How much every token looks at every other, head by head and layer by layer, of models that read a table or an image."""

from __future__ import annotations

import itertools
import math

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from sklearn.datasets import load_iris
from torch import Tensor

from bench.figures.attended import SAMPLES, maps, patches, shares
from bench.figures.kinds import of_cell
from bench.figures.subject import Subject
from bench.report.plots import PLAIN, headline
from datasets.task import Task
from models.tokens import Tokens

MOST_HEADS = 8  # that a picture has room for
NAMED = 17  # tokens up to which each is named on the axes


def tokens_named(task: Task, tokens: int, features: bool = True) -> list[str]:
    """What the tokens are: the features of a table where they are the tokens, or an image's numbered patches, perhaps
    after a class token."""
    if task.input.kind == "image":
        rows, columns, classed = patches(tokens, *task.input.shape[1:])
        return ["cls"] * classed + [str(i + 1) for i in range(rows * columns)]
    if tokens != task.input.size or not features:
        return [f"token {i + 1}" for i in range(tokens)]
    if task.name == "iris":
        return [str(name).removesuffix(" (cm)") for name in load_iris().feature_names]
    return [f"feature {i + 1}" for i in range(tokens)]


def finding(layers: list[Tensor], names: list[str], image: bool) -> str:
    """Who gets most of all the attention there is, layers, heads and queries counted alike."""
    if not shares(layers):
        low, high = min(float(w.min()) for w in layers), max(float(w.max()) for w in layers)
        return f"re-attention weighs from {low:.1f} to {high:.1f}; its rows need not sum to one".replace(" -", " −")
    got = torch.stack([w.double().mean((0, 1, 2)) for w in layers]).mean(0)
    most, even = int(got.argmax()), 1 / len(names)
    who = "the class token" if names[most] == "cls" else f"patch {names[most]}" if image else names[most]
    return f"{who} gets {100 * got[most]:.0f} % of all attention; spread evenly it would be {100 * even:.0f} %"


def head_map(sheet: Axes, box: tuple[float, float, float, float], weights: Tensor, top: float, signed: bool) -> None:
    """One head's map, (query, key), with figures where they have room; the box is left, bottom, width and height in inches."""
    x, y, width, height = box
    low, colours = (-top, "PuOr_r") if signed else (0, "Blues")
    extent, values = (x, x + width, y, y + height), weights.numpy()
    sheet.imshow(values, cmap=colours, vmin=low, vmax=top, aspect="auto", interpolation="nearest", extent=extent)
    sheet.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor="#bbbbbb", linewidth=0.6))
    queries, keys = values.shape
    figures = not signed and width / keys > 0.3
    for (query, key), weight in np.ndenumerate(values) if figures or (signed and keys <= NAMED) else ():
        if figures or weight < -0.1 * top:  # in grey the sign could not be told from the size
            place = (x + (key + 0.5) * width / keys, y + height - (query + 0.5) * height / queries)
            colour = "white" if abs(weight) > 0.55 * top else "black"
            sheet.text(*place, f"{weight:.2f}" if figures else "−", ha="center", va="center", fontsize=6.5, color=colour)


def ticks(names: list[str]) -> tuple[list[int], list[str]]:
    """All names, or every so many of them that they do not run into each other."""
    step = 1 if len(names) <= (8 if names[-1].isdigit() else NAMED) else math.ceil(len(names) / (6 if len(names) < 100 else 4))
    first = int(names[0] == "cls")
    places = list(range(first, len(names), step))
    return ([0] * first + places), (["cls"] * first + [names[i] for i in places])


def numbered(axes: Axes, image: Tensor, grid: tuple[int, int]) -> None:
    """The image (channels, height, width) with its patches and their numbers."""
    rows, columns = grid
    axes.imshow(image.mean(0).numpy(), cmap="gray_r", extent=(0, columns, rows, 0), alpha=0.35, aspect="auto")
    for i in range(rows + 1):
        axes.axhline(i, color="#0072B2", lw=0.7, clip_on=False)
    for i in range(columns + 1):
        axes.axvline(i, color="#0072B2", lw=0.7, clip_on=False)
    size = max(4.0, min(11.0, 44 / max(rows, columns)))
    for i in range(rows * columns):
        if rows * columns <= 64 or i % columns == 0:
            axes.text(i % columns + 0.5, i // columns + 0.5, str(i + 1), ha="center", va="center", fontsize=size)
    axes.set_axis_off()


def drawn(layers: list[Tensor], image: Tensor | None, names: list[str], title: str, told: str) -> Figure:
    """The maps of all layers (rows) and heads (columns): the mean over the samples, and, of images, that of the first one beside it."""
    signed = not shares(layers)
    blocks = [[w.mean(0) for w in layers]] + ([[w[0] for w in layers]] if image is not None else [])
    heads = min(MOST_HEADS, max(w.shape[1] for w in layers))
    top = max(float(w[:heads].abs().max()) for block in blocks for w in block)
    gap, between, head, left, room, key = (0.09, 0.55, 1.05, *((1.25, 8.4, 0.75) if image is None else (0.75, 7.3, 1.75)))
    cell = min(1.75, room / (heads * len(blocks)))
    long = max(len(name) for name in names) > 5  # names too long to stand side by side
    bottom = 1.1 if long else 0.5
    heights = [cell * max(w.shape[2] / w.shape[3], 0.12) for w in layers]
    width = max(left + len(blocks) * heads * (cell + gap) + (len(blocks) - 1) * between + key + 0.2, 6.5)
    height = max(head + sum(heights) + gap * len(heights) + bottom, 3.6 if image is not None else 0)
    figure = Figure(figsize=(width, height))
    headline(figure, title, told)
    sheet = figure.add_axes((0, 0, 1, 1))  # one for all maps: axes of their own would take most of the time
    sheet.set(xlim=(0, width), ylim=(0, height), autoscale_on=False)
    sheet.set_axis_off()
    places, labels = ticks(names)
    for b, block in enumerate(blocks):
        start, y = left + b * (heads * (cell + gap) + between), height - head
        sheet.text(start, y + 0.27, ("mean over the samples", "the one image at the right")[b], fontsize=8.5, fontweight="bold")
        for h in range(heads):
            name = f"head {h + 1}" if cell > 0.55 else str(h + 1)
            sheet.text(start + h * (cell + gap) + cell / 2, y + 0.04, name, fontsize=7.5, ha="center")
        for i, weights in enumerate(block):
            y -= heights[i]
            for h, of_head in enumerate(weights[:heads]):
                head_map(sheet, (start + h * (cell + gap), y, cell, heights[i]), of_head, top, signed)
            if b == 0:
                sheet.text(0.1, y + heights[i] / 2, f"layer {i + 1}", fontsize=7.5, rotation=90, va="center")
                queries = weights.shape[1]
                for place, label in zip(places, labels, strict=True) if queries == len(names) else ((0, names[0]),):
                    at = y + heights[i] * (1 - (place + 0.5) / queries)
                    sheet.text(start - 0.04, at, label, fontsize=6.5, ha="right", va="center")
            y -= gap
        for h, (place, label) in itertools.product(range(heads), zip(places, labels, strict=True)):
            at = start + h * (cell + gap) + cell * (place + 0.5) / len(names)
            sheet.text(at, y + gap - 0.04, label, fontsize=6.5, ha="center", va="top", rotation=90 if long else 0)
        kind = "patch" if image is not None else "token"
        across = f"{kind} that is looked at (key)" + f"; rows: {kind} that looks (query)" * (b == 0)
        sheet.text(start, y + gap - bottom + 0.14, across, fontsize=8)
    side = width - key + 0.15
    spot = (side / width, bottom / height, 0.12 / width, (height - head - bottom) / height)
    if image is not None:
        rows, columns, _ = patches(len(names), *image.shape[1:])
        tall = 1.4 * rows / columns
        numbered(figure.add_axes((side / width, 1 - (head + tall) / height, 1.4 / width, tall / height)), image, (rows, columns))
        sheet.text(side, height - head + 0.08, "the patches", fontsize=8)
        spot = (side / width, 1 - (head + tall + 0.42) / height, 1.4 / width, 0.1 / height)
    bar = figure.colorbar(sheet.images[0], cax=figure.add_axes(spot), orientation="vertical" if image is None else "horizontal")
    bar.set_label("weight of the key", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    bar.outline.set_visible(False)
    return figure


def fits(task: Task) -> bool:
    return task.input.kind in ("table", "image") and task.output.kind == "classes"


@of_cell(fits)
@matplotlib.rc_context(PLAIN)
def attention(subject: Subject) -> Figure:
    """Attention per head and layer over the features or patches."""
    module = subject.module
    x = subject.data.test.x[:SAMPLES]
    layers = maps(module, x)
    image = x[0] if subject.task.input.kind == "image" else None
    names = tokens_named(subject.task, layers[0].shape[-1], any(isinstance(part, Tokens) for part in module.modules()))
    heads = layers[0].shape[1]
    told = f"{subject.weights}; the first {len(x)} test samples"
    told += f"; {MOST_HEADS} of {heads} heads" * (heads > MOST_HEADS)
    told += "; purple is negative, marked −" * (not shares(layers))
    told += "; the last layer asks for the class token alone" * (layers[-1].shape[2] == 1 < len(names))
    return drawn(layers, image, names, f"{subject.title}: {finding(layers, names, image is not None)}", told)
