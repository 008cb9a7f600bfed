"""The claims ledger: every figure of the sources is there, what we can count comes out as expected, and the page says so."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import datasets
import models
from bench.__main__ import main
from bench.claims import counting, ledger
from bench.claims.claim import EXPLAINED, FAILS, HOLDS, UNMEASURED
from bench.claims.counting import dead
from bench.claims.evidence import Evidence
from bench.claims.formula import total
from bench.claims.judgement import Judged, judge
from bench.measure import counts
from bench.report import reference
from bench.store.records import Store
from tests.conftest import ROOT, environment
from tests.test_architecture import reaches
from tests.test_report import run

HEAD = '[sources.S]\ntitle = "A source"\n\n'
COUNT = '[[claim]]\nsource = "S"\nquantity = "parameters"\nmodel = "mlp"\ndataset = "gaussian"\npublished = 105\nexpect = "holds"\n'
ACCURACY = {"name": "accuracy", "better": "higher", "percent": True}


@pytest.fixture(scope="module")
def whole() -> ledger.Ledger:
    return ledger.read()


@pytest.fixture(scope="module")
def counted(whole: ledger.Ledger) -> list[Judged]:
    """The computed claims of the real ledger, judged without any store."""
    evidence = Evidence([])
    return [judge(claim, evidence) for claim in whole.claims if claim.computed]


def trained(model: str, seed: int, value: float, budget: str, **fields: Any) -> dict[str, Any]:
    """A run of a classifier on mnist; budgets named published… chose on test, 2 points above what val would have chosen."""
    scored = {"loss": 0.5, "accuracy": value}
    test: dict[str, Any] = {"best": scored, "last": scored}
    if budget.startswith("published"):
        test = {"best": {"accuracy": value}, "last": scored, "on_val": {"loss": 0.5, "accuracy": value - 0.02}}
    own = {"recipe": budget, "dataset": "mnist", "metric": ACCURACY, "test": test}
    return run(model, seed, value, **own | {"budget": {"name": budget, "dtype": "float32", "samples": 20, "seeds": 3}} | fields)


def stored(folder: Path, *records: dict[str, Any]) -> Store:
    store = Store(folder)
    for record in records:
        store.put_run(record)
    return store


def written(folder: Path, text: str) -> Path:
    path = folder / "ledger" / "claims.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def verdict(folder: Path, text: str, *records: dict[str, Any]) -> Judged:
    """The one claim of a ledger held against a store of these runs."""
    folder.mkdir(exist_ok=True)
    (claim,) = ledger.read(written(folder, HEAD + text)).claims
    return judge(claim, Evidence([stored(folder / "store", *records)]))


def seeds(model: str, values: Sequence[float], budget: str, **fields: Any) -> list[dict[str, Any]]:
    return [trained(model, seed, value, budget, **fields) for seed, value in enumerate(values)]


def accuracy(published: float, tolerance: float = 0.5, budget: str = "published", more: str = "") -> str:
    head = '[[claim]]\nsource = "S"\ntaken = "best"\nquantity = "value"\nmodel = "vit"\ndataset = "mnist"\nunit = "%"\n'
    return f'{head}budget = "{budget}"\npublished = {published}\ntolerance = {tolerance}\n{more}'


EPOCH = 'explained.budget = "published_1"\nexplained.because = "One epoch."\n'


def test_every_computed_claim_comes_out_as_expected(counted: list[Judged]) -> None:
    assert {(j.claim.line, j.verdict, j.why) for j in counted if j.surprising} == set()
    assert sum(j.claim.quantity != "arithmetic" for j in counted) >= 40
    assert {j.verdict for j in counted} == {HOLDS, EXPLAINED, FAILS}


@pytest.mark.parametrize(
    ("quantity", "figures"),
    [
        ("parameters", [105, 33, 42, 17, 65, 129, 257, 22, 82, 162, 322]),
        ("parameters", [40_880, 490_764, 491_277, 11_106_072, 11_108_376, 14_851, 100_291, 100_483]),
        ("parameters", [1_199_882, 1_626_442, 1_638_052, 1_614_866, 1_812_106, 1_823_716]),
        ("parameters", [1_615_010, 1_812_250, 1_823_860, 1_591_652, 1_727_012]),
        ("parameters", [1_213_970, 1_288_330, 1_299_940, 1_580_042, 1_715_402, 63_293_548, 62_337, 54_081]),
        ("parameters", [87_599_250, 88_776_970, 88_846_180, 45_085_842, 270_000, 284_000]),
        ("dead_parameters", [400_896, 523_776, 73_216, 99_840, 12_828_672]),
        ("dead_share", ["24.8", "28.9", "28.7"]),
        ("arithmetic", [490_764, 24_704, 1_026, 11_108_376, 102_467, "96.0", 3_137, 4_097, 577, 785, "0.000036", 87_601_266, 45_631_908]),
        ("value", ["97.05", "57.78", "22.05", "97.87", "51.0", "19.72", "97.6", "48.03", "17.89", "99.2", "69.52", "34.97"]),
        ("value", ["98.67", "98.70", "57.39", "22.38", "98.87", "45.87", "46.11", "89.17", "66.90", "94.78", "77.05"]),
        ("value_last", ["92.6", "82.0", "96.0", "91.25", "92.6", 99]),
        ("value_last", ["88.04", "95.25", "96.03", "82.67", "99.51"]),
        ("val_last", ["91.8", "82.7", "96.7"]),
        ("train_value", ["93.3", "82.9", "98.3"]),
        ("token_accuracy", ["95.0"]),
        ("test_loss_last", ["0.246", "0.511"]),
        ("val_loss", ["0.262", "0.508"]),
        ("train_loss", ["0.305", "0.221", "0.493"]),
        ("settled", [25]),
        ("latency_cuda_b1_p50_ms", ["1.33", "1.24", "9.46", "9.88", "9.90", "13.02", "13.30", "13.31", "10.40", "10.37", "13.04", "19.65"]),
        ("error", ["2.1", "5.2", "3.1", "3.2", "1.2", "0.8", "1.5", "1.4", "0.7", "0.5", "1.12", "1.07", "2.63", "1.62", "1.20", "1.21"]),
        ("last_loss", ["0.00670", "0.00664", "0.00394", "0.00573", "0.00721", "0.00839", "0.00257", "0.00199", "0.00116", "6.2"]),
        ("last_loss", ["0.00305", "0.00361", "0.00264", "0.00292", "0.000345", "0.000128", "0.000102", "0.000089", "0.00455"]),
        ("last_loss", ["0.00263", "0.00272", "0.00224", "0.00266", "0.00265", "0.000166", "0.000531"]),
    ],
)
def test_the_figures_of_the_sources_are_there(whole: ledger.Ledger, quantity: str, figures: list[int | str]) -> None:
    there = {format(claim.published, "f") if isinstance(figure, str) else claim.published for figure in figures for claim in whole.claims
             if claim.quantity == quantity}  # fmt: skip
    assert set(figures) <= there


def test_iris_is_explained_by_its_count_and_both_readings_are_ours(counted: list[Judged]) -> None:
    found = {(j.claim.ours, j.claim.published, j.verdict) for j in counted if j.claim.dataset == "iris"}
    assert found == {(False, 14_851, EXPLAINED), (True, 100_291, HOLDS), (True, 100_483, HOLDS)}


def test_what_no_source_printed_is_ours(whole: ledger.Ledger) -> None:
    ours = {claim.published for claim in whole.claims if claim.ours and claim.quantity != "arithmetic"}
    assert ours >= {114, 491_277, 11_108_376, 400_896, 12_828_672, 1_213_970, 1_580_042, 1_715_402, 63_293_548, 100_483, 62_337, 54_081}
    assert not ours & {105, 33, 322, 40_880, 490_764, 11_106_072, 14_851, 1_614_866, 1_591_652}
    assert all(claim.ours for claim in whole.claims if claim.quantity in ("dead_parameters", "dead_share"))
    theirs = [(c.source, c.dataset, c.model, str(c.size)) for c in whole.claims if c.quantity == "parameters" and not c.ours]
    assert len(theirs) == len(set(theirs))


def test_trained_figures_are_judged_on_the_data_of_their_source_or_not_at_all(whole: ledger.Ledger) -> None:
    judged = {claim.dataset for claim in whole.claims if claim.kind == "trained" and not claim.not_measured}
    assert "shapes_published" in judged
    assert {name for name in judged if not name.endswith("_published")} == {"iris"}


def test_losses_of_later_commits_are_not_judged_on_our_shapes(whole: ledger.Ledger) -> None:
    losses = [claim for claim in whole.claims if claim.source == "S5" and claim.kind == "trained"]
    assert {claim.dataset for claim in losses if not claim.not_measured} == {"shapes_published"}
    assert {claim.dataset for claim in losses if claim.not_measured} == {"shapes", "shapes_pairs"}
    assert len({(c.model, c.epoch) for c in losses if c.dataset == "shapes_published" and not (c.over or c.order)}) == 9


class Partly(nn.Module):
    """One layer that learns, one that nobody calls, a table of which 3 rows of 10 are read, a bias that is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused, self.table = nn.Linear(2, 1), nn.Linear(5, 5), nn.Parameter(torch.randn(10))
        self.used.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x) + self.table[:3].sum()


