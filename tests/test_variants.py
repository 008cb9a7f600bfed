"""Sizes and recipes from outside: how they are written, what is refused, where runs of variants lie, and which of them test is shown of."""

from __future__ import annotations

import csv
import json
from dataclasses import fields
from pathlib import Path

import pytest
import torch

import datasets
import models
from bench import __main__
from bench.core import machine
from bench.plan import grid, variants
from bench.plan.plugins import plugin_files
from bench.plan.request import RequestError
from bench.report import report
from bench.run.session import begin
from bench.store import fingerprint
from bench.store.records import Store, place
from bench.tables.chosen import choose
from bench.tables.rows import Row, rows
from bench.tables.sections import shown
from datasets.task import Budget
from models.naming import readable
from models.variants import combinations, terms
from tests.conftest import ROOT, run_cell

DIGITS = datasets.task("digits")


def names(models_: str | None, datasets_: str = "xor", **changes: str) -> list[str]:
    return list(dict.fromkeys(cell.model for cell in grid.cells(models_, datasets_, "smoke", 1, changes=changes)))


def test_brackets_are_read_before_commas_and_every_combination_is_a_row() -> None:
    assert terms("heads[width=8,16],vit[depth=3,6] , mlp") == ["heads[width=8,16]", "vit[depth=3,6]", "mlp"]
    assert names("heads[width=8,16],vit[depth=3,6]", "digits") == ["vit[depth=3]", "vit[depth=6]", "heads[width=8]", "heads[width=16]"]
    assert names("heads[width=8,16,heads=2,4]") == [f"heads[width={w},heads={h}]" for w in (8, 16) for h in (2, 4)]
    assert names("backbone_c*[depth=1]") == ["backbone_conv[depth=1]"]
    assert names("mlp@lr=1e-3,mlp") == ["mlp@lr=0.001", "mlp"]
    assert names("mlp[depth=3]@[lr=1e-3,.01]@optimizer=sgd") == [f"mlp[depth=3]@optimizer=sgd@lr={lr}" for lr in (0.001, 0.01)]
    assert names("mlp,line*", lr="1e-3", samples="4x") == ["linear@lr=0.001@samples=4x", "mlp@lr=0.001@samples=4x"]


@pytest.mark.parametrize("name", ["vit[heads=2,depth=3]", "vit[depth=+3,heads=2]@weight_decay=0@lr=1E-3", "vit[depth=3, heads=2]"])
def test_a_name_is_written_one_way_and_reads_back(name: str) -> None:
    found = str(models.variant(name))
    assert found.startswith("vit[depth=3,heads=2]")
    assert str(models.variant(found)) == found
    assert readable(found)


def test_a_variant_is_built_with_its_sizes_and_has_what_its_model_has() -> None:
    def count(model: torch.nn.Module) -> int:
        return sum(p.numel() for p in model.parameters())

    built = count(models.build("vit[depth=1,dropout=0]", DIGITS))
    assert built == count(models.build("vit", DIGITS, depth=1)) != count(models.build("vit", DIGITS))
    assert (models.source("vit[depth=3]"), models.family("vit[depth=3]")) == (models.source("vit"), models.family("vit"))
    with pytest.raises(models.Unsupported, match="no whole number of patches of 3"):
        models.build("vit[patch=3]", DIGITS)


WRONG = [
    ("vit[colour=red]", "vit has no size 'colour'; vit takes patch=none, dim=none, depth=none, heads=4"),
    ("vit[deph=3]", "did you mean 'depth'?"),
    ("linear[width=3]", "linear takes no sizes"),
    ("vit[attention=x]", "vit has no size 'attention'"),
    ("vit[depth=-1]", "vit: depth cannot be '-1': it takes a whole number or none from 1"),
    ("vit[depth=0]", "depth cannot be '0'"),
    ("vit[depth=2.5]", "depth cannot be '2.5'"),
    ("vit[depth=three]", "depth cannot be 'three'"),
    ("vit[heads=none]", "heads cannot be 'none'"),
    ("vit[dropout=nan]", "dropout cannot be 'nan'"),
    ("vit[dropout=1e999]", "dropout cannot be '1e999'"),
    ("vit[depth=99999999999999999999]", "depth cannot be"),
    ("ram[core=yes]", "core cannot be 'yes': it takes true or false"),
    ("vit[depth=3", "brackets do not pair"),
    ("vit]depth=3[", "brackets do not pair"),
    ("vit[depth=[3]]", "brackets do not pair"),
    ("vit[]", "cannot read ''"),
    ("vit[3]", "cannot read '3'"),
    ("vit[depth=3,depth=6]", "each name once"),
    ("vit[depth=]", "cannot read 'depth='"),
    ("vit[depth=3]x", "cannot be read; write vit"),
    ("[depth=3]", "cannot be read; write vit"),
    ("vit@", "cannot be read; write vit"),
    ("vit@lr", "cannot read 'lr'"),
    ("vit@lr=-1", "lr cannot be '-1'"),
    ("vit@colour=red", "a recipe has no 'colour'; it has optimizer, lr"),
    ("vit@optimizer=addam", "not 'addam'; did you mean 'adam' or 'adamw'?"),
    ("vit@lr=1e-3@lr=1e-2", "lr is said twice"),
    ("vit@seeds=3", "a recipe has no 'seeds'"),
    ("vti[depth=3]", "unknown model 'vti'; did you mean 'vit'"),
    ("heads[width=8,8]", "heads[width=8] is named twice"),
    ("mlp[depth=3],mlp[depth=3]", "mlp[depth=3] is named twice"),
    ("heads,heads[width=8]", "heads and heads[width=8] are the same: sizes that it has anyway"),
    ("mlp@lr=1e-3,mlp@lr=0.001", "mlp@lr=0.001 is named twice"),
    ("cct[dropout=2]", "cct[dropout=2.0] cannot be built for digits: ValueError: dropout probability has to be between 0 and 1"),
]


