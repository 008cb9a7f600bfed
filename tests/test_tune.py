"""Tuning: the same trials for every model, each with rates of its own in one stack, chosen on val, kept, and used by the grid."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
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
from bench.__main__ import main
from bench.core import machine
from bench.plan import grid, tuned
from bench.plan.grid import Cell, RequestError
from bench.plan.trials import SEEDS, shortened, trials
from bench.plan.tuned import Tried, Tuned, choose
from bench.report import tuning
from bench.report.tuning import expected_best
from bench.run import session, tuner
from bench.run.attempt import attempt
from bench.run.job import Job, Message, Share
from bench.run.worker import header, work
from bench.store.records import Store
from bench.train.learners import Stacked
from bench.train.loop import Training
from bench.train.optimiser import PerSeed, Rates, learning_rate, optimizer
from datasets.data import Split
from datasets.task import Budget
from tests.conftest import ROOT, environment

CPU = torch.device("cpu")
SHORT = Budget("default", samples=600, batch=20, lr=1e-2, schedule="cosine", warmup=0.2, weight_decay=1e-2, evaluations=3)
ADAMW = replace(SHORT, optimizer="adamw", clip=0.5)
SGD = replace(SHORT, optimizer="sgd", momentum=0.9)
RATES = Rates((1e-2, 1e-1, 3e-3), (0.0, 0.1, 1e-2))


@pytest.fixture(autouse=True)
def committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of this test's own in place of the committed outcomes."""
    monkeypatch.setattr(tuned, "FOLDER", tmp_path / "tuned")
    return tmp_path / "tuned"


# --- rates per seed ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [SHORT, ADAMW, SGD, replace(SGD, momentum=0.0)], ids=["adam", "adamw", "sgd", "sgd without momentum"])
def test_every_seed_is_optimised_as_by_torch_alone(budget: Budget) -> None:
    draw = torch.Generator().manual_seed(0)
    start = [torch.randn(3, *shape, dtype=torch.float64, generator=draw) for shape in ((4, 5), (5,), ())]
    stack = [p.clone() for p in start]
    alone = [[p[i].clone() for p in start] for i in range(3)]
    ours = PerSeed(budget, stack, RATES)
    budgets = [replace(budget, lr=lr, weight_decay=decay) for lr, decay in zip(RATES.lr, RATES.weight_decay, strict=True)]
    theirs = [optimizer(one, parameters) for one, parameters in zip(budgets, alone, strict=True)]
    for step in range(12):
        for p in stack:
            p.grad = torch.randn(p.shape, dtype=torch.float64, generator=draw)
        ours.param_groups[0]["lr"] = learning_rate(budget, step, 0)
        for i, (one, its) in enumerate(zip(theirs, budgets, strict=True)):
            for p, whole in zip(alone[i], stack, strict=True):
                assert whole.grad is not None
                p.grad = whole.grad[i].clone()
            one.param_groups[0]["lr"] = learning_rate(its, step, 0)
            one.step()
        ours.step()
    for i in range(3):
        for p, whole, first in zip(alone[i], stack, start, strict=True):
            torch.testing.assert_close(whole[i], p, rtol=1e-12, atol=1e-14)
            assert not torch.equal(whole[i], first[i])


def build() -> nn.Module:
    return models.build("mlp", datasets.task("circle"))


def training(budget: Budget, seeds: list[int], rates: Rates | None = None) -> Training:
    data = [datasets.load("circle", seed=seed).for_training for seed in seeds]
    return Training(build, datasets.task("circle"), budget, seeds, data, CPU, rates)


@pytest.mark.parametrize("budget", [ADAMW, SGD], ids=["adamw, clipped", "sgd"])
def test_trials_in_a_stack_equal_trials_alone(budget: Budget) -> None:
    """The same seed may come twice, with other rates."""
    seeds = [5, 5, 6]
    for i, together in enumerate(training(budget, seeds, RATES).run()):
        alone = training(replace(budget, lr=RATES.lr[i], weight_decay=RATES.weight_decay[i]), [seeds[i]]).run()[0]
        assert together.curve.val_loss == pytest.approx(alone.curve.val_loss, rel=1e-4)
        assert together.curve.samples == alone.curve.samples
    assert len({one.curve.val_loss[-1] for one in training(budget, seeds, RATES).run()}) == 3


