"""One figure: who gave it, whose cell it is about, what was done to get it, and whether anything here can judge it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import datasets
import models
from bench.store.records import BATCHES, DEVICES
from datasets.registry import did_you_mean

HOLDS, FAILS, EXPLAINED, UNMEASURED = VERDICTS = ("holds", "does not hold", "explained", "not measured yet")
KINDS = {"count": "Counts and sums", "trained": "Trained figures", "timed": "Timings"}
COMPUTED = ("parameters", "dead_parameters", "dead_share", "arithmetic")
TIMED = tuple(f"latency_{device}_b{batch}_{q}_ms" for device in DEVICES for batch in BATCHES for q in ("p50", "p95", "p99"))
CURVES = {  # quantities that are known after each epoch -> the curve they stand in
    "train_loss": "train_loss",
    "last_loss": "last_loss",
    "train_value": "train_metric",
    "val_loss": "val_loss",
    "val_last": "val_metric",
}
TAKEN = {  # when a source took a figure -> what of ours is that figure, besides the metrics of the task at the best weights
    "best": ("value", "error", "val_value", "test_loss"),
    "final": ("value_last", "test_loss_last", "val_last", "val_loss"),
    "training": ("train_loss", "last_loss", "train_value", "settled"),
}
TRAINED = tuple(quantity for quantities in TAKEN.values() for quantity in quantities)
PLACE = ("model", "dataset", "size", "quantity", "budget", "epoch")  # what an explanation or a denominator may change

Number = int | Decimal  # Decimal keeps 51.0 and 1.20 as they were printed


@dataclass(frozen=True)
class Claim:
    """One figure. `model` and `dataset` are '' where the suite has no such cell; then `label` says whose it is.

    `ours`: no source printed it, we found it by rebuilding; `published` is then what we recorded. `order` makes it a conclusion:
    the figure is said to lie above or below `published`.
    """

    line: int
    source: str
    quantity: str
    published: Number
    ours: bool = False
    model: str = ""
    dataset: str = ""
    label: str = ""
    size: Mapping[str, Any] = field(default_factory=dict)
    budget: str = ""
    epoch: int = 0
    over: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""
    unit: str = ""
    tolerance: Number = 0
    order: str = ""
    taken: str = ""
    formula: str = ""
    protocol: str = ""
    remark: str = ""
    expect: str = ""
    explained: Mapping[str, Any] = field(default_factory=dict)
    not_measured: str = ""
    near: Mapping[str, Any] = field(default_factory=dict)

    @property
    def computed(self) -> bool:
        """Whether it needs no run: a count or a sum."""
        return self.quantity in COMPUTED

    @property
    def kind(self) -> str:
        """One of KINDS."""
        return "count" if self.computed else "timed" if self.quantity in TIMED else "trained"

    @property
    def scale(self) -> int:
        """What turns a measured share into the unit of `published`."""
        return 100 if self.unit == "%" and not self.quantity.endswith("loss") else 1

    def elsewhere(self, changes: Mapping[str, Any]) -> Claim:
        """The same claim about another cell, budget, epoch or quantity; what is no place in `changes` is left out."""
        return replace(self, **{name: value for name, value in changes.items() if name in PLACE})

    @property
    def alternative(self) -> Claim | None:
        """What its explanation looks at."""
        return self.elsewhere(self.explained) if self.explained else None

    @property
    def denominator(self) -> Claim | None:
        """What it is divided by."""
        return replace(self.elsewhere(self.over), over={}) if self.over else None


def unknown(noun: str, name: str, among: Sequence[str]) -> str:
    return f"unknown {noun} {name!r}{did_you_mean(name, among)}"


def nonsense(claim: Claim, tolerated: bool) -> tuple[str, str] | None:
    """The key at fault and what is wrong with it, None if the claim can be judged."""
    places = [("", claim), ("explained.", claim.alternative), ("over.", claim.denominator), ("near.", claim.elsewhere(claim.near))]
    for prefix, place in places:
        if place is not None and (problem := misplaced(place)):
            return prefix + problem[0], problem[1]
    if claim.tolerance < 0:
        return "tolerance", "a tolerance is not negative"
    for key, among in (("order", ("", "<", ">")), ("taken", ("", *TAKEN))):
        if getattr(claim, key) not in among:
            return key, f"{key} is one of {', '.join(filter(None, among))}"
    if claim.computed:
        if claim.expect not in VERDICTS[:-1]:
            return "expect", f"a computed figure needs the verdict we expect: {', '.join(VERDICTS[:-1])}"
        if (claim.quantity == "arithmetic") != bool(claim.formula):
            return "formula", "arithmetic needs a formula, and nothing else has one"
    elif claim.ours or claim.expect:
        key, what = ("ours", "be our own") if claim.ours else ("expect", "have an expected verdict")
        return key, f"only a computed figure can {what} ({', '.join(COMPUTED)}); {claim.quantity} is measured"
    if not claim.not_measured and (problem := unjudgeable(claim, tolerated)):
        return problem
    return unexplained(claim) if claim.explained else None


def unjudgeable(claim: Claim, tolerated: bool) -> tuple[str, str] | None:
    """What is missing for a verdict."""
    if claim.quantity != "arithmetic" and not claim.dataset:
        return "dataset", "names no cell, so it needs 'not_measured' = why"
    if claim.computed:
        return None
    if tolerated == bool(claim.order):
        return "tolerance", "a measured figure needs either a tolerance or, as a conclusion, an order"
    if claim.kind != "trained":
        return None
    if not claim.budget:
        return "budget", "a trained figure needs the budget that judges it"
    own = "best" if claim.quantity not in TRAINED else next(taken for taken, names in TAKEN.items() if claim.quantity in names)
    if claim.taken != own:
        said = f"a {claim.taken} figure" if claim.taken else "a trained figure that does not say when it was taken"
        means = "; ".join(f"{taken}: {', '.join(names)}" for taken, names in TAKEN.items())
        return "taken", f"{said} is not judged on {claim.quantity}, which is {own} ({means}); else it needs 'not_measured' = why"
    return None


def unexplained(claim: Claim) -> tuple[str, str] | None:
    """What is wrong with its explanation: one that is always met, or never checked, explains nothing."""
    other = claim.alternative
    assert other is not None
    if "because" not in claim.explained or not set(claim.explained) - {"because", "tolerance"}:
        condition = "value, or another budget, model, dataset, size, quantity or epoch"
        return "explained", f"an explanation needs 'because' and a condition: {condition}"
    tolerance = claim.explained.get("tolerance", claim.tolerance)
    if tolerance < 0 or (tolerance > claim.tolerance and other.quantity == claim.quantity):
        return "explained.tolerance", f"must lie between 0 and the claim's own, {claim.tolerance}"
    if not claim.computed and other == claim:
        return "explained", "a measured figure is explained by another budget, model, dataset, quantity or epoch, not by another value"
    return None


def misplaced(claim: Claim) -> tuple[str, str] | None:
    """The key and the reason, if there is no such cell, budget or quantity."""
    metrics: list[str] = []
    if claim.dataset:
        if claim.dataset not in datasets.names(published=True):
            return "dataset", lost("data set", claim.dataset, datasets.names(published=True), datasets.errors)
        if claim.model not in models.names(published=True):
            return "model", lost("model", claim.model, models.names(published=True), models.errors)
        task = datasets.task(claim.dataset)
        metrics = [metric.name for metric in task.metrics]
        budgets = [budget.name for budget in task.budgets]
        if claim.budget and claim.budget not in budgets:
            return "budget", f"{unknown('budget', claim.budget, budgets)}; {claim.dataset} has {', '.join(budgets)}"
        if claim.quantity == "error" and metrics[0] != "accuracy":
            return "quantity", f"error is 1 - accuracy, and {claim.dataset} is scored by {metrics[0]}"
    elif claim.model:
        return "model", "names a model and no data set"
    if claim.size and claim.quantity not in COMPUTED:
        return "size", "runs are of a model's own size; only a count can have another"
    if claim.epoch < 0 or (claim.epoch and claim.quantity not in CURVES):
        return "epoch", f"counts from 1, and only {', '.join(CURVES)} are known at an epoch"
    quantities = [*COMPUTED, *TRAINED, *TIMED, *metrics]
    if claim.quantity not in quantities:
        return (
            "quantity",
            f"{unknown('quantity', claim.quantity, quantities)} (there are {', '.join([*COMPUTED, *TRAINED, *metrics])}, {TIMED[0]} …)",
        )
    return None


def lost(noun: str, name: str, among: Sequence[str], errors: Mapping[str, str]) -> str:
    """A name nobody registered; the file that should have may be one that does not import."""
    broken = "".join(f"; {stem}.py {why}" for stem, why in errors.items())
    return f"{unknown(noun, name, among)} (python -m bench list){broken}"
