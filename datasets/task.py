"""What a data set asks of a model. A `Task` holds shapes, loss, metrics and budgets, and touches no data.

What its kinds of input and output decide is in kinds.py, what its metrics measure in metrics.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from datasets import metrics
from datasets.kinds import Input, Output
from datasets.metrics import ACCURACY, BLEU, MSE, Answers, Metric
from datasets.registry import did_you_mean

__all__ = ["ACCURACY", "BLEU", "MSE", "Budget", "Dtype", "Input", "Metric", "Output", "Task", "budgets"]

Optimizer = Literal["adam", "adamw", "sgd", "adadelta"]
Schedule = Literal["constant", "cosine", "decay"]
Dtype = Literal["float32", "bfloat16"]
Choose = Literal["val", "test"]
WHOLE, SOME = ("samples", "batch", "evaluations", "seeds"), ("lr", "seconds")  # what a budget has at least something of
ANY = ("decay", "warmup", "momentum", "weight_decay", "clip", "init_std")  # numbers from 0


@dataclass(frozen=True)
class Budget:
    """What one run may spend, and the recipe that goes with it. The same for every model of a task.

    samples      training samples shown, an image seen twice counted twice; rounded up to whole batches
    batch        samples in an optimiser step
    lr           peak learning rate
    schedule     constant | cosine (linear warm-up, then to zero) | decay (lr × `decay` after each epoch)
    warmup       share of the steps that warm up, cosine only
    momentum     sgd only
    clip         largest gradient norm, 0 for none
    init_std     if positive, weights of linear and convolutional layers are drawn from N(0, init_std) and biases are 0
    dtype        float32, or bfloat16 (autocast; weights stay float32)
    evaluations  times the validation set is scored during the run, evenly spaced, the last step included
    seconds      safety stop on training time; a run that hits it says so
    choose       the split that says which weights were best; `test` only where a `published` budget repeats such a source
    """

    name: str
    samples: int
    batch: int
    lr: float = 1e-3
    optimizer: Optimizer = "adam"
    schedule: Schedule = "constant"
    decay: float = 1.0
    warmup: float = 0.0
    momentum: float = 0.0
    weight_decay: float = 0.0
    clip: float = 0.0
    init_std: float = 0.0
    dtype: Dtype = "float32"
    evaluations: int = 20
    seconds: float = 3600.0
    seeds: int = 3
    choose: Choose = "val"

    def __post_init__(self) -> None:
        for name in (*WHOLE, *SOME, *ANY):
            given = getattr(self, name)
            if not isinstance(given, int if name in WHOLE else int | float) or isinstance(given, bool):
                raise ValueError(f"budget {self.name!r}: {name} must be a {'whole ' * (name in WHOLE)}number, not {given!r}")
            if not (given >= 0 if name in ANY else given > 0):
                raise ValueError(f"budget {self.name!r}: {name} must be {'0 or more' if name in ANY else 'positive'}, not {given!r}")
        if not re.fullmatch(r"[a-z0-9_]+", self.name):
            raise ValueError(f"budget {self.name!r}: a name is made of a-z, 0-9 and _ only")
        if self.choose == "test" and not self.name.startswith("published"):
            raise ValueError(f"budget {self.name!r}: only budgets named published… may choose on the test split")
        for name, known in (("optimizer", Optimizer), ("schedule", Schedule), ("dtype", Dtype), ("choose", Choose)):
            given, among = getattr(self, name), get_args(known)
            if given not in among:
                near = did_you_mean(str(given), among)
                raise ValueError(f"budget {self.name!r}: {name} is one of {', '.join(among)}, not {given!r}{near}")

    @property
    def steps(self) -> int:
        """Optimiser steps: enough whole batches to show `samples` samples."""
        return -(-self.samples // self.batch)


class Usual(tuple[Metric, ...]):
    """The metrics of a kind of output, which nobody chose: a copy of the task with another kind of output gets that kind's."""