def test_a_stack_without_rates_keeps_the_fused_optimiser() -> None:
    plain = training(ADAMW, [5, 6])
    assert isinstance(plain.learner, Stacked)
    assert plain.optimizer.param_groups[0]["fused"]
    assert not isinstance(plain.optimizer, PerSeed)


# --- which trials, and which is chosen -----------------------------------------------------------------------------------------


def test_trials_are_the_recipe_and_points_around_it() -> None:
    budget = Budget("default", samples=1_000, batch=64, lr=3e-3, weight_decay=0.0)
    found = trials(budget, 64)
    assert (found[0].lr, found[0].weight_decay) == (budget.lr, budget.weight_decay)
    assert trials(budget, 64) == found
    assert trials(budget, 9) == found[:9]  # more trials begin with the same
    assert trials(budget, 1) == found[:1]
    assert [t.number for t in found] == list(range(64))
    rates, decays = [math.log10(t.lr / budget.lr) for t in found[1:]], [math.log10(t.weight_decay) for t in found[1:]]
    assert -1.01 < min(rates) < -0.9
    assert 0.9 < max(rates) < 1.01
    assert -4.01 < min(decays) < -3.9
    assert -1.1 < max(decays) < -0.99
    assert abs(mean(rates)) < 0.05
    assert abs(mean(decays) + 2.5) < 0.08  # even on a logarithmic scale
    short = shortened(budget)
    assert (short.samples, short.lr, short.schedule) == (334, budget.lr, budget.schedule)
    assert min(SEEDS) == 1_000_000


def test_the_best_mean_on_val_is_chosen_and_ties_fall_to_the_lower_loss() -> None:
    tried = [Tried(1.0, 0.0, 0.8, 0.5), Tried(2.0, 0.0, 0.9, 0.4), Tried(3.0, 0.0, 0.9, 0.3), Tried(4.0, 0.0, 0.9, 0.3)]
    assert choose(tried, "higher") == 2
    assert choose(tried, "lower") == 0
    diverged = Tried(5.0, 0.0, None, None)
    assert choose([diverged, tried[0]], "higher") == 1
    assert choose([diverged], "higher") is None


def trial_record(number: int, seed: int, val: list[float], loss: list[float], status: str = "ok", lr: float = 0.1) -> dict[str, Any]:
    facts = {"dataset": "circle", "model": "mlp", "version": 1, "device": "cpu", "machine": {"torch": "2"}, "code": "c", "plan": "p"}
    metric = {"name": "accuracy", "better": "higher", "percent": True}
    budget = {"name": "default", "samples": 10, "lr": lr, "weight_decay": 0.0}
    curve = {"val_metric": val, "val_loss": loss}
    own = {"metric": metric, "budget": budget, "plain": {"lr": 0.1}, "curve": curve, "created": "2026-01-02T03"}
    return facts | own | {"trial": number, "seed": seed, "status": status}


def test_a_trial_is_worth_the_mean_of_its_seeds_best_evaluations() -> None:
    found = tuned.judged(
        [
            trial_record(0, SEEDS[0], [0.5, 0.9, 0.9], [3.0, 2.0, 1.0]),
            trial_record(0, SEEDS[1], [0.7, 0.2, 0.2], [4.0, 1.0, 1.0]),
            trial_record(1, SEEDS[0], [1.0], [0.1], lr=9.0),
            trial_record(1, SEEDS[1], [1.0], [0.1], "diverged", lr=9.0),  # one seed is enough
        ]
    )
    assert found is not None
    assert found.trials == (Tried(0.1, 0.0, 0.8, 2.5), Tried(9.0, 0.0, None, None))
    assert (found.chosen, found.recipe, found.seeds, found.date) == (0, {"lr": 0.1}, SEEDS, "2026-01-02")


