"""Tuning as it runs: stacked or one by one, kept, killed and resumed, and what is told of it."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import datasets
import models
from bench.core import machine
from bench.plan import grid, tuned
from bench.plan.grid import Cell
from bench.plan.trials import FURTHER, SEEDS, Trial, further, trials
from bench.plan.tuned import Tried, Tuned
from bench.report import tuning
from bench.report.tuning import expected_best
from bench.run import session, tuner
from bench.run.attempt import attempt
from bench.run.job import Job, Message, Share
from bench.run.worker import header
from bench.store.records import Store
from datasets.data import Split
from datasets.task import Budget
from tests.conftest import ROOT, InProcess, environment

SHORT = Budget("default", samples=600, batch=20, lr=1e-2, schedule="cosine", warmup=0.2, weight_decay=1e-2, evaluations=3)


@pytest.fixture(autouse=True)
def committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of this test's own in place of the committed outcomes."""
    monkeypatch.setattr(tuned, "FOLDER", tmp_path / "tuned")
    return tmp_path / "tuned"


class Here(InProcess):
    """Remembers what was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[Job, Message]] = []

    def poll(self, seconds: float) -> list[tuple[Job, Message]]:
        told = super().poll(seconds)
        self.told += told
        return told


def dropping(task: datasets.Task, *, width: int = 8) -> nn.Module:
    """A model that does not stack."""
    inner = nn.Linear(task.input.size, width)
    return nn.Sequential(nn.Flatten(), inner, nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, task.output.size))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """`circle` with a budget of a second, and a model that does not stack beside those there are."""
    task = datasets.task("circle")
    monkeypatch.setattr(datasets, "task", lambda name: replace(task, budgets=(SHORT,)))
    monkeypatch.setattr("bench.plan.trials.FURTHER", 0)  # so that all cells have as many trials
    registered = models._registry
    monkeypatch.setattr(registered, "_things", dict(registered._things))
    monkeypatch.setattr(registered, "sources", dict(registered.sources))
    models.register(dropping)
    monkeypatch.setitem(registered.sources, "dropping", machine.ROOT / "models" / "mlp.py")


def tune(folder: Path, model: str = "mlp", n: int = 3) -> tuple[tuner.Tuner, Here, Cell]:
    cell = tuner.short(grid.cell(model, "circle", "default", None, untuned=True))
    request = session.begin(results=str(folder), budget="default", cells=[cell], devices="cpu")
    engine = Here()
    driver = tuner.Tuner(request.store, request.blank, [cell], lambda: engine, lambda cell, share: None, n)
    driver.outcome(cell)
    driver.close()
    return driver, engine, cell


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("model", ["mlp", "dropping", "mlp[width=16]"])
def test_a_cell_is_tuned_and_again_trains_nothing(model: str, tmp_path: Path) -> None:
    driver, _, cell = tune(tmp_path, model)
    done = driver.outcomes[cell.id]
    assert (done.status, done.trained) == ("ok", 6)
    records = list(driver.store.records("trials"))
    assert {one["together"] for one in records} == ({1} if model == "dropping" else {6})
    assert {(one["trial"], one["seed"]) for one in records} == {(number, seed) for number in range(3) for seed in SEEDS}
    assert all(one["budget"]["samples"] == 200 and one["curve"]["samples"][-1] == 200 for one in records)
    assert not any("test" in one or one["curve"]["test_metric"] for one in records)
    assert driver.store.runs() == []  # what came of runs is told by runs
    assert not list((tmp_path / "checkpoints").glob("*.pt"))
    path = tuned.home(model, "circle")
    written = path.read_text()
    found = tuned.read(path)
    assert found == driver.found[cell.id]
    assert [(t.lr, t.weight_decay) for t in found.trials] == [(t.lr, t.weight_decay) for t in trials(SHORT, 3)]
    again, engine, _ = tune(tmp_path, model)
    assert (again.outcomes[cell.id].status, again.outcomes[cell.id].trained, engine.told) == ("ok", 0, [])
    assert path.read_text() == written
    more, _, _ = tune(tmp_path, model, 5)
    assert more.outcomes[cell.id].trained == 4  # the first three trials are the same
    assert more.found[cell.id].trials[:3] == found.trials


@pytest.mark.usefixtures("quick")
def test_what_is_in_the_test_split_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver, _, cell = tune(tmp_path / "one")
    real = datasets.load

    def other(*args: Any, **kwargs: Any) -> Any:
        data = real(*args, **kwargs)
        return replace(data, test=Split(torch.zeros_like(data.test.x), data.test.y.flip(0)))

    monkeypatch.setattr("bench.run.attempt.load", lambda dataset, root, seed, download: (other(dataset, root, seed, download), {}))
    blind, _, _ = tune(tmp_path / "two")
    assert blind.found[cell.id].trials == driver.found[cell.id].trials


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("model", ["mlp", "dropping"])
def test_a_killed_tuning_goes_on_and_comes_to_the_same(model: str, tmp_path: Path) -> None:
    whole, engine, cell = tune(tmp_path / "whole", model)
    shares = sum(isinstance(message, Share) for _, message in engine.told)

    class Killed(Exception):
        pass

    heard: list[Message] = []

    def tell(message: Message) -> None:
        heard.append(message)
        if sum(isinstance(one, Share) for one in heard) == 3:  # the last evaluation of a stack: two are in its checkpoint
            raise Killed

    folder = tmp_path / "killed"
    request = session.begin(results=str(folder), budget="default", cells=[cell], devices="cpu")
    job = replace(tuner.Tuner(request.store, request.blank, [cell], Here, lambda cell, share: None, 3).open(cell), checkpoint_every=0.0)
    with pytest.raises(Killed):
        attempt(job, header(job), tell)
    assert len(list((folder / "checkpoints").glob("*.pt"))) == 1
    resumed, engine, _ = tune(folder, model)
    assert sum(isinstance(message, Share) for _, message in engine.told) == shares - 2
    assert resumed.found[cell.id].trials == whole.found[cell.id].trials
    assert not list((folder / "checkpoints").glob("*.pt"))


@pytest.mark.usefixtures("quick")
def test_trials_that_all_diverge_leave_no_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wild(task: datasets.Task, *, scale: float = 1e30) -> nn.Module:
        class Wild(nn.Linear):
            def forward(self, x: Tensor) -> Tensor:
                return super().forward(x * scale) * scale

        return Wild(task.input.size, task.output.size)

    models.register(wild)
    monkeypatch.setitem(models._registry.sources, "wild", machine.ROOT / "models" / "mlp.py")
    driver, _, cell = tune(tmp_path, "wild", 2)
    done = driver.outcomes[cell.id]
    assert done.status == "diverged"
    assert done.reason.startswith("all 2 trials did: the loss stopped being finite")
    assert not tuned.home("wild", "circle").exists()
    assert tuning.write(driver.store).read_text().endswith("There are no trials yet.\n")


def rated(lr: float) -> Trial:
    return Trial(0, lr, 0.01)


@pytest.mark.parametrize(
    ("rates", "best", "found"),
    [
        ((0.1, 0.02, 0.5), 0.1, None),  # between others
        ((0.1, 0.02, 0.5), 0.5, 1.5),
        ((0.1, 0.02, 0.5), 0.02, 0.00667),
        ((0.1, 0.05, 0.3), 0.3, None),  # the last one tried, though not the end of what is drawn
        ((0.1, 0.02, 0.5, 1.5), 0.5, None),
        ((0.1, 0.02, 0.5, 1.5), 1.5, 4.5),
        ((0.1, 0.02, 0.5, 1.5, 4.5, 13.5), 13.5, None),  # no end was found
        ((0.1,), 0.1, None),
    ],
)
def test_trials_go_further_where_the_best_lies_at_an_end(rates: tuple[float, ...], best: float, found: float | None) -> None:
    plain = replace(SHORT, lr=0.1)
    assert further(plain, [rated(lr) for lr in rates], replace(rated(best), weight_decay=0.5)) == (
        None if found is None else Trial(len(rates), found, 0.5)
    )


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("peak", [2, 1e9])
def test_tuning_goes_further_until_the_best_lies_between_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peak: float) -> None:
    """Val is made up here: best at so many times the largest rate that is drawn."""
    largest = max(trial.lr for trial in trials(SHORT, 8))
    best_val = lambda one: (1 / (1 + abs(math.log(one["budget"]["lr"] / largest / peak))), 0.1)  # noqa: E731
    monkeypatch.setattr(tuned, "best_val", best_val)
    monkeypatch.setattr("bench.plan.trials.FURTHER", FURTHER)
    driver, _, cell = tune(tmp_path, n=8)
    found = driver.found[cell.id]
    more = 2 if peak == 2 else FURTHER
    assert [one.lr for one in found.trials[8:]] == [0.298, 0.894, 2.68][:more] and largest == 0.0992
    assert (driver.outcomes[cell.id].status, driver.outcomes[cell.id].trained) == ("ok", 2 * len(found.trials))
    again, engine, _ = tune(tmp_path, n=8)
    assert (again.found[cell.id], engine.told) == (found, [])
    within = replace(found, trials=found.trials[:8], chosen=0)
    assert len(tuning.row(found)) == len(tuning.row(within))  # further trials are no draws, and say nothing of what draws buy


def test_what_has_no_learning_rate_is_passed_over() -> None:
    (cell,) = tuner.to_tune("ridge", "iris", "default")
    assert (cell.status, cell.reason) == ("skipped", "it is not trained by gradient: there is nothing to tune")


def test_the_expected_best_is_the_mean_over_all_choices() -> None:
    values = [0.3, 0.9, 0.1, 0.9, 0.5]
    for k in range(1, 6):
        assert expected_best(values, k) == pytest.approx(mean(max(chosen) for chosen in combinations(values, k)))
    assert expected_best([1.0, -math.inf, 2.0], 3) == 2.0
    assert expected_best([1.0, -math.inf, 2.0], 1) == -math.inf
    with pytest.raises(ValueError, match="6 of 5 values"):
        expected_best(values, 6)


@pytest.mark.usefixtures("quick")
def test_the_report_says_what_trials_buy_and_how_flat_the_optimum_is(tmp_path: Path) -> None:
    driver, _, cell = tune(tmp_path, n=5)
    page = tuning.write(driver.store).read_text()
    found = driver.found[cell.id]
    assert "## circle, default: accuracy in %" in page
    line = next(line for line in page.splitlines() if line.startswith("| mlp ") and "lr" in line)
    drawn = [100 * t.val for t in found.trials[1:] if t.val is not None]
    assert f"{float(f'{mean(drawn):.4g}'):g}" in line
    assert f"{float(f'{max(drawn):.4g}'):g}" in line
    assert f"{len(tuning.near(found))} of 5" in line
    assert found.best in tuning.near(found)


def chosen_of(*trials: Tried) -> Tuned:
    """Accuracies of trials, the first of which was chosen."""
    facts = ("2026-01-01", "default", 10, SEEDS)
    return Tuned("circle", "mlp", 1, facts[1], facts[2], facts[3], {}, "accuracy", "higher", trials, 0, "cpu", "2", "c", facts[0])


def test_how_flat_it_is_around_the_chosen_rate() -> None:
    best = Tried(0.1, 0.0, 0.90, 1.0)
    below, above, far, lost = (
        Tried(0.034, 0.0, 0.85, 1.0),
        Tried(0.3, 0.1, 0.88, 1.0),
        Tried(0.31, 0.0, 0.1, 1.0),
        Tried(0.2, 0.0, None, None),
    )
    found = chosen_of(best, below, above, far)
    assert tuning.around(found) == [best, below, above]
    assert tuning.spread(found) == pytest.approx(0.05)
    line = tuning.row(found)
    assert line[tuning.SPREAD] == "5 (3 trials)"
    assert tuning.of_spreads([found, found]) == "5"  # margins of a point
    assert tuning.row(chosen_of(best, lost))[tuning.SPREAD] == "diverged (2 trials)"
    assert tuning.row(chosen_of(best, far))[tuning.SPREAD] == "one trial"
    assert [chosen_of(best, *others).end for others in ([below, above], [below], [far], [])] == [
        "",
        "largest",
        "smallest",
        "",
    ]
    assert tuning.of_spreads([]) == ""
    assert tuning.of_spreads([chosen_of(best, lost)]) == "∞"


PLUGIN = """
from dataclasses import replace
import torch
from torch import nn
import datasets, models
from datasets.data import Data, drawn
from datasets.task import Budget, Input, Output, Task