@dataclass(frozen=True)
class Task:
    """What a data set asks. The first metric ranks; `sizes` are the samples in train, val and test.

    metrics   metrics or their names; by default those of the kind of output
    version   raise it when the same seed starts to give other data
    embedded  whether it needs neither a network nor a data root, and so belongs to the default grid
    source    where the data or its definition comes from, for the report
    patch     samples or pixels along a side of a token, for models that cut the input; None leaves it to models/tokens.py
    role      `route` for a task built to be solved by one kind of mixing: it explains, and decides no verdict;
              `twin` for another set with its places permuted, which is run when it is named
    """

    name: str
    input: Input
    output: Output
    sizes: tuple[int, int, int]
    budgets: tuple[Budget, ...]
    version: int = 1
    embedded: bool = True
    source: str = ""
    summary: str = ""
    patch: int | None = None
    role: Literal["", "route", "twin"] = ""
    metrics: tuple[Metric, ...] = field(default=())

    def __post_init__(self) -> None:
        """ValueError for a metric that nobody knows or that does not apply to the output."""
        chosen = bool(self.metrics) and not isinstance(self.metrics, Usual)
        found = [self.computable(metric) for metric in (self.metrics if chosen else self.output.kind.metrics)]
        object.__setattr__(self, "metrics", tuple(found) if chosen else Usual(found))
        cut = self.input.shape[1:] if self.input.kind in ("signal", "image") else ()
        if self.patch is not None and (not cut or self.patch < 1 or any(length % self.patch for length in cut)):
            what = f"an input of kind {self.input.kind} and shape {self.input.shape}"
            raise ValueError(f"task {self.name!r}: patches of {self.patch} do not divide {what}")

    def computable(self, metric: Metric | str) -> Metric:
        try:
            found = metrics.named(metric) if isinstance(metric, str) else metric if metric.score else metrics.named(metric.name)
        except ValueError as error:
            raise ValueError(f"task {self.name}: {error}") from error
        if isinstance(metric, Metric) and metric != found:
            raise ValueError(f"task {self.name}: the metric {found.name!r} is {found.facts}, not {metric.facts}")
        if found.kinds and self.output.kind not in found.kinds:
            apply = ", ".join(m.name for m in metrics.of(self.output.kind))
            raise ValueError(f"task {self.name}: {found.name} is no metric of {self.output.kind}; there are {apply}")
        return found

    @property
    def metric(self) -> Metric:
        """The metric that ranks."""
        return self.metrics[0]

    def budget(self, name: str) -> Budget:
        """The budget of that name; KeyError with the names there are."""
        for budget in self.budgets:
            if budget.name == name:
                return budget
        raise KeyError(f"{self.name} has no budget {name!r}; it has {', '.join(b.name for b in self.budgets)}")

    def losses(self, out: Tensor, y: Tensor) -> Tensor:
        """Per-sample training loss, (batch,). `out` is (batch, *output.shape); `y` is (batch,) classes, (batch, size) tokens,
        else like `out`. A sentence's loss is the mean over its tokens, END included."""
        return self.output.kind.losses(out, y)

    def loss(self, out: Tensor, y: Tensor) -> Tensor:
        """Mean training loss of a batch, a scalar; equal to `losses(out, y).mean()` with less work."""
        return self.output.kind.loss(out, y)

    def predicted(self, out: Tensor) -> Tensor:
        """What an output says: classes (batch,), tokens (batch, size) with PAD after the first END, else `out` itself.

        A model that decodes may answer with tokens right away instead of logits.
        """
        return self.output.kind.predicted(out)

    def scores(self, out: Tensor, y: Tensor, taught: Tensor | None = None) -> dict[str, Tensor]:
        """Per-sample loss and metrics, each (batch,); `mean` makes a split's figure of them. BLEU's counts are (batch, 10).

        `taught` are the logits given the true prefix, for models that take one; loss and token accuracy are then theirs.
        """
        given = out if taught is None else taught
        answers = Answers(out, self.predicted(out), given, self.losses(given, y), y)
        scores = {"loss": answers.losses}
        for metric in self.metrics:
            assert metric.score is not None  # see computable
            scores[metric.name] = metric.score(answers)
        return scores

    def mean(self, name: str, values: Tensor) -> float:
        """A split's figure from one score of all its samples, the loss or a metric."""
        return next((metric.reduce for metric in self.metrics if metric.name == name), metrics.mean)(values)

    def sample(self, batch: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Random inputs and targets of the right shapes and types, standard normal, for measuring without data.

        Sentences have at least one word and lengths of their own.
        """
        x = self.input.kind.sample(self.input, batch, generator)
        return x, self.output.kind.sample(self.output, batch, generator)


def budgets(default: Budget, paper: Budget | None = None, *published: Budget, smoke_samples: int) -> tuple[Budget, ...]:
    """The budgets of a task: `smoke` is the default recipe cut short, two seeds, `paper` the source's or as long, chosen on val."""
    smoke = replace(default, name="smoke", samples=smoke_samples, evaluations=2, seeds=2)
    return (smoke, default, paper or replace(default, name="paper"), *published)
