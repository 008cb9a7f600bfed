"""The study of length: its crossings against sums done by hand, its record against altered files, its processes against dying."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.__main__ import main
from bench.report import studies
from bench.run.turns import Failed, Turns
from bench.store.records import Store
from bench.studies import length, timed
from bench.tables import lengths
from bench.tables.lengths import TWIN, WORKS, Crossing, crossing, log_ratios, medians
from tests.conftest import ROOT, environment


def rows(times: dict[str, Any], lengths: list[int], processes: int = 4) -> list[dict[str, Any]]:
    """Rows of a record from milliseconds as functions of the length and the process."""
    return [
        {
            "model": model,
            "length": n,
            "work": "forward",
            "batch": 1,
            "medians_ms": [float(ms(n, p)) for p in range(processes)],
            "reason": "",
        }
        for model, ms in times.items()
        for n in lengths
    ]


def ratios(attention: Any, conv: Any, lengths: list[int]) -> dict[int, np.ndarray]:
    return log_ratios(medians(rows({"backbone_attention": attention, "backbone_conv": conv}, lengths)), "backbone_conv", "forward", 1)


def test_a_crossing_is_where_straight_lines_over_log_tokens_pass_one() -> None:
    """Attention n / 100 of a convolution that is always 1: they meet at 100 tokens. Faster processes are faster at both."""
    found = crossing(ratios(lambda n, p: (1 + p) * n / 100, lambda n, p: 1.0 + p, [16, 64, 256, 1024]))
    assert found.tokens == pytest.approx(100)
    assert found.low == pytest.approx(100) and found.high == pytest.approx(100)


def test_the_interval_of_a_crossing_is_students_over_processes() -> None:
    at = np.array([80.0, 100.0, 110.0, 125.0])
    found = crossing(ratios(lambda n, p: n / at[p], lambda n, p: 1.0, [16, 64, 256]))
    logs = np.log(at)
    half = 3.182446 * logs.std(ddof=1) / 2
    assert found.tokens == pytest.approx(math.exp(logs.mean()))
    assert found.low == pytest.approx(math.exp(logs.mean() - half), rel=1e-6)
    assert found.high == pytest.approx(math.exp(logs.mean() + half), rel=1e-6)


@pytest.mark.parametrize(
    ("attention", "side"),
    [
        (lambda n, p: 2.0, "below"),
        (lambda n, p: 0.5, "beyond"),
        (lambda n, p: 64 / n, "beyond"),  # costs more where inputs are short: that is no crossing
    ],
)
def test_no_crossing_says_where_it_is_not(attention: Any, side: str) -> None:
    assert crossing(ratios(attention, lambda n, p: 1.0, [16, 64, 256])) == pytest.approx(Crossing(side=side), nan_ok=True)


def test_where_processes_differ_it_is_said_from_where_on_it_is_certain() -> None:
    """One of four processes still finds it cheaper at 16 tokens; at 64 and 256 all intervals lie beyond 1."""
    found = crossing(ratios(lambda n, p: 3.0 + 0.1 * p if n > 16 or p else 0.9, lambda n, p: 1.0, [16, 64, 256]))
    assert (found.side, found.tokens) == ("unclear", 64)
    open_ = crossing(ratios(lambda n, p: 3.0 if p else n / 100, lambda n, p: 1.0, [16, 64, 256]))
    assert open_.side == "unclear" and open_.tokens == 256
    wide = crossing(ratios(lambda n, p: (0.5, 1.1, 1.2, 9.0)[p], lambda n, p: 1.0, [16, 64]))
    assert wide.side == "unclear" and math.isnan(wide.tokens) and math.isnan(wide.low)
    assert "cannot be told within 16 to 64 tokens" in studies.said(wide, "backbone_mlp", {16: np.zeros(4), 64: np.zeros(4)})
    cheap = crossing(ratios(lambda n, p: 0.5 + 0.01 * p if n < 256 else 0.9 + 0.1 * p, lambda n, p: 1.0, [16, 64, 256]))
    assert (cheap.side, cheap.low) == ("unclear", 64) and math.isnan(cheap.tokens)
    said = studies.said(cheap, "backbone_mlp", {16: np.zeros(4), 256: np.zeros(4)})
    assert said == "attention costs less than MLP up to 64 tokens for certain; else it cannot be told"


def test_only_the_last_passing_counts() -> None:
    """More, less, more: from the last on it stays more."""
    table = {16: 2.0, 64: 0.5, 256: 2.0}
    assert crossing(ratios(lambda n, p: table[n], lambda n, p: 1.0, [16, 64, 256])).tokens == pytest.approx(128)


def whose(item: str) -> int:
    if item == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "raises":
        raise ValueError("no")
    return os.getpid()


@pytest.mark.slow  # quick: what a cell's timing makes of turns in test_certificate.py
def test_processes_live_long_and_one_that_dies_takes_its_own_answer_along() -> None:
    with Turns(2) as turns:
        first = turns.round(whose, ["a", "b"], lambda: None)
        assert first[0] == first[1] and len(set(first[0])) == 2 and os.getpid() not in first[0]
        raised = turns.ask(0, whose, "raises")
        assert isinstance(raised, Failed) and raised.reason.startswith("ValueError: no (test_study.py")
        assert turns.ask(0, whose, "a") == first[0][0]
        died = turns.ask(0, whose, "dies")
        assert isinstance(died, Failed) and "SIGKILL" in died.reason
        again = turns.ask(0, whose, "a")
        assert again not in first[0] and turns.ask(1, whose, "a") == first[0][1]


ASKED = ["study", "length", "--lengths", "16,32", "--processes", "3", "--seconds", "0.001", "--models", "backbone_attention,backbone_conv"]


@pytest.mark.slow  # compiles three models
def test_images_are_timed_and_attention_and_convolution_as_they_are_compiled(tmp_path: Path) -> None:
    given = ["study", "length", "--lengths", "16,64", "--processes", "3", "--seconds", "0.001", "--results", str(tmp_path)]
    assert main([*given, "--models", "backbone_attention,backbone_conv,backbone_none"]) == 0
    (file,) = (tmp_path / "studies" / "length").glob("*.json")
    record = json.loads(file.read_text())
    found = {(one["work"], one["model"]): one["medians_ms"] for one in record["rows"] if one["length"] == 64}
    both = {"backbone_attention", TWIN, "backbone_conv"}
    assert {model for work, model in found if work == lengths.COMPILED} == both
    assert {model for work, model in found if work == lengths.IMAGES} == {*both, "backbone_none"}
    assert all(len(own) == 3 for own in found.values())
    flops = {(one["work"], one["model"]): one["flops"] for one in record["counts"] if one["length"] == 64}
    assert flops[lengths.COMPILED, "backbone_conv"] == flops[lengths.FORWARD, "backbone_conv"] != flops[lengths.IMAGES, "backbone_conv"]
    page = (tmp_path / "studies" / "length.md").read_text()
    assert "## Forward of images, batch 1" in page and "× no mixing" not in page.split("## Forward, compiled, batch 1")[1]


def test_what_is_not_compiled_is_compiled_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a compiler the study leaves that out; a module that is compiled answers as it did."""
    names = {"models": ["backbone_attention", "backbone_conv"], "lengths": [64]}
    assert [work for work, *_ in lengths.rounds(names | {"works": [["forward", 1]]})] == ["forward"]
    monkeypatch.setattr(timed.shutil, "which", lambda name: None)
    assert not timed.compiler()
    assert [item.model for item in length.items([*names["models"], "backbone_none"], lengths.COMPILED, 1, 64, 0.1)] == [
        *names["models"],
        TWIN,
    ]


