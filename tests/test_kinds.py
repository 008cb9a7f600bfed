"""Kinds of task: what they refuse, and whether data are what their task says."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import datasets
from datasets.checks import check
from datasets.data import Data, Split, generator, streamed
from datasets.kinds import IMAGE, INPUTS, OUTPUTS, WORDS
from datasets.points import xor
from datasets.task import Input, Output, Task


def test_a_kind_is_its_name_and_what_it_decides() -> None:
    task = datasets.task("digits")
    assert task.input.kind is IMAGE and task.input.kind == "image" and f"{task.input.kind}" == "image"
    assert replace(task.input, shape=(1, 4, 4)).kind is IMAGE
    assert OUTPUTS["tokens"] is WORDS and OUTPUTS["tokens"] is not INPUTS["tokens"]
    assert Output("tokens", 5, 9).shape == (5, 9) and Output("signal", 7).shape == (1, 7) and Output("value", 2).shape == (2,)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (
            lambda: Input("imge", (1, 2, 2)),
            r"unknown kind of input 'imge'; there are points, table, signal, image, tokens; did you mean 'image'",
        ),
        (
            lambda: Output("class", 2),
            r"unknown kind of output 'class'; there are value, classes, signal, tokens, labels; did you mean 'classes'",
        ),
        (lambda: Output("image", 2), "unknown kind of output 'image'"),
        (lambda: Input("image", (8, 8)), "image have 3 dimensions beside the batch's"),
        (lambda: Input("table", (0,)), r"sizes are whole numbers above 0, not \(0,\)"),
        (lambda: Output("classes", 2.5), "sizes are whole numbers"),
        (lambda: Input("tokens", (5,)), "tokens need a vocabulary of more than 4 ids"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_made(make: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("name", [name for name in datasets.names() if datasets.task(name).embedded])
def test_the_data_sets_are_what_their_tasks_say(name: str) -> None:
    check(datasets.load(name, seed=1), datasets.task(name))


def put(values: Tensor, place: tuple[int, ...], value: float) -> Tensor:
    changed = values.clone()
    changed[place] = value
    return changed


@pytest.mark.parametrize(
    ("name", "part", "change", "reason"),
    [
        (
            "iris",
            "x",
            lambda x: put(x, (3, 1), math.nan),
            r"iris: val.x has 1 values that are no finite numbers, the first nan at \(3, 1\)",
        ),
        ("plane", "y", lambda y: put(y, (7, 0), math.inf), r"plane: val.y has 1 values .* inf at \(7, 0\)"),
        ("iris", "y", lambda y: put(y, (2,), 3), r"iris: val.y holds 3 at \(2,\); classes are 0 … 2"),
        ("iris", "y", lambda y: put(y, (2,), -1), r"holds -1 at \(2,\)"),
        ("iris", "y", lambda y: y.int(), "val.y is int32, not int64"),
        ("iris", "x", lambda x: x.double(), "val.x is float64, not float32"),
        ("iris", "x", lambda x: x[:, :3], r"val.x has shape \(30, 3\), not \(n, 4\)"),
        ("plane", "y", lambda y: y[:, 0], r"plane: val.y has shape \(500,\), not \(n, 1\)"),
        ("shapes", "y", lambda y: y[:, 0], r"val.y has shape \(500, 100\), not \(n, 1, 100\)"),
        ("translation", "x", lambda x: put(x, (0, 0), 10_000), r"translation: val.x holds 10000 at \(0, 0\); ids are 0 … "),
        ("translation", "y", lambda y: y * (torch.arange(len(y)) != 5)[:, None], r"val.y holds a sentence without a token, at \(5,\)"),
        ("iris", "y", lambda y: y[:29], "val has 30 inputs and 29 targets"),
    ],
)
def test_data_that_are_not_are_refused(name: str, part: str, change: object, reason: str) -> None:
    data = datasets.load(name, seed=0)
    wrong = replace(data.val, **{part: change(getattr(data.val, part))})  # type: ignore[operator]
    with pytest.raises(ValueError, match=reason):
        check(replace(data, val=wrong), datasets.task(name))


def test_splits_of_other_sizes_are_refused() -> None:
    data = datasets.load("iris", seed=0)
    with pytest.raises(ValueError, match="iris: test has 10 samples; the task says 30"):
        check(replace(data, test=Split(data.test.x[:10], data.test.y[:10])), datasets.task("iris"))


def test_a_stream_stands_in_for_a_training_split() -> None:
    task = Task("stream", Input("points", (2,)), Output("classes", 2), (0, 8, 6), ())
    data = streamed(xor, task.sizes, "stream", 0)
    check(data, task)
    assert (len(data.train), len(data.val), len(data.test)) == (0, 8, 6)
    assert data.for_training.draw is xor
    assert torch.equal(data.test.x, xor(6, generator("stream/test", 0))[0])
    with pytest.raises(ValueError, match="no training samples; give train some, or bring draw"):
        check(Data(data.train, data.val, data.test), task)
    with pytest.raises(ValueError, match=r"stream: drawn.y is float32, not int64"):
        check(replace(data, draw=lambda n, g: (xor(n, g)[0], xor(n, g)[1].float())), task)
    with pytest.raises(ValueError, match="sizes begin with 0, not 5"):
        streamed(xor, (5, 8, 6), "stream", 0)
