"""Results of many machines: records side by side, nothing overwritten, times of one machine in a table."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import datasets
from bench.__main__ import main
from bench.claims.evidence import Evidence
from bench.core import machine
from bench.page import view
from bench.report import report
from bench.run import session
from bench.store.brief import brief
from bench.store.encoding import pack, unpack
from bench.store.examples import keep, scores, storable
from bench.store.records import Store
from bench.tables.latency_table import OTHER_SOURCE
from bench.tables.rows import rows
from tests.test_report import run

EMULATES = {"instructions": ["avx2"]}


def on(name: str, **facts: Any) -> dict[str, Any]:
    return {"slug": name, "cpu": "a CPU", "torch": "2.15.0", **facts}


def trained(model: str, seed: int, where: str = "one", seconds: float = 2.0, **fields: Any) -> dict[str, Any]:
    made = run(model, seed, 0.1 + 0.01 * seed, machine=on(where), train_seconds=seconds)
    return made | fields


def timed(model: str, ms: float, where: str = "one", **fields: Any) -> dict[str, Any]:
    about = {"model": model, "dataset": "gaussian", "source": model, "device": "cpu", "batch": 1, "dtype": "float32", "threads": 1}
    return about | {"samples_ms": pack(np.full(600, ms, "<f4")), "machine": on(where)} | fields


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Seeds 0 and 1 and a timing made on one machine, seed 2 and two timings on another."""
    here, there = Store(tmp_path / "one"), Store(tmp_path / "two")
    for seed in (0, 1):
        here.put_run(trained("linear", seed))
    here.put_latency(timed("linear", 1.0))
    there.put_run(trained("linear", 2, "two", 50.0))
    there.put_latency(timed("linear", 3.0, "two"))
    there.put_latency(timed("mlp", 4.0, "two"))
    return here.folder, there.folder


def merge(*folders: Path, out: Path) -> int:
    return main(["merge", *map(str, folders), "--results", str(out)])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_quality_is_pooled_latencies_are_of_one_machine_and_seconds_of_one(tmp_path: Path, two: tuple[Path, Path]) -> None:
    out = tmp_path / "new" / "out"
    assert merge(*two, out=out) == 0
    assert contents(out) == contents(two[0]) | contents(two[1])
    first, blank = rows(Store(out))
    assert (first.model, sorted(first.values), first.trained_on) == ("linear", [0, 1, 2], ["one", "two"])
    assert (first.machine, first.latency["latency_cpu_b1_p50_ms"]) == ("two", 3.0)  # most timings
    assert (first.trainer, first.train_seconds) == ("one", 2.0)  # most runs
    assert (blank.model, blank.machine, blank.status) == ("mlp", "two", "skipped")
    (asked,) = rows(Store(out), "one")
    assert (asked.machine, asked.latency["latency_cpu_b1_p50_ms"], asked.train_seconds, len(asked.values)) == ("one", 1.0, 2.0, 3)


def test_seconds_of_another_machine_are_an_empty_field(tmp_path: Path, two: tuple[Path, Path]) -> None:
    out = tmp_path / "out"
    for seed in range(2, 7):
        Store(two[1]).put_run(trained("linear", seed, "two", 50.0))
    for seed in range(2):
        Store(two[0]).put_run(trained("mlp", seed))
    assert merge(*two, out=out) == 0
    assert main(["report", "--results", str(out)]) == 0
    facts = {row["model"]: row for row in report.facts(Store(out))}
    assert facts["mlp"]["train_seconds"] is None  # trained on one, and the seconds are two's
    assert (facts["mlp"]["seeds"], facts["mlp"]["machine"]) == (2, "two")
    shown = {line["row"].model: {head.column.name: said for said, _, _, head in line["cells"]} for line in view.facts(Store(out))["rows"]}
    assert {model: cells["train_seconds"] for model, cells in shown.items()} == {"linear": "50", "mlp": ""}
    assert {line.split(",")[2] for line in (out / "latency.csv").read_text().splitlines()[1:]} == {"one", "two"}


