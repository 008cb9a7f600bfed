"""Metrics, each defined here and nowhere else: what one sample scores, and what a split's scores come to.

    accuracy, cross_entropy              of classes, what those tasks are ranked and described by
    bleu, exact, token_accuracy          of tokens
    mse                                  of values and signals
    balanced_accuracy, macro_precision,  of classes, after scikit-learn: no run measures them, they are computed from what a run
    macro_recall, macro_f1, auroc        keeps of its test split (see bench/store/examples.py); a task may name them as its own, too
    mae, r2                              of values and signals, likewise
    mean_average_precision, label_f1     of labels: see labels.py

A split's figure need not be a mean over samples: `score` says what has to be known of each sample, `reduce` makes one number of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from datasets import bleu
from datasets.kinds import OutputKind
from datasets.registry import did_you_mean
from datasets.vocabulary import PAD


@dataclass(frozen=True)
class Answers:
    """What was answered to n samples. `y` are their targets.

    out         (n, *output.shape) logits or numbers; tokens (n, size) of a model that decodes
    predicted   what `out` says: classes (n,), tokens (n, size), else `out` itself
    given       `out`, or for a model that decodes its logits given the true prefix
    losses      (n,)
    """

    out: Tensor
    predicted: Tensor
    given: Tensor
    losses: Tensor
    y: Tensor


Better = Literal["higher", "lower"]
Needs = Literal["prediction", "scores", "loss"]
Score = Callable[[Answers], Tensor]
Reduce = Callable[[Tensor], float]


def mean(values: Tensor) -> float:
    """The mean over samples, summed in float64."""
    return float(values.double().sum(0) / len(values))


@dataclass(frozen=True)
class Metric:
    """A quantity of a split, and which way is better. Two metrics are equal if `facts`, which is what records hold, are.

    score       what to know of each sample, (n, …); None for a metric that is only read from a record
    reduce      the split's figure from the scores of all its samples; nan where it is not defined, without a warning
    kinds       kinds of output it applies to; () for any
    needs       what of a sample it is computed from: its prediction, its class scores, or its loss
    signature   for metrics that a library computes: its account of how
    """

    name: str
    better: Better
    percent: bool = False
    score: Score | None = field(default=None, compare=False, repr=False)
    reduce: Reduce = field(default=mean, compare=False, repr=False)
    kinds: tuple[str, ...] = field(default=(), compare=False, repr=False)
    needs: Needs = field(default="prediction", compare=False, repr=False)
    signature: Callable[[], str] | None = field(default=None, compare=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """A registered metric is found again by its name, wherever it is unpickled: its rule need not be picklable."""
        if _metrics.get(self.name) is self:
            return named, (self.name,)
        return Metric, tuple(getattr(self, field.name) for field in fields(self))

    @property
    def facts(self) -> dict[str, Any]:
        """What a record holds of it: `Metric(**facts)` is equal to it."""
        return {"name": self.name, "better": self.better, "percent": self.percent}

    @property
    def sign(self) -> int:
        """1 if higher is better, else -1: of two values the better one is larger, times this."""
        return 1 if self.better == "higher" else -1


_metrics: dict[str, Metric] = {}


def register(metric: Metric) -> Metric:
    """Add a metric under its name. ValueError for a name twice, for what no record could hold, or without a rule to compute it."""
    if not isinstance(metric.name, str) or not re.fullmatch(r"[a-z0-9_]{1,64}", metric.name):
        raise ValueError(f"metric {metric.name!r}: a name is made of a-z, 0-9 and _ only, at most 64 of them")
    if metric.name in _metrics:
        raise ValueError(f"metric {metric.name!r} is already registered")
    for name, known in (("better", Better), ("needs", Needs)):
        given, among = getattr(metric, name), get_args(known)
        if given not in among:
            near = did_you_mean(str(given), among)
            raise ValueError(f"metric {metric.name!r}: {name} is one of {', '.join(among)}, not {given!r}{near}")
    if not isinstance(metric.percent, bool):
        raise ValueError(f"metric {metric.name!r}: percent is True or False, not {metric.percent!r}")
    if not isinstance(metric.kinds, tuple):
        raise ValueError(f"metric {metric.name!r}: kinds are a tuple of kinds of output, not {metric.kinds!r}")
    for kind in metric.kinds:
        try:
            OutputKind.named(kind)
        except ValueError as error:
            raise ValueError(f"metric {metric.name!r}: {error}") from error
    if metric.score is None:
        raise ValueError(f"metric {metric.name!r}: no rule to compute it; give score=…")
    _metrics[metric.name] = metric
    return metric


def named(name: str) -> Metric:
    """The metric of that name. ValueError with those there are and the nearest."""
    if name not in _metrics:
        raise ValueError(f"unknown metric {name!r}; there are {', '.join(_metrics)}{did_you_mean(name, [*_metrics])}")
    return _metrics[name]


def of(kind: str) -> list[Metric]:
    """All metrics of a kind of output."""
    return [metric for metric in _metrics.values() if not metric.kinds or kind in metric.kinds]


def exact(a: Answers) -> Tensor:
    return (a.predicted == a.y).all(1).to(a.losses.dtype)


def token_accuracy(a: Answers) -> Tensor:
    words = a.y != PAD
    return ((a.given.argmax(-1) == a.y) & words).sum(1) / words.sum(1)


def labels(a: Answers) -> Tensor:
    """(n, 2): the true class and the predicted one."""
    return torch.stack([a.y, a.predicted], 1)


def values(a: Answers) -> Tensor:
    """(n, 2, numbers): the target and the answer."""
    return torch.stack([a.y.flatten(1), a.predicted.flatten(1)], 1)


def absolute_errors(a: Answers) -> Tensor:
    return (a.predicted - a.y).abs().flatten(1).mean(1)


def chances(a: Answers) -> Tensor:
    """(n, 1 + classes): the true class, and the probability of each."""
    return torch.cat([a.y[:, None], a.out.double().softmax(-1)], 1)


def macro(name: str, present: bool = False) -> Reduce:
    """scikit-learn's `name`_score, a mean over classes; one that has no sample, or was never said, counts 0 where it divides by none.

    With `present` over the classes that the split has, else also over those that were predicted.
    """

    def reduce(pairs: Tensor) -> float:
        from sklearn import metrics

        y, predicted = pairs.long().numpy().T
        among = sorted(set(y.tolist())) if present else None
        return float(getattr(metrics, f"{name}_score")(y, predicted, labels=among, average="macro", zero_division=0))

    return reduce


def auroc(known: Tensor) -> float:
    """Mean over the classes of the area under the ROC curve of one class against the rest; nan if a class is missing in the split."""
    from sklearn.metrics import roc_auc_score

    y, scores = known[:, 0].long().numpy(), known[:, 1:].double().numpy()
    classes = scores.shape[1]
    if classes < 2 or len(set(y.tolist())) < classes or not known.isfinite().all():
        return float("nan")
    return float(roc_auc_score(y[:, None] == range(classes), scores, average="macro"))


def r2(pairs: Tensor) -> float:
    """1 - the squared errors of the whole split / its variance × n; nan if the target never varies.

    Of several numbers the errors and variances are summed first (scikit-learn's `variance_weighted`): a place of a signal that
    hardly varies would decide a plain mean over places.
    """
    from sklearn.metrics import r2_score

    y, predicted = pairs.double().unbind(1)
    if len(y) < 2 or not bool((y != y[0]).any()) or not bool(pairs.isfinite().all()):
        return float("nan")
    return float(r2_score(y.numpy(), predicted.numpy(), multioutput="variance_weighted"))


def hits(a: Answers) -> Tensor:
    return (a.predicted == a.y).to(a.losses.dtype)


def losses(a: Answers) -> Tensor:
    return a.losses


CLASSES, TOKENS, NUMBERS = ("classes",), ("tokens",), ("value", "signal")
ACCURACY = register(Metric("accuracy", "higher", True, hits, kinds=CLASSES))
CROSS_ENTROPY = register(Metric("cross_entropy", "lower", score=losses, kinds=CLASSES, needs="loss"))
MSE = register(Metric("mse", "lower", score=losses, kinds=NUMBERS, needs="loss"))
# of the corpus, 0 to 100: see datasets/bleu.py
BLEU = register(
    Metric("bleu", "higher", False, lambda a: bleu.counts(a.predicted, a.y), bleu.corpus, TOKENS, signature=lambda: bleu.signature())
)
EXACT = register(Metric("exact", "higher", True, exact, kinds=TOKENS))  # sentences with every token right
# given the true prefix, where a model takes one
TOKEN_ACCURACY = register(Metric("token_accuracy", "higher", True, token_accuracy, kinds=TOKENS, needs="scores"))
register(Metric("balanced_accuracy", "higher", True, labels, macro("recall", present=True), CLASSES))
register(Metric("macro_precision", "higher", True, labels, macro("precision"), CLASSES))
register(Metric("macro_recall", "higher", True, labels, macro("recall"), CLASSES))
register(Metric("macro_f1", "higher", True, labels, macro("f1"), CLASSES))
register(Metric("auroc", "higher", True, chances, auroc, CLASSES, "scores"))
register(Metric("mae", "lower", False, absolute_errors, kinds=NUMBERS))
R2 = register(Metric("r2", "higher", False, values, r2, NUMBERS))
