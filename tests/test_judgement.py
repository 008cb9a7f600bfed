"""How a figure is judged: what holds, what is explained, and what says nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bench.claims import page as claims
from bench.claims.claim import EXPLAINED, FAILS, HOLDS, UNMEASURED
from bench.claims.sections import commands
from bench.plan.grid import RequestError
from bench.store.encoding import pack
from bench.store.records import Store
from tests.test_claims import EPOCH, accuracy, seeds, trained, verdict
from tests.test_report import run


def test_three_seeds_within_the_tolerance_hold_and_beyond_it_do_not(tmp_path: Path) -> None:
    found = verdict(tmp_path, accuracy(97.87), *seeds("vit", (0.974, 0.975, 0.976), "published"))
    assert (found.verdict, found.why) == (HOLDS, "0.37 points lower; 3 seeds of `published`, `box`")
    assert verdict(tmp_path, accuracy(98.1)).verdict == FAILS


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_seeds_judge_nothing(n: int, tmp_path: Path) -> None:
    for place, published in (("near", 97.5), ("far", 50)):
        found = verdict(tmp_path / place, accuracy(published), *seeds("vit", [0.975] * n, "published"))
        assert (found.verdict, found.waits, found.near) == (UNMEASURED, True, found.found)
        assert found.why.startswith(f"{n} of the 3 seeds that a verdict needs; ")
        assert list(found.wanted) == [("vit", "mnist", "published")]


def test_a_wide_interval_never_makes_a_figure_hold(tmp_path: Path) -> None:
    runs = seeds("vit", (0.955, 0.96, 0.965), "published")  # 96 ± 1.24
    for published, tolerance, expected in ((96.4, 1.3, HOLDS), (96.4, 0.5, UNMEASURED), (97.3, 0.5, FAILS), (96, 0.3, UNMEASURED)):
        found = verdict(tmp_path, accuracy(published, tolerance), *runs)
        assert found.verdict == expected, published
        assert found.why.startswith("too uncertain: 3 seeds give ± 1.2 %; ") == (expected == UNMEASURED)
        assert (claims.facts([found])[0]["measured"] is None) == (expected == UNMEASURED)


def test_a_wide_interval_explains_nothing(tmp_path: Path) -> None:
    runs = seeds("vit", [0.999] * 3, "published") + seeds("vit", (0.8, 0.99, 0.99), "published_1")
    found = verdict(tmp_path, accuracy(97.87, more=EPOCH), *runs)
    assert (found.verdict, found.why.split("; ")[-1]) == (UNMEASURED, "at `published_1` 92.67 ± 27 %, too uncertain to explain it")


@pytest.mark.parametrize(("taken", "quantity"), [("final", "value"), ("best", "value_last"), ("training", "test_loss"), ("", "value")])
def test_a_figure_is_judged_on_the_quantity_it_names_or_not_at_all(taken: str, quantity: str, tmp_path: Path) -> None:
    text = accuracy(97.87).replace('"best"', f'"{taken}"').replace('"value"', f'"{quantity}"')
    runs = seeds("vit", [0.9787] * 3, "published")
    with pytest.raises(RequestError, match=f"not judged on {quantity}, which is "):
        verdict(tmp_path, text, *runs)
    found = verdict(tmp_path, text + 'not_measured = "another quantity"\n', *runs)
    assert (found.verdict, found.near.value is not None) == (UNMEASURED, True)


def test_a_final_figure_is_that_of_the_last_step(tmp_path: Path) -> None:
    runs = seeds("vit", [0.99] * 3, "paper")
    for record in runs:
        record["test"]["last"] = {"loss": 0.7, "accuracy": 0.9}
        record["budget"] = {"name": "published", "dtype": "float32", "samples": 20, "choose": "test"}
    assert verdict(tmp_path, accuracy(99), *runs).why.endswith("as the source chose")
    final = accuracy(90).replace('"best"', '"final"')
    found = verdict(tmp_path, final.replace('"value"', '"value_last"'))
    assert (found.verdict, found.why) == (HOLDS, "0.00 points lower; 3 seeds of `published`, `box`")
    found = verdict(tmp_path, final.replace('"value"', '"test_loss_last"').replace('unit = "%"\n', ""))
    assert found.found.value is not None
    assert found.found.value.mean == pytest.approx(0.7)


def test_a_conclusion_holds_if_the_whole_interval_does(tmp_path: Path) -> None:
    text = accuracy(1, more='order = "<"\nover = { model = "cnn" }\n').replace("tolerance = 0.5\n", "").replace('"%"', '"×"')
    runs = seeds("cnn", [0.9] * 3, "published")
    for values, expected in (((0.8, 0.81, 0.82), HOLDS), ((0.95, 0.96, 0.97), FAILS), ((0.8, 0.9, 0.95), UNMEASURED)):
        assert verdict(tmp_path, text, *runs, *seeds("vit", values, "published")).verdict == expected, values
    assert verdict(tmp_path, text.replace('"<"', '">"')).verdict == UNMEASURED


def test_a_run_cut_short_is_shown_and_not_judged(tmp_path: Path) -> None:
    short = {"budget": {"name": "published", "dtype": "float32", "samples": 40}, "reason": "safety stop after 1 s"}
    found = verdict(tmp_path, accuracy(97.87), trained("vit", 0, 0.9787, "published") | short)
    assert found.verdict == UNMEASURED
    assert found.why == "its runs were cut short; 1 seed of `published`, `box`; safety stop after 1 s"
    assert found.near.value is not None


def test_an_incomplete_record_is_no_traceback(tmp_path: Path) -> None:
    nothing: dict[str, list[float]] = {name: [] for name in ("samples", "seconds", "train_loss", "val_loss")}
    found = verdict(tmp_path, accuracy(97.87), trained("vit", 0, 0.9787, "published", curve=nothing))
    assert (found.verdict, found.why) == (UNMEASURED, "the runs' record is incomplete")


def test_an_explanation_holds_only_if_its_condition_is_met(tmp_path: Path) -> None:
    fifteen, one = seeds("vit", [0.99] * 3, "published"), seeds("vit", [0.978] * 3, "published_1")
    found = verdict(tmp_path / "a", accuracy(97.87, more=EPOCH), *fifteen, *one)
    assert found.verdict == EXPLAINED
    assert found.why == "1.13 points higher; 3 seeds of `published`, `box`; at `published_1` 97.80 ± 0 %"
    found = verdict(tmp_path / "b", accuracy(97.87, more=EPOCH), *fifteen, *seeds("vit", [0.92] * 3, "published_1"))
    assert (found.verdict, found.why.split("; ")[-1]) == (FAILS, "at `published_1` 92.00 ± 0 %, which does not explain it")
    for place, others, missing in (
        ("c", [], "no run of `mnist` at budget `published_1`"),
        ("d", one[:2], "2 of the 3 seeds that a verdict needs"),
    ):
        found = verdict(tmp_path / place, accuracy(97.87, more=EPOCH), *fifteen, *others)
        assert (found.verdict, list(found.wanted)) == (UNMEASURED, [("vit", "mnist", "published_1")])
        assert found.why.endswith(f"; an explanation waits to be checked: {missing}")


def test_an_explanation_may_predict_another_figure(tmp_path: Path) -> None:
    more = 'explained.quantity = "test_loss"\nexplained.value = 0.5\nexplained.tolerance = 0.1\nexplained.because = "So."\n'
    assert verdict(tmp_path, accuracy(97.87, more=more), *seeds("vit", [0.9] * 3, "published")).verdict == EXPLAINED
    assert verdict(tmp_path, accuracy(97.87, more=more.replace("0.5", "0.7"))).verdict == FAILS


def test_what_was_not_run_says_how_to_run_it_and_shows_the_nearest(tmp_path: Path) -> None:
    found = verdict(tmp_path, accuracy(97.87, more=EPOCH), trained("vit", 0, 0.9786, "paper"))
    assert (found.verdict, found.why) == (UNMEASURED, "no run of `mnist` at budget `published`; nearest: 1 seed of `paper`, `box`")
    assert commands([found]) == [
        "pytest bench --benchmark-only --models vit --datasets mnist --budget published --seeds 3",
        "pytest bench --benchmark-only --models vit --datasets mnist --budget published_1 --seeds 3",
    ]


def test_the_nearest_is_what_may_explain_it_then_the_largest(tmp_path: Path) -> None:
    small = {"budget": {"name": "published_1", "dtype": "float32", "samples": 10}}
    runs = [trained("vit", 0, 0.93, "published_1") | small, trained("vit", 0, 0.98, "paper")]
    assert verdict(tmp_path, accuracy(97.87, more=EPOCH), *runs).near.budget == "published_1"
    assert verdict(tmp_path, accuracy(97.87), *runs).near.budget == "paper"


def test_where_a_cell_has_no_runs_the_one_that_is_named_near_is_shown_and_judges_nothing(tmp_path: Path) -> None:
    text = accuracy(97.87, more='near = { dataset = "mnist" }\n').replace('dataset = "mnist"\nunit', 'dataset = "cifar10"\nunit')
    found = verdict(tmp_path, text, *seeds("vit", [0.9787] * 3, "published"))
    assert (found.verdict, found.near.value is not None) == (UNMEASURED, True)
    assert found.why == "no run of `cifar10` at budget `published`; nearest: 3 seeds of `published`, `box`; `vit` on `mnist`"


def test_a_cell_that_failed_gives_its_reason(tmp_path: Path) -> None:
    found = verdict(tmp_path, accuracy(97.87), trained("vit", 0, 0.9, "published", status="diverged", reason="loss nan"))
    assert (found.verdict, found.why) == (UNMEASURED, "diverged: 1 of 1 seeds: loss nan")


def test_a_claim_about_something_else_is_never_judged(tmp_path: Path) -> None:
    found = verdict(tmp_path, accuracy(97.87, more='not_measured = "other data"\n'), trained("vit", 0, 0.9787, "published"))
    assert (found.verdict, found.why) == (UNMEASURED, "other data; nearest: 1 seed of `published`, `box`")
    found = verdict(tmp_path / "empty", accuracy(97.87, more='not_measured = "other data"\n'))
    assert (found.waits, list(found.wanted)) == (False, [])


def test_metrics_by_name_errors_and_losses(tmp_path: Path) -> None:
    runs = seeds("vit", [0.97] * 3, "published")
    for quantity, published in (("accuracy", 95), ("value", 97), ("error", 3), ("test_loss", 0.5)):
        found = verdict(tmp_path, accuracy(published, 1e-6).replace('"value"', f'"{quantity}"'), *runs)
        assert found.verdict == HOLDS, quantity


CURVE = {
    "samples": [10_000 * n for n in range(1, 51)],
    "seconds": [0.1 * n for n in range(1, 51)],
    "train_loss": [1 / n for n in range(1, 51)],
    "last_loss": [3 / n for n in range(1, 51)],
    "val_loss": [2 / n for n in range(1, 51)],
    "val_metric": [2 / n for n in range(1, 51)],
}
LOSS = '[[claim]]\nsource = "S"\ntaken = "final"\nmodel = "conv1d"\ndataset = "shapes"\nbudget = "paper"\ntolerance = 1e-9\n'


def test_figures_at_an_epoch_and_ratios_of_cells(tmp_path: Path) -> None:
    own = {
        "dataset": "shapes",
        "budget": {"name": "paper", "dtype": "float32", "samples": 500_000},
        "curve": CURVE,
        "best_samples": 400_000,
    }
    half = CURVE | {"val_loss": [value / 2 for value in CURVE["val_loss"]], "samples": [n // 2 for n in CURVE["samples"]]}
    less = {"curve": half, "budget": {"name": "paper", "dtype": "float32", "samples": 250_000}}
    runs = [run("conv1d", seed, 1.0, **own) for seed in range(4)] + [run("conv1d_attention", seed, 1.0, **own | less) for seed in (1, 2, 3)]
    for taken, text, value in [
        ("final", 'quantity = "val_loss"\nepoch = 40', 2 / 40),
        ("training", 'quantity = "train_loss"\nepoch = 40', 1 / 40),
        ("training", 'quantity = "train_loss"', 1 / 50),
        ("training", 'quantity = "last_loss"\nepoch = 40', 3 / 40),
        ("training", 'quantity = "last_loss"', 3 / 50),
        ("training", 'quantity = "settled"', 15),  # 1/15 is the first below 1/50 + 5 % of 49/50
        ("final", 'quantity = "val_loss"', 2 / 50),
        ("final", 'quantity = "val_last"', 2 / 50),
        ("best", 'quantity = "val_value"', 2 / 40),
        ("final", 'quantity = "val_loss"\nepoch = 40\nover = { model = "conv1d_attention", epoch = 20 }', 2),
    ]:
        found = verdict(tmp_path, f"{LOSS.replace('final', taken)}published = {value}\n{text}\n", *runs)
        assert found.verdict == HOLDS, text
        assert found.found.value is not None and found.found.value.n == (3 if "over" in text else 4)
    found = verdict(tmp_path, f'{LOSS.replace("conv1d", "conv1d_attention")}published = 1\nquantity = "val_loss"\nepoch = 40\n', *runs)
    assert (found.verdict, found.why.split(";")[0]) == (UNMEASURED, "the runs end after 25 epochs")


def test_what_a_run_lacks_is_shown_by_what_stands_in_for_it(tmp_path: Path) -> None:
    old = {name: values for name, values in CURVE.items() if name != "last_loss"}
    own = {"dataset": "shapes", "budget": {"name": "paper", "dtype": "float32", "samples": 500_000}, "curve": old}
    text = f'{LOSS.replace("final", "training")}published = 0.1\nquantity = "last_loss"\nepoch = 10\n'
    found = verdict(tmp_path, text, *(run("conv1d", seed, 1.0, **own) for seed in range(3)))
    assert found.near.value is not None
    assert (found.verdict, found.near.value.mean) == (UNMEASURED, pytest.approx(0.1))
    assert found.why == "the runs do not record last_loss; nearest: 3 seeds of `paper`, `box`; train loss instead"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"conditions": "c2"}, "`conv1d` and `conv1d_attention` were trained under different conditions"),
        ({"machine": {"slug": "box", "torch": "1.9"}}, "no run of `conv1d_attention` at budget `paper` in `cpu torch 2`"),
        ({"seed": 7}, "no seed of both `conv1d` and `conv1d_attention`"),
        ({"budget": {"name": "paper", "dtype": "float32", "samples": 900_000}}, "the runs of `conv1d_attention` were cut short"),
    ],
)
def test_a_ratio_pairs_only_what_was_trained_alike(fields: dict[str, Any], why: str, tmp_path: Path) -> None:
    own = {"dataset": "shapes", "budget": {"name": "paper", "dtype": "float32", "samples": 500_000}, "curve": CURVE}
    text = f'{LOSS}published = 1\nquantity = "val_loss"\nepoch = 40\nover = {{ model = "conv1d_attention" }}\n'
    runs = [run("conv1d", 0, 1.0, **own), run("conv1d_attention", **{"seed": 0, "value": 1.0} | own | fields)]
    found = verdict(tmp_path, text, *runs)
    assert (found.verdict, found.why.split(";")[0]) == (UNMEASURED, why)


def test_latencies_need_their_device(tmp_path: Path) -> None:
    text = '[[claim]]\nsource = "S"\nquantity = "latency_cuda_b1_p50_ms"\nmodel = "vit"\ndataset = "mnist"\nunit = "ms"\npublished = 9.46\n'
    found = verdict(tmp_path, text + "tolerance = 0.1\n", trained("vit", 0, 0.9, "paper"))
    assert (found.verdict, found.why) == (UNMEASURED, "not timed on a CUDA device")
    timed = {"model": "vit", "dataset": "mnist", "batch": 1, "dtype": "float32", "source": "vit", "machine": {"slug": "box"}}
    Store(tmp_path / "store").put_latency(timed | {"device": "cpu", "samples_ms": pack(torch.full((9,), 3.0).numpy())})
    found = verdict(tmp_path, text + 'not_measured = "no latency"\n')
    assert found.near.value is not None
    assert (found.near.value.mean, found.why) == (3.0, "no latency; nearest: `box`; latency cpu b1 p50 ms instead")
    Store(tmp_path / "store").put_latency(timed | {"device": "cuda", "samples_ms": pack(torch.full((9,), 2.0).numpy())})
    found = verdict(tmp_path, text + 'not_measured = "no latency"\n')
    assert found.near.value is not None
    assert (found.verdict, found.near.value.mean, found.why) == (UNMEASURED, 2.0, "no latency; nearest: `box`")
    assert verdict(tmp_path, text + "tolerance = 0.1\n").verdict == FAILS
    slower = text.replace("9.46", "1").replace('"ms"', '"×"') + 'order = ">"\nover = { model = "cnn" }\n'
    assert verdict(tmp_path, slower).verdict == UNMEASURED
    cnn = timed | {"model": "cnn", "source": "cnn", "device": "cuda"}
    Store(tmp_path / "store").put_latency(cnn | {"samples_ms": pack(torch.full((9,), 1.0).numpy())})
    assert verdict(tmp_path, slower).verdict == HOLDS
    assert verdict(tmp_path, slower.replace("published = 1\n", "published = 3\n")).verdict == FAILS
