"""The family of comparisons: what belongs to it, how an interval becomes a word, and what changes none."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats

import datasets
from bench.core.paired import by_seed, crossed, resplit
from bench.report import forest, report
from bench.report.plots import small
from bench.store.encoding import pack
from bench.store.records import Store
from bench.tables import cuts, headline
from bench.tables.family import ATTENTION, LEVEL, MIXERS, OTHERS, POOLS, SETS, SIZE
from bench.tables.rows import rows
from bench.tables.scales import scale
from bench.tables.sections import shown
from bench.tables.verdict import EQUAL, OUTSIDE, SATURATED, UNMIXED, Verdict, family, judge, on, saturated
from datasets.metrics import named
from datasets.task import ACCURACY, MSE
from models.tokens import Tokens
from tests.test_report import run

DEFAULT = {"name": "default", "dtype": "float32", "samples": 20, "seeds": 5}


def put(store: Store, dataset: str, means: dict[str, float], seeds: int = 5, noise: float = 0.01, **fields: Any) -> None:
    """Runs with an mse around `means`, or what `fields` say."""
    for i, (model, mean) in enumerate(means.items()):
        for seed in range(seeds):
            value = mean * (1 + noise * float(np.random.default_rng([i, seed]).standard_normal()))
            store.put_run(run(model, seed, value, dataset=dataset, **{"budget": DEFAULT, "tuned": True} | fields))


def compared(store: Store, dataset: str = "shapes") -> dict[str, Verdict]:
    return {one.other: one for one in family(shown(rows(store))) if one.dataset == dataset}


MEANS = dict(zip(MIXERS, (0.1, 0.2, 0.1, 0.05, 0.105), strict=True))


def test_the_family_is_what_its_rule_says() -> None:
    """Embedded sets and MNIST, neither routes nor twins nor tables, of 8 to 64 tokens; plugins of other tests apart."""
    own = [datasets.task(name) for name in datasets.names() if datasets.source(name).parent == Path(datasets.__file__).parent]
    asked = [task for task in own if (task.embedded or task.name == "mnist") and not task.role and task.input.kind != "table"]
    assert {task.name for task in asked if 8 <= Tokens(task, 4).count <= 64} == set(SETS)
    assert len(SETS) * len(OTHERS) == SIZE and pytest.approx(1 - 0.05 / SIZE) == LEVEL
    assert all(math.isclose(POOLS[task.name], task.sizes[2] / task.sizes[0]) for task in own if task.name in POOLS)


def test_estimates_are_the_textbooks() -> None:
    g = np.random.default_rng(0)
    values = g.normal(1, 2, 7)
    low, high = scipy_stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = by_seed(values)
    assert (found.mean - found.half(0.95), found.mean + found.half(0.95)) == pytest.approx((low, high))
    wider = (1 / 7 + 30 / 90) / (1 / 7)
    assert resplit(values, 30 / 90).half(0.95) == pytest.approx((high - low) / 2 * math.sqrt(wider))
    table = g.normal(size=(7, 40))
    seeds, samples = (scipy_stats.sem(table.mean(axis)) * scipy_stats.t.ppf(0.975, n) for axis, n in ((1, 6), (0, 39)))
    assert crossed(table).half(0.95) == pytest.approx(math.hypot(seeds, samples))
    assert crossed(np.stack([table, table])).half(0.95).shape == (2,)


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [(-1, 1, EQUAL), (0.2, 0.9, EQUAL), (0.2, 1.1, "beats"), (-9, -0.1, "loses"), (-0.5, 1.1, "cannot tell"), (1.5, 2, "beats")],
)
def test_an_interval_becomes_a_word(low: float, high: float, word: str) -> None:
    assert judge(low, high, 1) == word


def test_each_word_is_said_and_counted(tmp_path: Path) -> None:
    put(store := Store(tmp_path), "shapes", MEANS)
    found = compared(store)
    assert [one.word for one in found.values()] == ["beats", EQUAL, "loses", EQUAL]
    put(store, "shapes", {"backbone_recurrent": 0.1}, noise=0.3, recipe="again")
    put(store, "digits", MEANS)  # not the metric that digits has, but a set with a pool: no samples are kept
    found = compared(store)
    assert found["backbone_recurrent"].word == "cannot tell"
    assert ", ± " in headline.told(found["backbone_recurrent"])
    assert {one.word for one in compared(store, "digits").values()} == {""}
    first, second = headline.sentences(family(shown(rows(store))))
    assert (
        "attention is between others on shapes. It\n- beats convolution on shapes (0.5 × its error)\n- equals local attention on shapes\n"
        "- loses to MLP on shapes (2 × its error)\n- cannot be told from" in first
    )
    assert second == "From 1 data set with a verdict, of the family's 9, nothing follows for another."


def test_what_is_said_of_several_mixers_alike_is_said_once_and_three_sets_speak_of_others(tmp_path: Path) -> None:
    for dataset in ("shapes", "shapes_pairs", "translation"):
        put(store := Store(tmp_path), dataset, MEANS)
    first, second = headline.sentences(family(shown(rows(store))))
    assert "equals local attention and recurrence on shapes, shapes_pairs and translation" in first
    assert "better one on 3 of 3 against convolution, local attention and recurrence (29 to 100 %)" in second


def test_where_no_mixing_does_as_well_nothing_is_decided(tmp_path: Path) -> None:
    put(store := Store(tmp_path), "shapes", MEANS | {"backbone_none": min(MEANS.values())})
    put(store, "shapes_pairs", MEANS | {"backbone_none": 10 * max(MEANS.values())})
    assert {(one.word, one.why) for one in compared(store).values()} == {("", UNMIXED)}
    assert "" not in {one.word for one in compared(store, "shapes_pairs").values()}
    _, second = headline.sentences(family(shown(rows(store))))
    assert second.startswith("On shapes no mixer is certainly better than a network that mixes nothing: nothing is decided there.")


def test_no_word_from_four_seeds_or_a_smoke_run(tmp_path: Path) -> None:
    put(store := Store(tmp_path), "shapes", MEANS, seeds=4)
    put(store, "shapes_pairs", MEANS, budget=DEFAULT | {"name": "smoke"})
    assert {(one.word, one.why) for one in compared(store).values()} == {("", "no verdict from 4 seeds")}
    assert {(one.word, one.why) for one in compared(store, "shapes_pairs").values()} == {("", "smoke runs decide nothing")}
    page = report.write(store, draw=False).read_text()
    why = "not run 28, no verdict from 4 seeds 4, smoke runs decide nothing 4"
    assert page.split("\n\n")[1].startswith(
        f"No verdict yet on small models trained from scratch; of the family's {SIZE} comparisons: {why}."
    )
    assert forest.finding(family(shown(rows(store)))) == f"No verdict yet, of {SIZE} comparisons: {why}"


def test_no_word_where_only_one_was_tuned(tmp_path: Path) -> None:
    """Else `--untuned` on one mixer makes a winner of the other."""
    put(store := Store(tmp_path), "shapes", MEANS)
    put(store, "shapes", {"backbone_conv": MEANS["backbone_conv"]}, noise=0.02, recipe="plain", tuned=False)
    found = compared(store)
    assert (found["backbone_conv"].word, found["backbone_conv"].why) == ("", "only one of them was tuned")
    assert "" not in {one.word for other, one in found.items() if other != "backbone_conv"}


def test_a_tie_has_no_direction(tmp_path: Path) -> None:
    put(store := Store(tmp_path), "shapes", dict.fromkeys(MIXERS, 0.1), noise=0)
    put(store, "shapes", {"backbone_conv": 0.1 * (1 + 1e-15)}, noise=0, recipe="rounded")
    assert {one.mean for one in compared(store).values()} == {0.0}
    assert headline.measured(Verdict("digits", "backbone_conv", ACCURACY, n=5, mean=0.0, low=-0.1, high=0.1)) == "0 points apart [−10, 10]"


def test_sets_at_their_ceiling_leave_the_count(tmp_path: Path) -> None:
    store, metric = Store(tmp_path), {"name": "bleu", "better": "higher", "percent": False}
    for i, model in enumerate(MIXERS):
        for seed in range(5):
            test = {key: {"bleu": 99.2 + 0.1 * i + 0.01 * seed} for key in ("best", "last")}
            store.put_run(run(model, seed, 1, dataset="translation", budget=DEFAULT, test=test, metric=metric))
    assert saturated(cuts.compared("translation", shown(rows(store))["translation"]))
    assert {(one.word, one.why) for one in compared(store, "translation").values()} == {("", SATURATED)}


def test_no_plugin_selection_or_other_budget_changes_a_verdict(tmp_path: Path) -> None:
    put(store := Store(tmp_path), "shapes", MEANS)
    before = compared(store)
    put(store, "shapes", {f"mine_{i}": 0.001 for i in range(9)}, budget=DEFAULT | {"name": "mine", "samples": 10**9})
    put(store, "shapes", {"newer": 0.001}, conditions="another")
    put(store, "mine", {model: 0.1 * i + 0.1 for i, model in enumerate(MIXERS)})
    put(store, "shapes", dict.fromkeys(MIXERS, 0.1), seeds=1, budget=DEFAULT | {"name": "paper", "samples": 10**6})
    assert compared(store) == before
    assert {one.why for one in on("mine", shown(rows(store))["mine"])} == {OUTSIDE}
    put(store, "shapes", MEANS, seeds=10, budget=DEFAULT | {"name": "reference", "samples": 10**3})
    assert {(one.budget, one.n) for one in compared(store).values()} == {("reference", 10)}


def test_where_all_seeds_share_a_test_set_its_samples_count(tmp_path: Path) -> None:
    """Against a slow reference; re-splits, which have targets of their own, get Nadeau and Bengio's correction."""
    g = np.random.default_rng(5)
    target = g.integers(0, 10, 350).astype("u1")
    rights: dict[str, list[np.ndarray]] = {model: [] for model in MIXERS[:2]}
    for shared in (True, False):
        store = Store(tmp_path / str(shared))
        for model, share in zip(rights, (0.9, 0.8), strict=True):
            rights[model] = [np.random.default_rng([i, len(model)]).random(350) < share for i in range(6)]
            for seed, right in enumerate(rights[model]):
                true = target if shared else np.roll(target, seed)
                kept = {
                    "kind": "classes",
                    "loss": pack(np.zeros(350, "<f2")),
                    "prediction": pack(np.where(right, true, 11).astype("u1")),
                    "target": pack(true),
                }
                metric = {"name": "accuracy", "better": "higher", "percent": True}
                test = {key: {"accuracy": float(right.mean())} for key in ("best", "last")}
                store.put_run(run(model, seed, 1, dataset="digits", budget=DEFAULT, metric=metric, test=test, examples=kept))
        found = compared(store, "digits")["backbone_conv"]
        table = np.array(rights[ATTENTION], float) - np.array(rights["backbone_conv"], float)
        t = [scipy_stats.t.ppf(0.5 + LEVEL / 2, n - 1) for n in table.shape]
        if shared:
            half = math.hypot(t[0] * scipy_stats.sem(table.mean(1)), t[1] * scipy_stats.sem(table.mean(0)))
        else:
            half = t[0] * math.sqrt(table.mean(1).var(ddof=1) * (1 / 6 + 350 / 1097))
        assert (found.mean, found.half) == pytest.approx((table.mean(), half))


