"""What somebody hands over as arrays: tables of pandas, tensors, columns; what cannot be one is refused with the way out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

import datasets
from datasets.task import Input, Output
from datasets.weighted import Weighted

X = np.random.default_rng(0).normal(3, 2, (100, 4))
FRAME = pd.DataFrame(X, columns=["a", "b", "c", "d"])
CLASSES = np.arange(100) % 3
TEXTS = ["good, good!"] * 60 + ["bad"] * 40
TABLE, THREE = Input("table", (4,)), Output("classes", 3)


@pytest.mark.parametrize(
    ("x", "y", "entering", "output"),
    [
        (FRAME, pd.Series(CLASSES), TABLE, THREE),
        (FRAME, pd.DataFrame({"kind": CLASSES}), TABLE, THREE),
        (FRAME, pd.Series(CLASSES.astype(str), dtype="category"), TABLE, THREE),
        (FRAME, pd.DataFrame({"one": X[:, 0] > 3, "other": (X[:, 1] > 3).astype(int)}), TABLE, Output("labels", 2)),
        (FRAME.astype({"a": "Float64"}), FRAME["b"], TABLE, Output("value", 1)),
        (pd.Series(TEXTS), CLASSES, Input("tokens", (4,), 8), THREE),
        (np.array(TEXTS), CLASSES, Input("tokens", (4,), 8), THREE),
        (X, CLASSES[:, None], TABLE, THREE),
        (X, [[str(one)] for one in CLASSES], TABLE, THREE),
        (X, X[:, :1], TABLE, Output("value", 1)),
        (torch.tensor(X, requires_grad=True), torch.tensor(X[:, 0], requires_grad=True), TABLE, Output("value", 1)),
        (torch.tensor(X, dtype=torch.bfloat16), CLASSES, TABLE, THREE),
        ([torch.tensor(row, requires_grad=True) for row in X], [torch.tensor(one) for one in CLASSES], TABLE, THREE),
    ],
)
def test_tables_tensors_and_columns_are_read_as_what_they_hold(x: Any, y: Any, entering: Input, output: Output) -> None:
    task = datasets.from_arrays("own", x, y)
    assert (task.input, task.output) == (entering, output)


def test_a_table_gives_the_same_data_as_its_array() -> None:
    tasks = [datasets.from_arrays(f"own{i}", x, y) for i, (x, y) in enumerate(((X, CLASSES), (FRAME, pd.Series(CLASSES))))]
    assert tasks[0].version == tasks[1].version


def test_weights_count_the_classes_of_a_column() -> None:
    y = torch.tensor([[0]] * 80 + [[1]] * 20)
    task = datasets.from_arrays("own", X, y, weights="balanced")
    assert isinstance(task, Weighted) and task.weights == pytest.approx((0.625, 2.5))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        (sparse.csr_matrix(X), CLASSES, r"own: x is a sparse csr_matrix.*; give x.toarray\(\)"),
        (FRAME.assign(a="word"), CLASSES, "own: x cannot be numbers .*'word'"),
        (pd.DataFrame({"said": TEXTS}), CLASSES, "own: x cannot be numbers"),
        ((row for row in X), CLASSES, "own: x is a generator; give an array"),
        ({"a": 1}, CLASSES, "own: x is a dict; give an array"),
        ("letters", CLASSES, "own: x is a str; give an array"),
        ([[1.0]] * 99 + [[1.0, 2.0]], CLASSES, "own: x, a list, is no array .*; all samples need one shape"),
        ([torch.ones(2)] * 99 + [torch.ones(3)], CLASSES, "own: x, a list, is no array"),
        (X, [[1]] * 99 + [[1, 2]], "own: y, a list, is no array"),
        (X * 1j, CLASSES, "own: x holds complex numbers"),
        (pd.DataFrame({"day": [datetime(2020, 1, 1)] * 100}), CLASSES, "own: x holds dates"),
        (
            np.where(np.isclose(X, X.max()), 1e300, X),
            CLASSES,
            r"1 values that are no finite numbers, the first at .*: 1e\+300, and float32",
        ),
        ([[10**400]] * 100, CLASSES, "own: x cannot be numbers"),
        (X, pd.Series([None, *["a"] * 50, *["b"] * 49], dtype="string"), "1 samples have no class, the first is 0"),
    ],
)
def test_what_cannot_be_an_array_is_refused(x: Any, y: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        datasets.from_arrays("own", x, y)
