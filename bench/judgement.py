"""A claim held against the evidence: one of four verdicts, and why. `RULE` says how, for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from bench.claim import EXPLAINED, FAILS, HOLDS, TIMED, UNMEASURED, Claim, Number
from bench.evidence import Evidence, Found
from bench.stats import FEWEST, Interval

EXACT = 1e-9  # relative: what rounding does to a sum, and far below one parameter
RULE = (
    "A trained figure **holds** if what was measured is within the tolerance that `{ledger}` gives it, or if the published"
    f" value lies within the 95 % interval of at least {FEWEST} seeds. A count or a sum holds if it is the published one, to the last"
    " unit or to the digits printed. A figure that misses is **explained** only if its explanation names a condition that was checked and"
    " met: the same figure under another budget or on other data comes out as published, or comes out as the explanation predicts."
    " Otherwise it **does not hold**. It is **not measured yet** where the runs that could judge it have not been made, or"
    " where it is about other data or other networks than any cell here; the nearest figure we have then stands in italics, unjudged."
)
WORDS = {
    "value": "test score",
    "error": "test error",
    "parameters": "parameters",
    "dead_parameters": "dead parameters",
    "dead_share": "share of dead parameters",
}


@dataclass(frozen=True)
class Judged:
    """A claim, what was found, the verdict, and why. `other` is what its explanation looked at, `near` the nearest figure.

    `wanted` are the (model, data set, budget) that have not been run and that a verdict could use.
    """

    claim: Claim
    found: Found
    verdict: str
    why: str
    other: Found = field(default_factory=Found)
    near: Found = field(default_factory=Found)
    wanted: Sequence[tuple[str, str, str]] = ()

    @property
    def surprising(self) -> bool:
        """Whether a computed figure came out otherwise than the ledger expects."""
        return self.claim.computed and self.verdict != self.claim.expect


def plain(value: float | Number, digits: int = 4) -> str:
    """A number without an exponent, thousands separated; a measured one to so many significant digits, a count to all."""
    if isinstance(value, int | Decimal):
        return format(value, ",f" if isinstance(value, Decimal) else ",")
    if abs(value - round(value)) < EXACT * max(1.0, abs(value)):
        return f"{round(value):,}"
    rounded = format(Decimal(f"{value:.{digits}g}"), ",f")
    return rounded if abs(value) < 10**digits else f"{value:,.0f}"


def with_unit(text: str, claim: Claim) -> str:
    return f"{text} {claim.unit}".rstrip()


def published(claim: Claim) -> str:
    return with_unit(plain(claim.published), claim)


def measured(value: Interval | None, claim: Claim) -> str:
    """Mean ± half the 95 % interval, in the claim's unit; '' if there is none."""
    if value is None:
        return ""
    mean = f"{value.mean:.2f}" if claim.scale == 100 else plain(value.mean)
    return with_unit(mean + ("" if value.n < 2 else f" ± {plain(value.half, 2)}"), claim)


def subject(claim: Claim) -> str:
    """What a claim is about, in words and with its cell."""
    what = claim.about or WORDS.get(claim.quantity, claim.quantity.replace("_", " "))
    if not claim.dataset:
        return f"{what}: {claim.label}" if claim.label else what
    size = "".join(f", {name} {value}" for name, value in claim.size.items())
    return f"{what}, `{claim.model}` on `{claim.dataset}`{size}"


def close(value: Interval, target: Number, tolerance: Number) -> bool:
    """Whether a measured value is as claimed."""
    near = abs(value.mean - float(target)) <= float(tolerance) + EXACT * abs(float(target))
    return near or (value.n >= FEWEST and value.low <= float(target) <= value.high)


def gap(claim: Claim, value: Interval) -> str:
    """How far the measured value is from the published one, in words."""
    difference = value.mean - float(claim.published)
    if claim.unit == "%" and claim.scale == 100:
        return f"{abs(difference):.2f} points {'higher' if difference > 0 else 'lower'}"
    if claim.computed:
        return with_unit(plain(abs(difference)), claim) + (" more" if difference > 0 else " fewer") + " than published"
    text = plain(abs(difference), 3) if claim.over else with_unit(plain(abs(difference), 3), claim)
    return text + (" higher" if difference > 0 else " lower")


def origin(found: Found) -> str:
    """The runs a figure is from."""
    n = found.value.n if found.value else 0
    if not found.machine:
        return ""
    seeds = f"{n} seed{'' if n == 1 else 's'} of `{found.budget}`, " if found.budget else ""
    return "; ".join(filter(None, [f"{seeds}`{found.machine}`", found.note]))


def judge(claim: Claim, evidence: Evidence) -> Judged:
    """The verdict, by RULE."""
    found = evidence.of(claim)
    if claim.not_measured or found.value is None:
        return unmeasured(claim, found, evidence)
    held = close(found.value, claim.published, claim.tolerance)
    distance = "" if claim.computed and held else gap(claim, found.value)
    why = "; ".join(filter(None, [distance, origin(found)]))
    if claim.alternative is None:
        return Judged(claim, found, HOLDS if held else FAILS, why)
    other, target = evidence.of(claim.alternative), claim.explained.get("value", claim.published)
    wanted = missing(claim.alternative, other)
    if held:
        return Judged(claim, found, HOLDS, why, other, wanted=wanted)
    if other.value is None:
        return Judged(claim, found, FAILS, f"{why}; an explanation waits to be checked: {other.missing}", other, wanted=wanted)
    looked = "" if claim.alternative == claim else f"; {instead(claim)} {measured(other.value, claim.alternative)}"
    if close(other.value, target, claim.explained.get("tolerance", claim.tolerance)):
        return Judged(claim, found, EXPLAINED, why + looked, other)
    return Judged(claim, found, FAILS, f"{why}{looked}, which does not explain it", other)


def instead(claim: Claim) -> str:
    """Where an explanation looked: what it changes."""
    changes = {name: value for name, value in claim.explained.items() if name not in ("because", "value", "tolerance")}
    if set(changes) == {"budget"}:
        return f"at `{changes['budget']}`"
    return ", ".join(f"{name.replace('_', ' ')} {str(value).replace('_', ' ')}" for name, value in changes.items())


def missing(claim: Claim, found: Found) -> list[tuple[str, str, str]]:
    """The run that would make the figure, if it can be run at all."""
    if found.value is not None or found.machine or claim.computed or not (claim.dataset and claim.budget):
        return []
    runs = [(claim.model, claim.dataset, claim.budget)]
    below = claim.denominator
    return runs + ([(below.model, below.dataset, below.budget)] if below is not None else [])


def unmeasured(claim: Claim, found: Found, evidence: Evidence) -> Judged:
    """No verdict: why, the nearest figure, and the runs that would help."""
    near = found if found.value is not None else evidence.nearest(claim) if claim.budget and claim.dataset else Found()
    wanted = missing(claim, found)
    if claim.alternative is not None:
        wanted += missing(claim.alternative, evidence.of(claim.alternative))
    reasons = [found.missing if claim.quantity in TIMED or not claim.not_measured else "", claim.not_measured]
    if near.value is not None:
        reasons.append(f"nearest: {origin(near)}")
    return Judged(claim, found, UNMEASURED, "; ".join(filter(None, reasons)), near=near, wanted=wanted)
