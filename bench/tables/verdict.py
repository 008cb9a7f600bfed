"""Who wins on a data set, and whether that is shown: differences paired by seed, Holm-corrected."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.stats import Difference, holm, paired
from bench.tables.rows import CONTROLLED, Row


def ranked(own: Sequence[Row]) -> list[Row]:
    """Rows with a value, best first."""
    scored = [row for row in own if row.values]
    return sorted(scored, key=lambda r: r.value.mean * (-1 if r.metric.better == "higher" else 1))  # type: ignore[union-attr]


def against(lead: Row, others: Sequence[Row]) -> list[Difference]:
    """`lead` against each of the others, paired by seed, Holm-corrected for their number."""
    higher = lead.metric.better == "higher"
    return holm([paired(lead.model, other.model, lead.values, other.values, higher) for other in others])


def winner(own: Sequence[Row]) -> str:
    """The model that beats every other one, or '' if the leader does not."""
    order = ranked(own)
    if len(order) < 2:
        return ""
    return order[0].model if all(d.shown and d.better_by.mean > 0 for d in against(order[0], order[1:])) else ""


def controlled(own: Sequence[Row]) -> tuple[str, list[Difference]]:
    """Attention against the other mixers in the same backbone: a verdict, and the differences; none if not all four were trained."""
    by_name = {row.model: row for row in own if row.values}
    if not all(name in by_name for name in CONTROLLED):
        return "", []
    lead, others = by_name[CONTROLLED[0]], [by_name[name] for name in CONTROLLED[1:]]
    differences = against(lead, others)
    rivals = differences[:2]
    if all(d.shown and d.better_by.mean > 0 for d in rivals):
        return "**attention wins**", differences
    if all(d.shown and d.better_by.mean < 0 for d in rivals):
        return "**attention loses to both**", differences
    lost = [d.b.removeprefix("backbone_") for d in rivals if d.shown and d.better_by.mean < 0]
    won = [d.b.removeprefix("backbone_") for d in rivals if d.shown and d.better_by.mean > 0]
    parts = [f"beats {name}" for name in won] + [f"loses to {name}" for name in lost]
    return ", ".join(parts) if parts else "no difference shown", differences


def verdict(own: Sequence[Row]) -> str:
    """Who wins, or why nobody does, in a sentence."""
    order = ranked(own)
    if len(order) < 2:
        return ""
    if best := winner(own):
        return f"**{best}** beats every other model."
    tied = [d.b for d in against(order[0], order[1:]) if not d.shown]
    if not tied:
        return ""
    return f"{order[0].model} leads, but no difference is shown to {', '.join(tied)}."
