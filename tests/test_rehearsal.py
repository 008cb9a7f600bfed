"""Models whose stack would be trained otherwise than their seeds alone, in ways that no question about a module finds."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import datasets
import models
from bench.plan import grid
from bench.train.faithful import stays_alone
from bench.train.rehearsal import otherwise
from datasets.task import Budget, Task
from tests.conftest import run_cell

BUDGET = Budget("short", samples=640, batch=32, optimizer="adamw", weight_decay=0.1)
CPU = torch.device("cpu")


class Net(nn.Module):
    """Two layers of one shape."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        size = task.input.size
        self.first, self.second, self.last = nn.Linear(size, size), nn.Linear(size, size), nn.Linear(size, task.output.size)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.first(x).relu()).relu()) * self.scale


class Shared(Net):
    """Two parameters in one place."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.second.weight.data = self.first.weight.data


class Watching(Net):
    """A buffer in the place of a parameter."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.register_buffer("seen", self.first.weight.data)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x @ self.seen)


class Listed(Net):
    """A parameter reached by another way than its name."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.scales = [self.scale]

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.first(x).relu()).relu()) * self.scales[0]


class Masked(Net):
    """Something random of the seed's own that acts in training only."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.mask = torch.rand(task.input.size)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * self.mask.to(x) if self.training else x)


class Still(Net):
    """A layer without gradient: alone its weights do not decay."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            hidden = self.first(x)
        return self.last(self.second(hidden.relu()).relu())


@pytest.mark.parametrize("made", [Shared, Watching, Listed, Masked, Still])
def test_what_differs_in_the_rehearsal_is_not_stacked(made: type[Net]) -> None:
    task = datasets.task("circle")
    assert stays_alone(made(task), 1e3, task, BUDGET, CPU) is None  # no question about the module finds it
    assert otherwise(lambda: made(task), task, BUDGET)


@pytest.mark.parametrize(
    ("model", "dataset"),
    [
        ("mlp", "circle"),
        ("transformer", "iris"),
        pytest.param("backbone_attention", "digits", marks=pytest.mark.slow),
        pytest.param("backbone_recurrent", "shapes", marks=pytest.mark.slow),
    ],
)
def test_what_is_faithful_passes_it(model: str, dataset: str) -> None:
    task = datasets.task(dataset)
    assert otherwise(partial(models.build, model, task), task, task.budget("default")) == ""


def test_a_model_that_breaks_in_it_is_trained_alone() -> None:
    def build() -> nn.Module:
        raise ZeroDivisionError("not today")

    assert otherwise(build, datasets.task("circle"), BUDGET).startswith("does not stack: ZeroDivisionError: not today")


def test_the_reason_stands_in_the_record(tmp_path: Path) -> None:
    plugin = tmp_path / "masked.py"
    plugin.write_text(
        "import torch\nimport models\n\n"
        "class Masked(torch.nn.Linear):\n"
        "    def forward(self, x):\n"
        "        return super().forward(x * self.mask if self.training else x)\n\n"
        "@models.register\n"
        "def masked(task):\n"
        "    made = Masked(task.input.size, task.output.size)\n"
        "    made.mask = torch.rand(task.input.size)\n"
        "    return made\n"
    )
    grid.plugin(str(plugin))
    outcomes = {model: run_cell(grid.cell(model, "xor", "smoke", 2), tmp_path) for model in ("masked", "linear")}
    alone = {model: run["alone"] for model, outcome in outcomes.items() for run in outcome.runs}
    assert alone == {"masked": "two seeds trained together for a few steps came out otherwise than alone", "linear": ""}
