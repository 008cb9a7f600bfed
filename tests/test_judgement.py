"""How a figure is judged: what holds, what is explained, and what says nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bench.claims import page as claims
from bench.claims.claim import EXPLAINED, FAILS, HOLDS, UNMEASURED
from bench.store.encoding import pack
from bench.store.records import Store
from tests.test_claims import EPOCH, accuracy, trained, verdict
from tests.test_report import run


def test_within_the_tolerance_it_holds(tmp_path: Path) -> None:
    found = verdict(tmp_path, accuracy(97.87), trained("vit", 0, 0.9750, "published"))
    assert found.verdict == HOLDS
    assert found.why == "0.37 points lower; 1 seed of `published`, `box`"


def test_within_the_interval_it_holds_and_outside_it_does_not(tmp_path: Path) -> None:
    runs = [trained("vit", seed, value, "published") for seed, value in enumerate((0.955, 0.96, 0.965))]
    assert verdict(tmp_path, accuracy(97.0), *runs).verdict == HOLDS  # 96 ± 1.24
    assert verdict(tmp_path, accuracy(97.3), *runs).verdict == FAILS


def test_a_wide_interval_is_no_verdict_and_explains_nothing(tmp_path: Path) -> None:
    wide = (0.8, 0.99, 0.99)
    found = verdict(tmp_path, accuracy(97.87), *(trained("vit", seed, wide[seed], "published") for seed in range(3)))
    assert (found.verdict, found.why) == (UNMEASURED, "too uncertain: 3 seeds give ± 27 %; 3 seeds of `published`, `box`")
    assert (found.waits, found.near.value, found.wanted) == (True, found.found.value, ())
    assert claims.facts([found])[0]["measured"] is None
    runs = [trained("vit", seed, 0.999, "published") for seed in range(3)]
    runs += [trained("vit", seed, wide[seed], "published_1") for seed in range(3)]
    assert verdict(tmp_path / "other", accuracy(97.87, more=EPOCH), *runs).verdict == FAILS


def test_a_run_cut_short_is_shown_and_not_judged(tmp_path: Path) -> None:
    short = {"budget": {"name": "published", "dtype": "float32", "samples": 40}, "reason": "safety stop after 1 s"}
    found = verdict(tmp_path, accuracy(97.87), trained("vit", 0, 0.9787, "published") | short)
    assert found.verdict == UNMEASURED
    assert found.why == "its runs were cut short; nearest: 1 seed of `published`, `box`; safety stop after 1 s"
    assert found.near.value is not None


def test_an_incomplete_record_is_no_traceback(tmp_path: Path) -> None:
    nothing: dict[str, list[float]] = {name: [] for name in ("samples", "seconds", "train_loss", "val_loss")}
    found = verdict(tmp_path, accuracy(97.87), trained("vit", 0, 0.9787, "published", curve=nothing))
    assert (found.verdict, found.why) == (UNMEASURED, "the runs' record is incomplete")


def test_two_seeds_have_an_interval_that_judges_nothing(tmp_path: Path) -> None:
    runs = [trained("vit", seed, value, "published") for seed, value in enumerate((0.95, 0.97))]
    assert verdict(tmp_path, accuracy(98.0), *runs).verdict == FAILS


def test_an_explanation_holds_only_if_its_condition_is_met(tmp_path: Path) -> None:
    fifteen, one = trained("vit", 0, 0.99, "published"), trained("vit", 0, 0.978, "published_1")
    found = verdict(tmp_path / "a", accuracy(97.87, more=EPOCH), fifteen, one)
    assert (found.verdict, found.why) == (EXPLAINED, "1.13 points higher; 1 seed of `published`, `box`; at `published_1` 97.80 %")
    found = verdict(tmp_path / "b", accuracy(97.87, more=EPOCH), fifteen, trained("vit", 0, 0.92, "published_1"))
    assert (found.verdict, found.why.split("; ")[-1]) == (FAILS, "at `published_1` 92.00 %, which does not explain it")
    found = verdict(tmp_path / "c", accuracy(97.87, more=EPOCH), fifteen)
    assert (found.verdict, list(found.wanted)) == (FAILS, [("vit", "mnist", "published_1")])
    assert "waits to be checked: no run at budget `published_1`" in found.why


def test_an_explanation_may_predict_another_figure(tmp_path: Path) -> None:
    more = 'explained.quantity = "test_loss"\nexplained.value = 0.5\nexplained.tolerance = 0.1\nexplained.because = "So."\n'
    assert verdict(tmp_path, accuracy(97.87, more=more), trained("vit", 0, 0.9, "published")).verdict == EXPLAINED
    assert verdict(tmp_path, accuracy(97.87, more=more.replace("0.5", "0.7"))).verdict == FAILS


def test_what_was_not_run_says_how_to_run_it_and_shows_the_nearest(tmp_path: Path) -> None:
    found = verdict(tmp_path, accuracy(97.87, more=EPOCH), trained("vit", 0, 0.9786, "paper"))
    assert (found.verdict, found.why) == (UNMEASURED, "no run at budget `published`; nearest: 1 seed of `paper`, `box`")
    assert claims.commands([found]) == [
        "pytest bench --benchmark-only --models vit --datasets mnist --budget published",
        "pytest bench --benchmark-only --models vit --datasets mnist --budget published_1",
    ]


def test_the_nearest_is_what_may_explain_it_then_the_largest(tmp_path: Path) -> None:
    small = {"budget": {"name": "published_1", "dtype": "float32", "samples": 10}}
    runs = [trained("vit", 0, 0.93, "published_1") | small, trained("vit", 0, 0.98, "paper")]
    assert verdict(tmp_path, accuracy(97.87, more=EPOCH), *runs).near.budget == "published_1"
    assert verdict(tmp_path, accuracy(97.87), *runs).near.budget == "paper"


def test_a_cell_that_failed_gives_its_reason(tmp_path: Path) -> None:
    found = verdict(tmp_path, accuracy(97.87), trained("vit", 0, 0.9, "published", status="diverged", reason="loss nan"))
    assert (found.verdict, found.why) == (UNMEASURED, "diverged: 1 of 1 seeds: loss nan")


def test_a_claim_about_something_else_is_never_judged(tmp_path: Path) -> None:
    found = verdict(tmp_path, accuracy(97.87, more='not_measured = "other data"\n'), trained("vit", 0, 0.9787, "published"))
    assert (found.verdict, found.why) == (UNMEASURED, "other data; nearest: 1 seed of `published`, `box`")
    found = verdict(tmp_path / "empty", accuracy(97.87, more='not_measured = "other data"\n'))
    assert (found.waits, list(found.wanted)) == (False, [])


def test_what_val_would_have_chosen_errors_and_losses(tmp_path: Path) -> None:
    record = trained("vit", 0, 0.97, "published")
    for quantity, published in (("on_val", 95), ("value", 97), ("value_last", 97), ("error", 3), ("test_loss", 0.5), ("accuracy", 95)):
        found = verdict(tmp_path, accuracy(published, 1e-6).replace('"value"', f'"{quantity}"'), record)
        assert found.verdict == HOLDS, quantity
    found = verdict(
        tmp_path, accuracy(95).replace('"value"', '"on_val"').replace('"published"', '"paper"'), trained("vit", 0, 0.97, "paper")
    )
    assert (found.verdict, found.why.split(";")[0]) == (UNMEASURED, "the runs do not record on_val")


CURVE = {
    "samples": [10_000 * n for n in range(1, 51)],
    "seconds": [0.1 * n for n in range(1, 51)],
    "train_loss": [1 / n for n in range(1, 51)],
    "last_loss": [3 / n for n in range(1, 51)],
    "val_loss": [2 / n for n in range(1, 51)],
    "val_metric": [2 / n for n in range(1, 51)],
}
LOSS = '[[claim]]\nsource = "S"\nmodel = "conv1d"\ndataset = "shapes"\nbudget = "paper"\ntolerance = 1e-9\n'


def test_losses_at_an_epoch_and_ratios_of_cells(tmp_path: Path) -> None:
    own = {
        "dataset": "shapes",
        "budget": {"name": "paper", "dtype": "float32", "samples": 500_000},
        "curve": CURVE,
        "best_samples": 400_000,
    }
    half = CURVE | {"val_loss": [value / 2 for value in CURVE["val_loss"]], "samples": [n // 2 for n in CURVE["samples"]]}
    less = {"curve": half, "budget": {"name": "paper", "dtype": "float32", "samples": 250_000}}
    runs = [run("conv1d", seed, 1.0, **own) for seed in (0, 1)] + [run("conv1d_attention", 1, 1.0, **own | less)]
    for text, value in [
        ('quantity = "val_loss"\nepoch = 40', 2 / 40),
        ('quantity = "train_loss"\nepoch = 40', 1 / 40),
        ('quantity = "train_loss"', 1 / 50),
        ('quantity = "last_loss"\nepoch = 40', 3 / 40),
        ('quantity = "last_loss"', 3 / 50),
        ('quantity = "val_loss"', 2 / 50),
        ('quantity = "val_value"', 2 / 40),
        ('quantity = "val_loss"\nepoch = 40\nover = { model = "conv1d_attention", epoch = 20 }', 2),
    ]:
        found = verdict(tmp_path, f"{LOSS}published = {value}\n{text}\n", *runs)
        assert found.verdict == HOLDS, text
        assert found.found.value is not None and found.found.value.n == (1 if "over" in text else 2)
    found = verdict(tmp_path, f'{LOSS.replace("conv1d", "conv1d_attention")}published = 1\nquantity = "val_loss"\nepoch = 40\n', *runs)
    assert (found.verdict, found.why.split(";")[0]) == (UNMEASURED, "the runs end after 25 epochs")


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
    found = verdict(tmp_path, text + 'not_measured = "and no latency"\n', trained("vit", 0, 0.9, "paper"))
    assert (found.verdict, found.why) == (UNMEASURED, "no CUDA device; and no latency")
    timed = {"model": "vit", "dataset": "mnist", "batch": 1, "dtype": "float32", "source": "vit", "machine": {"slug": "box"}}
    Store(tmp_path / "store").put_latency(timed | {"device": "cuda", "samples_ms": pack(torch.full((9,), 2.0).numpy())})
    found = verdict(tmp_path, text + 'not_measured = "no latency"\n')
    assert found.near.value is not None
    assert (found.verdict, found.near.value.mean, found.why) == (UNMEASURED, 2.0, "no latency; nearest: `box`")
    assert verdict(tmp_path, text + "tolerance = 0.1\n").verdict == FAILS
