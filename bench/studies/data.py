"""`python -m bench study data`: every model on the first samples of a training split, fewer and more, in the same number of steps."""

from __future__ import annotations

import argparse
from functools import partial

import datasets
import models
from bench.plan import grid, variants
from bench.plan.request import RequestError, whole
from bench.studies import sizes, trained
from bench.studies.trained import Trained
from datasets.task import Task

SIZES = (50, 100, 200, 400, 800)  # and all
KINDS = ("image", "signal", "table")
LONGEST = 64  # characters of a data set's name


def chosen(text: str) -> Task:
    """The one data set of the study. RequestError for several, and for one whose training samples cannot be counted off."""
    names = grid.select("data set", text, (), datasets.names(published=True))
    if len(names) > 1:
        raise RequestError(f"--datasets takes one data set here, not {', '.join(names)}; a study each")
    task = datasets.task(names[0])
    kind = f"{task.output.kind} of {task.input.kind}"
    if task.output.kind != "classes" or task.input.kind not in KINDS or not task.embedded or not task.sizes[0]:
        why = f"asks for {kind}" if task.embedded else "needs a data root or a package"
        raise RequestError(
            f"{task.name} {why}; --datasets takes classes of {', '.join(KINDS)} that need no download: digits, mnist1d, iris"
        )
    if len(sizes.named(task.name, task.sizes[0])) > LONGEST:
        raise RequestError(f"{task.name} is too long a name to be cut: register it under a shorter one")
    return task


def counts(text: str | None, task: Task) -> list[int]:
    """How many training samples, in order; `all` is a number, too. RequestError for more than there are, and for fewer than two numbers."""
    whole_ = task.sizes[0]
    if text is None:
        return [*(size for size in SIZES if size < whole_), whole_]
    more = f"; {task.name} has {whole_:,} training samples: say all"
    found = sorted({whole_ if part == "all" else whole("--sizes", part, whole_, more) for part in grid.split(text)})
    if len(found) < 2:
        raise RequestError(f"--sizes takes two or more numbers of training samples, 50,200,all say, not {text!r}")
    return found


def asked(options: argparse.Namespace) -> Trained:
    """The study of data that options ask for. RequestError for what cannot be."""
    grid.plugin(sizes.__file__)
    task = chosen(options.datasets or "digits")
    cut = counts(options.sizes, task)
    every = models.names(published=True)
    patterns = "backbone_*" if options.models is None else options.models
    names = variants.chosen(patterns, (), every, partial(grid.select, "model", default=(), everything=every), {})
    if len(names) < 2:
        raise RequestError("the study compares models with each other: name two or more in --models")
    length = trained.length(options, seeds=5, steps=600)
    with grid.Builder() as ask:
        points = [
            trained.point(name, {"size": size}, name, sizes.named(task.name, size), length, ask, task) for size in cut for name in names
        ]
    settings = {"dataset": task.name, "models": names, "sizes": cut, "seeds": length[0], "steps": length[1]}
    return trained.study("data", options, settings, points, sizes.__file__)
