"""What a data set asks of a model. A `Task` holds shapes, loss, metrics and budgets, and touches no data.

Input   points (2,)      table (features,)      signal (channels, length)      image (channels, height, width)
        tokens (length,): int64 ids below `vocabulary`, words first, PAD after them
Output  value (size,)    classes -> size logits                                signal (1, size)
        tokens -> (size, vocabulary) logits; a target holds words, END, then PAD
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from datasets import bleu
from datasets.vocabulary import END, PAD, UNKNOWN

Optimizer = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine", "decay"]
Dtype = Literal["float32", "bfloat16"]
Choose = Literal["val", "test"]


@dataclass(frozen=True)
class Input:
    """One sample going in: its kind and its shape, without the batch dimension."""

    kind: Literal["points", "table", "signal", "image", "tokens"]
    shape: tuple[int, ...]
    vocabulary: int = 0

    @property
    def size(self) -> int:
        """Numbers per sample."""
        return int(torch.Size(self.shape).numel())


@dataclass(frozen=True)
class Output:
    """One answer: `size` numbers, the logits of `size` classes, a signal of length `size`, or `size` places for tokens."""

    kind: Literal["value", "classes", "signal", "tokens"]
    size: int
    vocabulary: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a model's output for one sample."""
        return {"signal": (1, self.size), "tokens": (self.size, self.vocabulary)}.get(self.kind, (self.size,))


@dataclass(frozen=True)
class Metric:
    """A quantity averaged over the samples of a split, and which way is better."""

    name: str
    better: Literal["higher", "lower"]
    percent: bool = False


ACCURACY = Metric("accuracy", "higher", percent=True)
CROSS_ENTROPY = Metric("cross_entropy", "lower")
MSE = Metric("mse", "lower")
BLEU = Metric("bleu", "higher")  # of the corpus, 0 to 100: see datasets/bleu.py
EXACT = Metric("exact", "higher", percent=True)  # sentences with every token right
TOKEN_ACCURACY = Metric("token_accuracy", "higher", percent=True)  # given the true prefix, where a model takes one
STANDARD = {"classes": (ACCURACY, CROSS_ENTROPY), "tokens": (BLEU, EXACT, TOKEN_ACCURACY)}


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
        for name in ("samples", "batch", "lr", "evaluations", "seconds", "seeds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"budget {self.name!r}: {name} must be positive, not {getattr(self, name)!r}")
        if not re.fullmatch(r"[a-z0-9_]+", self.name):
            raise ValueError(f"budget {self.name!r}: a name is made of a-z, 0-9 and _ only")
        if self.choose == "test" and not self.name.startswith("published"):
            raise ValueError(f"budget {self.name!r}: only budgets named published… may choose on the test split")
        for name, known in (("optimizer", Optimizer), ("schedule", Schedule), ("dtype", Dtype), ("choose", Choose)):
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
            object.__setattr__(self, "metrics", STANDARD.get(self.output.kind, (MSE,)))

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
        if self.output.kind == "classes":
            return F.cross_entropy(out, y, reduction="none")
        if self.output.kind == "tokens":
            each = F.cross_entropy(out.flatten(0, 1), y.flatten(), ignore_index=PAD, reduction="none").view(y.shape)
            return each.sum(1) / (y != PAD).sum(1)
        return F.mse_loss(out, y, reduction="none").flatten(1).mean(1)

    def loss(self, out: Tensor, y: Tensor) -> Tensor:
        """Mean training loss of a batch, a scalar; equal to `losses(out, y).mean()` with less work."""
        if self.output.kind == "tokens":
            return self.losses(out, y).mean()
        return F.cross_entropy(out, y) if self.output.kind == "classes" else F.mse_loss(out, y)

    def predicted(self, out: Tensor) -> Tensor:
        """What an output says: classes (batch,), tokens (batch, size) with PAD after the first END, else `out` itself.

        A model that decodes may answer with tokens right away instead of logits.
        """
        if self.output.kind == "classes":
            return out.argmax(-1)
        if self.output.kind == "tokens":
            tokens = out.argmax(-1) if out.is_floating_point() else out
            ended = (tokens == END).long().cumsum(-1) - (tokens == END).long() > 0
            return tokens.masked_fill(ended, PAD)
        return out

    def scores(self, out: Tensor, y: Tensor, taught: Tensor | None = None) -> dict[str, Tensor]:
        """Per-sample loss and metrics, each (batch,); `mean` makes a split's figure of them. BLEU's counts are (batch, 10).

        `taught` are the logits given the true prefix, for models that take one; loss and token accuracy are then theirs.
        """
        given = out if taught is None else taught
        losses = self.losses(given, y)
        scores, predicted = {"loss": losses}, self.predicted(out)
        for metric in self.metrics:
            if metric.name == "accuracy":
                scores["accuracy"] = (predicted == y).to(losses.dtype)
            elif metric.name == "exact":
                scores["exact"] = (predicted == y).all(1).to(losses.dtype)
            elif metric.name == "token_accuracy":
                words = y != PAD
                scores["token_accuracy"] = ((given.argmax(-1) == y) & words).sum(1) / words.sum(1)
            elif metric.name == "bleu":
                scores["bleu"] = bleu.counts(predicted, y)
            elif metric.name in ("cross_entropy", "mse"):
                scores[metric.name] = losses
            else:
                raise ValueError(f"task {self.name}: no rule to compute the metric {metric.name!r}")
        return scores

    def mean(self, name: str, values: Tensor) -> float:
        """A split's figure from one score of all its samples: the mean, summed in float64; BLEU from the summed counts."""
        total = values.double().sum(0)
        return bleu.corpus(total.tolist()) if name == "bleu" else float(total / len(values))

    def sample(self, batch: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Random inputs and targets of the right shapes and types, standard normal, for measuring without data.

        Sentences have at least one word and lengths of their own.
        """

        def sentences(length: int, vocabulary: int) -> Tensor:
            tokens = torch.randint(UNKNOWN + 1, vocabulary, (batch, length), generator=generator)
            lengths = torch.randint(1, length + 1, (batch, 1), generator=generator)
            return tokens.masked_fill(torch.arange(length) >= lengths, PAD)

        if self.input.kind == "tokens":
            x = sentences(self.input.shape[0], self.input.vocabulary)
        else:
            x = torch.randn(batch, *self.input.shape, generator=generator)
        if self.output.kind == "classes":
            return x, torch.randint(self.output.size, (batch,), generator=generator)
        if self.output.kind == "tokens":
            y = F.pad(sentences(self.output.size - 1, self.output.vocabulary), (0, 1))
            return x, y.scatter(1, (y != PAD).sum(1, keepdim=True), END)
        return x, torch.randn(batch, *self.output.shape, generator=generator)


def budgets(default: Budget, paper: Budget | None = None, *published: Budget, smoke_samples: int) -> tuple[Budget, ...]:
    """The budgets of a task: `smoke` is the default recipe cut short, `paper` the source's or as long, chosen on val."""
    smoke = replace(default, name="smoke", samples=smoke_samples, evaluations=2)
    return (smoke, default, paper or replace(default, name="paper"), *published)