def test_a_table_of_the_machine_that_is_asked_for(tmp_path: Path, two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert merge(*two, out=out) == 0
    capsys.readouterr()
    assert main(["report", "--results", str(out), "--tables", "--machine", "one", "--json"]) == 0
    assert {row["machine"] for row in json.loads(capsys.readouterr().out)} == {"one"}
    assert main(["report", "--results", str(out), "--machine", "three"]) == 2
    assert "nothing is of the machine 'three'; there are one, two" in capsys.readouterr().err


def answered(model: str, seed: int, draw: int, task: datasets.Task) -> dict[str, Any]:
    """A run with what forty samples got, whose targets follow from `draw`."""
    scores = torch.randn(40, 2, generator=torch.Generator().manual_seed(seed))
    y = torch.randint(2, (40,), generator=torch.Generator().manual_seed(100 + draw))
    made = trained(model, seed) | {"examples": keep(torch.rand(40), scores.argmax(1), scores, y, task), "model": model}
    return made | {"derived": storable(made)}


def test_briefly_every_figure_stays_and_what_one_seed_s_samples_got(tmp_path: Path) -> None:
    task = datasets.task("two_gaussians")
    folder, out = tmp_path / "full", Store(tmp_path / "out")
    for model, draws in (("linear", (5, 5, 6)), ("linear@lr=0.1", (5, 5, 6)), ("mlp", (7, 7, 7))):
        for seed, draw in enumerate(draws):
            Store(folder).put_run(answered(model, seed, draw, task) | {"recipe": model.replace("@lr=", "-")})
    assert main(["merge", str(folder), "--results", str(out.folder), "--brief"]) == 0
    kept = {(run["model"], run["seed"]): run.get("examples", {}).keys() for run in out.runs()}
    full = {"kind", "loss", "prediction", "target", "scores"}
    shared = [("linear", 0), ("linear", 1), ("linear@lr=0.1", 0), *(("mlp", seed) for seed in range(3))]
    assert {which for which, names in kept.items() if "target" in names} == {*shared, ("linear@lr=0.1", 1)}
    later = full - {"loss"} | {"left_out", "derived"}  # answers tell whether each sample was right
    assert all(kept[which] == (later if which[1] else full) for which in shared if which[0] != "linear@lr=0.1")
    assert kept["linear", 2] == kept["linear@lr=0.1", 2] == set()
    assert kept["linear@lr=0.1", 0] == kept["linear@lr=0.1", 1] == later - {"scores"}
    for was, now in zip(Store(folder).runs(), out.runs(), strict=True):
        assert was["derived"].keys() >= {"auroc", "macro_f1"}
        assert scores(was) == pytest.approx(scores(now), rel=1e-9, nan_ok=True)
    before = contents(out.folder)
    assert main(["merge", str(folder), "--results", str(out.folder)]) == 0  # the same numbers: no conflict, nothing is written
    assert contents(out.folder) == before


@pytest.mark.parametrize(("model", "kept"), [("linear", True), ("linear@lr=0.1", False), ("backbone_mlp", False)])
def test_of_variants_and_backbones_nobody_asks_what_the_last_batch_got(model: str, kept: bool, two: tuple[Path, Path]) -> None:
    made = {"kind": "run", **trained(model, 0, recipe="long")}
    full = made | {"curve": made["curve"] | {"last_loss": [1.0, 0.5], "train_metric": [1.0, 0.5]}}
    short = brief(full, None)
    assert [name in short["curve"] for name in ("last_loss", "train_metric", "val_metric")] == [kept, kept, True]
    Store(two[0]).put_run(short)
    Store(two[1]).put_run(full)
    assert merge(two[1], out=two[0]) == 0, "the same run, with more of its curve"


def test_what_the_first_seed_says_of_all_is_said_once() -> None:
    first, later = ({"kind": "run", **trained("linear", seed, summary="ten digits", alone="few")} for seed in (0, 1))
    assert brief(first, None) == first and brief(later, None) == later
    assert later.keys() - brief(later, first).keys() == {"summary", "alone"}


def test_beside_a_broken_first_seed_nothing_is_copied_briefly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task, out = datasets.task("two_gaussians"), Store(tmp_path / "out")
    for seed in range(2):
        Store(tmp_path / "full").put_run(answered("linear", seed, seed, task))
    out.put_run(answered("linear", 0, 0, task))
    (path,) = out.folder.glob("runs/*/*/*.json")
    path.write_text("{")
    assert main(["merge", str(tmp_path / "full"), "--results", str(out.folder), "--brief"]) == 1
    assert f"{path.name} beside it cannot be used" in capsys.readouterr().err
    assert path.read_text() == "{"


def test_timed_calls_are_kept_to_one_part_in_4096(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).lognormal(0, 3, 5_000).astype("<f4")
    Store(tmp_path).put_latency(timed("linear", 1.0) | {"samples_ms": pack(samples), "medians_ms": [1.23456789]})
    (record,) = Store(tmp_path).latencies()
    np.testing.assert_allclose(unpack(record["samples_ms"]), samples, rtol=1 / 4096)
    assert len(record["samples_ms"]) < 0.7 * len(pack(samples))
    assert record["medians_ms"] == [1.23457]


def test_rows_are_of_one_arithmetic(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put_run(trained("linear", 0))
    store.put_run(trained("linear", 1, recipe="r2", machine=on("one", torch="2.16.1")))
    store.put_run(trained("linear", 2, recipe="r3", device="cuda"))
    assert [(row.arithmetic, list(row.values)) for row in rows(store)] == [
        ("cpu torch 2.15", [0]),
        ("cpu torch 2.16", [1]),
        ("cuda torch 2.15", [2]),
    ]


def test_a_latency_of_any_machine_can_judge_a_claim(tmp_path: Path, two: tuple[Path, Path]) -> None:
    for model in ("linear", "mlp", "cnn"):
        Store(two[1]).put_run(trained(model, 5, "two"))
    Store(two[0]).put_latency(timed("linear", 9.0, device="cuda"))
    out = tmp_path / "out"
    assert merge(*two, out=out) == 0
    timed_rows = Evidence([Store(out)]).timed
    assert [(row.machine, row.latency["latency_cuda_b1_p50_ms"]) for row in timed_rows if "latency_cuda_b1_p50_ms" in row.latency] == [
        ("one", 9.0)
    ]


def test_a_timing_of_earlier_source_stays_where_runs_were_found_to_stand(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put_run(trained("linear", 0, source="today", sources=["before"]))
    store.put_run(trained("mlp", 0, source="today", sources=["before"]))
    store.put_latency(timed("linear", 1.0, source="before", validity=[]))
    store.put_latency(timed("mlp", 1.0, source="another", validity=[]))
    assert {row.model: row.latency.get("latency_cpu_b1_p50_ms") for row in rows(store)} == {"linear": 1.0, "mlp": None}
    report.write(store, draw=False)
    with open(tmp_path / "latency.csv", newline="", encoding="utf-8") as file:
        doubts = {line["model"]: line["validity"] for line in csv.DictReader(file)}
    assert doubts == {"linear": "", "mlp": OTHER_SOURCE}


def changed(folder: Path, pattern: str, **fields: Any) -> Path:
    (path,) = folder.glob(pattern)
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    return path


def test_the_same_numbers_made_at_another_time_are_kept(two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    out, folder = two
    for seed in (0, 1):
        made = trained("linear", seed, "two", 99.0, together=7, notes="of another machine")
        made["budget"] = made["budget"] | {"seeds": 99}  # more were asked for there
        Store(folder).put_run(made | {"curve": made["curve"] | {"seconds": [9.0, 99.0]}})
    before = contents(out)
    assert merge(folder, out=out) == 0
    assert "3 records copied, 2 there already with the same numbers, 0 refused" in capsys.readouterr().out
    assert {name: content for name, content in contents(out).items() if name in before} == before


@pytest.mark.parametrize(
    "fields",
    [{"test": {"best": {"mse": 0.5}, "last": {"mse": 0.1}}}, {"status": "diverged"}, {"costs": {"params": 7}}, {"best_samples": 10}],
    ids=lambda fields: next(iter(fields)),
)
def test_other_numbers_under_one_name_are_refused_and_the_rest_is_copied(
    two: tuple[Path, Path], fields: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    out, folder = two
    Store(folder).put_run(trained("linear", 1, **fields))
    before = contents(out)
    assert merge(folder, out=out) == 1
    assert f"there already, and not the same: {next(iter(fields))}" in capsys.readouterr().err
    after = contents(out)
    assert {name: content for name, content in after.items() if name in before} == before
    assert len(after) == len(before) + 4  # three records, and the facts of the machine they name


def test_probes_that_runs_name_come_along(two: tuple[Path, Path], tmp_path: Path) -> None:
    probe = {"version": 1, "stacked": False}
    Store(two[1]).put_run(trained("mlp", 0, probe=probe))
    for _ in range(2):
        assert merge(*two, out=tmp_path / "out") == 0
    out = Store(tmp_path / "out")
    assert [out.probe_of(run) for run in out.runs() if run["model"] == "mlp"] == [probe]


def test_timings_of_one_machine_made_twice_are_refused(two: tuple[Path, Path]) -> None:
    Store(two[1]).put_latency(timed("linear", 1.1))
    assert merge(two[1], out=two[0]) == 1
    assert rows(Store(two[0]), "one")[0].latency["latency_cpu_b1_p50_ms"] == 1.0


def test_a_cell_without_data_says_nothing_against_one_that_was_trained(two: tuple[Path, Path]) -> None:
    cell = {**trained("linear", 0), "status": "ok", "reason": ""}
    Store(two[0]).put_cell(cell)
    Store(two[1]).put_cell(cell | {"status": "skipped", "reason": "no data", "passing": True})
    assert merge(two[1], out=two[0]) == 0
    Store(two[1]).put_cell(cell | {"status": "error", "reason": "it raises", "passing": False})
    assert merge(two[1], out=two[0]) == 1


def test_what_is_known_of_a_request_is_the_newest_s(two: tuple[Path, Path]) -> None:
    """Tuning that chose the recipe as it is changes no run, and no name of one."""
    cell = {**trained("linear", 0), "status": "ok", "reason": ""}

    def tuned() -> list[bool]:
        return [record["tuned"] for record in Store(two[0]).runs() if record["kind"] == "cell"]

    Store(two[0]).put_cell(cell | {"tuned": False})
    Store(two[1]).put_cell(cell | {"tuned": True})
    assert merge(two[1], out=two[0]) == 0 and tuned() == [True]
    Store(two[1]).put_cell(cell | {"tuned": False, "status": "skipped", "reason": "no data", "passing": True})
    assert merge(two[1], out=two[0]) == 0 and tuned() == [True]


@pytest.mark.parametrize(
    "fields",
    [{"dataset": "../../elsewhere"}, {"seed": 7}, {"schema": 99}, {"schema": "1"}, {"curve": None}, {"kind": "no such"}, {"test": {}}],
    ids=lambda fields: f"{next(iter(fields.items()))}",
)
def test_a_record_that_cannot_be_used_is_refused_and_left_as_it_is(two: tuple[Path, Path], tmp_path: Path, fields: dict[str, Any]) -> None:
    changed(two[1], "runs/*/*/*-s2.json", **fields)
    before, out = contents(two[1]), tmp_path / "out"
    expected = {name: content for name, content in before.items() if "-s2" not in name}
    assert merge(two[1], out=out) == 1
    assert (contents(two[1]), contents(out)) == (before, expected)


def test_folders_that_are_no_results_are_a_wrong_request(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    for wrong in (tmp_path / "empty", tmp_path / "nowhere"):
        assert merge(two[0], wrong, out=tmp_path / "out") == 2
        assert f"no results in {wrong}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_bf16_that_is_emulated_is_told_beside_the_row(tmp_path: Path) -> None:
    store = Store(tmp_path)
    half = {"name": "smoke", "dtype": "bfloat16", "samples": 20, "seeds": 5}
    store.put_run(trained("linear", 0, budget=half, machine=on("one", silicon=EMULATES)))
    store.put_run(trained("mlp", 0, budget=half, machine=on("two", silicon={"instructions": ["avx2", "avx512bf16"]})))
    store.put_latency(timed("linear", 1.0, dtype="bfloat16", machine=on("one", silicon=EMULATES)))
    report.write(store, draw=False)
    reasons = {row.model: row.reason for row in rows(store)}
    assert "no instruction for bf16" in reasons["linear"]
    assert reasons["mlp"] == ""
    assert "no instruction for bf16" in (tmp_path / "latency.csv").read_text()


def test_bf16_that_is_emulated_is_told_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(dtypes: str | None) -> list[str]:
        begun = session.begin(models="linear", datasets_="iris", budget="smoke", dtypes=dtypes, devices="cpu", results=str(tmp_path))
        return begun.warnings

    monkeypatch.setattr(machine, "facts", lambda: {"cores": 2, "torch": "2.15.0", "silicon": EMULATES})
    assert asked("fp32") == asked(None) == []
    (told,) = asked("fp32,bf16")
    assert told.startswith("bfloat16: this CPU has no instruction for bf16")
    monkeypatch.setattr(machine, "facts", lambda: {"cores": 2, "torch": "2.15.0", "silicon": {"instructions": ["avx512bf16"]}})
    assert asked("fp32,bf16") == []


def test_of_an_older_format_no_more_is_kept_than_which_classes_were_said() -> None:
    """Losses and predictions without a target: no metric can be derived of them, no sample called right."""
    metric = {"name": "accuracy", "better": "higher", "percent": True}
    value = {"kind": "run", **trained("linear", 0, examples={"loss": "<f2:bz2:", "prediction": "|u1:bz2:"})}
    assert brief(value | {"metric": metric}, None)["examples"] == {"prediction": "|u1:bz2:"}
    assert value["metric"]["name"] != "accuracy" and value.keys() - brief(value, None).keys() == {"examples"}