@pytest.mark.slow
def test_from_the_command_to_the_page_and_again_from_the_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results"
    done = subprocess.run(
        [sys.executable, "-m", "bench", *ASKED, "--results", str(results)], cwd=ROOT, env=environment(ROOT), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (file,) = (results / "studies" / "length").glob("*.json")
    record = json.loads(file.read_text())
    assert {one["model"] for one in record["rows"]} == {"backbone_attention", TWIN, "backbone_conv"}
    assert len(record["rows"]) == 3 * 2 * 3 and all(len(one["medians_ms"]) == 3 for one in record["rows"])
    page = (results / "studies" / "length.md").read_text()
    counts = {(one["model"], one["length"], one["work"], one["batch"]): one for one in record["counts"]}
    ratio = counts["backbone_attention", 32, "forward", 1]["flops"] / counts["backbone_conv", 32, "forward", 1]["flops"]
    assert f"| {ratio:.3g} ×" in page
    for work, batch in [work for work in WORKS if work[0] in lengths.PLAIN]:  # the others want 64 tokens
        found = {
            one["model"]: one["medians_ms"] for one in record["rows"] if (one["work"], one["batch"], one["length"]) == (work, batch, 32)
        }
        mean = math.exp(np.log(np.array(found["backbone_attention"]) / found["backbone_conv"]).mean())
        assert f"{mean:.3g} × [" in page
    assert (results / "studies" / "length.png").stat().st_size > 1000
    before = file.read_bytes()
    del record["rows"][3:], record["counts"][2:]  # as if it had been killed after the first round
    file.write_text(json.dumps(record))
    assert main([*ASKED, "--results", str(results)]) == 0
    whole = json.loads(file.read_text())
    assert whole["rows"][:3] == record["rows"] and len(whole["rows"]) == 18
    file.write_bytes(before)
    assert main([*ASKED, "--results", str(results)]) == 0  # nothing is missing: nothing is timed
    assert file.read_bytes() == before
    assert (results / "studies" / "length.md").read_text() == page


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"schema": 1}', '{"schema": 1, "settings": {}, "code": "", "machine": {}, "rows": [], "counts": []}']
)
def test_a_record_that_cannot_be_used_is_set_aside(text: str, tmp_path: Path) -> None:
    folder = tmp_path / "studies" / "length"
    folder.mkdir(parents=True)
    (folder / "m.json").write_text(text)
    with pytest.warns(UserWarning, match="set aside"):
        assert lengths.read(Store(tmp_path)) == []
    assert [path.name for path in folder.iterdir()] == ["m.json.broken"]


