"""The gate's statistics and its decisions, on made-up ratios: no process, no clock."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bench.gate import selftest, table
from bench.gate.contest import EVERY, MOST, look, share
from bench.gate.survey import Cell, Contest
from bench.gate.trees import Tree
from bench.gate.trio import Sample, middle
from bench.gate.verdicts import ALPHA, FEWEST, estimate, judge, levels

HERE = Tree("here", Path())
NOISE = 0.009


def gate(rng: np.random.Generator, slowdowns: list[float], trios: int, allow: float, noise: float = NOISE) -> list[str]:
    samples = {str(i): list(rng.normal(math.log1p(s), noise, trios)) for i, s in enumerate(slowdowns)}
    return [one.verdict for one in judge(samples, allow).values()]


def test_an_interval_is_students() -> None:
    values = [0.01, 0.03, 0.02, 0.05, -0.01, 0.02, 0.03, 0.0]
    said = judge({"a": values}, 0.01)["a"]
    low, high = stats.ttest_1samp(values, 0).confidence_interval(1 - 2 * ALPHA)
    assert (said.low, said.ratio, said.high) == pytest.approx((math.exp(low), math.exp(np.mean(values)), math.exp(high)))


def test_levels_are_holms() -> None:
    assert levels([0.5]) == [ALPHA]
    assert levels([0.001, 0.5, 0.002]) == pytest.approx([ALPHA / 3, ALPHA, ALPHA / 2])
    assert levels([0.02, 0.0001, 0.021]) == pytest.approx([ALPHA / 2, ALPHA / 3, ALPHA / 2])  # the one that stands stops the easing


def test_a_lower_end_passes_exactly_where_holm_rejects() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        samples = {str(i): rng.normal(0.01 * (i % 3), 0.01, 8) for i in range(6)}
        p = {name: stats.ttest_1samp(v, math.log1p(0.01), alternative="greater").pvalue for name, v in samples.items()}
        rejected, going = set(), True
        for rank, name in enumerate(sorted(p, key=p.__getitem__)):
            going = going and p[name] <= ALPHA / (6 - rank)
            rejected |= {name} if going else set()
        assert {name for name, one in judge(samples, 0.01).items() if one.verdict == "slower"} == rejected


def test_unchanged_cells_are_accused_no_more_often_than_stated() -> None:
    """At the border, where a slowdown is just what is allowed, a family of six is accused in 2.5 % of looks."""
    rng = np.random.default_rng(1)
    wrong = sum("slower" in gate(rng, [0.01] * 6, 8, 0.01) for _ in range(800))
    assert stats.binomtest(wrong, 800, ALPHA).pvalue > 1e-3
    assert not any("slower" in gate(rng, [0.0] * 6, 8, 0.01) for _ in range(100))


def test_a_slowdown_of_the_size_called_detectable_is_caught_four_times_in_five() -> None:
    """By both phases, as a gate demands it."""
    rng = np.random.default_rng(2)
    mds = float(np.mean([judge({"a": rng.normal(0, NOISE, 16)}, 0.01)["a"].mds for _ in range(100)]))
    caught = sum(gate(rng, [mds], 16, 0.01) == gate(rng, [mds], 16, 0.01) == ["slower"] for _ in range(400))
    assert caught / 400 == pytest.approx(0.8, abs=0.08)


def test_cells_that_were_not_timed_yet_count_in_the_correction() -> None:
    values = {"a": list(np.random.default_rng(3).normal(0.03, 0.01, 8))}
    assert judge(values, 0.01, among=100)["a"].low < judge(values, 0.01)["a"].low


@pytest.mark.parametrize(("mean", "word"), [(0.1, "slower"), (-0.1, "faster"), (0.0, "same")])
def test_words(mean: float, word: str) -> None:
    values = [mean + 0.001 * (i % 3 - 1) for i in range(9)]
    assert judge({"a": values}, 0.01)["a"].verdict == word
    assert judge({"a": values[: FEWEST - 1]}, 0.01)["a"].verdict == "undecided"
    assert judge({"a": [mean + 0.3 * (-1) ** i for i in range(8)]}, 0.01)["a"].verdict == "undecided"


def test_equal_ratios_are_no_division_by_zero() -> None:
    assert judge({"a": [0.0] * 8, "b": [0.05] * 8}, 0.01)["b"].verdict == "slower"
    assert estimate([0.0] * 8).p(0.01) == 1.0


def test_the_middle_is_not_moved_by_interruptions() -> None:
    assert middle([0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 2.0]) == pytest.approx(0.01)


def contest(*cells: str) -> Contest:
    found = [Cell(name, "d", 1, {"base": counts(), "head": counts()}) for name in cells]
    return Contest(HERE, HERE, 0.01, 15, found)


def counts(**more: int) -> dict[str, object]:
    return {"params": 10, "flops": 20, "operators": 3, "peak_bytes": 40, "names": {"aten.mm.default": 3}} | more


def feed(cell: Cell, means: float, n: int, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    cell.samples.extend(Sample(float(r), float(a), 1.0) for r, a in zip(rng.normal(means, 0.003, n), rng.normal(0, 0.003, n), strict=True))


def test_slower_needs_a_rerun_of_its_own() -> None:
    one = contest("a")
    (cell,) = one.cells
    feed(cell, 0.05, FEWEST)
    look(one)
    assert not cell.verdict
    assert cell.samples == []  # the rerun starts from nothing
    feed(cell, 0.05, FEWEST - 1)
    look(one)
    assert not cell.verdict
    feed(cell, 0.05, 1)
    look(one)
    assert cell.verdict == "slower"


def test_a_rerun_that_does_not_confirm_acquits() -> None:
    one = contest("a")
    (cell,) = one.cells
    feed(cell, 0.05, FEWEST)
    look(one)
    feed(cell, 0.0, FEWEST)
    look(one)
    assert (cell.verdict, cell.reason) == ("same", "found slower at first; the rerun did not confirm it")


def test_easy_cells_leave_and_undecided_ones_go_on() -> None:
    one = contest("easy", "hard")
    easy, hard = one.cells
    feed(easy, 0.0, FEWEST)
    rng = np.random.default_rng(0)
    hard.samples.extend(Sample(float(r), 0.0, 1.0) for r in rng.normal(0.01, 0.03, FEWEST))
    look(one)
    assert (easy.verdict, hard.verdict) == ("same", "")
    hard.samples.extend(Sample(float(r), 0.0, 1.0) for r in rng.normal(0.01, 0.03, MOST - FEWEST))
    look(one)
    assert hard.verdict == "undecided"
    assert MOST % EVERY == 0


def test_time_is_up_too_early() -> None:
    one = contest("a", "b")
    feed(one.cells[0], 0.1, 3)
    look(one, last=True)
    assert one.cells[0].verdict == "undecided"
    assert "3 trios" in one.cells[0].reason


def test_a_slowdown_seen_but_not_confirmed_in_time_is_undecided() -> None:
    one = contest("a")
    feed(one.cells[0], 0.1, FEWEST)
    look(one, last=True)
    assert one.cells[0].verdict == "undecided"
    assert "found slower at first, not confirmed" in one.cells[0].reason


def test_more_cells_get_less_time_each_but_never_none() -> None:
    assert share(15, 1) > share(15, 136) > 0
    assert share(0.01, 10_000) > 0


def judged(costs: dict[str, object]) -> Contest:
    one = contest("a", "b")
    one.cells[1].costs["head"] = costs
    for cell in one.cells:
        cell.settle("same")
    return one


def test_one_operator_more_is_named_and_fails() -> None:
    one = judged(counts(operators=4, names={"aten.mm.default": 3, "aten.relu.default": 1}))
    assert table.growth(one.cells[1]) == {"verdict": "grew", "operators": [3, 4], "by_operator": {"aten.relu.default": 1}}
    assert "operators 3 → 4 (relu.default +1)" in table.terminal(one).replace("\n", " ")
    assert table.failed(one, accept_costs=False)
    assert not table.failed(one, accept_costs=True)
    assert "exact costs grew in 1" in table.headline(one)


def test_fewer_bytes_fail_nothing_but_a_rise_beside_a_fall_does() -> None:
    assert not table.failed(judged(counts(peak_bytes=39)), accept_costs=False)
    assert table.failed(judged(counts(peak_bytes=39, flops=21)), accept_costs=False)
    assert table.growth(judged(counts(names={"aten.addmm.default": 3})).cells[1])["verdict"] == "changed"  # type: ignore[index]


@pytest.mark.parametrize(("word", "fails"), [("slower", True), ("missing", True), ("failing", True), ("undecided", False), ("new", False)])
def test_what_fails(word: str, fails: bool) -> None:
    one = contest("a", "b")
    one.cells[0].settle(word, "why | <b>")
    one.cells[1].settle("same")
    assert table.failed(one, accept_costs=False) == fails
    text = table.markdown(one)
    assert "<b>" not in text
    assert "why \\| &lt;b>" in text


@pytest.mark.parametrize("word", ["same", "failing"])
def test_a_comment_fits_where_it_goes(word: str) -> None:
    """65,536 characters are what GitHub takes; as many cells as anyone has, with long errors."""
    one = contest(*(f"model_{i}" for i in range(600)))
    for cell in one.cells:
        cell.settle(word, "x" * 500)
    text = table.markdown(one)
    assert len(text) < 65_000
    assert text.startswith(table.MARK)
    assert f"600 {word} of 600 cells" in text
    assert "more than fit" in text


def test_what_was_seen_first_is_told_while_the_rerun_is_missing() -> None:
    one = contest("a")
    feed(one.cells[0], 0.1, FEWEST)
    look(one, last=True)
    assert table.row(one.cells[0])[2].startswith("+10.")


def test_json_has_the_promised_keys() -> None:
    one = contest("a", "b")
    feed(one.cells[0], 0.0, FEWEST)
    one.cells[1].settle("missing", "head: there is no model b")
    look(one, last=True)
    facts = {fact["cell"]: fact for fact in json.loads(json.dumps(table.facts(one)))}
    assert {"cell", "latency", "ratio", "low", "high", "mds", "costs"} <= set(facts["a-d-cpu-b1"])
    assert facts["a-d-cpu-b1"]["low"] < facts["a-d-cpu-b1"]["ratio"] < facts["a-d-cpu-b1"]["high"]
    assert facts["b-d-cpu-b1"]["ratio"] is None


def record(kind: float, number: int, verdicts: list[tuple[str, bool]]) -> dict[str, object]:
    cells = [
        {"cell": f"c{i}", "latency": word, "slowed": slowed, "ratio": 1 + kind * slowed, "mds": 0.02}
        for i, (word, slowed) in enumerate(verdicts)
    ]
    machine = {"commit": "abc", "dirty": False, "cpu": "x", "cores": 2, "torch": "2", "python": "3"}
    return {"kind": kind, "number": number, "seconds": 60.0, "trios": 8, "cells": cells, "machine": machine}


def test_the_self_tests_report_counts_what_the_gates_said() -> None:
    records = [
        record(0.0, 0, [("same", False)] * 6),
        record(0.05, 0, [("slower", True), ("undecided", True), ("slower", False), ("same", False)]),
    ]
    page = selftest.report(selftest.Plan(1, 3, 0.01), records)
    assert "1 of 2 (50 %, 1 to 99)" in page  # exact binomial interval of one in two
    assert "accused in 1 of 8 verdicts" in page
    assert f"at most {100 * stats.beta.ppf(0.95, 2, 7):.1f} %" in page


def test_the_self_test_slows_every_cell_equally_often_and_mixes_the_kinds() -> None:
    plan = selftest.Plan(12, 3, 0.01)
    assert sorted(plan.order) == sorted((kind, i) for kind in selftest.KINDS for i in range(12))
    assert plan.order != sorted(plan.order)
    times = [sum(cell in plan.slowed(0.05, i) for i in range(12)) for cell in selftest.CELLS]
    assert times == [6] * len(selftest.CELLS)
    assert plan.slowed(0.0, 1) == []


def test_a_broken_gate_file_is_set_aside(tmp_path: Path) -> None:
    plan = selftest.Plan(1, 3, 0.01)
    (tmp_path / "5-00.json").write_text('{"kind": 0.0')
    (tmp_path / "3-00.json").write_text(json.dumps({"source": plan.source, "kind": 0.03, "number": 0}))
    (tmp_path / "10-00.json").write_text(json.dumps({"source": "older", "kind": 0.1, "number": 0}))
    with pytest.warns(UserWarning, match="5-00.json"):
        assert list(selftest.kept(tmp_path, plan)) == [(0.03, 0)]
    assert (tmp_path / "5-00.json.broken").is_file()