def test_dead_elements_are_counted_inside_tensors() -> None:
    assert dead(Partly(), datasets.task("gaussian")) == 30 + 7 + 1


@pytest.mark.parametrize("model", ["vit_published", "hybrid_published", "deepvit_published"])
def test_the_quick_count_of_dead_parameters_is_the_careful_one(model: str) -> None:
    task = datasets.task("mnist")
    torch.manual_seed(0)
    net = models.build(model, task, depth=1)
    slowly = sum(p.numel() for p in net.parameters()) - counts.active(net, task)
    assert dead(net, task) == slowly > 0


def test_a_unit_that_its_first_weights_shut_is_not_dead() -> None:
    net = nn.Sequential(nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 1))
    with torch.no_grad():
        net[0].weight.fill_(0.1)
        net[0].bias.fill_(-9)
    assert dead(net, datasets.task("gaussian")) == 0


@pytest.mark.parametrize(("formula", "value"), [("(30 - 2) / 30", 28 / 30), ("24_704 + 384", 25_088), ("(28**2 / 14) ** 2 + 1", 3_137)])
def test_arithmetic(formula: str, value: float) -> None:
    assert total(formula) == pytest.approx(value, abs=0)


@pytest.mark.parametrize(
    "formula",
    ["__import__('os')", "x + 1", "1 / 0", "1 +", "True + 1", "'a' * 3", "9.0 ** 9999", "10**400", "9**9**9", "(0 - 8) ** 0.5", "1e999"],
)
def test_only_numbers_are_arithmetic(formula: str) -> None:
    with pytest.raises(ValueError):
        total(formula)


