"""Signals to signals: what a model answers beside what it should."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.figures.kinds import of_cell
from bench.figures.subject import NoPicture, Subject
from bench.report.labels import spread
from bench.report.plots import STYLE, headed
from bench.tables.formatting import number
from bench.tables.scales import called
from datasets.task import Task

SAMPLES = (0, 1, 2)  # of test, the same for every model
LINES: dict[str, dict[str, Any]] = {  # told apart by width and lightness too
    "input": {"color": "#a8a8a8", "lw": 1.2},
    "target": {"color": "#56B4E9", "lw": 3.5},
    "prediction": {"color": "#B03A00", "lw": 1.2},
}


def of_signals(task: Task) -> bool:
    return task.input.kind == task.output.kind == "signal"


def anchors(heights: dict[str, np.ndarray], apart: int) -> dict[str, int]:
    """For each line the position to name it at: where it is far from the others, on top if it can be, and high."""
    places: dict[str, int] = {}
    for name, line in heights.items():
        others = np.array([other for key, other in heights.items() if key != name])
        score = np.abs(others - line).min(0) + line - 2 * np.maximum(others.max(0) - line, 0)
        for taken in places.values():
            score[max(0, taken - apart) : taken + apart + 1] -= 10 * np.ptp(line) + 10
        places[name] = int(score.argmax())
    return places


def name_lines(axes: Axes, heights: dict[str, np.ndarray], height: float) -> None:
    """Write each line's name at `height`, above all lines, and join it to the line."""
    length = len(next(iter(heights.values())))
    places = anchors(heights, length // 8)
    for (name, at), place in zip(places.items(), spread(list(places.values()), length / 6, 0.93 * length, 0.07 * length), strict=True):
        axes.annotate(
            name,
            (at, float(heights[name][at])),
            (place, height),
            color="#6b6b6b" if name == "input" else "#00659e" if name == "target" else LINES[name]["color"],
            ha="center",
            va="bottom",
            arrowprops={"arrowstyle": "-", "color": LINES[name]["color"], "lw": 0.7, "shrinkA": 0, "shrinkB": 1},
        )


@of_cell(of_signals)
@matplotlib.rc_context(STYLE)
def signals(subject: Subject) -> Figure:
    """One row a sample: the input, the target and the answer over the positions, and the answer's error."""
    task, test, metric = subject.task, subject.data.test, subject.task.metric
    if test.x.shape[1:] != test.y.shape[1:]:
        raise NoPicture("input and target are not signals of one length and one channel")
    index = [i for i in SAMPLES if i < len(test)]
    x, y = test.x[index], test.y[index]
    predicted = subject.predicted(x)
    errors = task.scores(predicted, y)[metric.name]
    title, told = f"{subject.title}: {finding(subject)}", f"Task: {task.summary}. Test samples, {subject.weights}"
    figure, head = headed(10, 1.75 * len(index) + 0.3, title, told)
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - head / figure.get_figheight()))
    rows = figure.subplots(len(index), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    values = torch.cat([x.flatten(), y.flatten(), predicted.flatten()])
    low, high = float(values.min()), float(values.max())
    for i, axes in enumerate(rows):
        lines = dict(zip(LINES, (x[i, 0].numpy(), y[i, 0].numpy(), predicted[i, 0].numpy()), strict=True))
        for name, line in lines.items():
            axes.plot(np.arange(len(line)), line, label=name, solid_capstyle="butt", **LINES[name])
        if i == 0:
            name_lines(axes, lines, high + 0.1 * (high - low))
        axes.set_title(f"test sample {index[i]}: {called(metric)} {number(float(errors[i]))}", fontsize=8.5)
        axes.set_ylabel("height")
    rows[-1].set_xlabel("position (samples)")
    rows[-1].set_xlim(-0.5, task.output.size - 0.5)
    rows[-1].set_ylim(low - 0.05 * (high - low), high + 0.3 * (high - low))
    return figure


def finding(subject: Subject) -> str:
    """The error on test, and beside it that of the input as it came."""
    task, test = subject.task, subject.data.test
    error = subject.run["test"]["last"][task.metric.name]
    words = f"{called(task.metric)} {number(error)} on test"
    if test.x.shape != test.y.shape or task.metric.better != "lower":
        return words
    untouched = task.mean(task.metric.name, task.scores(test.x, test.y)[task.metric.name])
    if not untouched:  # the task is to leave the input as it is
        return words
    return f"{words}, {number(100 * error / untouched, 2)} % of that of the unchanged input"