# --- the committed outcome, and the grid -----------------------------------------------------------------------------------------


def outcome(model: str = "mlp", dataset: str = "circle", budget: str = "default") -> Tuned:
    task = datasets.task(dataset)
    plain = task.budget(budget)
    recipe = {name: value for name, value in vars(plain).items() if name not in tuned.LENGTH}
    tried = (Tried(plain.lr, plain.weight_decay, 0.5, 1.0), Tried(0.0123, 0.0456, 0.6, 1.0), Tried(1.0, 0.1, None, None))
    return Tuned(dataset, model, task.version, budget, 10, SEEDS, recipe, "accuracy", "higher", tried, 1, "cpu", "2", "c", "2026-01-01")


def test_what_is_written_is_read_again() -> None:
    path = tuned.write(outcome())
    assert tuned.read(path) == outcome()
    assert path.parts[-3:] == ("tuned", "circle", "mlp.json")
    tuned.check()


def test_the_grid_uses_what_was_found_and_says_so() -> None:
    plain = grid.cell("mlp", "circle", "default", None)
    tuned.write(outcome())
    cell = grid.cell("mlp", "circle", "default", 2)
    assert cell.budget == replace(plain.budget, lr=0.0123, weight_decay=0.0456, seeds=2)
    assert cell.why == "tuned: the best of 3 trials on val, lr 0.0123, weight decay 0.0456"
    assert cell.standard == replace(plain.budget, seeds=2)  # rows of one task are compared, whatever their rates
    assert grid.cell("mlp", "circle", "default", None, untuned=True) == plain
    assert grid.cell("linear", "circle", "default", None).why == ""
    smoke = grid.cell("mlp", "circle", "smoke", None)
    assert (smoke.budget, smoke.why) == (datasets.task("circle").budget("smoke"), "")


def test_an_outcome_of_other_data_or_another_recipe_is_not_used() -> None:
    task = datasets.task("circle")
    plain = task.budget("default")
    tuned.write(replace(outcome(), version=7))
    assert tuned.applied("mlp", task, plain) == (plain, "not tuned: version 7 of the data was, this is 1")
    tuned.write(replace(outcome(), recipe=outcome().recipe | {"batch": 8}))
    assert tuned.applied("mlp", task, plain) == (plain, f"not tuned: another recipe was (batch is {plain.batch}, was 8)")
    longer = replace(plain, name="long", samples=10 * plain.samples, seeds=20)
    tuned.write(outcome())
    assert tuned.applied("mlp", task, longer)[0] == replace(longer, lr=0.0123, weight_decay=0.0456)


BROKEN: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
    "a model there is not": ("model: unknown model 'mlpp'; did you mean 'mlp'", lambda f: f | {"model": "mlpp"}),
    "a task there is not": ("dataset: unknown dataset 'circel'; did you mean 'circle'", lambda f: f | {"dataset": "circel"}),
    "another cell's place": ("belongs into circle/linear.json", lambda f: f | {"model": "linear"}),
    "another format": ("format: this code reads 1", lambda f: f | {"format": 2}),
    "no trials": ("trials: missing, or not known", lambda f: {k: v for k, v in f.items() if k != "trials"}),
    "more than is known": ("colour: missing, or not known", lambda f: f | {"colour": "red"}),
    "a name for a number": ("version: cannot be 'one'", lambda f: f | {"version": "one"}),
    "a trial without decay": (r"trials\[0\]: is not made of lr, weight_decay", lambda f: f | {"trials": [{"lr": 1.0}]}),
    "a rate of 0": (r"trials\[1\]: cannot be", lambda f: f | {"trials": [f["trials"][0], f["trials"][1] | {"lr": 0}]}),
    "a worse choice": ("chosen: 0 is not the best of its trials, which is 1", lambda f: f | {"chosen": 0}),
    "half a recipe": ("recipe: .*batch.* missing", lambda f: f | {"recipe": {"lr": 0.1}}),
    "a list": ("missing, or not known", lambda f: [f]),
}


