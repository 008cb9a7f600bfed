"""Every protocol as published runs from its budget to scores: a few steps on random samples."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

import datasets
import models
from bench.train.learners import check_answer
from bench.train.loop import Training
from bench.train.scoring import handed, scored
from datasets.data import drawn

CPU = torch.device("cpu")
CELLS = [
    ("stn_published", "mnist_affine_published", "published"),
    ("ram_published", "mnist_translated_published", "published"),
    ("bahdanau_published", "eng_fra_published", "published"),
    ("cnn", "mnist_published", "published_adadelta"),
    ("cnn", "cifar10_published", "published_1"),
    ("hybrid_published", "cifar100_published", "published"),
    ("hybrid_published", "mnist_published", "published_1"),
    ("vit", "mnist_published", "published_14"),
    ("transformer_head_published", "iris", "paper"),
]


@pytest.mark.parametrize(("model", "dataset", "name"), CELLS, ids=lambda one: one)
def test_a_few_steps_of_every_protocol(model: str, dataset: str, name: str) -> None:
    task = datasets.task(dataset)
    assert len({budget.name for budget in task.budgets}) == len(task.budgets)
    if task.input.kind == "tokens":  # the work is the vocabulary's
        task = replace(task, input=replace(task.input, vocabulary=50), output=replace(task.output, vocabulary=60))
    budget = replace(task.budget(name), samples=48, batch=16, evaluations=3)
    data = drawn(lambda n, g: task.sample(n, g), (32, 8, 8), "published", 0)
    build = partial(models.build, model, task)
    check_answer(build(), task, budget, CPU)  # as before every run
    (one,) = Training(build, task, budget, [0], [handed(data, budget)], CPU).run()
    record = scored(build, one, data, task, budget, CPU)
    assert one.status == "ok" and len(one.curve.train_loss) == 3
    assert record["test"].keys() >= {"best", "last"} and (len(one.curve.test_metric) == 3) == (budget.choose == "test")