BUDGETS = (Budget("smoke", samples=64, batch=32), Budget("default", samples=960, batch=32, lr=1e-2, evaluations=2, seeds=2))
TASK = Task("halves", Input("points", (2,)), Output("classes", 2), (200, 50, 50), BUDGETS)

def draw(n, generator):
    x = torch.randn(n, 2, generator=generator)
    return x, (x[:, 0] > 0).long()

@datasets.register(TASK)
def load(root, seed, download):
    return drawn(draw, (200, 50, 50), "halves", seed)

@models.register(family="mlp")
def thin(task, *, width=4):
    return nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, task.output.size))
"""


@pytest.mark.slow
def test_a_plugin_is_tuned_beside_itself_and_runs_use_it(tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(PLUGIN)
    results = tmp_path / "results"
    which = ["--models", "thin", "--datasets", "halves", "--plugin", str(plugin)]

    def bench(*arguments: str) -> str:
        command = [sys.executable, "-m", "bench", *arguments, *which]
        done = subprocess.run(command, cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    told = bench("tune", "--trials", "4", "--results", str(results))
    assert told.startswith("1 of 1 cells tuned, 14 trainings made now")  # four drawn, and three further: its rate is the last one each time
    written = tmp_path / "tuned" / "halves" / "thin.json"
    found = json.loads(written.read_text())
    best, before = found["trials"][found["chosen"]], written.read_text()
    assert "1 of 1 cells tuned, 0 trainings made now" in bench("tune", "--trials", "4", "--results", str(results))
    assert written.read_text() == before
    rows = {untuned: json.loads(bench("list", "--json", *untuned))[0] for untuned in ((), ("--untuned",))}
    assert rows[()]["lr"] == best["lr"]
    assert rows["--untuned",]["lr"] == found["recipe"]["lr"] == 1e-2
    command = [sys.executable, "-m", "pytest", "bench/test_training.py", "--benchmark-only", "-p", "no:cacheprovider", *which]
    done = subprocess.run(
        [*command, "--results", str(results)], cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout
    runs = Store(results).runs()
    assert {(run["budget"]["lr"], run["budget"]["weight_decay"]) for run in runs} == {(best["lr"], best["weight_decay"])}
    assert all(run["own_recipe"].startswith("tuned: the best of 7 trials") for run in runs)
    found["model"] = "thinn"
    written.write_text(json.dumps(found))
    done = subprocess.run(
        [*command, "--results", str(results)], cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "thin.json: model: unknown model 'thinn'" in done.stdout + done.stderr
