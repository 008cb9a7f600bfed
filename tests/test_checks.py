"""Verdicts at half the budget, half the width and twice the depth: what stands, what flips, and that they change no other number."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

import datasets
import models
from bench.plan import tuned
from bench.report import report
from bench.store.records import Store
from bench.tables import checks, cuts, headline
from bench.tables.converged import improving
from bench.tables.family import HALF_WIDTH, NONE, OTHERS, PATCH, SETS, TWICE_DEPTH
from bench.tables.rows import Row, rows
from bench.tables.sections import shown
from bench.tables.verdict import OPEN, Verdict, family, judge
from models import build
from tests.test_verdicts import DEFAULT, MEANS, put


def found(store: Store) -> list[checks.Check]:
    table = rows(store)
    return checks.check(table, family(shown(table)))


def test_a_verdict_stands_or_flips_and_no_other_number_moves(tmp_path: Path) -> None:
    put(store := Store(tmp_path), "shapes", MEANS)  # beats, equal, loses, equal
    alone = report.write(store, draw=False).read_text()
    assert found(store) == []
    half = dict(zip((f"{name}@samples=0.5x" for name in MEANS), (0.2, 0.4, 0.1, 0.1, 0.21), strict=True))
    put(store, "shapes", half, recipe="half")
    thin = dict(zip((f"{name}[dim=16]" for name in MEANS), (0.01, 0.02, 0.01, 0.005, 0.0105), strict=True))
    put(store, "shapes", thin, recipe="thin")  # better on val than the models as they are
    deep = dict(zip((f"{name}[depth=4]" for name in MEANS), (0.21, 0.1, 0.1, 0.1, 0.21), strict=True))
    put(store, "shapes", deep, recipe="deep")
    checked = found(store)
    assert {one.way for one in checked} == {"half the budget", "half the width", "twice the depth"}
    assert [one.outcome for one in checked] == ["stands", "flips", "stands", "stands"] + ["stands"] * 4 + [
        "flips",
        "flips",
        "stands",
        "stands",
    ]
    said = checks.sentence(checked)
    assert "at half the budget, on shapes, 3 of 4 verdicts stand and 1 flips (local attention on shapes)" in said
    assert "at half the width, on shapes, 4 of 4 verdicts stand and 0 flip" in said
    assert "at twice the depth, on shapes, 2 of 4 verdicts stand and 2 flip (convolution and local attention on shapes)" in said
    page = report.write(store, draw=False).read_text()
    assert said in page
    assert page.split("\n\n")[1].startswith(alone.split("\n\n")[1])
    assert alone.split("| data set")[1].split("\n\n")[0] in page, "the verdicts themselves"


def interval(low: float, high: float, dataset: str = "shapes") -> Verdict:
    return Verdict(dataset, "backbone_conv", n=5, mean=(low + high) / 2, low=low, high=high, word=judge(low, high, 0.5))


@pytest.mark.parametrize(
    ("whole", "varied", "outcome"),
    [
        ((-9, -7), (-8, -6), "stands"),
        ((-9, -7), (6, 8), "flips"),
        ((-9, -7), (-0.1, 0.2), "flips"),  # equal
        ((-9, -7), (-3, 2), "falls"),
        ((-9, -2), (-3, 2), "one of them cannot tell"),
        ((-2, 3), (5, 7), "one of them cannot tell"),
    ],
)
def test_a_verdict_falls_where_the_check_finds_another_difference(
    whole: tuple[float, float], varied: tuple[float, float], outcome: str
) -> None:
    one = checks.Check("another size of tokens for all", interval(*whole), interval(*varied))
    assert one.outcome == outcome
    said = checks.sentence([one])
    assert ("1 falls (convolution on shapes): another difference" in said) == (outcome == "falls")


def test_what_falls_is_said_with_the_answer(tmp_path: Path) -> None:
    put(store := Store(tmp_path), "shapes", MEANS)
    table = rows(store)
    compared = family(shown(table))
    (beats,) = [one for one in compared if (one.dataset, one.other) == ("shapes", "backbone_conv")]
    other = checks.Check("another size of tokens for all", beats, replace(beats, low=-0.2, high=0.2, mean=0.0, word=OPEN))
    first, *_ = checks.answer(table, compared, [other])
    assert first.endswith(
        "\n- fares otherwise at another size of tokens for all, against convolution on shapes: that much hangs on a choice of ours"
    )
    free = replace(other, whole=replace(beats, sizes=(4, 2)))
    assert "fares otherwise" not in checks.answer(table, compared, [free])[0], "val chose, not we"


def test_too_few_seeds_check_nothing_and_an_open_verdict_is_no_flip(tmp_path: Path) -> None:
    put(store := Store(tmp_path), "shapes", MEANS)
    put(store, "shapes", {f"{name}@samples=0.5x": mean for name, mean in MEANS.items()}, seeds=3, recipe="half")
    assert {one.outcome for one in found(store)} == {""}
    assert checks.sentence(found(store)) == ""
    put(store, "shapes", {f"{name}@samples=0.5x": mean for name, mean in MEANS.items()}, noise=0.9, recipe="noisy")
    assert checks.UNSURE in {one.outcome for one in found(store)}
    lost = [one.whole.other.removeprefix("backbone_") for one in found(store) if one.outcome == checks.UNSURE]
    assert f"{len(lost)} cannot be told any more (" in checks.sentence(found(store))


def test_a_check_at_rates_that_are_no_more_chosen_checks_nothing(tmp_path: Path) -> None:
    put(store := Store(tmp_path), "shapes", MEANS)
    put(store, "shapes", {f"{name}@samples=0.5x": mean for name, mean in MEANS.items()}, recipe="half")
    assert len(found(store)) == 4
    (changed,) = {run["model"] for run in store.runs() if run["model"].startswith("backbone_conv@")}
    for run in store.runs():
        if run["model"] == changed:
            store.put_run(run | {"budget": run["budget"] | {"lr": 0.5}})
    assert {one.whole.other for one in found(store)} == {"backbone_local", "backbone_mlp", "backbone_recurrent"}


def cut(means: dict[str, float]) -> dict[str, float]:
    return {f"{name}[patch=2]": mean for name, mean in means.items()}


def test_each_mixer_is_cut_as_val_prefers_where_all_ran_at_both_sizes(tmp_path: Path) -> None:
    put(store := Store(tmp_path), "shapes", MEANS | {NONE: 0.9})  # beats, equal, loses, equal
    usual = {one.other: one for one in family(shown(rows(store))) if one.dataset == "shapes"}
    other = {name: 2 * mean for name, mean in MEANS.items()} | {"backbone_conv": 0.05, NONE: 0.8}
    put(store, "shapes", {name: mean for name, mean in cut(other).items() if "conv" not in name}, recipe="cut")
    own = shown(rows(store))["shapes"]
    assert not cuts.free("shapes", own) and cuts.compared("shapes", own)[NONE].model == NONE, "convolution did not run at both"
    put(store, "shapes", cut({"backbone_conv": 0.05}), seeds=4, recipe="cut")
    assert not cuts.free("shapes", shown(rows(store))["shapes"]), "four seeds are too few"
    put(store, "shapes", cut({"backbone_conv": 0.05}), noise=0.02, recipe="cut")
    own = shown(rows(store))["shapes"]
    chosen = {name: row.model for name, row in cuts.compared("shapes", own).items()}
    assert {model for name, model in chosen.items() if model != name} == {"backbone_conv[patch=2]", f"{NONE}[patch=2]"}
    now = {one.other: one for one in family(shown(rows(store))) if one.dataset == "shapes"}
    assert (usual["backbone_conv"].word, now["backbone_conv"].word) == ("beats", "loses")
    assert now["backbone_conv"].sizes == (4, 2) and now["backbone_mlp"].sizes == (4, 4)
    assert headline.told(now["backbone_conv"]).endswith("; tokens of 4 against 2")
    assert replace(now["backbone_mlp"], sizes=()) == usual["backbone_mlp"]
    ways = {(one.way, one.whole.other): one for one in found(store)}
    assert {way for way, _ in ways} == {"the task's tokens for all", "another size of tokens for all"}
    assert ways["the task's tokens for all", "backbone_conv"].outcome == "flips"
    assert ways["the task's tokens for all", "backbone_conv"].varied == usual["backbone_conv"]
    assert "the task's tokens" not in checks.answer(rows(store), family(shown(rows(store))), found(store))[0]


def test_runs_under_other_conditions_choose_no_cut(tmp_path: Path) -> None:
    put(store := Store(tmp_path), "shapes", MEANS | {NONE: 0.9}, conditions="now")
    put(store, "shapes", cut(MEANS | {NONE: 0.8}), recipe="cut", conditions="before")
    assert not cuts.free("shapes", shown(rows(store))["shapes"])
    put(store, "shapes", cut(MEANS | {NONE: 0.8}), recipe="cut", conditions="now")
    assert cuts.free("shapes", own := shown(rows(store))["shapes"])
    assert not cuts.free("shapes", [replace(row, tuned="no") if row.model == NONE else row for row in own]), "one was not tuned"


def test_a_cut_is_chosen_on_val_alone(tmp_path: Path) -> None:
    put(store := Store(tmp_path), "shapes", MEANS | {NONE: 0.9})
    put(store, "shapes", cut({name: mean / 2 for name, mean in (MEANS | {NONE: 0.9}).items()}), recipe="cut")
    for run in store.runs():
        if run["model"] == "backbone_attention[patch=2]":  # better on test, and worse on val
            store.put_run(run | {"curve": run["curve"] | {"val_metric": [9.0 for _ in run["curve"]["val_metric"]]}})
    chosen = cuts.compared("shapes", shown(rows(store))["shapes"])
    assert {name for name, row in chosen.items() if row.model == name} == {"backbone_attention"}


def test_checks_are_of_the_cut_that_was_chosen(tmp_path: Path) -> None:
    put(store := Store(tmp_path), "shapes", MEANS | {NONE: 0.9})
    better = {name: mean / 2 for name, mean in (MEANS | {NONE: 0.9}).items()}
    put(store, "shapes", cut(better), recipe="cut")
    put(store, "shapes", {f"{name}[dim=16]": mean for name, mean in MEANS.items()}, recipe="thin")
    put(store, "shapes", {f"{name}[dim=16,patch=2]": 3 * mean for name, mean in MEANS.items()}, recipe="thin cut")
    put(store, "shapes", {f"{name}[patch=2]@samples=0.5x": 3 * mean for name, mean in MEANS.items()}, recipe="half")
    checked = found(store)
    assert [one.way for one in checked] == ["half the budget"] * 4 + ["half the width"] * 4 + ["the task's tokens for all"] * 4
    assert {one.outcome for one in checked} == {"stands"}


def test_half_the_width_is_half_of_what_the_backbone_has() -> None:
    for name in SETS:
        task = datasets.task(name)
        whole, half = (build(model, task).positions.shape[-1] for model in ("backbone_none", f"backbone_none[dim={HALF_WIDTH[name]}]"))
        assert whole == 2 * half, name


def test_twice_the_depth_is_twice_what_the_backbone_has() -> None:
    for name in SETS:
        task = datasets.task(name)
        whole, deep = (len(build(model, task).blocks) for model in ("backbone_none", f"backbone_none[depth={TWICE_DEPTH[name]}]"))
        assert 2 * whole == deep, name


def test_another_size_of_tokens_is_another_and_every_set_that_is_cut_has_one() -> None:
    for name in SETS:
        task = datasets.task(name)
        if name not in PATCH:
            with pytest.raises(models.Unsupported, match="is not cut into whole patches"):
                build("backbone_none[patch=2]", task)
            continue
        usual, other = (build(model, task).tokens.count for model in ("backbone_none", f"backbone_none[patch={PATCH[name]}]"))
        assert usual != other >= 8, name
        row = Row("backbone_none", name, "", "", "", "", "")
        assert cuts.size(row) == build("backbone_none", task).tokens.patch, name
        assert cuts.size(replace(row, model=f"backbone_none[patch={PATCH[name]}]")) == PATCH[name]
        assert len(build(f"backbone_attention[patch={PATCH[name]}]", task)(task.sample(2)[0])) == 2


def test_what_had_not_converged_is_counted_and_said(tmp_path: Path) -> None:
    """Val that gains more than the margin in the last tenth of training; a gain within it, or one that came before, is none."""
    put(store := Store(tmp_path), "shapes", MEANS)
    curves = {
        0: [1.0, 0.5, 0.45, 0.3],  # the last evaluation alone lies in the last tenth: by a third better
        1: [1.0, 0.5, 0.45, 0.44],
        2: [1.0, 0.3, 0.45, 0.31],
    }
    for run in store.runs():
        if run["model"] in MEANS:
            samples = [10, 20, 30, 40]
            curve = run["curve"] | {"samples": samples, "seconds": samples, "train_loss": samples, "val_loss": samples}
            store.put_run(
                run | {"curve": curve | {"val_metric": curves[min(run["seed"], 2) if "conv" in run["model"] else 1]}, "best_samples": 40}
            )
    conv = [run for run in store.runs() if run["model"] == "backbone_conv"]
    assert [run["seed"] for run in conv if improving(run)] == [0]
    assert not improving(conv[0] | {"metric": conv[0]["metric"] | {"better": "higher"}}), "there it gets worse"
    assert not improving(conv[0] | {"status": "diverged"})
    table = rows(store)
    compared = family(shown(table))
    said = "Still improving when training ended, by more than the margin: of seeds on shapes convolution 1 of 5."
    assert said in checks.answer(table, compared, [])[1]
    assert "5, 1 still improving" in report.write(store, draw=False).read_text()
    with open(tmp_path / "runs.csv", newline="") as file:
        assert [one["seed"] for one in csv.DictReader(file) if one["improving"] == "yes"] == ["0"]


def test_the_second_best_rates_are_the_best_of_those_not_chosen(tmp_path: Path) -> None:
    """shapes as committed: what a mixer would have had, had two short seeds chosen otherwise."""
    store = Store(tmp_path)
    for i, model in enumerate(MEANS):
        lr, decay = tuned.read(tuned.home(model, "shapes")).rates
        put(store, "shapes", {model: MEANS[model]}, noise=0.01 + 0.001 * i, budget=DEFAULT | {"lr": lr, "weight_decay": decay})
    table = {row.model: row for row in rows(store)}
    found = tuned.read(tuned.home("backbone_mlp", "shapes"))
    others = sorted((t.val, t) for t in found.trials if t.val is not None and t is not found.best)
    assert checks.next_rates(table["backbone_mlp"]) == f"@lr={others[0][1].lr:g}@weight_decay={others[0][1].weight_decay:g}"
    variants = {model + checks.next_rates(row): (0.9 if "mlp" in model else MEANS[model]) for model, row in table.items()}
    put(store, "shapes", variants, recipe="next", budget=DEFAULT | {"lr": 0.5})
    checked = {one.whole.other: one for one in checks.check(rows(store), family(shown(rows(store))))}
    assert {one.way for one in checked.values()} == {checks.NEXT}
    assert {other: one.outcome for other, one in checked.items()} == {**dict.fromkeys(OTHERS, "stands"), "backbone_mlp": "flips"}


def test_results_are_read_where_a_file_does_not_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store := Store(tmp_path), "shapes", MEANS | {NONE: 0.9})
    put(store, "shapes", cut({name: mean / 2 for name, mean in (MEANS | {NONE: 0.9}).items()}), recipe="cut")
    table = rows(store)
    compared = family(shown(table))
    whole = checks.answer(table, compared, checks.check(table, compared))

    def gone(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(datasets, "names", lambda published=False: ["xor"])
    for part in ("task", "source"):
        monkeypatch.setattr(datasets, part, gone)
    found = family(shown(table))
    assert [replace(one, sizes=()) for one in compared] == found
    assert checks.answer(table, found, checks.check(table, found))[0] == whole[0]


@pytest.mark.parametrize("change", ["[dim=16]", "[depth=4]", "@samples=0.5x", "@lr=3.0@weight_decay=0.00012"])
@pytest.mark.parametrize("name", ["backbone_mlp", "backbone_mlp[patch=4]"])
def test_names_of_checks_are_written_as_everywhere(name: str, change: str) -> None:
    assert checks.changed(name, change) == str(models.variant(checks.changed(name, change)))
