"""The claims ledger: what it may say, how it is judged, and that every figure we can count comes out as expected."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import datasets
import models
from bench import claims, cost, ledger
from bench.__main__ import main
from bench.claim import EXPLAINED, FAILS, HOLDS, UNMEASURED
from bench.evidence import Evidence, dead, total
from bench.judgement import Judged, judge
from bench.store import Store, pack
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
    (claim,) = ledger.read(written(folder, HEAD + text)).claims
    return judge(claim, Evidence([stored(folder / "store", *records)]))


def accuracy(published: float, tolerance: float = 0.5, budget: str = "published", more: str = "") -> str:
    head = '[[claim]]\nsource = "S"\nquantity = "value"\nmodel = "vit"\ndataset = "mnist"\nunit = "%"\n'
    return f'{head}budget = "{budget}"\npublished = {published}\ntolerance = {tolerance}\n{more}'


def test_every_computed_claim_comes_out_as_expected(counted: list[Judged]) -> None:
    assert {(j.claim.line, j.verdict, j.why) for j in counted if j.surprising} == set()
    assert sum(j.claim.quantity != "arithmetic" for j in counted) >= 40
    assert {j.verdict for j in counted} == {HOLDS, EXPLAINED, FAILS}


@pytest.mark.parametrize(
    ("quantity", "figures"),
    [
        ("parameters", [105, 114, 33, 42, 17, 65, 129, 257]),
        ("parameters", [40_880, 490_764, 491_277, 11_106_072, 11_108_376, 14_851]),
        ("parameters", [1_199_882, 1_626_442, 1_638_052, 1_614_866, 1_812_106, 1_823_716]),
        ("parameters", [1_615_010, 1_812_250, 1_823_860, 1_591_652, 1_727_012]),
        ("parameters", [1_213_970, 1_288_330, 1_299_940, 1_580_042, 1_715_402, 63_293_548, 62_337, 54_081]),
        ("dead_parameters", [400_896, 523_776, 73_216, 99_840, 12_828_672]),
        ("dead_share", ["24.8", "28.9", "28.7"]),
        ("arithmetic", [490_764, 11_108_376, "96.0", 3_137, 4_097, 577, 785, "0.000036"]),
        ("value", ["97.05", "57.78", "22.05", "97.87", "51.0", "19.72", "97.6", "48.03", "17.89", "99.2", "69.52", "34.97", 99]),
        ("value", ["92.6", "82.0", "96.0", "98.3"]),
        ("test_loss", ["0.246", "0.511", "0.305"]),
        ("latency_cuda_b1_p50_ms", ["1.33", "1.24", "9.46", "9.88", "9.90", "13.02", "13.30", "13.31", "10.40", "10.37"]),
        ("error", ["2.1", "5.2", "3.1", "3.2", "1.2", "0.8", "1.5", "1.4", "0.7", "0.5", "1.12", "1.07", "2.63", "1.62", "1.20", "1.21"]),
        ("val_loss", ["0.0072", "0.00116", "0.00265", "0.000166"]),
    ],
)
def test_the_figures_of_the_sources_are_there(whole: ledger.Ledger, quantity: str, figures: list[int | str]) -> None:
    there = {format(claim.published, "f") if isinstance(figure, str) else claim.published for figure in figures for claim in whole.claims
             if claim.quantity == quantity}  # fmt: skip
    assert set(figures) <= there


def test_both_readings_of_iris_are_explained_by_their_own_count(counted: list[Judged]) -> None:
    found = {j.claim.model: (j.verdict, j.found.value and j.found.value.mean) for j in counted if j.claim.published == 14_851}
    assert found == {"transformer": (EXPLAINED, 100_291), "transformer_published": (EXPLAINED, 100_483)}


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
    slowly = sum(p.numel() for p in net.parameters()) - cost.active(net, task)
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


@pytest.mark.parametrize("formula", ["__import__('os')", "x + 1", "1 / 0", "1 +", "True + 1", "'a' * 3", "9.0 ** 9999"])
def test_only_numbers_are_arithmetic(formula: str) -> None:
    with pytest.raises(ValueError):
        total(formula)


CLAIMED = HEAD + COUNT
WRONG = [
    ("not = = toml\n", 1, "no TOML"),
    (HEAD + "[[claim]]\nsource = \n", 5, "no TOML"),
    (CLAIMED.replace('"mlp"', '"mpl"'), 7, "unknown model 'mpl'; did you mean 'mlp'? (python -m bench list)"),
    (CLAIMED.replace('"gaussian"', '"gausian"'), 8, "unknown data set 'gausian'; did you mean 'gaussian'"),
    (CLAIMED.replace('"parameters"', '"paramters"'), 6, "unknown quantity 'paramters'; did you mean 'parameters' or"),
    (CLAIMED + "publised = 3\n", 11, "unknown key 'publised'; did you mean 'published'?"),
    (CLAIMED.replace("105", '"105"'), 9, "published must be a whole number or a number or a list or a table, not '105'"),
    (CLAIMED.replace("105", "true"), 9, "not True"),
    (CLAIMED.replace("105", "[105, 106]"), 9, "2 figures and 1 tolerances for 1 data sets"),
    (CLAIMED.replace("published = 105\n", ""), 4, "a claim needs 'published'"),
    (CLAIMED.replace('source = "S"', 'source = "T"'), 5, "unknown source 'T'"),
    (CLAIMED.replace('expect = "holds"', 'expect = "hold"'), 10, "holds, does not hold, explained"),
    (CLAIMED.replace('expect = "holds"\n', ""), 4, "needs the verdict we expect"),
    (CLAIMED + 'formula = "1"\n', 11, "arithmetic needs a formula, and nothing else has one"),
    (CLAIMED + "size = { widht = 3 }\n", 4, "unexpected keyword argument 'widht'"),
    (CLAIMED + 'explained.because = "so"\n', 11, "a condition"),
    (CLAIMED + '[claim.explained]\nbecause = "so"\nmodel = "mpl"\n', 13, "unknown model 'mpl'"),
    (CLAIMED + '[claim.explained]\nbecause = "so"\nvalu = 3\n', 13, "unknown key 'explained.valu'; did you mean 'value'?"),
    (CLAIMED + "\n[[claims]]\n", 12, "unknown table 'claims'; did you mean 'claim'?"),
    (CLAIMED + '\n[[note]]\nsource = "S"\n', 12, "a note needs 'text'"),
    (HEAD.replace("title", "titel") + COUNT, 1, "source 'S' needs a title"),
    (HEAD + accuracy(97).replace('"published"', '"publishd"'), 10, "unknown budget 'publishd'; did you mean 'published'"),
    (HEAD + accuracy(97).replace("tolerance = 0.5\n", ""), 4, "a measured figure needs a tolerance"),
    (HEAD + accuracy(97).replace('budget = "published"\n', ""), 4, "needs the budget"),
    (HEAD + accuracy(97, more='expect = "holds"\n'), 13, "only a computed figure"),
    (HEAD + accuracy(97).replace('dataset = "mnist"\n', ""), 7, "names a model and no data set"),
    (HEAD + accuracy(97, more='over = { model = "vti" }\n'), 13, "unknown model 'vti'; did you mean 'vit'"),
    (CLAIMED + "\n" + COUNT.replace('model = "mlp"\n', "").replace("published =", "published.mpl ="), 16, "unknown model 'mpl'"),
    (CLAIMED.replace("parameters", "arithmetic") + 'formula = "one"\n', 4, "no number"),
]


@pytest.mark.parametrize(("text", "line", "message"), WRONG, ids=[message for *_, message in WRONG])
def test_a_wrong_ledger_is_named_with_its_line(
    text: str, line: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["claims", "--claims", str(written(tmp_path, text)), "--results", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert f"ledger/claims.toml:{line}: " in said
    assert message in said
    assert not (tmp_path / "claims.md").exists()


def test_a_ledger_that_is_no_text_or_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "")
    path.write_bytes(b"# one\n# \xff\n")
    assert main(["claims", "--claims", str(path), "--results", str(tmp_path)]) == 2
    assert "ledger/claims.toml:2: not UTF-8" in capsys.readouterr().err
    assert main(["claims", "--claims", str(tmp_path / "none.toml")]) == 2
    assert "none.toml: No such file" in capsys.readouterr().err


def test_results_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "--results", str(tmp_path / "none")]) == 2
    assert "no results in" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_verdict_nobody_expected_is_printed_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = HEAD + COUNT.replace("105", "106") + "\n" + COUNT
    assert main(["claims", "--claims", str(written(tmp_path, text)), "--results", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert "2 figures: 1 holds, 1 does not, 0 are explained" in out
    assert "ledger/claims.toml:4: does not hold, expected: holds: parameters, `mlp` on `gaussian`: 105 1 fewer than published" in err
    assert (tmp_path / "claims.md").exists()


def test_within_the_tolerance_it_holds(tmp_path: Path) -> None:
    found = verdict(tmp_path, accuracy(97.87), trained("vit", 0, 0.9750, "published"))
    assert found.verdict == HOLDS
    assert found.why == "0.37 points lower; 1 seed of `published`, `box`"


def test_within_the_interval_it_holds_and_outside_it_does_not(tmp_path: Path) -> None:
    runs = [trained("vit", seed, value, "published") for seed, value in enumerate((0.95, 0.96, 0.97))]
    assert verdict(tmp_path, accuracy(98.0), *runs).verdict == HOLDS  # 96 ± 2.5
    assert verdict(tmp_path, accuracy(98.6), *runs).verdict == FAILS


def test_two_seeds_have_an_interval_that_judges_nothing(tmp_path: Path) -> None:
    runs = [trained("vit", seed, value, "published") for seed, value in enumerate((0.95, 0.97))]
    assert verdict(tmp_path, accuracy(98.0), *runs).verdict == FAILS


EPOCH = 'explained.budget = "published_1"\nexplained.because = "One epoch."\n'


def test_an_explanation_holds_only_if_its_condition_is_met(tmp_path: Path) -> None:
    fifteen, one = trained("vit", 0, 0.99, "published"), trained("vit", 0, 0.978, "published_1")
    found = verdict(tmp_path / "a", accuracy(97.87, more=EPOCH), fifteen, one) if (tmp_path / "a").mkdir() is None else None
    assert found is not None
    assert (found.verdict, found.why) == (EXPLAINED, "1.13 points higher; 1 seed of `published`, `box`; at `published_1` 97.80 %")
    (tmp_path / "b").mkdir()
    found = verdict(tmp_path / "b", accuracy(97.87, more=EPOCH), fifteen, trained("vit", 0, 0.92, "published_1"))
    assert (found.verdict, found.why.split("; ")[-1]) == (FAILS, "at `published_1` 92.00 %, which does not explain it")
    (tmp_path / "c").mkdir()
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


def test_a_cell_that_failed_gives_its_reason(tmp_path: Path) -> None:
    found = verdict(tmp_path, accuracy(97.87), trained("vit", 0, 0.9, "published", status="diverged", reason="loss nan"))
    assert (found.verdict, found.why) == (UNMEASURED, "diverged: 1 of 1 seeds: loss nan")


def test_a_claim_about_something_else_is_never_judged(tmp_path: Path) -> None:
    found = verdict(tmp_path, accuracy(97.87, more='not_measured = "other data"\n'), trained("vit", 0, 0.9787, "published"))
    assert (found.verdict, found.why) == (UNMEASURED, "other data; nearest: 1 seed of `published`, `box`")


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
    "train_loss": [1 / n for n in range(1, 51)],
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
    runs = [run("conv1d", seed, 1.0, **own) for seed in (0, 1)] + [run("conv1d_attention", 1, 1.0, **own | {"curve": half})]
    for text, value in [
        ('quantity = "val_loss"\nepoch = 40', 2 / 40),
        ('quantity = "train_loss"\nepoch = 40', 1 / 40),
        ('quantity = "train_loss"', 1 / 50),
        ('quantity = "val_loss"', 2 / 50),
        ('quantity = "val_value"', 2 / 40),
        ('quantity = "val_loss"\nepoch = 40\nover = { model = "conv1d_attention", epoch = 20 }', 2),
    ]:
        found = verdict(tmp_path, f"{LOSS}published = {value}\n{text}\n", *runs)
        assert found.verdict == HOLDS, text
        assert found.found.value is not None and found.found.value.n == (1 if "over" in text else 2)
    found = verdict(tmp_path, f'{LOSS.replace("conv1d", "conv1d_attention")}published = 1\nquantity = "val_loss"\nepoch = 40\n', *runs)
    assert (found.verdict, found.why.split(";")[0]) == (UNMEASURED, "the runs end after 25 epochs")


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


PAGE = (
    HEAD
    + COUNT
    + 'remark = "A remark."\n\n'
    + accuracy(97.87, more=EPOCH + 'protocol = "Fifteen epochs."\n')
    + "\n"
    + accuracy(50).replace('"vit"', '"cnn"')
    + '\n[[note]]\nsource = "S"\ntext = "In words only."\n'
)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    runs = [trained("vit", seed, 0.985 + seed / 1000, "published") for seed in range(3)]
    once = {name: [1.0] for name in ("samples", "seconds", "train_loss", "val_loss", "val_metric")}
    runs += [trained("vit", seed, 0.976 + seed / 1000, "published_1", curve=once) for seed in range(3)]
    runs += [trained("vit", seed, 0.98, "paper") for seed in range(3)]
    stored(tmp_path / "results", *runs)
    return tmp_path / "results"


def test_the_page_says_what_was_found(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "--claims", str(written(results, PAGE)), "--results", str(results)]) == 0
    out, page = capsys.readouterr().out, (results / "claims.md").read_text(encoding="utf-8")
    for expected in (
        "3 figures of 1 sources",
        "1 holds, 0 do not, 1 is explained and 1 not measured yet",
        "Choosing the best epoch by the test set was worth 2.00 points on average over 1 cells.",
        "Of 1 figures measured under both readings of their protocol, 1 are nearer under `published_1`.",
        "| parameters, `mlp` on `gaussian` ",
        "**explained**",
        "97.70 ± 0.25 %",
        "1. A remark.",
        "Protocol of the source: Fifteen epochs.",
        "In words only.",
        "--models cnn --datasets mnist --budget published\n",
        "98.00 ± 0 %",
    ):
        assert expected in page, expected
    assert "explained" in out
    assert "vit on mnist" in out


def test_the_pages_rebuild_byte_for_byte(results: Path) -> None:
    path = str(written(results, PAGE))
    assert main(["claims", "--claims", path, "--results", str(results)]) == 0
    first = {name: (results / name).read_bytes() for name in ("claims.md", "claims.csv")}
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
    assert [row["verdict"] for row in rows] == [fact["verdict"] for fact in facts] == [HOLDS, EXPLAINED, UNMEASURED]
    assert float(rows[1]["measured"]) == pytest.approx(facts[1]["measured"]) == pytest.approx(98.6)
    assert (rows[1]["seeds"], rows[1]["machine"], rows[0]["seeds"], rows[2]["measured"]) == ("3", "box", "", "")
    assert rows[2]["command"] == "pytest bench --benchmark-only --models cnn --datasets mnist --budget published"


def test_the_committed_stores_are_read_and_local_is_not(tmp_path: Path) -> None:
    for name in ("box", "another", "local"):
        (tmp_path / name / "runs").mkdir(parents=True)
    assert [store.folder.name for store in claims.stores(None, tmp_path)] == ["another", "box"]


@pytest.mark.parametrize("module", ["claims", "claim", "ledger", "evidence", "judgement", "findings"])
def test_claims_never_train(module: str) -> None:
    assert not reaches(module) & {"train", "cells", "learners", "latency", "evaluate"}


def test_the_command_takes_less_than_a_minute(tmp_path: Path) -> None:
    started = time.monotonic()
    command = [sys.executable, "-m", "bench", "claims", "--results", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 60
    assert "parameters, vit_large_published on mnist" in done.stdout
    assert "63,293,548" in (tmp_path / "claims.md").read_text(encoding="utf-8")
