"""What tuning chooses, the file it is written to, and the grid that uses it; files that say what cannot be."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

import datasets
from bench.__main__ import main
from bench.plan import applied, grid, tuned
from bench.plan.grid import RequestError
from bench.plan.trials import SEEDS, shortened, trials
from bench.plan.tuned import Tried, Tuned, choose
from datasets.task import Budget


@pytest.fixture(autouse=True)
def committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of this test's own in place of the committed outcomes."""
    monkeypatch.setattr(tuned, "FOLDER", tmp_path / "tuned")
    return tmp_path / "tuned"


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
    assert [cell.tuned, plain.tuned, smoke.tuned] == [True, False, False]


def test_a_size_has_rates_of_its_own_or_those_of_the_nearest() -> None:
    """mlp, mlp[width=8] and mlp[width=8,depth=3] are tuned: each size has the rates of the one that it has most in common with."""
    tuned.write(outcome())
    for rate, sizes in ((0.02, "[width=8]"), (0.03, "[width=8,depth=3]"), (0.04, "[width=9]")):
        tried = (*outcome().trials[:1], replace(outcome().trials[1], lr=rate))
        tuned.write(replace(outcome(), model=f"mlp{sizes}", trials=tried))
    tuned.check()

    def found(model: str) -> tuple[float, bool, str]:
        cell = grid.cell(model, "circle", "default", None)
        return cell.budget.lr, cell.tuned, cell.why.split(":")[0]

    assert found("mlp") == (0.0123, True, "tuned")
    assert found("mlp[depth=4]") == (0.0123, False, "rates that were tuned for mlp")
    assert found("mlp[width=8]") == (0.02, True, "tuned")
    assert found("mlp[width=8,depth=4]") == (0.02, False, "rates that were tuned for mlp[width=8]")
    assert found("mlp[width=8,depth=3]") == (0.03, True, "tuned")
    assert found("mlp[width=8]@samples=2x")[:2] == (0.02, False)


@pytest.mark.parametrize("name", ["mlp[depth=3,width=8]", "mlp[colour=3]", "mlp@lr=0.1", "mlp[", "mlp[width=8,9]"])
def test_a_file_is_of_one_size_written_as_everywhere(name: str) -> None:
    tuned.write(replace(outcome(), model=name))
    with pytest.raises(RequestError, match="model: "):
        tuned.check()


def test_the_plain_recipe_is_tuned_where_tuning_chose_it() -> None:
    tried = (replace(outcome().trials[0], val=0.7), *outcome().trials[1:])
    tuned.write(replace(outcome(), trials=tried, chosen=0))
    plain, cell = grid.cell("mlp", "circle", "default", None, untuned=True), grid.cell("mlp", "circle", "default", None)
    assert (cell.budget, cell.tuned, cell.standard) == (plain.budget, True, None)
    assert (plain.tuned, plain.why) == (False, "")


def test_an_outcome_of_other_data_or_another_recipe_is_not_used() -> None:
    task = datasets.task("circle")
    plain = task.budget("default")
    tuned.write(replace(outcome(), version=7))
    assert applied.applied("mlp", task, plain) == (plain, False, "not tuned: version 7 of the data was, this is 1")
    tuned.write(replace(outcome(), recipe=outcome().recipe | {"batch": 8}))
    assert applied.applied("mlp", task, plain) == (plain, False, f"not tuned: another recipe was (batch is {plain.batch}, was 8)")
    longer = replace(plain, name="long", samples=10 * plain.samples, seeds=20)
    tuned.write(outcome())
    assert applied.applied("mlp", task, longer).budget == replace(longer, lr=0.0123, weight_decay=0.0456)


BROKEN: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
    "a model there is not": ("model: unknown model 'mlpp'; did you mean 'mlp'", lambda f: f | {"model": "mlpp"}),
    "a task there is not": ("dataset: unknown dataset 'circel'; did you mean 'circle'", lambda f: f | {"dataset": "circel"}),
    "another cell's place": ("belongs into circle/linear.json", lambda f: f | {"model": "linear"}),
    "another format": ("format: this code reads 1", lambda f: f | {"format": 2}),
    "no trials": ("trials: missing, or not known", lambda f: {k: v for k, v in f.items() if k != "trials"}),
    "more than is known": ("colour: missing, or not known", lambda f: f | {"colour": "red"}),
    "a name for a number": ("version: cannot be 'one'", lambda f: f | {"version": "one"}),
    "a trial without decay": (r"trials\[0\]: is not made of lr, weight_decay", lambda f: f | {"trials": [{"lr": 1.0}]}),
    "no number": (r"trials\[1\]: cannot be", lambda f: f | {"trials": [f["trials"][0], f["trials"][1] | {"val": math.inf}]}),
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
