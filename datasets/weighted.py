"""Classes that count unequally in training: `from_arrays` with the weights of its classes. What data become without them is own.py's.

Sample i of class c with cross-entropy l_i adds w_c l_i, and a batch's training loss is the sum over the batch divided by the number
of its samples, not by the sum of their weights as torch does: there, weights cancel in a batch of one class, which small batches
often are where the other is rare. Weights are scaled so that their mean over all samples is 1: [1, 5] is [2, 10], the loss keeps
its size, and a budget's learning rate its meaning.

Only what is trained by is weighted, and with it the curve of the training loss. `losses`, and so the loss of val (its curve, and ties
between checkpoints) and of test, and every metric, count each sample alike: they compare with those of runs without weights. A model
that is fitted whole (`ridge`, `boosting`, …) or brings a `.loss` that does not ask the task's (`ram`) knows no weights.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import datasets
from datasets import own
from datasets.given import array
from datasets.registry import did_you_mean
from datasets.task import Task

BALANCED = "balanced"
SMALLEST, LARGEST = 1e-30, 1e30  # what is left of a number beyond them in float32 is 0 or no number
Weights = str | Sequence[float] | np.ndarray | Tensor


@dataclass(frozen=True)
class Weighted(Task):
    """A task of classes with a weight for each, in the order of their numbers."""

    weights: tuple[float, ...] = ()
    of_class: Tensor = field(init=False, compare=False, repr=False)  # the same, made beforehand: what traces `loss` finds it there

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "of_class", torch.tensor(self.weights, dtype=torch.float64))

    def loss(self, out: Tensor, y: Tensor) -> Tensor:
        """Mean over a batch of weight × cross-entropy, a scalar; `losses` are not weighted."""
        each = F.cross_entropy(out, y, reduction="none")
        return (each * self.of_class.to(each, non_blocking=True)[y]).mean()


def weighed(name: str, y: Any, kind: str | None, weights: Weights) -> tuple[float, ...]:
    """A weight for each class, of mean 1 over all samples. ValueError for weights that are none, and for targets that are no classes."""
    target, output = own.targets(name, y, kind)
    if output.kind != "classes":
        ways = {
            "value": "leave weights out, or say kind='classes' if whole numbers are classes",
            "labels": "leave weights out, or register each label as classes of its own",
        }
        raise ValueError(f"{name}: y is read as {output.kind}, and weights are for classes; {ways[output.kind]}")
    counts = np.bincount(target.numpy())
    if isinstance(weights, str):
        if weights != BALANCED:
            raise ValueError(
                f"{name}: weights are {BALANCED!r} or a number for each class, not {weights!r}{did_you_mean(weights, [BALANCED])}"
            )
        given = len(target) / (len(counts) * counts)
    else:
        given = listed(name, y, weights, len(counts))
    mean = math.fsum(given * counts) / len(target)  # exact: the same on every machine, as the version of the data has to be
    return tuple((given / mean).tolist())


def listed(name: str, y: Any, weights: Any, n: int) -> np.ndarray:
    """float64 (classes,). ValueError unless there is one positive number for each of n classes, which the message names."""
    array = np.asarray(y)
    classes = [str(one) for one in np.unique(array.astype(str) if array.dtype.kind == "O" else array)]
    named = ", ".join([*classes[:10], f"… ({n} in all)"] if n > 10 else classes)
    way = f"weights are {BALANCED!r} or a positive number for each class, in the order {named}"
    given = weights.tolist() if hasattr(weights, "tolist") else weights
    if not isinstance(given, Sequence):
        raise ValueError(f"{name}: weights are a {type(weights).__name__}; {way}")
    if len(given) != n:
        raise ValueError(f"{name}: {len(given)} weight{'s' * (len(given) != 1)} for {n} classes; {way}")
    for one, weight in zip(classes, given, strict=True):
        if not isinstance(weight, int | float | np.integer | np.floating) or not SMALLEST <= float(weight) <= LARGEST:
            raise ValueError(f"{name}: class {one} has the weight {weight!r}; {way}")
    return np.asarray(given, np.float64)


def from_arrays(name: str, x: Any, y: Any, *, weights: Weights | None = None, place: Path | None = None, **more: Any) -> Task:
    """Register samples `x` and their targets `y` (arrays, tensors, tables, lists) as data set `name`, and return its task.

    kind       what y is, where its type does not say it: "value" for whole numbers that are no classes
    weights    what a sample of each class counts in the training loss: a positive number for each, in the order of the classes' names
               (of numbers, theirs), of which only the ratios matter, or scikit-learn's "balanced": n / (classes × samples of the class).
               They are counted over all samples, which is one answer for all seeds: splits hold classes in proportion.
               Losses of val and test, and metrics, stay unweighted: metrics=("balanced_accuracy", "accuracy") ranks accordingly
    metrics    a Task's; by default those of the kind of output, r2 first for a value
    budgets    a Task's; by default what the number and size of the samples suggest
    summary    and `source`: words for the report
    place      the file that the data set belongs to, the caller's unless it is said

    ValueError with the place in the data and the way out for samples, or weights, that cannot be used.
    """
    place = place or own.calling()
    if weights is None:
        return own.from_arrays(name, x, y, place=place, **more)
    y = array(name, "y", y)
    of_class = weighed(name, y, more.get("kind"), weights)
    plain = own.from_arrays(name, x, y, place=place, **more)
    asked = {one.name: getattr(plain, one.name) for one in fields(Task)} | {
        "version": zlib.crc32(repr(of_class).encode(), plain.version),
        "summary": f"{plain.summary}; in training a sample counts {min(of_class):.3g} to {max(of_class):.3g}, by its class",
    }
    task = Weighted(**asked, weights=of_class)
    datasets.amend(task)
    return task
