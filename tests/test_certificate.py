"""Latency records in the store and in the tables: nothing overwritten, old ones read, every figure and doubt told."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.report import report
from bench.store.encoding import pack
from bench.store.records import Store
from bench.tables import latency_page, latency_table, rows
from bench.tables.column import as_csv
from tests.conftest import ROOT
from tests.test_report import run


def timed(ms: float = 2.0, **fields: Any) -> dict[str, Any]:
    """A record of version 0.2: samples, and the process's threads among the machine's facts."""
    base = {"model": "linear", "dataset": "gaussian", "device": "cpu", "batch": 1, "dtype": "float32", "source": "linear", "reason": ""}
    return {**base, "samples_ms": pack(np.full(600, ms, "<f4")), "machine": {"slug": "box", "threads": 1}, **fields}


CERTIFIED = {
    "threads": 1,
    "noop_ms": 1.5e-4,
    "warm_up_calls": 31,
    "settled": True,
    "validity": [],
    "notes": [],
    "exact": {"params": 100, "flops": 1_199_883, "operators": 1_234_567, "peak_bytes": 2_345_678},
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_threads_and_arithmetics_do_not_overwrite_each_other(store: Store) -> None:
    for threads in (1, 2):
        for dtype in ("float32", "bfloat16"):
            store.put_latency(timed(**{**CERTIFIED, "threads": threads, "dtype": dtype}))
    store.put_latency(timed())  # of version 0.2: its file is the one of one thread
    names = sorted(path.name for path in store.folder.rglob("*.json"))
    assert names == [f"box-cpu-b1-{kind}.json" for kind in ("bfloat16-2t", "bfloat16", "float32-2t", "float32")]


def test_old_reference_records_are_read(store: Store) -> None:
    records = Store(ROOT / "results" / "reference").latencies()
    old = [r for r in records if "validity" not in r]
    for r in old:
        assert latency_table.threads(r) == r["machine"]["threads"]
        assert latency_table.flat(r, {})["validity"] == latency_table.UNCHECKED
        assert latency_table.figures(r)["p50_ms"] > 0
    assert latency_page.page(records, {}).count("\n| ") >= len({(r["model"], r["dataset"]) for r in records})


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_certificate_tells_everything(store: Store) -> None:
    noisy = {**CERTIFIED, "threads": 2, "validity": ["other load on the machine: 50 % of a core"], "notes": ["not counted: x | y"]}
    store.put_latency(timed(2.0, **CERTIFIED, medians_ms=[2.0, 1.9, 2.1, 2.2, 1.8, 2.1]))
    store.put_latency(timed(1.0, **noisy))
    store.put_latency(timed(batch=64, source="edited"))
    store.put_latency(timed(dtype="bfloat16", samples_ms=pack(np.zeros(0, "<f4")), **{**CERTIFIED, "reason": "latency error: no"}))
    sources = {("linear", "gaussian"): {"linear"}}
    calm, loaded, failed, old = rows_of(as_csv(latency_table.COLUMNS, latency_table.lines(store.latencies(), sources)))
    shown = ("threads", "processes", "p50_ms", "p50_low_ms", "p50_high_ms", "p99_ms", "samples", "samples_per_second", "noop_ms")
    assert [calm[name] for name in (*shown, "warm_up_calls")] == ["1", "6", "2.05", "1.8", "2.2", "2", "600", "487.805", "0.00015", "31"]
    assert [calm[name] for name in ("operators", "forward_peak_bytes", "flops", "params")] == ["1234567", "2345678", "1199883", "100"]
    assert (calm["settled"], calm["validity"], calm["kernels"]) == ("True", "", "")
    assert (loaded["threads"], loaded["validity"], loaded["notes"]) == ("2", noisy["validity"][0], noisy["notes"][0])
    assert (failed["dtype"], failed["p50_ms"], failed["validity"]) == ("bfloat16", "", "latency error: no")
    assert (old["noop_ms"], old["validity"]) == ("", f"{latency_table.UNCHECKED}; {latency_table.OTHER_SOURCE}")
    page = latency_page.page(store.latencies(), sources)
    head, _, plain, half = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")]
    assert head == ["model", "1 thread, batch 1: ms", "1 thread, batch 64: ms", "2 threads, batch 1: ms"]  # a line a model
    assert (half[0], *half[1:]) == ("linear, bf16", "", "", "")
    assert plain[:2] == ["linear", "2.05 [1.8, 2.2]"] and plain[2].endswith("†") and plain[3] == "1†"
    assert "- other load on the machine: 50 % of a core; not counted: x \\| y: linear (2 threads, batch 1)" in page
    assert "- latency error: no: linear, bf16 (1 thread, batch 1)" in page
    assert "No CUDA device" in page and "events ms" not in page
    assert "Nothing was timed yet." in latency_page.page([], {})


def test_what_a_gpu_adds_is_shown(store: Store) -> None:
    more = {name: pack(np.full(50, ms, "<f4")) for name, ms in (("events_ms", 1.5), ("graph_ms", 0.5), ("async_ms", 0.25))}
    store.put_latency(timed(2.0, **CERTIFIED, **more, device="cuda", kernels=12))
    (row,) = rows_of(as_csv(latency_table.COLUMNS, latency_table.lines(store.latencies(), {})))
    figures = [row[name] for name in ("events_p50_ms", "graph_p50_ms", "async_p50_ms", "sync_over_async", "kernels")]
    assert figures == ["1.5", "0.5", "0.25", "8", "12"]
    page = latency_page.page(store.latencies(), {})
    assert "0.25 (8 ×)" in page
    assert "launching takes the time" in page


def test_one_thread_fills_the_stable_columns_and_a_doubt_is_marked(store: Store) -> None:
    for model in ("linear", "mlp"):  # mlp is not timed: its gaps must not make floats of linear's counts
        store.put_run(run(model, 0, 0.1))
    store.put_latency(timed(2.0, **CERTIFIED))
    store.put_latency(timed(1.0, **{**CERTIFIED, "threads": 2, "validity": ["not settled after 9 warm-up calls"]}))
    report.write(store)
    row, untimed = rows_of((store.folder / "comparison.csv").read_text())
    assert (untimed["latency_cpu_b1_operators"], untimed["latency_cpu_all_b1_validity"]) == ("", "")
    assert row["latency_cpu_b1_p50_ms"] == "2"
    assert not {"latency_cpu_b1_validity", "latency_cpu_b1_p50_low_ms"} & row.keys()  # nothing was wrong; one process has no interval
    assert (row["latency_cpu_all_b1_p50_ms"], row["latency_cpu_all_b1_validity"]) == ("1", "not settled after 9 warm-up calls")
    assert (row["latency_cpu_b1_operators"], row["latency_cpu_b1_forward_peak_bytes"]) == ("1234567", "2345678")
    assert "| 2†" not in (store.folder / "comparison.md").read_text()
    store.put_latency(timed(2.0, **{**CERTIFIED, "validity": ["other load on the machine: 50 % of a core"]}))
    page = report.write(store).read_text()
    assert "| 2† " in page
    assert "| 2† " in (store.folder / "comparison.md").read_text()
    assert "50 % of a core" in (store.folder / "latency.md").read_text()


def test_old_records_of_several_threads_and_the_newer_of_two(store: Store) -> None:
    store.put_latency(timed(5.0, machine={"slug": "box", "threads": 2}))
    (row,) = rows.rows(store)
    assert "latency_cpu_b1_p50_ms" not in row.latency
    assert row.latency["latency_cpu_all_b1_p50_ms"] == 5
    store.put_latency(timed(1.0, **{**CERTIFIED, "threads": 2}))
    (row,) = rows.rows(store)
    assert row.latency["latency_cpu_all_b1_p50_ms"] == 1


def test_untrained_arithmetics_are_rows_of_their_own(store: Store) -> None:
    store.put_latency(timed(2.0))
    store.put_latency(timed(1.0, dtype="bfloat16"))
    assert {(row.dtype, row.latency["latency_cpu_b1_p50_ms"], row.reason) for row in rows.rows(store)} == {
        ("float32", 2.0, "timed, not trained"),
        ("bfloat16", 1.0, "timed in bfloat16, not trained"),
    }


def turned(model: str, *medians: float, **fields: Any) -> dict[str, Any]:
    return timed(medians[0], **{**CERTIFIED, "model": model, "medians_ms": list(medians), "turns": "once", **fields})


def test_ratios_are_of_the_same_turns_process_by_process(store: Store) -> None:
    """Times move by half from process to process, all alike: the ratio to convolution does not move at all."""
    moves = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5)
    store.put_latency(turned("backbone_conv", *moves))
    store.put_latency(turned("vit", *(3 * move for move in moves)))
    store.put_latency(turned("mlp", *moves, turns="another time"))
    store.put_latency(turned("cnn", *moves[:3]))
    found = {row["model"]: row for row in rows_of(as_csv(latency_table.COLUMNS, latency_table.lines(store.latencies(), {})))}
    assert [found["vit"][f"times_conv{end}"] for end in ("", "_low", "_high")] == ["3", "3", "3"]
    assert (found["vit"]["p50_low_ms"], found["vit"]["p50_high_ms"]) == ("3", "4.5")
    assert [found[name]["times_conv"] for name in ("backbone_conv", "mlp", "cnn")] == ["", "", ""]
    assert found["cnn"]["p50_low_ms"] == ""  # three processes have no interval


def test_twins_say_what_the_clock_is_worth(store: Store) -> None:
    assert latency_table.twins([turned("vit", 2.0)]) == ""
    pairs = [turned("vit", 2.0, twin_ms=[2.1]), turned("mlp", 2.0, twin_ms=[1.0]), turned("cnn", 2.0, twin_ms=[2.02])]
    assert "3 timings were made twice, in the same processes, and differed by 5 % in the median and 100 % at most" in latency_table.twins(
        pairs
    )


def test_times_that_are_no_times_are_refused(store: Store) -> None:
    for nonsense in ([], [0.0], [-1.0], ["2"]):
        store.put_latency(turned("vit", 2.0, medians_ms=nonsense))
        assert store.latencies() == []
