"""Shared by the tests: a results folder of their own, and the suite run as its users run it."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
Bench = Callable[..., subprocess.CompletedProcess[str]]


def environment(folder: Path) -> dict[str, str]:
    """Without a data root of the user's; imports from the checkout, wherever the child runs; a pytest of its own, not xdist's worker."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return kept | {"PYTHONPATH": str(folder), "ATTENTION_BENCH_DATA": str(folder / "no-data-here"), "PYTHONUNBUFFERED": "1"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Minutes of training are spent only when asked for: pytest -m slow."""
    if not config.option.markexpr:
        slow = [item for item in items if item.get_closest_marker("slow")]
        items[:] = [item for item in items if item not in slow]
        config.hook.pytest_deselected(items=slow)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """`bench("--models", "mlp", …)` runs pytest bench --benchmark-only at the smoke budget into tmp_path/results."""

    def run(*options: str, folder: Path = ROOT, what: str = "bench", budget: str = "smoke") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", what, "--benchmark-only", "--benchmark-quiet", "-p", "no:cacheprovider"]
        command += ["--results", str(tmp_path / "results"), "--budget", budget, *options]
        return subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=300, check=False)

    return run


def table(results: Path) -> dict[tuple[str, str], dict[str, str]]:
    """comparison.csv by (model, data set)."""
    with open(results / "comparison.csv", newline="", encoding="utf-8") as file:
        return {(row["model"], row["dataset"]): row for row in csv.DictReader(file)}