def test_altered_times_are_no_record(tmp_path: Path) -> None:
    record = {
        "schema": 1,
        "settings": {},
        "code": "",
        "machine": {"slug": "m"},
        "counts": [],
        "rows": rows({"backbone_attention": lambda n, p: 1.0}, [16]),
    }
    assert lengths.valid(record)
    for value in (-1.0, 0.0, "1", None, True):
        record["rows"][0]["medians_ms"][1] = value
        assert not lengths.valid(record)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["study", "width"], "there are length, data, distance"),
        (["study", "length", "--models", "vit,backbone_attention"], "vit cannot be studied"),
        (["study", "length", "--models", "backbone_conv,backbone_mlp"], "name it"),
        (["study", "length", "--models", "backbone_attenton"], "did you mean"),
        (["study", "length", "--models", ""], "no model named"),
        (["study", "length", "--lengths", "16"], "two or more"),
        (["study", "length", "--lengths", "16,0"], "whole number"),
        (["study", "length", "--processes", "2"], "3 or more"),
        (["study", "length", "--seconds", "never"], "a number"),
    ],
)
def test_bad_requests(options: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([*options, "--results", str(tmp_path / "r")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_the_price_is_the_crossing_at_batch_1() -> None:
    times = {"backbone_attention": lambda n, p: n / 100, "backbone_conv": lambda n, p: 1.02 ** (-1, 0, 0, 1)[p]}
    sentence = studies.price({"machine": {"slug": "m"}, "rows": rows(times, [16, 64, 256, 1024])})
    half = 3.182446 * math.log(1.02) * math.sqrt(2 / 3) / 2
    ends = f"{100 * math.exp(-half):.0f} to {100 * math.exp(half):.0f}"
    clause = f"attention costs more than convolution from 100 tokens on (95 % interval {ends})"
    assert sentence.startswith(f"Forward, batch 1: {clause}, 0.16 × its time at 16 and 10 × at 1,024")
    assert sentence.endswith("(one thread of m).")
