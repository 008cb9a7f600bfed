"""Which classes a model takes for which, from the predictions that its runs kept: the weights that were best on validation."""

from __future__ import annotations

from functools import lru_cache

import matplotlib
import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, PercentFormatter
from sklearn.datasets import load_iris
from sklearn.metrics import confusion_matrix

import datasets
from bench.figures.kinds import of_cell
from bench.figures.subject import NoPicture, Outdated, Subject
from bench.report.plots import PLAIN, headline
from bench.store.encoding import unpack
from bench.store.records import Record
from bench.tables.formatting import seeded
from datasets.task import Task

MOST = 20  # classes whose counts can still be read


@lru_cache(maxsize=16)
def truth(dataset: str, root: str | None, seed: int) -> np.ndarray:
    """The classes of a seed's test split, (n,). Seeds of most data sets have a split of their own."""
    return datasets.load(dataset, root, seed).test.y.numpy()


def finished(subject: Subject) -> list[Record]:
    return [run for run in subject.row.runs if run["status"] == "ok"]


def matrix(subject: Subject) -> np.ndarray:
    """How many samples of each class (rows) were taken for each (columns), of all seeds' test splits.

    NoPicture if a run kept no predictions, or predicted other data than are loaded now.
    """
    total = np.zeros((subject.task.output.size,) * 2, int)
    for run in finished(subject):
        if "examples" not in run:
            raise NoPicture("its runs kept no predictions")
        true, predicted = truth(run["dataset"], subject.root, run["seed"]), unpack(run["examples"]["prediction"])
        right = run["test"]["best"].get("accuracy")
        if len(true) != len(predicted) or (right is not None and abs(right - np.mean(true == predicted)) > 1e-6):
            raise Outdated("the data have changed since it was trained; train it again")
        total += confusion_matrix(true, predicted, labels=np.arange(len(total)))
    return total


def named(dataset: str, classes: int) -> list[str]:
    """What the classes are called; numbers where they have no names."""
    return load_iris().target_names.tolist() if dataset == "iris" else [str(i) for i in range(classes)]


def finding(counts: np.ndarray, names: list[str]) -> str:
    """The share that is right, and the confusion with most samples; of several with as many the first."""
    wrong = counts - np.diag(np.diag(counts))
    if not wrong.any():
        return f"all {counts.sum()} right"
    true, taken = np.unravel_index(wrong.argmax(), wrong.shape)
    tie = " (a tie)" if (wrong == wrong.max()).sum() > 1 else ""
    told = f"most often{tie} {names[true]} is taken for {names[taken]} ({wrong.max()} of {counts[true].sum()})"
    return f"{100 * np.trace(counts) / counts.sum():.1f} % right; {told}"


def drawn(counts: np.ndarray, names: list[str], title: str, told: str) -> Figure:
    """The matrix: counts in the cells, shares of the true class as colour, what is right of each class beside it."""
    n = len(counts)
    side = 1.15 * n if n <= 4 else 5.2
    width, height = max(side + 3.4, 7.8), side + 1.45
    rates = counts / counts.sum(1, keepdims=True).clip(1)
    figure = Figure(figsize=(width, height))
    headline(figure, title, told)
    axes = figure.add_axes((1.15 / width, 0.62 / height, side / width, side / height))
    image = axes.imshow(rates, cmap="Blues", norm=PowerNorm(0.5, 0, 1))  # the root makes single mistakes visible
    for (i, j), count in np.ndenumerate(counts):
        if count:
            colour = "white" if rates[i, j] > 0.35 else "black"
            axes.text(j, i, str(count), ha="center", va="center", color=colour, fontsize=9 if n <= 10 else 7)
    axes.set_xticks(range(n), names)
    axes.set_yticks(range(n), names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(1, n) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, n) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="minor", length=0)
    for i in range(n):
        axes.text(n - 0.4, i, f"{100 * rates[i, i]:.1f} % of {counts[i].sum()} right", va="center", fontsize=8, color="#444444")
    bar = figure.colorbar(image, cax=figure.add_axes(((side + 2.55) / width, 0.62 / height, 0.13 / width, side / height)))
    bar.ax.yaxis.set_major_locator(FixedLocator([0, 0.01, 0.05, 0.1, 0.25, 0.5, 1]))
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1, 0, symbol=" %"))
    bar.ax.minorticks_off()
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    return figure


def fits(task: Task) -> bool:
    return task.output.kind == "classes" and 3 <= task.output.size <= MOST and task.input.kind != "points"


@of_cell(fits)
@matplotlib.rc_context(PLAIN)
def confusion(subject: Subject) -> Figure:
    """Confusion matrix over the test splits of all seeds."""
    counts = matrix(subject)
    names = named(subject.row.dataset, len(counts))
    told = f"test samples of {seeded([len(finished(subject))])}, {counts.sum()} in all; weights that were best on validation"
    return drawn(counts, names, f"{subject.title}: {finding(counts, names)}", told)
