"""Models of other libraries in this suite: fitted to a task's channels, sizes and classes, or refused with a reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import datasets
import models
from bench.plan.grid import cell
from bench.store import fingerprint
from datasets.task import Task
from models.wrapped import with_channels
from tests.conftest import ROOT, environment, run_cell

DIGITS, IRIS = datasets.task("digits"), datasets.task("iris")


class Small(nn.Module):
    """Of three channels, as photographs have, and any number of classes."""

    def __init__(self, num_classes: int, width: int = 4, kernel: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, kernel), nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.answer = nn.Linear(width, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.answer(self.body(x))


def test_a_class_is_given_what_its_parameters_ask_for_and_reads_the_tasks_channels(tmp_path: Path) -> None:
    models.wrap("small", Small, family="convolution", width=5)
    module = models.build("small", DIGITS)
    assert module.body[0].in_channels == 1 and module.answer.weight.shape == (10, 5)
    assert models.family("small") == "convolution" and models.source("small") == Path(__file__)
    assert run_cell(cell("small", "digits", "smoke", 1), tmp_path).status == "ok"


def test_weights_depend_on_the_seed_alone_whatever_was_tried_before(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = [lambda: nn.Linear(4, 5), lambda: Small(10)]  # the first draws weights, too, and cannot read images
    monkeypatch.setattr("models.wrapped.attempts", lambda *_: ways)
    models.wrap("small", "timm:small")
    weights = []
    for _ in range(2):
        torch.manual_seed(3)
        weights.append(models.build("small", DIGITS).answer.weight)
    assert torch.equal(*weights)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (Small, r"Small cannot serve tables of 4: "),
        (lambda: nn.Flatten(), "answers two samples with \\(2, 4\\), not \\(2, 3\\)"),
        (lambda task, classes: nn.LSTM(4, classes), "answers two samples with tuple, not"),
    ],
)
def test_what_does_not_answer_as_the_task_asks_is_refused(what: object, reason: str) -> None:
    models.wrap("mine", what)  # type: ignore[arg-type]
    with pytest.raises(models.Unsupported, match=reason):
        models.build("mine", IRIS)
    assert cell("mine", "iris", "smoke", None).status == "skipped"


def test_an_image_too_small_is_refused_with_the_librarys_reason() -> None:
    models.wrap("mine", Small, kernel=9)
    with pytest.raises(models.Unsupported, match=r"Small cannot serve images of 1×8×8: .*[Kk]ernel size"):
        models.build("mine", DIGITS)


def test_another_library_is_no_library() -> None:
    with pytest.raises(ValueError, match="'tim:resnet10t' is no library and model; write timm:NAME or torchvision:NAME"):
        models.wrap("mine", "tim:resnet10t")


def test_a_first_convolution_keeps_all_but_its_channels() -> None:
    layer = with_channels(nn.Sequential(nn.Conv2d(3, 8, 5, 2, 1, bias=False)), 7)[0]
    assert (layer.in_channels, layer.kernel_size, layer.stride, layer.padding, layer.bias) == (7, (5, 5), (2, 2), (1, 1), None)


def test_timm_and_torchvision_wait_until_they_are_built() -> None:
    code = "import sys, models; models.wrap('mine', 'timm:resnet10t'); print('timm' in sys.modules, models.uses('mine').split()[0])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "timm"]


def test_another_version_of_the_library_is_another_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.wrapped.metadata.version", lambda _: "1")
    models.wrap("one", "timm:resnet10t")
    first = fingerprint.code("one", "iris")
    monkeypatch.setattr("models.wrapped.metadata.version", lambda _: "2")
    models.wrap("two", "timm:resnet10t")
    assert fingerprint.code("two", "iris") != first


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fits", "not_"),
    [("timm:resnet10t", "digits", "iris"), ("torchvision:resnet18", "cifar10", "iris"), ("timm:vit_tiny_patch16_224", "cifar10", "digits")],
)
def test_models_of_libraries(name: str, fits: str, not_: str) -> None:
    models.wrap("mine", name)
    task: Task = datasets.task(fits)
    module = models.build("mine", task)
    x, y = task.sample(2)
    task.loss(module(x), y).backward()
    assert module(x).shape == (2, task.output.size)
    with pytest.raises(models.Unsupported):
        models.build("mine", datasets.task(not_))


@pytest.mark.slow
def test_a_model_that_the_library_has_not_is_an_error_with_the_nearest() -> None:
    models.wrap("mine", "timm:resnet10tt")
    found = cell("mine", "digits", "smoke", None)
    assert found.status == "error" and "unknown model 'resnet10tt' of timm; did you mean 'resnet10t'" in found.reason
