"""Models of points in the plane: the function they learned, whole, with the data on it, and its hidden units."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor, nn

from bench.figures.kinds import of_cell
from bench.figures.subject import NoPicture, Subject, answer
from bench.report.palette import fewer
from bench.report.plots import PLAIN
from bench.tables.formatting import number
from bench.tables.scales import called
from datasets.data import Data, Split
from datasets.task import Task

Box = tuple[float, float, float, float]  # left, right, bottom, top
LEVELS = 32  # colours of the map: bands that compress well, and 16 of them on either side of the middle
STEP = 4  # bands between two contour lines of a value
# From blue to yellow over grey. Lightness rises all the way, so that the order survives in grey and for the colour-blind.
STOPS = ["#14609f", "#5a97c6", "#b4b4b4", "#e8bd6a", "#ffd970"]
COLOURS = ListedColormap(LinearSegmentedColormap.from_list("", STOPS, LEVELS)(range(LEVELS)))
SIDE = 61  # the model is asked at SIDE × SIDE places
MOST = 16  # hidden units shown


@dataclass(frozen=True)
class Scale:
    """The values, in the model's own units, that the first and the last colour stand for; what lies beyond takes theirs."""

    low: float
    high: float
    label: str
    contours: bool

    def bands(self, values: np.ndarray) -> np.ndarray:
        """The colour of each value, 0 to LEVELS - 1."""
        return (((values - self.low) / (self.high - self.low)).clip(0, 1) * LEVELS).astype(np.uint8).clip(0, LEVELS - 1)

    @property
    def lines(self) -> list[float]:
        """The values at which lines are drawn: where the decision changes, or a few of the heights."""
        bands = np.arange(STEP, LEVELS, STEP) if self.contours else np.array([LEVELS // 2])
        return [float(line) for line in self.low + bands / LEVELS * (self.high - self.low)]


def scale(task: Task, data: Data) -> Scale:
    """The same for every model of a task. Values: as far as targets of train and test go, even to both sides if they change sign."""
    if task.output.kind == "classes":
        return Scale(0, 1, "probability of class 1", False)
    targets = torch.cat([data.train.y, data.test.y])
    low, high = targets.min().item(), targets.max().item()
    if low < 0 < high:
        low, high = min(low, -high), max(high, -low)
    return Scale(low, high if high > low else low + 1, "value", True)


def drawable(task: Task) -> None:
    """NoPicture for answers that one colour cannot show."""
    if (task.output.kind, task.output.size) not in (("classes", 2), ("value", 1)):
        raise NoPicture(f"one colour shows two classes or one value; this task asks for {task.output.size} ({task.output.kind})")


def answers(module: nn.Module, task: Task, x: Tensor) -> Tensor:
    """What the model says of points (n, 2): (n, *output.shape). NoPicture if that is not finite."""
    out = answer(module, task, x)
    if not out.isfinite().all():
        raise NoPicture("the model's answers are not finite")
    return out


def values(module: nn.Module, task: Task, x: Tensor) -> np.ndarray:
    """What is drawn at points (n, 2): the probability of class 1, or the value, (n,)."""
    out = answers(module, task, x)
    return (out.softmax(1)[:, 1] if task.output.kind == "classes" else out[:, 0]).float().numpy()


def extent(data: Data) -> Box:
    """(left, right, bottom, top) of the points of train and test, and a little around them."""
    points = torch.cat([data.train.x, data.test.x])
    low, high = points.min(0).values, points.max(0).values
    low, high = torch.where(low == high, low - 1, low), torch.where(low == high, high + 1, high)
    low, high = low - 0.03 * (high - low), high + 0.03 * (high - low)
    return low[0].item(), high[0].item(), low[1].item(), high[1].item()


def places(box: Box) -> Tensor:
    """(SIDE², 2) points over the box, borders included; row by row from the bottom."""
    y, x = torch.meshgrid(torch.linspace(*box[2:], SIDE), torch.linspace(*box[:2], SIDE), indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)


@torch.no_grad()
def hidden(module: nn.Module, task: Task, x: Tensor) -> tuple[np.ndarray, np.ndarray] | None:
    """The hidden units that the answer is a linear layer of: activations at points (n, units), and their weights (units,).

    Weights lead to the value, or to class 1 as against class 0; where there are tokens, activations are means over them. None
    where no such layer gives the answer (which is checked), or where it reads the input itself.
    """
    calls: list[tuple[nn.Linear, Tensor]] = []

    def note(layer: Any, given: tuple[Tensor, ...], out: Tensor) -> None:
        if given and given[0].ndim > 1 and len(given[0]) == len(x) and layer.out_features == task.output.size:
            calls.append((layer, given[0]))

    hooks = [layer.register_forward_hook(note) for layer in module.modules() if isinstance(layer, nn.Linear)]
    try:
        out = answers(module, task, x)
    finally:
        for hook in hooks:
            hook.remove()
    for layer, seen in reversed(calls):
        units = seen.flatten(1, -2).mean(1) if seen.ndim > 2 else seen
        if torch.allclose(F.linear(units, layer.weight, layer.bias), out, rtol=1e-3, atol=1e-4):
            weights = layer.weight[-1] - layer.weight[0] if task.output.kind == "classes" else layer.weight[0]
            return None if torch.equal(units, x) else (units.numpy(), weights.numpy())
    return None


def ranked(units: np.ndarray, weights: np.ndarray) -> list[int]:
    """The units that move the answer most over these points come first: |weight| × standard deviation."""
    return np.argsort(-np.abs(weights) * units.std(0), kind="stable")[:MOST].tolist()


def finding(subject: Subject) -> tuple[str, str]:
    """How good the weights of the last step are on test, and what answers that ignore the input would be."""
    task, data = subject.task, subject.data
    train, test = data.train.y, data.test.y
    score = task.scores(answers(subject.module, task, data.test.x), test)[task.metric.name]
    figure = task.mean(task.metric.name, score)
    if task.metric.name == "accuracy":
        blind = (test == train.mode().values).double().mean().item()
        return f"{100 * figure:.1f} % of the test points right", f"always the same class: {100 * blind:.1f} %"
    beside = f"always the mean: {number((test - train.mean(0)).square().mean().item())}" if task.metric.name == "mse" else ""
    return f"{called(task.metric)} {number(figure)} on test", beside


def last_step(subject: Subject) -> int:
    """Training samples that the last step had seen."""
    return int(subject.run["curve"]["samples"][-1])


def paint(axes: Axes, heights: np.ndarray, low: float, high: float, box: Box) -> AxesImage:
    """Heights (SIDE, SIDE) at `places(box)` as colours."""
    left, right, bottom, top = box
    dx, dy = (right - left) / (SIDE - 1) / 2, (top - bottom) / (SIDE - 1) / 2  # a pixel lies around its place
    around = (left - dx, right + dx, bottom - dy, top + dy)
    how: dict[str, Any] = {"aspect": "auto", "interpolation": "bilinear", "interpolation_stage": "data", "origin": "lower"}
    image = axes.imshow(heights, COLOURS, Normalize(low, high), extent=around, **how)
    axes.set(xlim=box[:2], ylim=box[2:])
    return image


def scatter(axes: Axes, split: Split, own: Scale, **look: Any) -> None:
    x, y = split.x.T.numpy()
    axes.scatter(x, y, c=split.y.flatten().numpy(), cmap=COLOURS, norm=Normalize(own.low, own.high), **look)


TRAIN: dict[str, Any] = {"marker": "o", "s": 17, "edgecolors": "black", "linewidths": 0.9}
TEST: dict[str, Any] = {"marker": "D", "s": 8, "edgecolors": "white", "linewidths": 0.5}


@matplotlib.rc_context(PLAIN)
def still(subject: Subject) -> Figure:
    """One large panel; beside it one small panel a hidden unit. NoPicture where colours cannot show the answer."""
    drawable(subject.task)
    data, module = subject.data, subject.module
    own, box = scale(subject.task, data), extent(data)
    x = places(box)
    heights = values(module, subject.task, x).reshape(SIDE, SIDE)
    units = hidden(module, subject.task, x)
    width = 11.0 if units else 6.1
    figure = Figure(figsize=(width, 5.7))
    axes = figure.add_axes((0.55 / width, 0.09, 4.5 / width, 4.5 / 5.7), xlabel="x₁", ylabel="x₂")
    image = paint(axes, heights, own.low, own.high, box)
    lines = axes.contour(heights, own.lines, extent=box, colors="black", linewidths=0.6 if own.contours else 1.6, linestyles="solid")
    scatter(axes, data.test, own, **TEST)
    scatter(axes, data.train, own, **TRAIN)
    beyond = bool(heights.min() < own.low), bool(heights.max() > own.high)
    arrows = {(True, True): "both", (True, False): "min", (False, True): "max"}.get(beyond, "neither")
    place = figure.add_axes((5.15 / width, 0.09, 0.12 / width, 4.5 / 5.7))
    ticks = own.lines if own.contours else None
    bar = figure.colorbar(image, place, extend=arrows, ticks=ticks, format=lambda value, _: signed(value).lstrip("+"))
    bar.add_lines(lines)
    bar.set_label(own.label)
    said, blind = finding(subject)
    figure.text(0.12 / width, 0.985, f"{subject.title}: {said}", va="top", fontsize=11)
    below = subject.weights + (f"; {blind}" if blind else "")
    figure.text(0.12 / width, 0.945, below, va="top", fontsize=8)
    key = figure.add_axes((0.55 / width, 0.885, 4.5 / width, 0.03), xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[], frame_on=False)
    for at, split, name, look in ((0.025, data.train, "training", TRAIN), (0.37, data.test, "test", TEST)):
        key.axvspan(at - 0.02, at + 0.02, color=COLOURS(0.5), lw=0)  # white edges need a ground
        key.scatter([at], [0.5], color=COLOURS(0.999), **look)
        key.text(at + 0.03, 0.5, f"{len(split):,} {name} points", va="center")
    key.text(1, 0.5, "lines of equal value" if own.contours else "line: decision boundary", va="center", ha="right")
    if units:
        small(figure, *units, box, "in the value" if own.contours else "towards class 1")
    return figure


def small(figure: Figure, units: np.ndarray, weights: np.ndarray, box: Box, where: str) -> None:
    """The hidden units' planes, activations (SIDE², units), to the right: those that count most first, each in its own range."""
    chosen = ranked(units, weights)
    columns = ceil(sqrt(len(chosen)))
    width, height = figure.get_size_inches()
    left, top, pitch = 6.25, 0.09 * height + 4.5, 4.65 / columns
    which = f"The {len(chosen)} of {units.shape[1]}" if units.shape[1] > len(chosen) else f"All {len(chosen)}"
    words = f"{which} hidden units, those that move the answer most first"
    words += f"\nabove each: weight {where}, largest activation a (blue −a, grey 0, yellow a)"
    figure.text(left / width, 0.985, words, va="top", linespacing=1.5, fontsize=8)
    for place, unit in enumerate(chosen):
        row, column = divmod(place, columns)
        side = 4.5 / columns - 0.2
        corner = (left + column * pitch) / width, (top - row * 4.5 / columns - side) / height
        axes = figure.add_axes((*corner, side / width, side / height), xticks=[], yticks=[], frame_on=False)
        largest = float(np.abs(units[:, unit]).max()) or 1.0
        paint(axes, units[:, unit].reshape(SIDE, SIDE), -largest, largest, box)
        axes.set_title(signed(weights[unit]), pad=2, fontsize=8)
        axes.set_title(f"a = {number(largest, 2)}", pad=2, fontsize=8, loc="right", color="#555555")


def signed(figure: float) -> str:
    return ("−" if figure < 0 else "+" if figure > 0 else "") + (number(abs(float(figure)), 2) or "0")


def compact(figure: Figure) -> bytes:
    """A PNG of the figure's 96 most frequent colours: the map's exactly; at smoothed edges others become the nearest."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return fewer(np.asarray(canvas.buffer_rgba())[..., :3], 96)


@of_cell(lambda task: task.input.kind == "points")
def plane(subject: Subject) -> bytes:
    """The function after the last step with the data on it, and its hidden units."""
    return compact(still(subject))
