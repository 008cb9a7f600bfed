"""python -m bench compare: numbers against scipy's, words against the suite's rules, and what cannot be compared."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.__main__ import main
from bench.store.encoding import pack
from bench.store.records import Store
from tests.conftest import ROOT, environment
from tests.test_report import run
from tests.test_verdicts import DEFAULT, put

SAMPLES, SEEDS = 350, 6


def right(model: str, seed: int) -> np.ndarray:
    """Which test samples a model answers rightly: vit nine of ten, cnn eight."""
    share = {"vit": 0.9, "cnn": 0.8}[model]
    return np.random.default_rng([seed, len(model), ord(model[0])]).random(SAMPLES) < share


def error(model: str, seed: int) -> float:
    """An mse on gaussian, vit's half of cnn's but for noise."""
    return {"vit": 0.1, "cnn": 0.2}[model] * (1 + 0.03 * seed + 0.001 * float(np.random.default_rng([seed, ord(model[0])]).random()))


def answers(model: str, seed: int, **fields: Any) -> dict[str, Any]:
    """A run on digits, one test set for all seeds."""
    true = np.random.default_rng(5).integers(0, 10, SAMPLES).astype("u1")
    hit = right(model, seed)
    kept = {"kind": "classes", "loss": pack(np.zeros(SAMPLES, "<f2")), "target": pack(true)}
    kept["prediction"] = pack(np.where(hit, true, 11).astype("u1"))
    test = {key: {"accuracy": float(hit.mean())} for key in ("best", "last")}
    metric = {"name": "accuracy", "better": "higher", "percent": True}
    return run(model, seed, 1, **{"dataset": "digits", "budget": DEFAULT, "metric": metric, "test": test, "examples": kept} | fields)


def losses(model: str, seed: int, value: float, **fields: Any) -> dict[str, Any]:
    """A run on gaussian whose losses are lower where `value` is."""
    kept = {"kind": "value", "loss": pack((value * np.array([0.5, 1, 1.5, 1])).astype("<f2")), "target": pack(np.zeros(4, "<f2"))}
    kept["prediction"] = pack(np.zeros(4, "<f2"))
    return run(model, seed, value, **{"budget": DEFAULT, "examples": kept} | fields)


def timing(model: str, ms: float, machine: str = "box", **fields: Any) -> dict[str, Any]:
    head = {"model": model, "dataset": "digits", "device": "cpu", "batch": 1, "dtype": "float32", "source": model, "threads": 1}
    return head | {"samples_ms": pack(np.full(600, ms, "<f4")), "validity": [], "machine": {"slug": machine}} | fields


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """vit and cnn on digits (6 seeds), on gaussian (5 seeds, vit's error half), and each on a set of its own; timed on one machine."""
    store = Store(tmp_path / "results")
    for model in ("vit", "cnn"):
        for seed in range(SEEDS):
            store.put_run(answers(model, seed, costs={"params": 100 if model == "cnn" else 250, "params_active": 90, "flops": None}))
        for seed in range(5):
            store.put_run(losses(model, seed, error(model, seed)))
    put(store, "shapes", {"vit": 0.1})
    put(store, "plane", {"cnn": 0.1})
    store.put_latency(timing("vit", 3.0))
    store.put_latency(timing("cnn", 2.0))
    store.put_latency(timing("cnn", 50.0, "other-box"))
    return store.folder


def asked(capsys: pytest.CaptureFixture[str], folder: Path, *options: str) -> str:
    assert main(["compare", *options, "--results", str(folder)]) == 0
    return capsys.readouterr().out


def facts(capsys: pytest.CaptureFixture[str], folder: Path, *options: str) -> dict[str, Any]:
    found = json.loads(asked(capsys, folder, *options, "--json"))
    return found | {"datasets": {one["dataset"]: one for one in found["datasets"]}}


def test_figures_are_the_textbooks(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = facts(capsys, results, "vit", "cnn")
    assert list(found["datasets"]) == ["digits", "gaussian"] and found["not_compared"] == {}
    digits = found["datasets"]["digits"]
    own, other = (np.array([right(model, seed) for seed in range(SEEDS)]) for model in ("vit", "cnn"))
    table = own.astype(float) - other
    t = [stats.t.ppf(0.975, n - 1) for n in table.shape]
    half = np.hypot(t[0] * stats.sem(table.mean(1)), t[1] * stats.sem(table.mean(0)))
    assert [digits[name] for name in ("better_by", "low", "high")] == pytest.approx(
        [table.mean(), table.mean() - half, table.mean() + half]
    )
    assert (digits["verdict"], digits["seeds"], digits["compared_on"]) == ("beats", SEEDS, "answers")
    assert digits["compared_samples"] == SEEDS * SAMPLES
    assert (digits["a_better"], digits["b_better"]) == ((own & ~other).sum(), (other & ~own).sum())
    ps = []
    for one, a, b in zip(digits["by_seed"], own, other, strict=True):
        assert one["a_better"] == np.flatnonzero(a & ~b).tolist() and one["b_better"] == np.flatnonzero(b & ~a).tolist()
        n, k = int((a != b).sum()), int((a & ~b).sum())
        ps.append(min(1, 2 * stats.binom.cdf(min(k, n - k), n, 0.5)))  # McNemar's exact test as it is defined
        assert one["p"] == pytest.approx(ps[-1])
    assert digits["p"] == pytest.approx(np.median(ps))
    assert (digits["params_ratio"], digits["params_active_ratio"], digits["flops_ratio"]) == (2.5, 1, None)
    assert (digits["latency_cpu_b1_ratio"], digits["machine"]) == (1.5, "box")
    gaussian = found["datasets"]["gaussian"]
    logs = [np.log(error("cnn", seed) / error("vit", seed)) for seed in range(5)]
    assert gaussian["better_by"] == pytest.approx(np.mean(logs)) and gaussian["compared_by"] == "log mse"
    assert (gaussian["compared_on"], gaussian["a_better"], gaussian["b_better"]) == ("losses", 20, 0)
    assert gaussian["by_seed"][0]["p"] == pytest.approx(2 / 2**4) and gaussian["latency_cpu_b1_ratio"] is None


def test_the_other_way_round_is_the_same_turned(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = (facts(capsys, results, *sides)["datasets"]["digits"] for sides in (("vit", "cnn"), ("cnn", "vit")))
    assert (one["better_by"], one["low"], one["a_better"], one["p"]) == pytest.approx(
        (-two["better_by"], -two["high"], two["b_better"], two["p"])
    )
    assert (two["verdict"], two["latency_cpu_b1_ratio"]) == ("loses", pytest.approx(2 / 3))


def test_every_form_says_the_same(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = asked(capsys, results, "vit", "cnn")
    assert "descriptive, outside the committed family of 36 comparisons" in said and "no interval" in said
    (digits,) = (line for line in said.splitlines() if line.startswith("| digits"))
    assert "| 1 point " in digits and "beats" in digits and " 1.5 " in digits
    assert "| a factor 1.1 " in said
    rows = list(csv.DictReader(io.StringIO(asked(capsys, results, "vit", "cnn", "--csv"))))
    whole = facts(capsys, results, "vit", "cnn")["datasets"]
    assert {row["dataset"]: float(row["better_by"]) for row in rows} == pytest.approx(
        {name: one["better_by"] for name, one in whole.items()}
    )
    latex = asked(capsys, results, "vit", "cnn", "--latex", "--datasets", "gauss*")
    assert latex.startswith(r"\begin{tabular}") and r"\toprule" in latex and "beats" in latex and "digits" not in latex
    assert not {*"×±−"} & {*latex} and r"$\times$ the mean squared error" in latex


def test_budgets_and_folders_are_compared_too(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, other = Store(results), Store(tmp_path / "other")
    for seed in range(5):
        store.put_run(losses("vit", seed, 0.3 + 0.001 * seed, budget=DEFAULT | {"name": "smoke"}, recipe="r0"))
        store.put_run(losses("vit", seed, 0.05 + 0.001 * seed, budget=DEFAULT | {"name": "long", "samples": 200}, recipe="r2"))
        other.put_run(losses("vit", seed, error("vit", seed)))
    budgets = facts(capsys, results, "vit:long", "vit:default")["datasets"]["gaussian"]
    assert (budgets["budget_a"], budgets["budget_b"], budgets["verdict"]) == ("long", "default", "beats")
    smoke = facts(capsys, results, "vit:smoke", "vit:default")["datasets"]["gaussian"]
    assert (smoke["verdict"], smoke["why"]) == ("", "smoke runs decide nothing")
    folders = facts(capsys, results, "vit:default", f"{other.folder}::vit")["datasets"]["gaussian"]
    assert (folders["verdict"], folders["why"], folders["better_by"]) == ("", "the seeds do not differ", 0)
    assert "budgets: default\n" in asked(capsys, results, "vit", "cnn")  # both have it; the long one only one of them


def test_words_follow_the_rules(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(results)
    for i, model in enumerate(("near", "far", "few", "wide", "old", "gpu")):
        for seed in range(3 if model == "few" else 5):
            noise = (2.0 if model == "wide" else 0.01) * float(np.random.default_rng([i, seed]).standard_normal())
            more = {"old": {"conditions": "c0"}, "gpu": {"device": "cuda"}}.get(model, {})
            store.put_run(losses(model, seed, (0.3 if model == "far" else 0.1) * (1 + 0.03 * seed) * float(np.exp(noise)), **more))
    told = {model: facts(capsys, results, "vit", model)["datasets"]["gaussian"] for model in ("near", "far", "few", "wide", "old", "gpu")}
    assert {model: one["verdict"] for model, one in told.items()} == {
        "near": "equal",
        "far": "beats",
        "wide": "cannot tell",
        **dict.fromkeys(("few", "old", "gpu"), ""),
    }
    assert told["few"]["why"] == "no verdict from 3 seeds"
    assert told["old"]["why"] == "one was trained under an older recipe; run it again"
    assert told["gpu"]["why"].startswith("trained in different arithmetics: cpu torch 2, float32 and cuda torch 2")
    assert ", ± " in asked(capsys, results, "vit", "wide")


def test_latencies_of_two_machines_are_not_divided(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = Store(tmp_path / "other")
    for seed in range(5):
        other.put_run(answers("cnn", seed))
    other.put_latency(timing("cnn", 50.0, "other-box"))
    assert facts(capsys, results, "vit", f"{other.folder}::cnn")["datasets"]["digits"]["latency_cpu_b1_ratio"] is None
    other.put_latency(timing("cnn", 4.0))
    found = facts(capsys, results, "vit", f"{other.folder}::cnn")["datasets"]["digits"]
    assert (found["latency_cpu_b1_ratio"], found["machine"]) == (0.75, "box")
    Store(results).put_latency(timing("vit", 3.0, validity=["other load on the machine"]))
    assert " 1.5† " in (said := asked(capsys, results, "vit", "cnn")) and "† digits: vit: other load on the machine" in said


def refused(capsys: pytest.CaptureFixture[str], folder: Path, *options: str) -> str:
    assert main(["compare", *options, "--results", str(folder)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("attention-bench: ") and said.err.count("\n") == 1
    return said.err


def test_what_cannot_be_compared_is_exit_code_2_and_says_the_way_out(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, mae = Store(results), {"name": "mae", "better": "lower", "percent": False}
    for seed in range(5):
        store.put_run(losses("later", seed + 5, 0.1))
        store.put_run(losses("newer", seed, 0.1, version=9))
        store.put_run(losses("vit", seed, 0.1, version=8, files={"a.csv": "1", "only": "here"}))
        store.put_run(losses("edited", seed, 0.1, version=8, files={"a.csv": "2"}))
        store.put_run(losses("ranked", seed, 0.1, metric=mae, test={which: {"mae": 0.1} for which in ("best", "last")}))
        store.put_run(losses("away", seed, 0.1, dataset="plane"))
        store.put_run(losses("hasty", seed, 0.1, budget=DEFAULT | {"name": "smoke"}))
    store.put_run(losses("broken", 0, 0.1, status="diverged", reason="the loss stopped being finite"))
    for options, words in (
        (("vit", "cmn"), "no model 'cmn' in"),
        (("vit", "cmn"), "did you mean 'cnn'"),
        (("vit:papr", "cnn"), "no run of vit under the budget 'papr' in"),
        (("vit", "vit"), "A and B are the same, vit; name another model, budget (MODEL:BUDGET) or folder (DIR::MODEL)"),
        (("vit:", "cnn"), "'vit:' names no budget; write MODEL, MODEL:BUDGET or DIR::MODEL[:BUDGET]"),
        (("nowhere::vit", "cnn"), "no results in nowhere; make some"),
        (("vit", "cnn", "--datasets", "digtis"), "unknown data set 'digtis'; did you mean 'digits'"),
        (("vit", "cnn", "--machine", "moon"), "no timing of both models by the machine 'moon'"),
        (
            ("vit", "away"),
            "no data set in common, vit on digits, gaussian, shapes and away on plane; train what is missing: python -m bench run",
        ),
        (("vit", "later"), "gaussian: no seed in common: 0, 1, 2, 3, 4 of vit and 5, 6, 7, 8, 9 of later; differences are paired by seed"),
        (("vit", "newer"), "gaussian: trained on different data: another version; run both again"),
        (("vit", "edited"), "gaussian: trained on different data: another content of a.csv; run both again"),
        (("vit", "ranked"), "gaussian: ranked by different metrics, mse and mae"),
        (("vit", "hasty"), "gaussian: no budget in common: default of vit, smoke of hasty; two budgets are compared as MODEL:BUDGET"),
        (("vit", "broken"), "gaussian: broken under the budget default: diverged, 1 of 1 seeds: the loss stopped being finite"),
    ):
        assert words in refused(capsys, results, *options), options


def test_what_is_left_out_is_told_beside_what_is_compared(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "vit", "cnn", "--datasets", "digits,plane", "--results", str(results)]) == 0
    said = capsys.readouterr()
    assert "| digits" in said.out and said.err == "not compared, plane: no budget in common: none of vit, default of cnn\n"


def test_as_its_users_call_it(results: Path) -> None:
    command = [sys.executable, "-m", "bench", "compare", "vit", "cnn", "--results", str(results), "--csv"]
    done = subprocess.run(command, cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("dataset,budget_a,budget_b,metric,split,seeds,a,b,")


@pytest.mark.slow  # reads all reference results, twice; quick sibling: the test above
def test_what_the_docs_print_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    lines = [
        line.split("#")[0].split()
        for line in (ROOT / "docs" / "commands.md").read_text().splitlines()
        if line.startswith("    python -m bench compare")
    ]
    own = [line[3:] for line in lines if "results/reference" in line]
    assert len(own) == 2
    for line in own:
        assert main(line) == 0, line
    said = capsys.readouterr().out
    assert "A = backbone_attention, B = backbone_conv" in said and r"\begin{tabular}" in said
