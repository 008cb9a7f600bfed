"""The comparison with peers: equal outputs, the arithmetic of ratios, turns in their order, the table. No times are asserted."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from vit_pytorch import ViT as TheirViT

import datasets
import models
from bench.peers import comparison
from bench.peers.comparison import Row, in_turns, page, ratio, transplant
from bench.peers.pairs import FORWARD, PAIRS, Pair
from bench.peers.peer_models import by_hand, example
from bench.store.records import Store
from bench.test_peers import built
from models.attention import SelfAttention
from models.vit import ViT

ROW = Row("vit", "theirs", "28×28", "forward", 64, 1, 0.75, 7.0, 10.0, 0.7, 0.65, 0.76, 10)


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair.what == FORWARD and pair.batch == 1], ids=lambda pair: pair.id)
def test_outputs_agree_where_weights_are_carried_over(pair: Pair) -> None:
    if pair.peer.startswith("timm"):
        pytest.importorskip("timm")
    ours, theirs, x, same = built(replace(pair, batch=3))
    with torch.inference_mode():
        a, b = ours.eval()(x), theirs.eval()(x)
    assert a.shape == b.shape
    assert same != pair.peer.startswith("timm")
    assert (float((a - b).abs().max()) <= 1e-5) == same


def test_gradients_agree_with_vit_pytorch_without_dropout() -> None:
    torch.manual_seed(0)
    sizes = {"dim": 32, "depth": 3, "heads": 4, "dropout": 0.0}
    theirs = TheirViT(image_size=12, patch_size=4, channels=2, num_classes=5, dim_head=8, mlp_dim=48, **sizes).double()
    ours = ViT((2, 12, 12), 5, patch=4, head_dim=8, hidden=48, attention=SelfAttention, **sizes).double()
    transplant(theirs, ours)
    x = torch.randn(4, 2, 12, 12, dtype=torch.float64)
    for model in (ours, theirs):
        model(x).square().sum().backward()
    gradients = {name: p.grad for name, p in ours.named_parameters()}
    transplanted = [p.grad for p in theirs.parameters()]
    assert sorted(float(g.norm()) for g in gradients.values()) == pytest.approx(sorted(float(g.norm()) for g in transplanted), rel=1e-9)


@pytest.mark.parametrize("patch", [1, 4], ids=["many tokens, in parts", "few tokens"])
def test_large_batches_are_evaluated_otherwise_and_answer_the_same(patch: int) -> None:
    torch.manual_seed(0)
    ours = ViT((1, 8, 8), 3, patch=patch, dim=16, depth=2, heads=2, head_dim=8, hidden=16, dropout=0.1).eval()
    x = torch.randn(23, 1, 8, 8)
    assert torch.allclose(ours(x), torch.cat([ours(image) for image in x.split(1)]), atol=1e-6)


def test_dropout_is_drawn_for_every_place_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    for patch in (7, 1):  # drawn at once, and place by place
        ours = ViT((1, 14, 14), 3, patch=patch, dim=16, depth=2, heads=2, head_dim=8, hidden=24, dropout=0.25)
        tokens = (14 // patch) ** 2 + 1
        drawn = list(ours.keep(torch.zeros(9, tokens, 16)))
        outer, hidden = (9, tokens, 16), (9, tokens, 24)
        assert [tuple(d.shape) for d in drawn] == [
            outer,
            (18, tokens, tokens),
            outer,
            hidden,
            outer,
            (18, tokens, 1),
            (9, 16),
            (9, 24),
            (9, 16),
        ]
        factors = torch.cat([d.flatten() for d in drawn])
        assert factors.unique().tolist() == pytest.approx([0, 4 / 3])
        assert float((factors == 0).float().mean()) == pytest.approx(0.25, abs=0.05)
        assert all(d is None for d in ours.eval().keep(torch.zeros(9, tokens, 16)))


def test_a_ratio_is_the_geometric_mean_of_the_rounds() -> None:
    found = ratio([(1.0, 2.0), (2.0, 1.0), (3.0, 3.0)])
    half = 4.302653 * math.log(2) / math.sqrt(3)  # Student's t of 2 degrees of freedom
    assert found.mean == pytest.approx(1.0)
    assert found.n == 3
    assert (found.low, found.high) == (pytest.approx(math.exp(-half), rel=1e-6), pytest.approx(math.exp(half), rel=1e-6))
    other = ratio([(0.3, 0.5), (0.7, 0.9), (0.4, 0.8)])
    inverse = ratio([(0.5, 0.3), (0.9, 0.7), (0.8, 0.4)])
    assert (inverse.mean, inverse.low, inverse.high) == pytest.approx((1 / other.mean, 1 / other.high, 1 / other.low))


def test_turns_are_ours_theirs_theirs_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    now, said = [0.0], []

    def call(name: str, seconds: float) -> comparison.Call:
        def spend() -> None:
            now[0] += seconds
            said.append(name)

        return spend

    monkeypatch.setattr(comparison.time, "perf_counter", lambda: now[0])
    ours, theirs = in_turns(call("a", 1.0), call("b", 3.0), seconds=20.0)
    blocks = "".join(said)[4:]  # after warming up
    assert blocks == "abba" * 3
    assert (ours, theirs) == (1.0, 3.0)
    said.clear()
    in_turns(call("a", 2**-9), call("b", 2**-10), seconds=0.0)  # short calls: several in a turn
    assert "".join(said)[4:] == "aabbbbbbaa" * 2


def test_the_table_tells_what_was_measured_and_what_was_not(tmp_path: Path) -> None:
    missing = Row("vit", "timm", "28×28", "forward", 1, 1, 1.05, reason="timm is not installed", facts="cpu Abacus")
    comparison.write(Store(tmp_path), [replace(ROW, facts="cpu Abacus"), missing])
    with open(tmp_path / "peers.csv", newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert (first["ratio"], first["low"], first["high"], first["rounds"], first["batch"]) == ("0.7", "0.65", "0.76", "10", "64")
    assert (second["ratio"], second["reason"]) == ("", "timm is not installed")
    text = (tmp_path / "peers.md").read_text(encoding="utf-8")
    assert "below 1 ours is faster" in text
    assert "above the aim" in text
    assert text.endswith("10 rounds. cpu Abacus\n")
    assert "nan" not in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["peers.csv", "peers.md"]
    assert "above the aim" not in page([replace(ROW, high=0.74)])


def test_a_session_of_some_rows_leaves_the_others(tmp_path: Path) -> None:
    drawing = Row("shapes", "a loop", "1000 signals", "drawing", None, 1, None, 4.0, 100.0, 0.04, 0.03, 0.05, 10, facts="then")
    missing = Row("vit", "timm", "28×28", "forward", 1, 1, 1.05, reason="timm is not installed", facts="then")
    comparison.write(Store(tmp_path), [replace(ROW, facts="then"), missing, drawing])
    comparison.write(Store(tmp_path), [replace(missing, reason="", rounds=10, ratio=0.9, low=0.8, high=1.0, facts="now")])
    comparison.write(Store(tmp_path), [replace(ROW, rounds=0, ratio=math.nan, reason="not installed", facts="later")])
    found = comparison.earlier(Store(tmp_path))
    assert [(row.key, row.ratio, row.facts) for row in found] == [
        (ROW.key, 0.7, "then"),
        (missing.key, 0.9, "now"),
        (drawing.key, 0.04, "then"),
    ]
    assert found[2] == drawing
    text = (tmp_path / "peers.md").read_text(encoding="utf-8")
    assert text.endswith("10 rounds.\n\n- a: then\n- b: now\n")
    assert [line.split("|")[-3].strip() for line in text.splitlines() if "**0." in line] == ["a", "b", "a"]


@pytest.mark.parametrize("content", ["model,peer\nvit", "a,b\n1,2\n", "model,batch\nvit,many\n"])
def test_a_table_that_cannot_be_read_is_set_aside(tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "peers.csv").write_text(content)
    comparison.write(Store(tmp_path), [ROW])
    assert comparison.earlier(Store(tmp_path)) == [ROW]
    assert (tmp_path / "peers.csv.broken").read_text() == content
    assert "set aside as peers.csv.broken" in capsys.readouterr().err


def test_the_plain_generator_draws_what_it_says() -> None:
    import random

    x, y = by_hand(random.Random(3))
    assert len(x) == len(y) == 100
    assert 5 / 50 / 3 < max(y) <= 49 / 50
    assert y.count(0.0) > 50


@pytest.mark.parametrize("model", ["cnn", "vit"])
def test_the_examples_loop_trains_the_same_architecture(model: str) -> None:
    ours, theirs = models.build(model, datasets.task("mnist")), example(model)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
