"""What each mixer reaches on each route, and the controls: results that must come out if a comparison of mixers is to count."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.core.stats import Interval
from bench.store.curves import on_val
from bench.store.records import Record
from bench.tables.family import MIXERS, NONE, OTHERS
from bench.tables.rows import Row

ROUTES = {
    "copy_near": "near, fixed",
    "copy_far": "far, fixed",
    "point_near": "near, by content",
    "point_far": "far, by content",
    "match_far": "far, by matching content",
    "mean_all": "everywhere",
}
NAMES = {MIXERS[0]: "attention", **OTHERS, NONE: "no mixing"}  # columns, in order
NEAR, FAR = {"backbone_conv", "backbone_local"}, {"copy_far", "point_far", "match_far"}
ABLE = {
    *((MIXERS[0], route) for route in ROUTES),
    *((near, "copy_near") for near in NEAR),
    ("backbone_local", "point_near"),
    *(("backbone_mlp", route) for route in ("copy_near", "copy_far", "mean_all")),
}  # at least SOLVED
UNABLE = {
    *((NONE, route) for route in ROUTES),
    *((near, route) for near in NEAR for route in FAR),
    *(("backbone_mlp", route) for route in ("point_far", "match_far")),
}  # at most MISSED
SOLVED, MISSED = 0.95, 0.2  # R²
HALFWAY = 0.9  # R² on val whose samples are counted


@dataclass(frozen=True)
class Reached:
    """R² on test with its interval over seeds; samples, a median over seeds, after which val had HALFWAY (None where most never had)."""

    value: Interval
    samples: float | None
    seeds: int
    budget: str

    def fails(self, model: str, route: str) -> bool:
        """Whether a control did not come out. Smoke runs control nothing."""
        missed = (model, route) in ABLE and self.value.mean < SOLVED
        solved = (model, route) in UNABLE and self.value.mean > MISSED
        return (missed or solved) and self.budget != "smoke"


def first_above(run: Record) -> int | None:
    """Samples at a run's first evaluation at which val has HALFWAY or more."""
    return next((n for n, score in zip(run["curve"]["samples"], on_val(run, "r2"), strict=False) if score >= HALFWAY), None)


def usual(reached: Sequence[int | None]) -> float | None:
    """The median over seeds; None where most never got there."""
    median = float(np.median([math.inf if n is None else n for n in reached])) if reached else math.inf
    return None if math.isinf(median) else median


def reached(sections: dict[str, list[Row]]) -> dict[tuple[str, str], Reached]:
    """By mixer and route, of the rows that are shown."""
    return {
        (row.model, route): Reached(row.value, usual([*map(first_above, row.runs)]), len(row.values), row.budget)
        for route in ROUTES
        for row in sections.get(route, [])
        if row.model in NAMES and row.value is not None
    }


def failed(found: dict[tuple[str, str], Reached]) -> list[tuple[str, str]]:
    """Controls that did not come out, and so speak against every comparison."""
    return [place for place, one in found.items() if one.fails(*place)]


def sentences(found: dict[tuple[str, str], Reached]) -> list[str]:
    """What the routes say, computed: which a mixer solves, and the controls that failed; [] before there is anything but smoke."""
    counted = {place: one for place, one in found.items() if one.budget != "smoke"}
    if not counted:
        return []
    run = [route for route in ROUTES if any(place[1] == route for place in counted)]
    parts = []
    for model, name in NAMES.items():
        own = [route for route in run if (model, route) in counted]
        solved = [route for route in own if counted[model, route].value.mean >= SOLVED]
        if own:
            parts.append(f"{name} {told(solved, own)}")
    fewest = min(one.seeds for one in counted.values())
    some = f"{len(run)} of {len(ROUTES)} " if len(run) < len(ROUTES) else ""
    said = [
        f"On {some}routes, tasks built so that only some ways of mixing can solve them (R² of at least {SOLVED:g},"
        f" {fewest} seed{'s' * (fewest != 1)} or more): {'; '.join(parts)}. They say what a mixer learns at its recipe,"
        " and count in no verdict."
    ]
    if wrong := failed(found):
        names = ", ".join(f"{NAMES[model]} on {route} ({found[model, route].value.mean:.2f})" for model, route in wrong)
        said.append(f"**Controls that failed: {names}.** Until they come out, comparisons with these mixers say little.")
    return said


def told(solved: Sequence[str], own: Sequence[str]) -> str:
    """'solves 3 of 6 (copy_near, …)'."""
    if len(solved) == len(own):
        return f"solves all {len(own)}" if len(own) > 1 else f"solves {own[0]}"
    return f"solves {len(solved)} of {len(own)}" + (f" ({', '.join(solved)})" if solved else "")