@pytest.mark.parametrize(("asked", "message"), WRONG, ids=[asked for asked, _ in WRONG])
def test_what_no_model_takes_is_exit_code_2(asked: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["list", "--models", asked, "--datasets", "digits"]) == 2
    assert message in capsys.readouterr().err


CHANGES: list[tuple[dict[str, object], str]] = [
    ({"sets": ["lr"]}, "cannot read 'lr'; write name=value"),
    ({"sets": ["lr=1,2"]}, "more than one value; a sweep is --models 'vit@[lr=1,…]'"),
    ({"sets": ["lr=1", "lr=2"]}, "--set lr is given more than one value"),
    ({"sets": ["colour=red"]}, "a recipe has no 'colour'; it has optimizer, lr"),
    ({"sets": ["lr=fast"]}, "lr cannot be 'fast': it takes a number from 0"),
    ({"sets": ["lr=0"]}, "lr must be positive"),
    ({"sets": ["schedule=cosin"]}, "schedule is one of constant, cosine, decay"),
    ({"sets": ["momentum=0.9", "optimizer=adam"]}, "momentum changes nothing with optimizer adam; say optimizer=sgd, too"),
    ({"sets": ["warmup=0.1", "schedule=constant"]}, "warmup changes nothing with schedule constant"),
    ({"sets": ["warmup=2", "schedule=cosine"]}, "warmup is a share of the steps, not 2"),
    ({"sets": ["batch=0"]}, "batch cannot be '0'"),
    ({"sets": ["samples=5"]}, "say --samples 5"),
    ({"samples": "0x"}, "samples cannot be 0x"),
    ({"samples": "some"}, "samples cannot be 'some'"),
    ({"samples": "-5"}, "samples cannot be '-5'"),
    ({"sets": ["lr=1"], "models": "mlp@lr=2"}, "mlp@lr=2: lr is said by --set or --samples, too"),
]


