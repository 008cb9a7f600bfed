"""A claim held against the evidence: one of four verdicts, and why. `RULE` says how, for the pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.claims.claim import EXPLAINED, FAILS, HOLDS, UNMEASURED, Claim, Number
from bench.claims.evidence import FEWEST, Cell, Evidence, Found
from bench.claims.wording import gap, instead, measured, origin, plain, with_unit
from bench.core.stats import Interval

EXACT = 1e-9  # relative: what rounding does to a sum, and far below one parameter
RULE = (
    "A count or a sum **holds** if it is the published one, to the last unit or to the digits printed. A trained figure is judged only"
    " on the quantity that its source names (of the last step, the best of all evaluations, or on the training data), on the source's"
    f" own data (a note says where fewer of its samples are trained on) and by at least {FEWEST} seeds; it **holds** if their mean is"
    " within the tolerance that `{ledger}` gives it, set before the runs from how seeds scatter. A wide interval never makes a figure"
    " hold: where the published value lies inside the 95 %"
    " interval and beyond the tolerance, or where the interval reaches further to each side than the tolerance, the runs are *too"
    " uncertain* to judge it. A conclusion, that one figure lies above another, holds if the whole interval does. A figure that misses is"
    " **explained** only if its explanation names a condition that was checked and met as strictly: the same figure under another budget"
    " or on other data comes out as published, or comes out as the explanation predicts; until that was run, there is no verdict. Of a"
    " count, *explained* says that we know what the description gives, not where the printed number came from. Otherwise a figure **does"
    " not hold**. It is **not measured yet** where the runs that could judge it have not been made, are too few or were cut short, or"
    " where nothing here can judge it: other data, other networks, another protocol, or a device this machine lacks. The nearest figure"
    " we have then stands in italics, unjudged."
)
BUDGETS = (
    "`default`, `paper` and `published` are *budgets*: how long a run trains, and by which recipe. `published` repeats the source's own"
    " protocol, its choice on the test set included where it made one, `published_1` the same for one epoch; `paper` trains as long as"
    " the source and chooses on val; `default` is our shorter recipe. A name such as `amd-epyc-2-cores` is the machine the runs are from."
    " Models ending in `_published` are built exactly as their source wrote them, mistakes included."
)


@dataclass(frozen=True)
class Judged:
    """A claim, what was found, the verdict, and why. `other` is what its explanation looked at, `near` the nearest figure."""

    claim: Claim
    found: Found
    verdict: str
    why: str
    other: Found = field(default_factory=Found)
    near: Found = field(default_factory=Found)

    @property
    def waits(self) -> bool:
        """Whether runs that can be made here would judge it."""
        return self.verdict == UNMEASURED and not self.claim.not_measured

    @property
    def wanted(self) -> Sequence[Cell]:
        """The runs that have not been made and that a verdict could use."""
        return () if self.claim.not_measured else (*self.found.wanted, *self.other.wanted)

    @property
    def surprising(self) -> bool:
        """Whether a computed figure came out otherwise than the ledger expects."""
        return self.claim.computed and self.verdict != self.claim.expect


def held(value: Interval, claim: Claim, figure: Number, allowed: Number) -> str:
    """HOLDS or FAILS, or UNMEASURED where the interval is too wide to tell."""
    target, tolerance = float(figure), float(allowed)
    low, high = (value.low, value.high) if value.n > 1 else (value.mean, value.mean)
    if claim.order:
        above = low > target if claim.order == ">" else high < target
        below = high <= target if claim.order == ">" else low >= target
        return HOLDS if above else FAILS if below else UNMEASURED
    near, inside = abs(value.mean - target) <= tolerance + EXACT * abs(target), value.n > 1 and low <= target <= high
    if inside and (not near or value.half > tolerance):
        return UNMEASURED
    return HOLDS if near else FAILS


def judge(claim: Claim, evidence: Evidence) -> Judged:
    """The verdict, by RULE."""
    found = evidence.of(claim)
    other = evidence.of(claim.alternative) if claim.alternative is not None else Found()
    if claim.not_measured or not found.judges:
        return unmeasured(claim, found, other, evidence)
    assert found.value is not None
    verdict = held(found.value, claim, claim.published, claim.tolerance)
    if verdict == UNMEASURED:
        why = f"too uncertain: {found.value.n} seeds give ± {with_unit(plain(found.value.half, 2), claim)}; {origin(found)}"
        return Judged(claim, found, UNMEASURED, why, other, near=found)
    distance = "" if claim.order or (claim.computed and verdict == HOLDS) else gap(claim, found.value)
    why = "; ".join(filter(None, [distance, origin(found)]))
    if claim.alternative is None or verdict == HOLDS:
        return Judged(claim, found, verdict, why, other)
    if not other.judges:
        return Judged(claim, found, UNMEASURED, f"{why}; an explanation waits to be checked: {other.missing}", other, near=found)
    assert other.value is not None
    looked = "" if claim.alternative == claim else f"; {instead(claim)} {measured(other.value, claim.alternative)}"
    target, tolerance = claim.explained.get("value", claim.published), claim.explained.get("tolerance", claim.tolerance)
    met = held(other.value, claim.alternative, target, tolerance)
    if met == UNMEASURED:
        return Judged(claim, found, UNMEASURED, f"{why}{looked}, too uncertain to explain it", other, near=found)
    explains = "" if met == HOLDS else ", which does not explain it"
    return Judged(claim, found, EXPLAINED if met == HOLDS else FAILS, why + looked + explains, other)


def unmeasured(claim: Claim, found: Found, other: Found, evidence: Evidence) -> Judged:
    """No verdict: why, and the nearest figure."""
    near = found if found.value is not None else evidence.nearest(claim)
    reasons = [claim.not_measured or found.missing]
    if near.value is not None:
        reasons.append(origin(near) if near is found and not claim.not_measured else f"nearest: {origin(near)}")
    return Judged(claim, found, UNMEASURED, "; ".join(filter(None, reasons)), other, near)
