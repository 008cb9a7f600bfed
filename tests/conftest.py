"""Shared by the tests: a results folder of their own, and the suite run as its users run it."""

from __future__ import annotations

import csv
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import datasets
import models
from bench.core.objects import freeze
from bench.plan import grid
from bench.plan.grid import Cell
from bench.plan.plugins import PLUGGED
from bench.run.driver import Driver, Outcome
from bench.run.job import Job, Message, Share
from bench.run.worker import work
from bench.store.records import Store

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # started in the background by a shell: what tests start and interrupt would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
# Files whose tests start processes for minutes, after those that fork their own, which is safe only before others leave threads in it.
LONGEST = (
    "test_killed.py",
    "test_suite.py",
    "test_gate_elsewhere.py",
    "test_engines.py",
    "test_gate.py",
    "test_interrupt.py",
    "test_page.py",
    "test_report.py",
)
PATIENCE = 900  # seconds until a session counts as hanging: other work on the machine may slow it tenfold
Bench = Callable[..., subprocess.CompletedProcess[str]]


def environment(folder: Path) -> dict[str, str]:
    """Without a data root of the user's; imports from the checkout, wherever the child runs; a pytest of its own, not xdist's worker."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return kept | {"PYTHONPATH": path, "ATTENTION_BENCH_DATA": str(folder / "no-data-here"), "PYTHONUNBUFFERED": "1"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Minutes of training are spent only when asked for: pytest -m slow. What takes longest begins: no worker is left with it."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
    if not config.option.markexpr:
        slow = [item for item in items if item.get_closest_marker("slow")]
        items[:] = [item for item in items if item not in slow]
        config.hook.pytest_deselected(items=slow)


def pytest_collection_finish() -> None:
    """What was imported stays: looking for cycles, as every timing does, need not go through it."""
    gc.collect()
    freeze()


def session(
    results: Path, *options: str, folder: Path = ROOT, what: str = "bench", budget: str = "smoke"
) -> subprocess.CompletedProcess[str]:
    """pytest bench --benchmark-only at the smoke budget, in a process of its own."""
    command = [sys.executable, "-m", "pytest", what, "--benchmark-only", "--benchmark-quiet", "-p", "no:cacheprovider"]
    command += ["-p", "no:hypothesispytest"]  # a second's import at the end of each session
    command += ["--results", str(results), "--budget", budget, *options]
    return subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """`bench("--models", "mlp", …)` runs `session` into tmp_path/results."""
    return partial(session, tmp_path / "results")


class InProcess:
    """An engine without processes: a job is done where it is polled. `stop(share)` may raise, as a process that dies would."""

    room = 1

    def __init__(self, stop: Callable[[float], None] | None = None) -> None:
        self.waiting: list[Job] = []
        self.stop = stop

    def submit(self, job: Job) -> None:
        self.waiting.append(job)

    def poll(self, seconds: float) -> list[tuple[Job, Message]]:
        told: list[tuple[Job, Message]] = []
        for job in self.waiting:
            died: list[BaseException] = []

            def tell(message: Message, job: Job = job, died: list[BaseException] = died) -> None:
                if died:
                    raise died[0]
                if self.stop is not None and isinstance(message, Share):
                    try:
                        self.stop(message.done)
                    except BaseException as error:
                        died.append(error)
                        raise
                told.append((job, message))

            work(job, tell)
        self.waiting.clear()
        return told

    def close(self) -> None:
        self.waiting.clear()


def run_cell(cell: Cell, folder: Path, stop: Callable[[float], None] | None = None, **asked: Any) -> Outcome:
    """What becomes of a cell in a results folder, trained in this process; `asked` are fields of its job."""
    blank = Job("", "", cell.budget, (), "cpu", folder / "no-data", folder, **asked)
    driver = Driver(Store(folder), blank, [cell], lambda: InProcess(stop), lambda *_: None)
    try:
        return driver.outcome(cell)
    finally:
        driver.close()


@pytest.fixture(autouse=True)
def registries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is forgotten after it, plugins included: another test may ask for all models, processes import all plugins."""
    plugged = list(PLUGGED)
    for registry in (datasets._registry, models._registry):
        monkeypatch.setattr(registry, "_things", dict(registry._things))
        monkeypatch.setattr(registry, "sources", dict(registry.sources))
    monkeypatch.setattr(datasets, "_resplit", set(datasets._resplit))
    yield
    PLUGGED[:] = plugged


def plugin(folder: Path, line: str) -> Path:
    """A plugin file whose one line registers a data set, imported until the test ends."""
    file = folder / f"plugin{abs(hash((folder, line)))}.py"
    file.write_text(f"import datasets\n{line}\n")
    grid.plugin(str(file))
    return file


def table(results: Path) -> dict[tuple[str, str], dict[str, str]]:
    """comparison.csv by (model, data set)."""
    with open(results / "comparison.csv", newline="", encoding="utf-8") as file:
        return {(row["model"], row["dataset"]): row for row in csv.DictReader(file)}
