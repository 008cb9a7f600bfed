"""Metrics against scikit-learn, on splits as they should be and on degenerate ones."""

from __future__ import annotations

import math
import pickle
import warnings
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor

import datasets
from datasets import metrics
from datasets.metrics import Answers, Metric
from datasets.task import Budget, Input, Output, Task


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def figure(name: str, answers: Answers) -> float:
    metric = metrics.named(name)
    assert metric.score is not None
    return metric.reduce(metric.score(answers))


def of_classes(logits: Tensor, y: Tensor) -> Answers:
    return Answers(logits, logits.argmax(1), logits, torch.zeros(len(y)), y)


def of_numbers(out: Tensor, y: Tensor) -> Answers:
    return Answers(out, out, out, torch.zeros(len(y)), y)


@pytest.mark.parametrize("classes", [2, 5])
def test_classes_against_scikit_learn(classes: int) -> None:
    g = torch.Generator().manual_seed(classes)
    y = (torch.rand(300, generator=g).square() * classes).long()  # not equally many of each
    logits = torch.randn(300, classes, generator=g) + torch.nn.functional.one_hot(y, classes)
    answers, predicted = of_classes(logits, y), logits.argmax(1)
    assert figure("balanced_accuracy", answers) == pytest.approx(sk.balanced_accuracy_score(y, predicted))
    assert figure("macro_precision", answers) == pytest.approx(sk.precision_score(y, predicted, average="macro"))
    assert figure("macro_recall", answers) == pytest.approx(sk.recall_score(y, predicted, average="macro"))
    assert figure("macro_f1", answers) == pytest.approx(sk.f1_score(y, predicted, average="macro"))
    chances = logits.double().softmax(1).numpy()
    theirs = sk.roc_auc_score(y, chances[:, 1]) if classes == 2 else sk.roc_auc_score(y, chances, multi_class="ovr", average="macro")
    assert figure("auroc", answers) == pytest.approx(theirs)
    assert len({round(figure(name, answers), 6) for name in ("macro_precision", "macro_recall", "macro_f1", "auroc", "accuracy")}) == 5


def test_a_class_that_is_missing() -> None:
    """One that is not in the split but predicted, one that is in it and never predicted, one that is neither."""
    y, predicted = torch.tensor([0, 0, 0, 1, 1, 3]), torch.tensor([0, 0, 2, 1, 0, 0])
    answers = of_classes(torch.nn.functional.one_hot(predicted, 5).float(), y)
    assert figure("balanced_accuracy", answers) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)  # over the three there are
    assert figure("macro_recall", answers) == pytest.approx((2 / 3 + 1 / 2 + 0 + 0) / 4)
    assert figure("macro_precision", answers) == pytest.approx((2 / 4 + 1 + 0 + 0) / 4)
    assert math.isnan(figure("auroc", answers))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn says the same with warnings
        assert figure("balanced_accuracy", answers) == pytest.approx(sk.balanced_accuracy_score(y, predicted))
        for name, theirs in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
            assert figure(f"macro_{name}", answers) == pytest.approx(theirs(y, predicted, average="macro"))


def test_one_class_alone_and_scores_that_are_not_finite() -> None:
    y = torch.zeros(4, dtype=torch.int64)
    logits = torch.tensor([[1.0, 0], [2, 0], [0, 1], [1, 0]])
    assert figure("balanced_accuracy", of_classes(logits, y)) == 0.75
    assert math.isnan(figure("auroc", of_classes(logits, y)))
    y[0], logits[1, 1] = 1, math.nan
    assert math.isnan(figure("auroc", of_classes(logits, y)))


@pytest.mark.parametrize("shape", [(1,), (3,), (1, 20)])
def test_numbers_against_scikit_learn(shape: tuple[int, ...]) -> None:
    g = torch.Generator().manual_seed(0)
    y = torch.randn(80, *shape, generator=g) * torch.arange(1, 1 + shape[-1]) + 5
    out = y + 0.5 * torch.randn(80, *shape, generator=g)
    answers, flat = of_numbers(out, y), (y.flatten(1), out.flatten(1))
    assert figure("mae", answers) == pytest.approx(sk.mean_absolute_error(*flat))
    assert figure("r2", answers) == pytest.approx(sk.r2_score(*flat, multioutput="variance_weighted"), abs=1e-6)
    errors, deviations = (out - y).square().sum(), (y - y.mean(0)).square().sum()
    assert figure("r2", answers) == pytest.approx(1 - float(errors / deviations), abs=1e-5)  # of the whole split
    if shape == (1,):
        assert figure("r2", answers) == pytest.approx(sk.r2_score(*flat), abs=1e-6)


@pytest.mark.parametrize("y", [torch.full((5, 1), 2.0), torch.ones(1, 1), torch.tensor([[0.0], [math.inf]])])
def test_r2_of_targets_that_never_vary_is_not_defined(y: Tensor) -> None:
    assert math.isnan(figure("r2", of_numbers(y + 1, y)))
    assert math.isnan(figure("r2", of_numbers(y, y)))


def test_a_place_that_never_varies_weighs_nothing() -> None:
    y = torch.tensor([[0.0, 7], [1, 7], [2, 7]])
    out = y + torch.tensor([[0.5, 0]])
    assert figure("r2", of_numbers(out, y)) == pytest.approx(float(np.float32(sk.r2_score(y[:, 0], out[:, 0]))))