@pytest.mark.parametrize(("asked", "message"), CHANGES)
def test_a_recipe_that_cannot_be_is_refused(asked: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        begin(**{"models": "mlp", "datasets_": "xor", **asked})  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_a_changed_recipe_is_what_is_trained_and_more_samples_are_not_ranked() -> None:
    plain, changed = (grid.cell(name, "xor", "default", None) for name in ("mlp", "mlp@optimizer=adamw@lr=0.1@samples=4x"))
    assert (changed.budget.optimizer, changed.budget.lr, changed.budget.samples) == ("adamw", 0.1, 4 * plain.budget.samples)
    assert (changed.why, changed.standard) == ("recipe changed on request: not ranked", None)
    rate = grid.cell("mlp@lr=0.1", "xor", "default", None)
    assert (rate.why, rate.standard) == ("recipe changed on request", plain.budget)
    assert not changed.tuned
    fixed = grid.cell("ridge@lr=0.1", "digits", "default", None)
    assert (fixed.status, fixed.reason) == ("skipped", "it is not trained by gradient: there is no recipe to change")
    every = names(None, lr="0.1")
    assert "backbone_attention@lr=0.1" in every
    assert "backbone_attention" not in every


def test_sizes_that_the_data_set_gives_anyway_make_no_other_model() -> None:
    for asked in ("vit,vit[depth=3]", "backbone_mlp,backbone_mlp[depth=2]"):
        with pytest.raises(RequestError, match=r"\[depth=.\] are the same on digits: sizes that it has there anyway"):
            grid.cells(asked, "digits", "smoke", None)
    assert len(grid.cells("vit[heads=2],vit,vit[depth=2],backbone_attention[heads=2],backbone_attention", "digits", "smoke", None)) == 5


def test_a_recipe_that_a_model_has_anyway_is_no_variant_of_it() -> None:
    usual, other = (grid.cell("linear", name, "smoke", None).budget.lr for name in ("iris", "xor"))
    assert usual != other
    with pytest.raises(RequestError, match=r"linear and linear@lr=\S+ are the same: a recipe that it has anyway; leave one of them out"):
        names(f"linear,linear@lr={usual}", "iris")
    with pytest.raises(RequestError, match=r"mlp@lr=0.1 and mlp@lr=0.1@samples=1x are the same"):
        names("mlp@lr=0.1,mlp@lr=0.1@samples=1x")
    assert names(f"linear,linear@lr={usual}", "iris,xor") == ["linear", f"linear@lr={usual}"]  # on xor it is another


def test_rates_tuned_for_a_model_serve_its_variants_but_do_not_count_as_theirs() -> None:
    plain, small = (grid.cell(name, "digits", "default", None) for name in ("backbone_conv", "backbone_conv[depth=1]"))
    assert plain.tuned
    assert small.budget == plain.budget
    assert (small.tuned, small.why) == (False, "rates that were tuned for backbone_conv")
    assert __main__.main(["tune", "--models", "mlp@lr=0.1", "--datasets", "xor"]) == 2


def test_names_of_committed_runs_are_what_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe's digest of a plain model is in the names of files: had it changed, all would be trained again."""
    checked = 0
    for path in sorted((ROOT / "results" / "reference" / "runs").glob("*/*/*-s0.json")):
        record = json.loads(path.read_text())
        known = record["dataset"] in datasets.names(published=True) and record["budget"].keys() == {f.name for f in fields(Budget)}
        if not known or record["version"] != datasets.task(record["dataset"]).version:
            continue
        monkeypatch.setattr(machine, "facts", lambda facts=record["machine"]: facts)
        budget = Budget(**record["budget"])
        assert fingerprint.recipe(record["model"], record["dataset"], budget, record["device"]) == record["recipe"], path.name
        assert place({"kind": "run", **record}) == path.relative_to(ROOT / "results" / "reference")
        variant = f"{record['model']}[depth=1]"
        assert fingerprint.recipe(variant, record["dataset"], budget, record["device"]) != record["recipe"]
        checked += 1
    assert checked > 50


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """heads on xor: as it is, in two sizes, with another rate."""
    folder = tmp_path_factory.mktemp("variants")
    for cell in grid.cells("heads,heads[width=4,16],heads@lr=0.02", "xor", "smoke", 2):
        assert run_cell(cell, folder).trained == 2
    return folder


def test_runs_of_variants_lie_with_their_model_and_each_is_found_again(trained: Path) -> None:
    assert {path.parent.relative_to(trained).as_posix() for path in (trained / "runs").rglob("*.json")} == {"runs/xor/heads"}
    cells = grid.cells("heads,heads[width=4,16],heads@lr=0.02", "xor", "smoke", 2)
    assert [run_cell(cell, trained).trained for cell in cells] == [0, 0, 0, 0]
    assert Store(trained).cells() == [(cell.model, "xor", "smoke", 2) for cell in sorted(cells, key=lambda cell: cell.model)]
    timing = {"kind": "latency", "dataset": "xor", "device": "cpu", "batch": 1, "dtype": "float32", "machine": {"slug": "here"}}
    assert len({place(timing | {"model": cell.model}) for cell in cells}) == 4


def test_every_variant_is_a_row_and_val_says_which_of_them_test_is_shown_of(trained: Path) -> None:
    table = {row.model: row for row in rows(Store(trained))}
    assert set(table) == {"heads", "heads[width=4]", "heads[width=16]", "heads@lr=0.02"}
    assert all(len(row.val) == len(row.runs) == 2 for row in table.values())
    best = max(table.values(), key=lambda row: sum(row.val.values()))
    for row in table.values():
        assert bool(row.values) == (row is best or row.model == "heads"), row.model
        assert row.model == "heads" or f"{best.model} is the best of 4 variants on val" in row.reason
    ranked = {row.model for row in shown(list(table.values()))["xor"] if row.values}
    assert ranked == {"heads", best.model}
    report.write(Store(trained), draw=False)
    with open(trained / "runs.csv", newline="", encoding="utf-8") as file:
        seeds = list(csv.DictReader(file))
    assert len(seeds) == 8
    assert all(seed["val"] and bool(seed["value"]) == bool(table[seed["model"]].values) for seed in seeds)
    page = (trained / "README.md").read_text()
    lines = [line for line in page.split("Variants, chosen on val")[1].splitlines() if line.startswith("| heads")]
    assert [line.split()[1] for line in lines] == sorted(table)


def made(model: str, val: float, better: str = "higher", budget: str = "default") -> Row:
    metric = datasets.task("digits").metric if better == "higher" else datasets.task("mnist1d").metric
    metric = metric.__class__(metric.name, better)  # type: ignore[arg-type]
    return Row(model, "digits", budget, "float32", "cpu torch 2", "ok", "", metric=metric, val={0: val}, values={0: 0.5})


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_val_alone_chooses(better: str) -> None:
    high, low, plain = made("vit[depth=1]", 0.9, better), made("vit[depth=2]", 0.8, better), made("vit", 0.85, better)
    other, source = made("mlp[depth=1]", 0.1, better), made("vit[depth=3]", 0.99, better, "published")
    choose([high, low, plain, other, source])
    assert [bool(row.values) for row in (high, low)] == [better == "higher", better == "lower"]
    assert all(row.values for row in (plain, other, source))
    assert other.reason == ""


def test_of_rates_the_chosen_one_is_ranked_and_the_terminal_tells_val(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two rates, far enough apart that it is certain which is better; longer training of another model is ranked nowhere."""
    sweep = ["run", "--models", "linear@lr=1e-6,linear@lr=0.1,mlp,mlp@samples=2x,ridge@lr=1", "--datasets", "iris", "--budget", "smoke"]
    assert __main__.main([*sweep, "--results", str(tmp_path)]) == 0
    lines = {line.split()[1]: line for line in capsys.readouterr().err.splitlines() if line.startswith("iris ")}
    assert {model: "accuracy on val" in line for model, line in lines.items()} == {
        **dict.fromkeys(("linear@lr=1e-06", "linear@lr=0.1", "mlp@samples=2x"), True),
        "mlp": False,
    }
    own = {row.model: row for row in rows(Store(tmp_path))}
    assert f"on val {100 * sum(own['linear@lr=0.1'].val.values()) / 2:.2f} ±" in lines["linear@lr=0.1"]
    ranked = {row.model: row for row in shown([*own.values()])["iris"]}
    assert {name: bool(row.values) for name, row in ranked.items()} == {"linear@lr=0.1": True, "mlp": True, "ridge@lr=1.0": False}
    assert ranked["linear@lr=0.1"].reason == "linear@lr=0.1 is the best of 2 variants on val; recipe changed on request"


def test_a_plugin_may_be_several_files_or_a_folder(tmp_path: Path) -> None:
    for name in ("one.py", "two.py", "_part.py", "test_one.py", "notes.txt"):
        (tmp_path / name).write_text("")
    one, two = str(tmp_path / "one.py"), str(tmp_path / "two.py")
    assert plugin_files([f"{one},{two}"]) == plugin_files([one, two, one]) == plugin_files([str(tmp_path)]) == [one, two]
    (tmp_path / "a,b.py").write_text("")
    assert plugin_files([str(tmp_path / "a,b.py")]) == [str(tmp_path / "a,b.py")]
    (tmp_path / "empty").mkdir()
    for asked, message in (
        (str(tmp_path / "empty"), "a folder without a Python file"),
        (f"{one},nowhere.py", "plugin nowhere.py: no such"),
    ):
        with pytest.raises(RequestError, match=message):
            plugin_files([asked])


def test_a_folder_of_plugins_registers_what_its_files_do(tmp_path: Path) -> None:
    for name in ("first_of_folder", "second_of_folder"):
        code = f"import models, torch\n@models.register\ndef {name}(task, *, width=3): return torch.nn.Linear(width, 1)\n"
        (tmp_path / f"{name}.py").write_text(code)
    grid.plugin(str(tmp_path))
    assert {"first_of_folder", "second_of_folder"} <= set(models.names())
    assert str(models.variant("second_of_folder[width=5]")) == "second_of_folder[width=5]"  # without annotations, by the default's type


def test_combinations_of_a_plain_name_are_one() -> None:
    assert combinations("vit") == ("vit", [({}, {})])
    assert variants.recipe() == {}


def test_pictures_are_asked_for_as_the_grid_is() -> None:
    assert variants.spelled("vit[depth=3,6],back*,mlp@lr=1e-3") == "vit[depth=3],vit[depth=6],back*,mlp@lr=0.001"
    assert variants.spelled(None) is None
    with pytest.raises(RequestError, match="vit has no size 'colour'"):
        variants.spelled("vit[colour=red]")


def test_a_stored_variant_that_there_is_no_more_stops_no_probe_of_the_rest() -> None:
    gone = grid.cell("heads[colour=3]", "xor", "smoke", 1)
    assert (gone.status, "heads has no size 'colour'" in gone.reason) == ("error", True)
