"""Data and scores that cannot be trusted have a status and a reason, and never a number."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import datasets
from bench.plan.grid import Cell
from bench.store.records import Store
from bench.tables.rows import rows
from bench.train.learners import check_answer
from datasets.checks import check
from datasets.data import Data, Split
from datasets.registry import Registry
from datasets.task import Budget, Input, Output, Task
from tests.conftest import run_cell

BUDGET = Budget("smoke", samples=200, batch=20, seeds=2, evaluations=2)
CLASSES = Task("unfit_classes", Input("table", (3,)), Output("classes", 2), (40, 20, 20), (BUDGET,))
VALUES = Task("unfit_values", Input("table", (3,)), Output("value", 1), (40, 20, 20), (BUDGET,))


def samples(task: Task, seed: int = 0) -> Data:
    g = torch.Generator().manual_seed(seed)
    return Data(*(Split(*task.sample(n, g)) for n in task.sizes))


def changed(split: str, part: str, change: Callable[[Any], Any]) -> Callable[[Data], Data]:
    return lambda data: replace(data, **{split: replace(getattr(data, split), **{part: change(getattr(getattr(data, split), part))})})


def put(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def change(values: torch.Tensor) -> torch.Tensor:
        values = values.clone()
        values.view(-1)[7] = value
        return values

    return change


def drawing(some: Callable[[int], int], width: int = 3) -> Any:
    """A stream that gives `some(n)` of n samples asked for, whole batches `width` wide."""
    return lambda n, g: (torch.ones(some(n), width if n > 2 else 3), torch.ones(some(n), 1))


WRONG = [
    (CLASSES, changed("val", "x", put(math.nan)), "val.x has 1 values that are no finite numbers, the first nan at (2, 1)"),
    (CLASSES, changed("test", "x", put(math.inf)), "test.x has 1 values that are no finite numbers"),
    (VALUES, changed("val", "y", put(math.nan)), "val.y has 1 values"),
    (CLASSES, changed("test", "y", put(2)), "test.y holds 2 at (7,); classes are 0 … 1"),
    (CLASSES, changed("val", "y", put(-1)), "val.y holds -1 at (7,)"),
    (CLASSES, changed("train", "y", lambda y: y.int()), "train.y is int32, not int64"),
    (CLASSES, changed("train", "y", lambda y: y.float()), "train.y is float32, not int64"),
    (CLASSES, changed("train", "y", lambda y: torch.eye(2)[y]), "train.y has shape (40, 2), not (n,)"),
    (VALUES, changed("val", "y", lambda y: y.double()), "val.y is float64, not float32"),
    (VALUES, changed("test", "y", lambda y: y[:, 0]), "test.y has shape (20,), not (n, 1)"),
    (VALUES, changed("train", "x", lambda x: x.half()), "train.x is float16, not float32"),
    (VALUES, changed("train", "x", lambda x: x.numpy()), "train.x has shape ndarray"),
    (VALUES, changed("val", "x", lambda x: x[:-1]), "val has 19 inputs and 20 targets"),
    (VALUES, lambda data: replace(data, augment=lambda x, y, g: (x, y[:, 0])), "augmented.y has shape (2,), not (n, 1)"),
    (VALUES, lambda data: replace(data, augment=lambda x, y, g: (x, y[: max(2, len(y) - 1)])), "augmented has 20 inputs and 19 targets"),
    (VALUES, lambda data: replace(data, draw=drawing(lambda n: min(n, 4))), "drawn has 4 samples; the task says 20"),
    (VALUES, lambda data: replace(data, draw=drawing(lambda n: n, width=4)), "drawn.x has shape (20, 4), not (n, 3)"),
    (CLASSES, lambda data: replace(data, augment=lambda x, y, g: (x / 0, y)), "augmented.x has 6 values that are no finite numbers"),
]


@pytest.mark.parametrize(("task", "change", "said"), WRONG, ids=[said for *_, said in WRONG])
def test_data_that_are_not_what_the_task_says_are_refused(task: Task, change: Callable[[Data], Data], said: str) -> None:
    check(samples(task), task)
    with pytest.raises(ValueError) as caught:
        check(change(samples(task)), task)
    assert said in str(caught.value)


@pytest.mark.parametrize(("sizes", "name"), [((40, 0, 20), "val"), ((40, 20, 0), "test")])
def test_a_split_without_samples_is_refused(sizes: tuple[int, int, int], name: str) -> None:
    task = replace(CLASSES, sizes=sizes)
    with pytest.raises(ValueError, match=f"{name} has no samples"):
        check(samples(task), task)


def constant(data: Data, *names: str) -> Data:
    """Targets that never vary: R² is not defined on such a split."""
    return replace(data, **{name: replace(split := getattr(data, name), y=torch.ones_like(split.y)) for name in names})


@pytest.mark.parametrize(
    ("model", "names", "said"),
    [
        ("linear", ("val",), "r2 stopped being finite"),
        ("linear", ("test",), "r2 of the test split is no finite number"),
        ("ridge", ("val",), "what was fitted has no finite r2 on val"),
    ],
)
def test_a_score_that_is_no_number_is_a_status(model: str, names: tuple[str, ...], said: str, tmp_path: Path) -> None:
    task = replace(VALUES, name=f"unfit_{model}_{names[0]}", metrics=("r2", "mse"))
    datasets.register(task)(lambda root, seed, download: constant(samples(task, seed), *names))
    outcome = run_cell(Cell(model, task.name, task, BUDGET, fits=model == "ridge"), tmp_path)
    assert outcome.status == "diverged" and said in outcome.reason
    (row,) = rows(Store(tmp_path))
    assert row.status == "diverged" and said in row.reason
    assert "nan" not in "".join(path.read_text().lower() for path in tmp_path.rglob("*-s?.json"))


class Narrow(torch.nn.Linear):
    """Answers otherwise in training: broadcasting would make a loss of it all the same."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)[:, 0] if self.training else super().forward(x)


def test_an_answer_that_is_misshapen_in_training_alone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"answers two samples with shape \(2,\) in training; .* asks for \(2, 1\)"):
        check_answer(Narrow(VALUES.input.size, 1), VALUES, BUDGET, torch.device("cpu"))
    check_answer(torch.nn.Linear(VALUES.input.size, 1), VALUES, BUDGET, torch.device("cpu"))


@pytest.mark.parametrize("name", ["a" * 65, "Größe", "a/b", "..", "", "a b", "a\n", "con.", "café"])
def test_a_name_that_could_be_no_file_everywhere_is_refused(name: str) -> None:
    registry: Registry[int] = Registry("model", "tests")
    with pytest.raises(ValueError, match="a name is made of a-z, 0-9 and _ only, at most 64 of them"):
        registry.add(name, 1, samples)
    registry.add("a" * 64, 1, samples)


@pytest.mark.parametrize("error", [SystemExit("gone"), pytest.skip.Exception("x")], ids=["leaves", "skips"])
def test_a_file_that_leaves_while_it_is_imported_is_an_error_of_its_own(error: BaseException) -> None:
    registry: Registry[int] = Registry("model", "tests")

    def run() -> None:
        registry.add("half", 1, samples)
        raise error

    registry.guarded("file", run)
    assert registry.names() == [] and registry.errors["file"].startswith("does not import: ")
