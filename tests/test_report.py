"""Statistics by hand, and tables and plots that say what is in the store and rebuild byte for byte."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats

from bench.core.stats import Interval, interval, quantiles, ranks, share
from bench.report import costs, labels, report
from bench.store.encoding import pack
from bench.store.records import Store
from bench.tables import formatting, headline
from bench.tables.rows import rows
from bench.tables.scales import SHARE
from datasets.task import ACCURACY
from tests.conftest import ROOT, environment


def test_interval_is_students() -> None:
    found = interval([1.0, 2.0, 4.0])
    low, high = scipy_stats.t.interval(0.95, 2, 7 / 3, scipy_stats.sem([1, 2, 4]))
    assert (found.mean, found.low, found.high) == pytest.approx((7 / 3, low, high))
    assert interval([3.0]).low != interval([3.0]).low  # nan: one seed has no interval


def test_the_interval_of_a_share_is_exact() -> None:
    for successes, n in ((0, 7), (3, 7), (7, 7), (4, 9)):
        assert share(successes, n) == pytest.approx(tuple(scipy_stats.binomtest(successes, n).proportion_ci(0.95, "exact")))


def test_no_value_passes_what_is_possible() -> None:
    found = SHARE.bounded(interval([0.99, 0.998, 0.999]))
    assert found.high == 1 and found.low == interval([0.99, 0.998, 0.999]).low
    assert formatting.quality(found, ACCURACY) == "99.57 [98.34, 100.00] %"
    assert formatting.quality(Interval(0.5, 0.4, 0.6, 3), ACCURACY) == "50.00 ± 10 %"
    assert formatting.quality(Interval(0.5, float("nan"), float("nan"), 1), ACCURACY) == "50.00 %"


def test_p99_needs_500_samples() -> None:
    assert "p99_ms" not in quantiles(np.arange(499.0))
    assert quantiles(np.arange(19.0)) == {"p50_ms": 9}
    assert quantiles(np.arange(501.0)) == {"p50_ms": 250, "p95_ms": 475, "p99_ms": 495}


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_ranks_of_a_quantile_are_binomial(share: float) -> None:
    for n in (1, 5, 20, 59, 500, 501, 1999):
        assert ranks(n, share) == tuple(scipy_stats.binom.ppf((0.025, 0.975), n, share)), n


def test_front_keeps_what_nothing_beats_in_both() -> None:
    points = [(1.0, 0.5), (2.0, 0.4), (3.0, 0.9), (3.0, 0.8), (9.0, 0.9)]
    assert costs.front(points, higher=True) == [(1.0, 0.5), (3.0, 0.9)]
    assert costs.front(points, higher=False) == [(1.0, 0.5), (2.0, 0.4)]


def test_labels_do_not_overlap_and_keep_their_order() -> None:
    heights = [0.5, 0.5, 0.51, 0.99, 1.0, 0.0, 0.02]
    placed = labels.spread(heights, 0.06)
    order = np.argsort(heights, kind="stable")
    assert min(np.diff(np.array(placed)[order])) >= 0.06 - 1e-9
    assert max(placed) <= 1


def value_of(model: int, seed: int) -> float:
    """Models 0.2 apart, seeds 0.01 apart, and a little noise that no two models share."""
    return 0.1 + 0.2 * model + 0.01 * seed + 0.001 * float(np.random.default_rng([model, seed]).random())


MODELS = ("backbone_attention", "backbone_conv", "backbone_mlp", "backbone_none", "linear")


def run(model: str, seed: int, value: float, **fields: Any) -> dict[str, Any]:
    curve = {
        "samples": [10, 20],
        "seconds": [0.1, 0.2],
        "train_loss": [1.0, 0.5],
        "val_loss": [1.0, value + 0.1],
        "val_metric": [1.0, value],
    }
    return {
        "recipe": "r1",
        "conditions": "c1",
        "source": model,
        "model": model,
        "dataset": "gaussian",
        "budget": {"name": "smoke", "dtype": "float32", "samples": 20, "seeds": 5},
        "device": "cpu",
        "metric": {"name": "mse", "better": "lower", "percent": False},
        "summary": "six bumps",
        "family": "attention" if "attention" in model else "other",
        "machine": {
            "slug": "box",
            "cpu": "Box",
            "cores": 2,
            "memory_gib": 4,
            "threads": 2,
            "torch": "2",
            "python": "3",
            "system": "L",
            "commit": "c",
        },
        "seed": seed,
        "status": "ok",
        "reason": "",
        "curve": curve,
        "best_samples": 20,
        "train_seconds": 0.2,
        "together": 1,
        "costs": {"params": 100, "params_active": 90, "flops": 1000, "peak_bytes": 5000},
        "test": {"best": {"loss": value, "mse": value}, "last": {"loss": 2 * value, "mse": 2 * value}},
        **fields,
    }


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Attention clearly ahead of the other backbones on five seeds; one more cell failed, one was skipped."""
    store = Store(tmp_path)
    for i, model in enumerate(MODELS):
        for seed in range(5):
            store.put_run(run(model, seed, value_of(i, seed)))
    store.put_cell(run("vit", 0, 0.0, status="skipped", reason="cuts an image | into patches <b>"))
    store.put_cell(run("mlp", 0, 0.0, status="out_of_memory", reason="too big"))
    for batch, source in ((1, "linear"), (64, "linear")):
        store.put_latency(
            {
                "model": "linear",
                "dataset": "gaussian",
                "device": "cpu",
                "batch": batch,
                "dtype": "float32",
                "samples_ms": pack(np.full(600, 2, "<f4")),
            }
            | {"source": source, "machine": {"slug": "box"}}
        )
    return store