@pytest.mark.parametrize("said", BROKEN)
def test_a_file_that_says_what_cannot_be_is_named_with_its_entry(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tuned.write(outcome())
    pattern, change = BROKEN[said]
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(RequestError, match=rf"tuned/circle/mlp.json: .*{pattern}"):
        tuned.check()
    assert main(["list", "--models", "linear", "--datasets", "iris"]) == 2
    assert "circle/mlp.json" in capsys.readouterr().err


def test_text_that_is_no_json_is_a_wrong_request() -> None:
    tuned.write(outcome()).write_text("{")
    with pytest.raises(RequestError, match=r"circle/mlp.json: the whole file: cannot be read"):
        tuned.check()


@pytest.mark.parametrize("options", [["--trials", "0"], ["--trials", "some"], ["--budget", "smoke"], ["--models", "mlpp"]], ids=" ".join)
def test_requests_that_cannot_be_train_nothing(options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cell = [] if "--models" in options else ["--models", "mlp"]
    assert main(["tune", "--datasets", "circle", "--results", str(tmp_path / "r"), *cell, *options]) == 2
    assert options[0].removeprefix("--").rstrip("s") in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


# --- tuning, in this process -----------------------------------------------------------------------------------------------------


class Here:
    """An engine that works where it stands."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.told: list[tuple[Job, Message]] = []

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def poll(self, seconds: float) -> list[tuple[Job, Message]]:
        told: list[tuple[Job, Message]] = []
        while self.jobs:
            job = self.jobs.pop()
            work(job, lambda message, job=job: told.append((job, message)))  # type: ignore[misc]
        self.told += told
        return told

    def close(self) -> None:
        self.jobs.clear()


def dropping(task: datasets.Task, *, width: int = 8) -> nn.Module:
    """A model that does not stack."""
    inner = nn.Linear(task.input.size, width)
    return nn.Sequential(nn.Flatten(), inner, nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, task.output.size))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """`circle` with a budget of a second, and a model that does not stack beside those there are."""
    task = datasets.task("circle")
    monkeypatch.setattr(datasets, "task", lambda name: replace(task, budgets=(SHORT,)))
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
@pytest.mark.parametrize("model", ["mlp", "dropping"])
def test_a_cell_is_tuned_and_again_trains_nothing(model: str, tmp_path: Path) -> None:
    driver, _, cell = tune(tmp_path, model)
    done = driver.outcomes[cell.id]
    assert (done.status, done.trained) == ("ok", 6)
    records = list(driver.store.records("trials"))
    assert {one["together"] for one in records} == ({6} if model == "mlp" else {1})
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


def test_what_has_no_learning_rate_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ridge(nn.Module):
        def fit(self, train: Any, val: Any, task: Any, generator: Any) -> None: ...

    monkeypatch.setattr(models, "build", lambda model, task: Ridge())
    cell = tuner.short(Cell("mlp", "circle", datasets.task("circle"), SHORT))
    assert (cell.status, cell.reason) == ("skipped", "it is not trained by gradient: there is nothing to tune")


# --- what k trials buy -----------------------------------------------------------------------------------------------------------


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
    assert "4 trials" in told
    written = tmp_path / "tuned" / "halves" / "thin.json"
    found = json.loads(written.read_text())
    best, before = found["trials"][found["chosen"]], written.read_text()
    assert "from store" in bench("tune", "--trials", "4", "--results", str(results))
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
    assert all(run["own_recipe"].startswith("tuned: the best of 4 trials") for run in runs)
    found["model"] = "thinn"
    written.write_text(json.dumps(found))
    done = subprocess.run(
        [*command, "--results", str(results)], cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "thin.json: model: unknown model 'thinn'" in done.stdout + done.stderr
