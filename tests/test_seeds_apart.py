"""Seeds that do not stack: one job while workers are busy, one for each where there is room; the same numbers, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

import datasets
import models
from bench.plan.grid import Cell
from bench.run import driver
from bench.run.driver import Driver, Outcome
from bench.run.job import Ended, Job, Message
from bench.store.records import Record, Store
from datasets.task import Budget, Task
from tests.conftest import InProcess

BUDGET = Budget("default", samples=1_280, batch=32, lr=3e-2, evaluations=2, seeds=3)


class Wide(InProcess):
    """Room for several jobs; `dying` are seeds whose jobs end in an error."""

    room = 4

    def __init__(self, dying: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.dying, self.submitted = dying, list[tuple[int, ...]]()

    def submit(self, job: Job) -> None:
        self.submitted.append(job.seeds)
        super().submit(job)

    def poll(self, seconds: float) -> list[tuple[Job, Message]]:
        dead = [job for job in self.waiting if job.seeds in [(seed,) for seed in self.dying]]
        self.waiting = [job for job in self.waiting if job not in dead]
        return super().poll(seconds) + [(job, Ended("error", f"seed {job.seeds[0]} died")) for job in dead]


class Narrow(Wide):
    room = 2  # one worker


@pytest.fixture(autouse=True)
def models_of_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "LONG", 0.0)

    @models.register
    def dropping(task: Task) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(task.input.size, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, task.output.size))


def run(folder: Path, engine: Wide, model: str = "dropping") -> tuple[Outcome, float]:
    """What became of three seeds, and the share of them that was told."""
    cell, told = Cell(model, "circle", datasets.task("circle"), BUDGET), list[float]()
    blank = Job("", "", BUDGET, (), "cpu", folder / "no-data", folder)
    found = Driver(Store(folder), blank, [cell], lambda: engine, lambda _, share: told.append(share))
    try:
        return found.outcome(cell), sum(told)
    finally:
        found.close()


def numbers(record: Record) -> tuple[object, ...]:
    curve = {name: values for name, values in record["curve"].items() if name != "seconds"}
    return record["seed"], curve, record["test"], record["together"]


def test_where_there_is_room_seeds_that_do_not_stack_are_jobs_of_their_own(tmp_path: Path) -> None:
    wide, narrow = Wide(), Narrow()
    (apart, share), (one, _) = run(tmp_path / "apart", wide), run(tmp_path / "one", narrow)
    assert wide.submitted == [(0, 1, 2), (1,), (2,)] and narrow.submitted == [(0, 1, 2)]
    assert apart.status == one.status == "ok" and apart.trained == one.trained == 3
    assert [numbers(record) for record in apart.runs] == [numbers(record) for record in one.runs]
    assert share == pytest.approx(1)
    assert not list((tmp_path / "apart").glob("checkpoints/*"))


def test_seeds_that_stack_stay_together(tmp_path: Path) -> None:
    wide = Wide()
    outcome, share = run(tmp_path, wide, "mlp")
    assert wide.submitted == [(0, 1, 2)] and outcome.trained == 3 and share == pytest.approx(1)
    assert [record["together"] for record in outcome.runs] == [3, 3, 3]


def test_short_seeds_and_full_workers_are_not_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "LONG", 1e9)
    wide = Wide()
    run(tmp_path, wide)
    assert wide.submitted == [(0, 1, 2)]


def test_a_seed_that_fails_loses_none_of_the_others_and_is_trained_at_the_next_start(tmp_path: Path) -> None:
    outcome, _ = run(tmp_path, Wide(dying=(1,)))
    assert (outcome.status, outcome.reason) == ("error", "seed 1 died")
    again = Wide()
    outcome, share = run(tmp_path, again)
    assert again.submitted == [(1,)]
    assert outcome.status == "ok" and outcome.trained == 1 and share == pytest.approx(1)
    assert [record["seed"] for record in outcome.runs] == [0, 1, 2]
