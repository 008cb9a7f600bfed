"""Scores are sums over samples divided by their number."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import datasets
from bench.train import evaluation
from datasets.data import Split


class Echo:
    """Answers with its input."""

    def forward(self, x: Tensor) -> Tensor:
        return x

    def taught(self, x: Tensor, y: Tensor) -> Tensor | None:
        return None


def scored(split: Split, name: str) -> list[dict[str, float]]:
    task = datasets.task(name)
    return evaluation.means(evaluation.score(Echo(), split, task)[0], task)


def test_mean_over_samples_not_over_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten samples in batches of 4, 4 and 2: a mean of batch means would weigh the last two double."""
    monkeypatch.setattr(evaluation, "NUMBERS", 4)
    x = torch.arange(10.0).view(1, 10, 1)
    split = Split(x, torch.zeros(1, 10, 1))
    found = scored(split, "plane")
    assert found == [{"loss": pytest.approx(28.5), "mse": pytest.approx(28.5)}]


def test_accuracy_and_cross_entropy() -> None:
    logits = torch.tensor([[[2.0, 0, 0], [0, 2.0, 0], [0, 0, 2.0]], [[2.0, 0, 0], [2.0, 0, 0], [2.0, 0, 0]]])
    split = Split(logits, torch.tensor([[0, 1, 0], [0, 0, 0]]))
    first, second = scored(split, "iris")
    assert first["accuracy"] == pytest.approx(2 / 3)
    assert second["accuracy"] == 1
    right = -torch.log_softmax(torch.tensor([2.0, 0, 0]), 0)[0].item()
    assert second["cross_entropy"] == pytest.approx(right)
    assert first["cross_entropy"] == pytest.approx((2 * right + right + 2) / 3)
