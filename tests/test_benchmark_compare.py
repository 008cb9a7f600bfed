"""pytest-benchmark's own way to compare two sessions: what one saved, the next one fails against."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import Bench

SLEEPS = """import time

from torch import nn

import models


class Sleeps(nn.Linear):
    seconds = 0.01

    def forward(self, x):
        time.sleep(self.seconds)
        return super().forward(x)


class Slowed(Sleeps):
    seconds = {seconds}


models.wrap("steady", lambda task: Sleeps(task.input.size, task.output.size), family="mlp")
models.wrap("slowed", lambda task: Slowed(task.input.size, task.output.size), family="mlp")
"""


@pytest.mark.slow
def test_a_session_fails_where_a_median_is_worse_than_the_one_that_was_saved(bench: Bench, tmp_path: Path) -> None:
    """A call that sleeps five times as long takes more than twice the median on any machine; the other model's stands."""
    plugin = tmp_path / "sleeps.py"
    asked = ("--plugin", str(plugin), "--models", "steady,slowed", "--datasets", "iris", "--devices", "cpu", "--untuned", "--retrain")
    asked += ("--benchmark-storage", f"file://{tmp_path / 'saved'}", "--benchmark-autosave")
    plugin.write_text(SLEEPS.format(seconds=0.01))
    first = bench(*asked, what="bench/test_latency.py")
    assert first.returncode == 0, first.stdout + first.stderr
    plugin.write_text(SLEEPS.format(seconds=0.05))
    second = bench(*asked, "--benchmark-compare", "--benchmark-compare-fail=median:100%", what="bench/test_latency.py")
    assert second.returncode == 1
    assert set(re.findall(r"(\w+)-iris-cpu-b\d+\S* .*Regression", second.stdout + second.stderr)) == {"slowed"}
    assert len([*(tmp_path / "saved").rglob("*.json")]) == 2
