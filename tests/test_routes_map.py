"""What mixers reach on routes, in words and as a picture: read from rows, controls that fail told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.report.routes import figure, picture, title
from bench.tables.routes import NAMES, ROUTES, Reached, failed, reached, sentences
from bench.tables.rows import Row
from datasets.metrics import R2

HIGH, LOW = [0.99, 0.97, 0.98], [0.01, -0.02, 0.0]


def row(model: str, route: str, scores: list[float], budget: str = "reference", val: list[float] | None = None) -> Row:
    curve = {"samples": [100, 200, 300], "val_metric": val or [scores[0]] * 3}
    runs: list[dict[str, Any]] = [{"curve": curve, "metric": R2.facts} for _ in scores]
    return Row(model, route, budget, "float32", "cpu", "ok", "", metric=R2, values=dict(enumerate(scores)), runs=runs)


def sections(budget: str = "reference", **changed: list[float]) -> dict[str, list[Row]]:
    """Attention solves all routes, nothing else any; `model__route` says otherwise."""
    return {
        route: [
            row(model, route, changed.get(f"{model}__{route}", HIGH if model == "backbone_attention" else LOW), budget) for model in NAMES
        ]
        for route in ROUTES
    }


def test_a_route_is_solved_at_once_after_some_samples_or_never() -> None:
    """The median over seeds of the first evaluation with 0.9; most seeds without one have none."""
    late = row("backbone_attention", "copy_far", HIGH, val=[0.2, 0.95, 0.97])
    never = row("backbone_mlp", "copy_far", LOW)
    found = reached({"copy_far": [late, never], "digits": [row("backbone_conv", "digits", HIGH)]})
    assert {place: one.samples for place, one in found.items()} == {
        ("backbone_attention", "copy_far"): 200,
        ("backbone_mlp", "copy_far"): None,
    }
    mixed = replace(late, runs=[late.runs[0], *never.runs[1:]])
    assert reached({"copy_far": [mixed]})["backbone_attention", "copy_far"].samples is None


def test_controls_that_fail_are_told_both_ways() -> None:
    """Convolution misses what it should solve, no mixing solves what it cannot see; recurrence is no control."""
    own = sections(backbone_conv__copy_near=HIGH, backbone_local__copy_near=HIGH, backbone_local__point_near=HIGH)
    for route in ("copy_near", "copy_far", "mean_all"):
        own[route] = [row(one.model, route, HIGH) if one.model == "backbone_mlp" else one for one in own[route]]
    assert failed(reached(own)) == []
    assert len(sentences(reached(own))) == 1
    assert "attention solves all 6; convolution solves 1 of 6 (copy_near)" in sentences(reached(own))[0]
    own["copy_near"] = [row(one.model, "copy_near", LOW if one.model == "backbone_conv" else HIGH) for one in own["copy_near"]]
    assert set(failed(reached(own))) == {("backbone_conv", "copy_near"), ("backbone_none", "copy_near")}
    assert "**Controls that failed: convolution on copy_near (-0.00), no mixing on copy_near (0.98).**" in sentences(reached(own))[1]


def test_smoke_says_nothing() -> None:
    found = reached(sections("smoke", backbone_attention__copy_near=LOW))
    assert failed(found) == []
    assert sentences(found) == []
    assert title(found).startswith("A smoke run")


def test_the_picture_has_every_place_and_its_title_is_the_finding() -> None:
    found = reached({route: rows for route, rows in sections(backbone_conv__copy_near=HIGH).items() if route != "mean_all"})
    del found["backbone_mlp", "copy_far"]
    assert title(found) == "Attention solves 5 of 5 routes, more than any other mixer"
    drawn = picture(found)
    assert drawn is not None
    texts = [text.get_text() for text in drawn.axes[0].texts]
    assert (texts.count("0.98"), texts.count("0.00"), texts.count("not run")) == (6, 23, 1)
    assert any("✗" in text for text in texts)
    assert picture({}) is None


def test_no_zero_has_a_sign() -> None:
    assert [figure(value) for value in (-0.004, 0.004, -0.006, 1.0)] == ["0.00", "0.00", "−0.01", "1.00"]


def test_one_seed_is_called_one_seed() -> None:
    drawn = picture(reached({"copy_near": [row("backbone_attention", "copy_near", [0.99])]}))
    assert drawn is not None
    assert any(text.get_text().startswith("one seed") for text in drawn.axes[0].texts)
    assert isinstance(reached(sections())["backbone_none", "copy_far"], Reached)