def test_results_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "--results", str(tmp_path / "none")]) == 2
    assert "no results in" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_verdict_nobody_expected_is_printed_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = HEAD + COUNT.replace("105", "106") + "\n" + COUNT
    assert main(["claims", "--claims", str(written(tmp_path, text)), "--results", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert "2 published figures. Counts and sums (2): 1 holds, 1 does not hold" in out
    assert "ledger/claims.toml:4: does not hold, expected: holds: parameters, `mlp` on `gaussian`: 105 1 fewer than published" in err
    assert (tmp_path / "claims.md").exists()


def test_what_a_build_changes_the_next_count_does_not_meet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    build, before = models.build, torch.get_default_dtype()

    def rude(*args: Any, **size: Any) -> nn.Module:
        torch.set_default_dtype(torch.float64)
        return build(*args, **size)

    monkeypatch.setattr(models, "build", rude)
    (tmp_path / "claims.toml").write_text(HEAD + COUNT)
    (claim,) = ledger.read(tmp_path / "claims.toml").claims
    assert counting.counted(claim) == 105
    assert torch.get_default_dtype() == before


def test_lists_run_alongside_the_figures(tmp_path: Path) -> None:
    text = COUNT.replace('dataset = "gaussian"', 'dataset = ["gaussian", "circle"]').replace("105", "[17, 82]").replace('"mlp"', '"heads"')
    found = ledger.read(written(tmp_path, HEAD + text + "size = [{ width = 4 }, { width = 16 }]\n")).claims
    assert [(c.dataset, dict(c.size), c.published) for c in found] == [("gaussian", {"width": 4}, 17), ("circle", {"width": 16}, 82)]
    assert [judge(claim, Evidence([])).verdict for claim in found] == [HOLDS, HOLDS]
    (claim,) = ledger.read(written(tmp_path, HEAD + accuracy(50).replace("tolerance = 0.5", "relative = 0.45"))).claims
    assert float(claim.tolerance) == pytest.approx(22.5)


PAGE = (
    HEAD.strip()
    + '\nat = "example.org/x"\nshowed = "Shown [so](b) <b>."\n[sources.T]\ntitle = "Another"\nbeside = "S"\n'
    + '\n[[picture]]\nsource = "S"\nshows = "Its curve"\nits = ["a b.png"]\nours = ["figures/*.png"]\nmade = "so"\n'
    + '\n[[picture]]\nsource = "S"\nshows = "Its plane"\nits = []\nours = ["figures/*.gif"]\nmade = "make it | so"\n\n'
    + COUNT.replace('source = "S"', 'source = "T"')
    + "\n"
    + COUNT
    + 'remark = "A remark."\n\n'
    + accuracy(97.87, more=EPOCH + 'protocol = "Fifteen epochs."\n')
    + "\n"
    + accuracy(50).replace('"vit"', '"cnn"')
    + "\n"
    + COUNT.replace("published = 105", "published = 17\nours = true").replace('"mlp"', '"heads"\nsize = { width = 4 }')
    + '\n[[note]]\nsource = "S"\ntext = "In words only."\n'
)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    runs = seeds("vit", (0.985, 0.986, 0.987), "published")
    once = {name: [20.0] for name in ("samples", "seconds", "train_loss", "val_loss", "val_metric")}
    runs += seeds("vit", (0.976, 0.977, 0.978), "published_1", curve=once)
    runs += [trained("vit", seed, 0.98, "paper") for seed in range(3)]
    stored(tmp_path / "results", *runs)
    (tmp_path / "results" / "figures").mkdir()
    (tmp_path / "results" / "figures" / "my curve.png").write_bytes(b"")
    return tmp_path / "results"


def test_the_page_says_what_was_found(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "--claims", str(written(results, PAGE)), "--results", str(results)]) == 0
    out, page = capsys.readouterr().out, (results / "claims.md").read_text(encoding="utf-8")
    for expected in (
        "published, 4 in all,",
        "Counts and sums (2): 2 hold; Trained figures (2): 1 is explained, 1 not measured yet (1 for want of runs, 0 that nothing here can",
        "Besides, counts that no source printed, found by rebuilding and made anew each time: 1.",
        "A page per source, with pictures: [S](sources/s.md).",
        "[Pictures, and what rebuilding it showed](sources/s.md).",
        "- 2 of 2 published parameter counts are right to the last unit.",
        "- [S · A source](#s--a-source): ",
        "Choosing the best epoch by the test set was worth 2.00 points on average in the one cell that did so.",
        "Of 1 figure measured under both readings of their protocol, whether judged or not, 1 is nearer under `published_1`.",
        "| parameters, `mlp` on `gaussian` ",
        "**explained**",
        "97.70 ± 0.25 %",
        "1. A remark.",
        "Protocol of the source: Fifteen epochs.",
        "In words only.",
        "98.00 ± 0 %",
    ):
        assert expected in page, expected
    assert "explained" in out
    assert "vit on mnist" in out
    own = (results / "sources" / "s.md").read_text(encoding="utf-8")
    for expected in (
        "# S · A source\n",
        "Shown [so\\](b) &lt;b>.",
        "| Its curve: [a b.png](https://example.org/x/blob/HEAD/a%20b.png) | ![figures, my curve](../figures/my%20curve.png) |",
        "| Its plane | not drawn yet: `make it \\| so` |",
        "| parameters, `mlp` on `gaussian` | 105 | 105 | **holds** |",
        "## What rebuilding it showed, and it did not print\n",
        "### Quoted beside it: Another\n",
        "--models cnn --datasets mnist --budget published --seeds 3\n",
        "(../claims.md#how-to-read-this)",
    ):
        assert expected in re.sub(r" +", " ", own), expected


def test_the_pages_rebuild_byte_for_byte(results: Path) -> None:
    path = str(written(results, PAGE))
    assert main(["claims", "--claims", path, "--results", str(results)]) == 0
    first = {name: (results / name).read_bytes() for name in ("claims.md", "claims.csv", "sources/s.md")}
    for name in first:
        (results / name).unlink()
    assert main(["claims", "--claims", path, "--results", str(results), "--json"]) == 0
    assert first == {name: (results / name).read_bytes() for name in first}
    assert str(results).encode() not in b"".join(first.values())


def test_csv_and_json_say_the_same(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "--claims", str(written(results, PAGE)), "--results", str(results), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    with open(results / "claims.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["verdict"] for row in rows] == [fact["verdict"] for fact in facts] == [HOLDS, HOLDS, EXPLAINED, UNMEASURED, HOLDS]
    assert [(row["kind"], row["ours"]) for row in rows[1:]] == [("count", "False"), *[("trained", "False")] * 2, ("count", "True")]
    assert float(rows[2]["measured"]) == pytest.approx(facts[2]["measured"]) == pytest.approx(98.6)
    assert (rows[2]["seeds"], rows[2]["machine"], rows[0]["seeds"], rows[3]["measured"]) == ("3", "box", "", "")
    assert rows[3]["command"] == "pytest bench --benchmark-only --models cnn --datasets mnist --budget published --seeds 3"


def test_the_committed_stores_are_read_and_local_is_not(tmp_path: Path) -> None:
    for name in ("box", "another", "local"):
        (tmp_path / name / "runs").mkdir(parents=True)
    assert [store.folder.name for store in reference.stores(tmp_path)] == ["another", "box"]


def test_the_results_link_the_pages_of_the_sources(tmp_path: Path) -> None:
    assert reference.more(tmp_path / "reference") == []
    Store(tmp_path / "reference").write(tmp_path / "reference" / "sources" / "s1.md", b"")
    (said,) = reference.more(tmp_path / "reference")
    assert said.endswith(": [S1](reference/sources/s1.md).")


def test_claims_never_train() -> None:
    assert "tables.rows" in reaches("claims.page")
    assert not {name for name in reaches("claims.page") if name == "train.loop" or name.startswith("run.")}


@pytest.mark.slow
def test_a_clean_clone_is_judged_without_a_store(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "claims", "--results", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "parameters, vit_published on mnist" in done.stdout
    assert "63,293,548" in (tmp_path / "sources" / "s4.md").read_text(encoding="utf-8")
