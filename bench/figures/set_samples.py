"""Samples of a data set itself, as they are tested on: what goes in and what should come out."""

from __future__ import annotations

import matplotlib
from matplotlib.figure import Figure

from bench.figures.kinds import Words, of_set
from bench.figures.samples import limits, one_of_each, put
from bench.figures.signals import LINES
from bench.figures.subject import NoPicture
from bench.report.plots import STYLE, headline
from bench.store.records import PICTURED
from bench.tables.formatting import number
from datasets.data import Data, Split
from datasets.task import Task

WIDTH, SHOWN, LINES_SHOWN, POINTS, FEW = 8.0, 8, 3, 300, 8  # inches; images, lines of text or panels, points; numbers in a line
# Marker and colour. The first two are blue and yellow, as class 0 and class 1 are in the maps of what a model learned.
CLASSES = ("o", "#0B3A8C"), ("^", "#E69F00"), ("s", "#56B4E9")


def of_image(figure: Figure, room: float, split: Split, task: Task, words: Words) -> None:
    """The first of each class."""
    chosen = one_of_each(split, SHOWN)
    images, (low, high) = split.x[chosen], limits(split.x[chosen])
    for place, (image, y) in enumerate(zip(images, split.y[chosen].tolist(), strict=True)):
        axes = figure.add_axes((0.01 + place / SHOWN, 0.02, 0.9 / SHOWN, room - 0.2))
        put(axes, image, low, high)
        axes.set_title(f"class {y}", fontsize=8, loc="center")


def of_points(figure: Figure, room: float, split: Split, task: Task, words: Words) -> None:
    """Where they lie, and what should be said of each."""
    axes = figure.add_axes((0.08, 0.17, 0.5, room - 0.2))
    some = slice(None, None, max(1, len(split) // POINTS))  # of all of it: classes may come one after the other
    (x, y), target = split.x[some].T.numpy(), split.y[some].flatten().numpy()
    if task.output.kind == "classes":
        for name, (marker, colour) in enumerate(CLASSES[: task.output.size]):
            own = target == name
            axes.plot(x[own], y[own], marker, ms=3.5, color=colour, mew=0, label=f"class {name}")
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    else:
        figure.colorbar(axes.scatter(x, y, c=target, s=14, cmap="viridis"), ax=axes, label="answer")
    axes.set(xlabel="x₁", ylabel="x₂")


def of_signal(figure: Figure, room: float, split: Split, task: Task, words: Words) -> None:
    """Signals of several classes, or a signal and the one that should come out; of many channels the last, and the whole as shades."""
    several = task.output.kind == "classes"
    chosen = one_of_each(split, LINES_SHOWN).tolist() if several else list(range(LINES_SHOWN))
    panels = figure.subplots(1, len(chosen), sharey=True, gridspec_kw={"left": 0.06, "right": 0.99, "top": room - 0.12, "bottom": 0.2})
    for axes, i in zip(panels, chosen, strict=True):
        axes.plot(split.x[i, -1].numpy(), label="input", **LINES["input"])
        if several:
            axes.set_title(f"class {int(split.y[i])}", fontsize=8)
        else:
            axes.plot(split.y[i, 0].numpy(), label="target", **LINES["target"])
        axes.set_xlabel("position")
    if not several:
        of = panels[0].get_legend_handles_labels()
        figure.legend(*of, loc="upper right", bbox_to_anchor=(0.99, room + 0.02), ncols=2, fontsize=7, frameon=False)


def of_lines(figure: Figure, room: float, split: Split, task: Task, words: Words) -> None:
    """Sentences, or the numbers of a table, in and out."""
    several = task.output.kind == "classes"
    chosen = one_of_each(split, LINES_SHOWN).tolist() if several else list(range(LINES_SHOWN))
    for place, i in enumerate(chosen):
        x, y = split.x[i], split.y[i]
        if words is not None:
            said = [" ".join(vocabulary.decode(one)) for vocabulary, one in zip(words, (x, y), strict=True)]
        else:
            answer = f"class {int(y)}" if several else ", ".join(number(value) for value in y.flatten().tolist())
            said = [", ".join(number(value) for value in x[:FEW].tolist()) + ", …" * (len(x) > FEW), answer]
        figure.text(0.02, room - 0.06 - place * (room - 0.06) / len(chosen), "\n→ ".join(said), fontsize=8.5, va="top", parse_math=False)


KINDS = {"image": of_image, "points": of_points, "signal": of_signal, "table": of_lines, "tokens": of_lines}
HIGH = {"image": 1.2, "points": 2.6, "signal": 1.7, "table": 1.2, "tokens": 1.2}  # inches


@of_set
@matplotlib.rc_context(STYLE)
def sample(task: Task, data: Data, words: Words) -> Figure:
    """Some of the test split, as models get them."""
    kind, split = str(task.input.kind), data.test
    if kind not in KINDS or (kind == "tokens") != (words is not None) or (kind == "image" and task.output.kind != "classes"):
        raise NoPicture("nobody knows how to draw its samples")
    told = f"Of the test split, seed {PICTURED}, as models get them; source: {task.source}"
    title = f"{task.name}: {task.summary}"
    head = headline(Figure(figsize=(WIDTH, 1)), title, told)
    figure = Figure(figsize=(WIDTH, height := head + 0.1 + HIGH[kind]))
    headline(figure, title, told)
    KINDS[kind](figure, 1 - (head + 0.05) / height, split, task, words)
    return figure
