"""Several labels at once: an answer holds a logit for each, and each applies or does not, whatever the others say.

labels (size,)   targets (n, size) of 0.0 and 1.0; loss: binary cross entropy, a mean over labels; said are those above 0

    mean_average_precision   scikit-learn's average precision of each label, and their plain mean; what these tasks are ranked by
    label_f1                 scikit-learn's F1 of each label, and their plain mean

A label that no sample of a split has counts 0 in both. The kind lies in a file of its own, as every run knows the source of kinds.py.
"""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from datasets.kinds import Output, OutputKind
from datasets.metrics import Answers, Metric, register
from datasets.tensors import check_numbers


class Labels(OutputKind):
    metrics = ("mean_average_precision", "label_f1")
    scored = True

    def sample(self, output: Output, batch: int, generator: Generator | None) -> Tensor:
        return torch.randint(2, (batch, output.size), generator=generator).to(torch.get_default_dtype())

    def check(self, y: Tensor, output: Output) -> None:
        check_numbers(y, output.shape)
        if bool((other := (y != 0) & (y != 1)).any()):
            first = tuple(other.nonzero()[0].tolist())
            raise ValueError(f"holds {float(y[first]):g} at {first}; a label is 0 or 1")

    def losses(self, out: Tensor, y: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(out, y, reduction="none").mean(1)

    def loss(self, out: Tensor, y: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(out, y)

    def predicted(self, out: Tensor) -> Tensor:
        return (out > 0).to(out.dtype)

    def packed(self, said: Tensor, output: Output) -> Tensor:
        return said.cpu().to(torch.uint8)


LABELS = Labels("labels")


def said(a: Answers) -> Tensor:
    """(n, 2, labels): which apply, and which were said to."""
    return torch.stack([a.y, a.predicted], 1)


def scored(a: Answers) -> Tensor:
    """(n, 2, labels): which apply, and the logits."""
    return torch.stack([a.y, a.out.to(a.y.dtype)], 1)


def f1(pairs: Tensor) -> float:
    from sklearn.metrics import f1_score

    y, predicted = pairs.double().unbind(1)
    return float(f1_score(y.numpy(), predicted.numpy(), average="macro", zero_division=0))


def average_precision(pairs: Tensor) -> float:
    from sklearn.metrics import average_precision_score

    y, scores = pairs.double().unbind(1)
    if not bool(scores.isfinite().all()):
        return float("nan")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No positive class found")
        each = [float(average_precision_score(y[:, i].numpy(), scores[:, i].numpy())) for i in range(y.shape[1])]
    return sum(each) / len(each)


register(Metric("mean_average_precision", "higher", True, scored, average_precision, ("labels",), "scores"))
register(Metric("label_f1", "higher", True, said, f1, ("labels",)))
