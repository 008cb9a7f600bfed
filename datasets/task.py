"""What a data set asks of a model. A `Task` holds shapes, loss, metrics and budgets, and touches no data.

Input   points (2,)      table (features,)      signal (channels, length)      image (channels, height, width)
Output  value (size,)    classes -> size logits                                signal (1, size)
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

Optimizer = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine", "decay"]
Dtype = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Input:
    """One sample going in: its kind and its shape, without the batch dimension."""

    kind: Literal["points", "table", "signal", "image"]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Numbers per sample."""
        return int(torch.Size(self.shape).numel())


@dataclass(frozen=True)
class Output:
    """One answer: `value` is `size` real numbers, `classes` is `size` logits, `signal` is a signal of length `size`."""

    kind: Literal["value", "classes", "signal"]
    size: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a model's output for one sample."""
        return (1, self.size) if self.kind == "signal" else (self.size,)


@dataclass(frozen=True)
class Metric:
    """A quantity averaged over the samples of a split, and which way is better."""

    name: str
    better: Literal["higher", "lower"]
    percent: bool = False


ACCURACY = Metric("accuracy", "higher", percent=True)
CROSS_ENTROPY = Metric("cross_entropy", "lower")
MSE = Metric("mse", "lower")


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

    def __post_init__(self) -> None:
        for name in ("samples", "batch", "lr", "evaluations", "seconds", "seeds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"budget {self.name!r}: {name} must be positive, not {getattr(self, name)!r}")
        if not re.fullmatch(r"[a-z0-9_]+", self.name):
            raise ValueError(f"budget {self.name!r}: a name is made of a-z, 0-9 and _ only")
        for name, known in (("optimizer", Optimizer), ("schedule", Schedule), ("dtype", Dtype)):
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"budget {self.name!r}: {name} is one of {', '.join(get_args(known))}, not {getattr(self, name)!r}")

    @property
    def steps(self) -> int:
        """Optimiser steps: enough whole batches to show `samples` samples."""
        return -(-self.samples // self.batch)


@dataclass(frozen=True)
class Task:
    """What a data set asks. The first metric ranks; `sizes` are the samples in train, val and test.

    version   raise it when the same seed starts to give other data
    embedded  whether it needs neither a network nor a data root, and so belongs to the default grid
    source    where the data or its definition comes from, for the report
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
    metrics: tuple[Metric, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.metrics:
            classes = self.output.kind == "classes"
            object.__setattr__(self, "metrics", (ACCURACY, CROSS_ENTROPY) if classes else (MSE,))

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
        """Per-sample training loss, (batch,). `out` is (batch, *output.shape); `y` is (batch,) classes, else like `out`."""
        if self.output.kind == "classes":
            return F.cross_entropy(out, y, reduction="none")
        return F.mse_loss(out, y, reduction="none").flatten(1).mean(1)

    def loss(self, out: Tensor, y: Tensor) -> Tensor:
        """Mean training loss of a batch, a scalar; equal to `losses(out, y).mean()` with less work."""
        return F.cross_entropy(out, y) if self.output.kind == "classes" else F.mse_loss(out, y)

    def scores(self, out: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Per-sample loss and metrics, each (batch,); a metric is their mean over a split."""
        losses = self.losses(out, y)
        scores = {"loss": losses}
        for metric in self.metrics:
            if metric.name == "accuracy":
                scores["accuracy"] = (out.argmax(-1) == y).to(losses.dtype)
            elif metric.name in ("cross_entropy", "mse"):
                scores[metric.name] = losses
            else:
                raise ValueError(f"task {self.name}: no rule to compute the metric {metric.name!r}")
        return scores

    def sample(self, batch: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Random inputs and targets of the right shapes and types, standard normal, for measuring without data."""
        x = torch.randn(batch, *self.input.shape, generator=generator)
        if self.output.kind == "classes":
            return x, torch.randint(self.output.size, (batch,), generator=generator)
        return x, torch.randn(batch, *self.output.shape, generator=generator)


def budgets(default: Budget, paper: Budget | None = None, *, smoke_samples: int) -> tuple[Budget, ...]:
    """The three budgets of a task: `smoke` is the default recipe cut short, `paper` what the source used."""
    smoke = replace(default, name="smoke", samples=smoke_samples, evaluations=2)
    return (smoke, default, paper or replace(default, name="paper"))