def test_little_is_known_of_a_machine_or_a_family(store: Store) -> None:
    for path in store.folder.glob("runs/*/linear/*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"family": "quantum", "machine": {"slug": "box"}}))
    text = report.write(store).read_text()
    assert "`box`: " in text


def test_every_cell_has_a_row(store: Store) -> None:
    report.write(store)
    with open(store.folder / "comparison.csv", newline="") as file:
        table = {row["model"]: row for row in csv.DictReader(file)}
    assert set(table) == {*MODELS, "vit", "mlp"}
    linear = table["linear"]
    values = [value_of(4, seed) for seed in range(5)]
    low, high = scipy_stats.t.interval(0.95, 4, np.mean(values), scipy_stats.sem(values))
    assert [float(linear[c]) for c in ("value", "low", "high")] == pytest.approx([np.mean(values), low, high], rel=1e-5)
    assert float(linear["value_last"]) == pytest.approx(2 * np.mean(values), rel=1e-5)
    assert (linear["seeds"], linear["params"], linear["params_active"]) == ("5", "100", "90")
    assert (linear["latency_cpu_b1_p50_ms"], linear["throughput_cpu_b64_per_s"]) == ("2", "32000")
    assert not [name for name in linear if "cuda" in name]  # nothing was timed there
    assert (table["vit"]["status"], table["vit"]["value"]) == ("skipped", "")
    assert (table["mlp"]["status"], table["mlp"]["reason"]) == ("out_of_memory", "too big")


def test_a_row_says_whether_it_was_tuned_as_it_was_asked_for_last(store: Store) -> None:
    """Where tuning chose the plain recipe, the runs are those from before."""
    note = "tuned: the best of 8 trials on val"
    assert {row.tuned for row in rows(store)} == {"no"}
    store.put_run(run("backbone_conv", 0, 0.5, recipe="r2", tuned=True, own_recipe=note))
    store.put_cell(run("linear", 0, 0.0, tuned=True, own_recipe=note))
    found = {row.model: row for row in rows(store)}
    assert {name for name, row in found.items() if row.tuned == "yes"} == {"backbone_conv", "linear"}
    assert {name for name, row in found.items() if note in row.reason} == {"backbone_conv", "linear"}
    assert sorted(found["linear"].values) == list(range(5))
    store.put_cell(run("linear", 0, 0.0, tuned=False, own_recipe=""))
    linear = next(row for row in rows(store) if row.model == "linear")
    assert (linear.tuned, linear.reason, len(linear.values)) == ("no", "", 5)


def test_the_page_gives_the_answer_and_says_no_cuda(store: Store) -> None:
    page = report.write(store).read_text()
    assert page.splitlines()[2] == f"{headline.SMOKE}." and "No verdict yet" not in page
    line = next(line for line in page.splitlines() if line.startswith("| [gaussian]"))
    assert "smoke runs decide nothing" in line
    assert not any(word in page for word in ("**beats**", "**loses**", "*equal*:", "cannot tell:"))
    assert "Skipped: 1 model, [comparison.csv](comparison.csv) says why." in page and "into patches" not in page
    told = (store.folder / "comparison.md").read_text()
    assert "`. It has no CUDA device: what other machines timed stands in [latency.md](latency.md)." in told


def test_a_study_of_ones_own_is_titled_by_what_is_in_it(tmp_path: Path) -> None:
    """Our question stands over it only where attention was run beside another mixer on a set of the family."""
    store = Store(tmp_path)
    for model, score in (("linear", 0.5), ("mlp", 0.6)):
        store.put_run(run(model, 0, score) | {"budget": {"name": "default", "dtype": "float32", "samples": 640}})
    page = report.write(store, draw=False).read_text()
    assert page.splitlines()[0] == "# linear and mlp on gaussian"
    assert page.splitlines()[2] == headline.RANKED
    assert not any(words in page for words in ("No verdict", "family", "Bonferroni"))
    for model in ("backbone_attention", "backbone_conv"):
        store.put_run(run(model, 0, 0.5) | {"dataset": "digits", "budget": {"name": "default", "dtype": "float32", "samples": 640}})
    page = report.write(store, draw=False).read_text()
    assert page.splitlines()[0] == f"# {headline.QUESTION}" and "Bonferroni" in page


def test_counts_stay_whole_beside_missing_ones(store: Store) -> None:
    """pandas makes floats of a column with a gap; 1,199,882 parameters must not become 1.19988e+06."""
    costs = {"params": 1_199_882, "params_active": 1_199_881, "flops": 24_000_001, "peak_bytes": 72_640_456}
    store.put_run(run("linear", 0, 0.5, recipe="r2", costs=costs))
    report.write(store)
    with open(store.folder / "comparison.csv", newline="") as file:
        linear = next(row for row in csv.DictReader(file) if row["model"] == "linear")
    assert {name: linear[name] for name in costs} == {name: str(value) for name, value in costs.items()}


@pytest.mark.parametrize(
    ("value", "text"),
    [(999.7, "1,000"), (127.0, "127"), (0.01234, "0.0123"), (1_234_567, "1,234,567"), (None, ""), (99.96, "100"), (1.5, "1.5")],
)
def test_numbers_for_people(value: float | None, text: str) -> None:
    assert formatting.number(value) == text


def test_amounts_for_people() -> None:
    assert [formatting.amount(v) for v in (999, 999_999, 1_213_970, 2.5e9)] == ["999", "1 M", "1.21 M", "2.5 G"]
    assert formatting.number(126.9, 2) == "127"


def test_what_was_asked_for_last_is_shown_even_from_the_store(store: Store) -> None:
    store.put_run(run("linear", 0, 0.5, recipe="r2"))
    store.put_cell(run("linear", 0, 0.0, status="ok"))  # recipe r1, asked for again
    (linear,) = (row for row in rows(store) if row.model == "linear")
    assert len(linear.values) == 5


def test_a_passing_reason_does_not_hide_runs_and_a_lasting_one_does(store: Store) -> None:
    store.put_cell(run("linear", 0, 0.0, recipe="r0", status="skipped", reason="no CUDA device", passing=True))
    assert next(row for row in rows(store) if row.model == "linear").status == "ok"
    store.put_cell(run("linear", 0, 0.0, recipe="r0", status="skipped", reason="makes no sense", passing=False))
    assert next(row for row in rows(store) if row.model == "linear").status == "skipped"


def test_rows_of_another_recipe_are_not_ranked(store: Store) -> None:
    for seed in range(5):
        store.put_run(run("linear", seed, 0.001, recipe="old", conditions="before"))
        store.put_run(run("backbone_attention", seed, value_of(0, seed), recipe="new"))
    page = report.write(store).read_text()
    assert "linear: older, trained under another recipe" in page
    assert "| linear " not in page


def test_latency_of_another_source_is_left_out(store: Store) -> None:
    for seed in range(5):
        store.put_run(run("linear", seed, 0.5, source="edited", recipe="r2"))
    (linear,) = (row for row in rows(store) if row.model == "linear")
    assert linear.latency == {}


def test_the_newest_recipe_counts_and_nothing_is_mixed(store: Store) -> None:
    store.put_run(run("linear", 0, 0.5, recipe="r2"))
    (linear,) = (row for row in rows(store) if row.model == "linear")
    assert linear.values == {0: 0.5}


def test_one_diverged_seed_takes_the_number_away(store: Store) -> None:
    store.put_run(run("linear", 2, 0.5, status="diverged", reason="the loss stopped being finite"))
    (linear,) = (row for row in rows(store) if row.model == "linear")
    assert (linear.status, linear.values) == ("diverged", {})
    assert linear.reason == "1 of 5 seeds: the loss stopped being finite"


def files(folder: Path) -> dict[str, bytes]:
    made = [*folder.glob("*.md"), *folder.glob("*.csv"), *folder.glob("*.json"), *folder.glob("*/*.png")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in made}


def test_rebuilt_byte_for_byte_in_another_process(store: Store) -> None:
    report.write(store)
    before = files(store.folder)
    assert sorted(before) == [
        *(
            "README.md",
            "columns.md",
            "comparison.csv",
            "comparison.md",
            "curves/gaussian.png",
            "datapackage.json",
            "latency.csv",
            "latency.md",
            "pareto/gaussian.png",
            "records.schema.json",
            "runs.csv",
            "verdicts.csv",
        )
    ]
    for name in before:
        (store.folder / name).unlink()
    command = [sys.executable, "-m", "bench", "report", "--results", str(store.folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"report: {store.folder / 'README.md'}"
    assert files(store.folder) == before


def test_tables_only_leave_pictures_as_they_are(store: Store) -> None:
    report.write(store)
    before = files(store.folder)
    (store.folder / "curves" / "gaussian.png").write_bytes(b"untouched")
    (store.folder / "comparison.csv").unlink()
    report.write(store, draw=False)
    assert files(store.folder) == before | {"curves/gaussian.png": b"untouched"}
    (store.folder / "pareto" / "gaussian.png").unlink()
    assert "gaussian.png" not in report.write(store, draw=False).read_text()  # no page shows a picture that is not there


def test_report_of_nothing_is_exit_code_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "report", "--results", str(tmp_path / "none")]
    done = subprocess.run(command, cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no results in" in done.stderr


def test_facts_for_machines(store: Store) -> None:
    facts = json.loads(json.dumps(report.facts(store)))
    assert {row["status"] for row in facts} == {"ok", "skipped", "out_of_memory"}


def test_pictures_that_committed_pages_show_are_committed() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("no git checkout")
    tracked = set(listed.stdout.split("\0"))
    shown = {
        (path.parent / name).resolve().relative_to(ROOT).as_posix()
        for path in (
            ROOT / "README.md",
            *(page for folder in ("docs", "results", "results/reference") for page in (ROOT / folder).glob("*.md")),
        )
        for name in re.findall(r"\]\(([^)\s]+\.(?:png|webp))\)", path.read_text(encoding="utf-8"))
    }
    assert len(shown) > 40
    assert shown <= tracked, "git add -f what is missing"
