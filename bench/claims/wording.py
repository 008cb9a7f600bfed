"""How a claim, its figure and what was measured are said."""

from __future__ import annotations

from decimal import Decimal

from bench.claims.claim import Claim, Number
from bench.claims.evidence import Found
from bench.core.stats import Interval
from bench.tables.formatting import number

WORDS = {"value": "test score", "error": "test error", "dead_share": "share of dead parameters"}


def plain(value: float | Number, digits: int = 4) -> str:
    """A number, thousands separated; a measured one to so many significant digits, what was printed and counts to all."""
    if isinstance(value, int | Decimal):
        return format(value, ",f" if isinstance(value, Decimal) else ",")
    return number(value, digits)


def with_unit(text: str, claim: Claim) -> str:
    return f"{text} {claim.unit}".rstrip()


def published(claim: Claim) -> str:
    """The figure; of a trained one with what it may differ by to hold."""
    allowed = f" (± {plain(claim.tolerance, 2)} holds)" if claim.tolerance and not claim.order else ""
    return " ".join(filter(None, [claim.order, with_unit(plain(claim.published), claim)])) + allowed


def measured(value: Interval | None, claim: Claim) -> str:
    """Mean ± half the 95 % interval, in the claim's unit; '' if there is none."""
    if value is None:
        return ""
    mean = f"{value.mean:.2f}" if claim.scale == 100 else plain(value.mean)
    return with_unit(mean + ("" if value.n < 2 else f" ± {plain(value.half, 2)}"), claim)


def topic(claim: Claim) -> str:
    """What a claim is about, in words."""
    return claim.about or WORDS.get(claim.quantity, claim.quantity.replace("_", " "))


def subject(claim: Claim) -> str:
    """What a claim is about, in words and with its cell."""
    what = topic(claim)
    if not claim.dataset:
        return f"{what}: {claim.label}" if claim.label else what
    size = "".join(f", {name} {value}" for name, value in claim.size.items())
    epoch = f", after {claim.epoch} epoch{'s' * (claim.epoch > 1)}" if claim.epoch else ""
    return f"{what}, `{claim.model}` on `{claim.dataset}`{size}{epoch}"


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


def instead(claim: Claim) -> str:
    """Where an explanation looked: what it changes."""
    changes = {name: value for name, value in claim.explained.items() if name not in ("because", "value", "tolerance")}
    if set(changes) == {"budget"}:
        return f"at `{changes['budget']}`"
    return ", ".join(f"{name.replace('_', ' ')} {str(value).replace('_', ' ')}" for name, value in changes.items())
