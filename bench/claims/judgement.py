"""A claim held against the evidence: one of four verdicts, and why. `RULE` says how, for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from bench.claims.claim import EXPLAINED, FAILS, HOLDS, TIMED, UNMEASURED, Claim, Number
from bench.claims.evidence import Evidence, Found
from bench.core.stats import Interval
from bench.tables.formatting import number

FEWEST = 3  # seeds without which an interval counts for nothing
WIDEST = 3  # tolerances: an interval wider than so many to each side tells nothing
EXACT = 1e-9  # relative: what rounding does to a sum, and far below one parameter
RULE = (
    "A trained figure **holds** if what was measured is within the tolerance that `{ledger}` gives it, or if the published"
    f" value lies within the 95 % interval of at least {FEWEST} seeds. That interval may reach at most {WIDEST} tolerances to each side:"
    " a published value inside a wider one is *too uncertain* to judge, and counts as not measured yet. A count or a sum holds if it is"
    " the published one, to the last unit or to the digits printed. A figure that misses is **explained** only if its explanation names"
    " a condition that was checked and met, within the tolerance and whatever the interval: the same figure under another budget or on"
    " other data comes out as published, or comes out as the explanation predicts. Of a count, *explained* says that we know what the"
    " description gives, not where the printed number came from. Otherwise a figure **does not hold**. It is **not measured yet** where the"
    " runs that could judge it have not been made or were cut short, or where nothing here can judge it: other data, other networks,"
    " another protocol, or a device this machine lacks. The nearest figure we have then stands in italics, unjudged."
)
BUDGETS = (
    "`default`, `paper` and `published` are *budgets*: how long a run trains, and by which recipe. `published` repeats the source's own"
    " protocol, its choice on the test set included where it made one, `published_1` the same for one epoch; `paper` trains as long as"
    " the source and chooses on val; `default` is our shorter recipe. A name such as `amd-epyc-2-cores` is the machine the runs are from."
    " Models ending in `_published` are built exactly as their source wrote them, mistakes included."
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
    def waits(self) -> bool:
        """Whether runs that can be made here would judge it."""
        return self.verdict == UNMEASURED and not self.claim.not_measured

    @property
    def surprising(self) -> bool:
        """Whether a computed figure came out otherwise than the ledger expects."""
        return self.claim.computed and self.verdict != self.claim.expect


def plain(value: float | Number, digits: int = 4) -> str:
    """A number without an exponent, thousands separated; a measured one to so many significant digits, a count to all."""
    if isinstance(value, int | Decimal):
        return format(value, ",f" if isinstance(value, Decimal) else ",")
    rounded = number(value, digits)
    return format(Decimal(rounded), "f") if "e" in rounded else rounded


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


def topic(claim: Claim) -> str:
    """What a claim is about, in words."""
    return claim.about or WORDS.get(claim.quantity, claim.quantity.replace("_", " "))


def subject(claim: Claim) -> str:
    """What a claim is about, in words and with its cell."""
    what = topic(claim)
    if not claim.dataset:
        return f"{what}: {claim.label}" if claim.label else what
    size = "".join(f", {name} {value}" for name, value in claim.size.items())
    return f"{what}, `{claim.model}` on `{claim.dataset}`{size}"


def subjects(group: Sequence[Judged]) -> str:
    """What claims on one topic are about, their cells named together."""
    cells = [(f"`{c.model}`" if c.model else c.label, f"`{c.dataset}`" if c.dataset else "") for c in (j.claim for j in group)]
    who, where = (list(dict.fromkeys(filter(None, names))) for names in zip(*cells, strict=True))
    whole = len(who) * max(1, len(where)) == len(group)
    comma = "; " if any("," in name for name in who) else ", "
    named = " on ".join(comma.join(names) for names in (who, where) if names) if whole else comma.join(" on ".join(cell) for cell in cells)
    return f"{topic(group[0].claim)}, {len(group)} figures: {named}"


def spanned(group: Sequence[Judged]) -> str:
    """The published figures of several claims with one unit; of more than three, from the least to the greatest."""
    figures = [j.claim.published for j in group]
    some = len(figures) > 3
    return with_unit((" – " if some else ", ").join(map(plain, (min(figures), max(figures)) if some else figures)), group[0].claim)


def within(value: Interval, target: Number, tolerance: Number) -> bool:
    """Whether a measured value is the one claimed, give or take the tolerance."""
    return abs(value.mean - float(target)) <= float(tolerance) + EXACT * abs(float(target))


def inside(value: Interval, claim: Claim) -> bool:
    """Whether the published value lies in the interval of enough seeds."""
    return value.n >= FEWEST and value.low <= float(claim.published) <= value.high


def too_wide(value: Interval, claim: Claim) -> bool:
    return value.half > WIDEST * float(claim.tolerance)


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
    if claim.not_measured or not found.judges:
        return unmeasured(claim, found, evidence)
    assert found.value is not None
    if inside(found.value, claim) and too_wide(found.value, claim):
        why = f"too uncertain: {found.value.n} seeds give ± {with_unit(plain(found.value.half, 2), claim)}; {origin(found)}"
        return Judged(claim, found, UNMEASURED, why, near=found)
    held = within(found.value, claim.published, claim.tolerance) or inside(found.value, claim)
    distance = "" if claim.computed and held else gap(claim, found.value)
    why = "; ".join(filter(None, [distance, origin(found)]))
    if claim.alternative is None:
        return Judged(claim, found, HOLDS if held else FAILS, why)
    other, target = evidence.of(claim.alternative), claim.explained.get("value", claim.published)
    wanted = missing(claim.alternative, other)
    if held:
        return Judged(claim, found, HOLDS, why, other, wanted=wanted)
    if other.value is None or other.missing:
        return Judged(claim, found, FAILS, f"{why}; an explanation waits to be checked: {other.missing}", other, wanted=wanted)
    looked = "" if claim.alternative == claim else f"; {instead(claim)} {measured(other.value, claim.alternative)}"
    if within(other.value, target, claim.explained.get("tolerance", claim.tolerance)):
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
    searched = claim.dataset and claim.quantity not in TIMED
    near = found if found.value is not None else evidence.nearest(claim) if searched else Found()
    wanted = [] if claim.not_measured else missing(claim, found)
    if claim.alternative is not None and not claim.not_measured:
        wanted += missing(claim.alternative, evidence.of(claim.alternative))
    reasons = [found.missing if claim.quantity in TIMED or not claim.not_measured else "", claim.not_measured]
    if near.value is not None:
        reasons.append(f"nearest: {origin(near)}")
    return Judged(claim, found, UNMEASURED, "; ".join(filter(None, reasons)), near=near, wanted=wanted)