def test_a_task_may_be_ranked_by_any_metric_of_its_kind() -> None:
    task = Task("t", Input("table", (3,)), Output("classes", 3), (9, 9, 9), (), metrics=("macro_f1", "accuracy"))  # type: ignore[arg-type]
    logits, y = torch.eye(3)[[0, 1, 2, 2]], torch.tensor([0, 1, 2, 1])
    scores = task.scores(logits, y)
    assert task.metric.facts == {"name": "macro_f1", "better": "higher", "percent": True}
    assert task.mean("macro_f1", scores["macro_f1"].float()) == pytest.approx(sk.f1_score(y, logits.argmax(1), average="macro"))
    assert task.mean("loss", scores["loss"]) == pytest.approx(float(torch.nn.functional.cross_entropy(logits, y)))


def test_what_nobody_knows_is_refused_when_a_task_is_made() -> None:
    table, classes = Input("table", (3,)), Output("classes", 3)

    def task(metric: Metric | str) -> Task:
        return Task("t", table, classes, (9, 9, 9), (), metrics=(metric,))  # type: ignore[arg-type]

    with pytest.raises(ValueError, match=r"task t: unknown metric 'acuracy'; there are accuracy, .*; did you mean 'accuracy'"):
        task(Metric("acuracy", "higher"))
    with pytest.raises(ValueError, match=r"task t: mse is no metric of classes; there are accuracy, cross_entropy, balanced_accuracy"):
        task("mse")
    with pytest.raises(ValueError, match=r"the metric 'accuracy' is .*'higher'.*, not .*'lower'"):
        task(Metric("accuracy", "lower", percent=True))
    for field, value, near in (("optimizer", "adm", "adam"), ("schedule", "cosin", "cosine"), ("dtype", "float23", "float32")):
        with pytest.raises(ValueError, match=rf"budget 'b': {field} is one of .*{near}.*, not '{value}'; did you mean '{near}'"):
            Budget("b", samples=1, batch=1, **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("batch", 2.5, "must be a whole number, not 2.5"),
        ("samples", 2e2, "must be a whole number, not 200.0"),
        ("seeds", True, "must be a whole number, not True"),
        ("lr", "1e-3", "must be a number, not '1e-3'"),
        ("lr", math.nan, "must be positive, not nan"),
        ("momentum", -3, "must be 0 or more, not -3"),
        ("weight_decay", -1, "must be 0 or more, not -1"),
        ("clip", math.nan, "must be 0 or more, not nan"),
    ],
)
def test_a_budget_of_what_cannot_be_spent_is_refused_when_it_is_made(name: str, value: object, said: str) -> None:
    with pytest.raises(ValueError, match=f"^budget 'b': {name} {said}$"):
        Budget(**{"name": "b", "samples": 1, "batch": 1, name: value})  # type: ignore[arg-type]


def test_a_copy_with_another_output_has_the_metrics_of_that_kind_unless_some_were_chosen() -> None:
    copy = replace(datasets.task("iris"), output=Output("value", 1))
    assert [metric.name for metric in copy.metrics] == ["mse"]
    assert replace(copy, name="other").metrics == copy.metrics
    chosen = replace(datasets.task("iris"), metrics=(metrics.ACCURACY,))
    assert replace(chosen, output=Output("classes", 2)).metrics == (metrics.ACCURACY,)
    with pytest.raises(ValueError, match="accuracy is no metric of value"):
        replace(chosen, output=Output("value", 1))


def test_a_metric_of_ones_own() -> None:
    with pytest.raises(ValueError, match="no rule to compute it"):
        metrics.register(Metric("top2", "higher"))
    with pytest.raises(ValueError, match="'accuracy' is already registered"):
        metrics.register(metrics.ACCURACY)
    top2 = Metric("top2", "higher", True, lambda a: (a.out.topk(2).indices == a.y[:, None]).any(1).float())
    task = Task("t", Input("table", (3,)), Output("classes", 3), (9, 9, 9), (), metrics=(top2,))
    scores = task.scores(torch.tensor([[3.0, 2, 1], [3, 2, 1]]), torch.tensor([1, 2]))
    assert task.mean("top2", scores["top2"]) == 0.5


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "top 1"}, "metric 'top 1': a name is made of a-z, 0-9 and _ only, at most 64 of them"),
        ({"name": ""}, "metric '': a name is made of"),
        ({"name": "x" * 65}, "a name is made of"),
        ({"name": 1}, "metric 1: a name is made of"),
        ({"better": "hihger"}, "metric 'own': better is one of higher, lower, not 'hihger'; did you mean 'higher'"),
        ({"needs": "score"}, "metric 'own': needs is one of prediction, scores, loss, not 'score'; did you mean 'scores'"),
        ({"percent": 1}, "metric 'own': percent is True or False, not 1"),
        ({"kinds": ("class",)}, "metric 'own': unknown kind of output 'class'; there are value, .*did you mean 'classes'"),
        ({"kinds": "classes"}, "metric 'own': kinds are a tuple of kinds of output, not 'classes'"),
    ],
    ids=str,
)
def test_a_metric_that_no_record_could_hold_is_refused_when_it_is_registered(wrong: dict[str, object], said: str) -> None:
    known = dict(metrics._metrics)
    with pytest.raises(ValueError, match=said):
        metrics.register(Metric(**{"name": "own", "better": "higher", "score": metrics.hits, **wrong}))  # type: ignore[arg-type]
    assert metrics._metrics == known


def test_tasks_travel_to_other_processes() -> None:
    for name in datasets.names():
        task = datasets.task(name)
        again = pickle.loads(pickle.dumps(task))
        assert again == task
        assert again.input.kind is task.input.kind and again.output.kind is task.output.kind
        assert all(a is b for a, b in zip(again.metrics, task.metrics, strict=True))