def test_differences_stay_within_what_is_possible(tmp_path: Path) -> None:
    metric = {"name": "bleu", "better": "higher", "percent": False}
    store = Store(tmp_path)
    for model in MIXERS[:2]:
        for seed in range(2):
            test = {key: {"bleu": 90.0 if seed and model == ATTENTION else 10.0} for key in ("best", "last")}
            store.put_run(run(model, seed, 1, dataset="translation", budget=DEFAULT, metric=metric, test=test))
    found = compared(store, "translation")["backbone_conv"]
    assert (found.low, found.high) == (-100, 100)


def test_margins_are_the_stated_ones() -> None:
    margins = [scale(metric).margin for metric in (ACCURACY, named("r2"), named("bleu"), MSE)]
    assert margins == pytest.approx([0.01, 0.02, 1, math.log(1.1)])


def test_the_csv_has_the_whole_family_whatever_was_run(tmp_path: Path) -> None:
    table = list(csv.DictReader(io.StringIO(headline.as_csv(family(shown(rows(Store(tmp_path))))))))
    assert [(row["dataset"], row["against"]) for row in table] == [(name, other) for name in SETS for other in OTHERS]
    assert {(row["verdict"], row["why"], row["low"]) for row in table} == {("", "not run", "")}


def test_the_forest_draws_what_was_found(tmp_path: Path) -> None:
    assert forest.picture(family({})) is None
    put(store := Store(tmp_path), "shapes", MEANS)
    put(store, "shapes_pairs", MEANS | {ATTENTION: 10.0}, seeds=2)
    found = family(shown(rows(store)))
    figure = forest.picture(found)
    assert figure is not None
    assert figure.texts[0].get_text() == ("Of 36 comparisons attention won 1, lost 1 and equalled 2; 0 cannot be told, 32 have no verdict")
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == [
        "shapes\nmean squared error",
        "shapes_pairs\nmean squared error",
    ]
    for axes, other in zip(figure.axes, OTHERS, strict=True):
        own = [one for one in found if one.other == other and not math.isnan(one.mean)]
        dots = [line for line in axes.lines if line.get_gid() == "mean"]
        assert [float(dot.get_xdata()[0]) for dot in dots] == pytest.approx([max(-100, one.mean / math.log(1.1)) for one in own])  # type: ignore[index]
        assert [dot.get_markerfacecolor() == "white" for dot in dots] == [not one.word for one in own]
        (band,) = (patch for patch in axes.patches if patch.get_gid() == "margin")
        assert band.get_extents().width > 0
    assert small(figure) == small(forest.picture(found))  # type: ignore[arg-type]
    report.write(store)
    assert "](forest.png)" in (tmp_path / "README.md").read_text() and (tmp_path / "forest.png").is_file()
