"""What the ledger shows as a whole: the telling sentences, what choosing on test was worth, which protocol gives a table.

Every number is computed from the verdicts and the stores; where something was not measured, its sentence is not there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from tabulate import tabulate

from bench.claim import EXPLAINED, FAILS, HOLDS
from bench.judgement import Judged, close, measured, plain, published, subject
from bench.stats import Interval, interval
from bench.summary import Row
from bench.wording import quality

MOST = 5


def misses(judged: Sequence[Judged]) -> list[Judged]:
    """Measured figures that came out otherwise, the furthest (in tolerances) first."""

    def distance(one: Judged) -> float:
        assert one.found.value is not None
        return abs(one.found.value.mean - float(one.claim.published)) / max(float(one.claim.tolerance), 1e-12)

    return sorted((j for j in judged if not j.claim.computed and j.verdict in (FAILS, EXPLAINED)), key=distance, reverse=True)


def compared(one: Judged) -> str:
    """The two figures side by side."""
    seen = f"{measured(one.found.value, one.claim)} {'counted' if one.claim.computed else 'measured'}"
    return f"**{one.claim.source}**, {subject(one.claim)}: {published(one.claim)} published, {seen}"


def missed(one: Judged) -> str:
    return f"{compared(one)}. {one.claim.explained['because']}" if one.verdict == EXPLAINED else f"{compared(one)} ({one.why})."


def ratios(judged: Sequence[Judged]) -> list[str]:
    """Claims that divide one cell's figure by another's, and hold."""
    held = [j for j in judged if j.claim.over and j.verdict == HOLDS]
    return [f"{compared(j)}: it holds." for j in held]


def miscounts(judged: Sequence[Judged]) -> list[str]:
    """Computed figures that are not what was printed, one sentence for each published figure."""
    groups: dict[tuple[str, str], list[Judged]] = defaultdict(list)
    for j in judged:
        if j.claim.computed and j.verdict != HOLDS:
            groups[j.claim.source, published(j.claim)].append(j)
    sentences = []
    for (source, figure), group in groups.items():
        found = " or ".join(dict.fromkeys(measured(j.found.value, j.claim) for j in group))
        names = ", ".join(dict.fromkeys(f"`{j.claim.model}`" for j in group))
        what = subject(group[0].claim) if len(group) == 1 else f"{group[0].claim.quantity} of {names}"
        sentences.append(f"**{source}**, {what}: {figure} published, {found} counted.")
    return sentences


def dead(judged: Sequence[Judged]) -> list[str]:
    shares = [(j.found.value.mean, j) for j in judged if j.claim.quantity == "dead_share" and j.found.value is not None]
    if not shares:
        return []
    largest = max(shares, key=lambda pair: pair[0])[1]
    share = f"{measured(largest.found.value, largest.claim)} of the parameters of `{largest.claim.model}` on `{largest.claim.dataset}`"
    return [f"**{largest.claim.source}**: {share} never see a gradient, whatever they are trained on."]


def contradictions(judged: Sequence[Judged]) -> list[str]:
    """Two figures of one source for one and the same thing."""
    said: dict[tuple[str, ...], list[Judged]] = defaultdict(list)
    for j in judged:
        c = j.claim
        if c.dataset and not c.over and not c.not_measured:
            said[c.source, c.model, c.dataset, str(dict(c.size)), c.quantity, c.budget, str(c.epoch)].append(j)
    sentences = []
    for (source, model, dataset, *_), group in said.items():
        figures = list(dict.fromkeys(published(j.claim) for j in group))
        if len(figures) > 1:
            sentences.append(
                f"**{source}** gives {' and '.join(figures)} for `{model}` on `{dataset}`, at one budget: at most one can hold."
            )
    return sentences


def exact(judged: Sequence[Judged]) -> list[str]:
    counts = [j for j in judged if j.claim.quantity in ("parameters", "dead_parameters")]
    right = sum(j.verdict == HOLDS for j in counts)
    return [f"{right} of {len(counts)} published parameter counts are right to the last unit."] if counts else []


def telling(judged: Sequence[Judged], table: Sequence[Row]) -> list[str]:
    """The most telling findings there are: the whole of a table first, then the worst of each kind."""
    cells: dict[tuple[str, ...], Judged] = {}
    for j in misses(judged):
        cells.setdefault((j.claim.source, j.claim.model, j.claim.dataset), j)  # of one cell, its furthest miss
    worst = [missed(j) for j in cells.values()]
    first = [*chosen(table)[:1], *protocols(judged)[:1], *worst[:1], *miscounts(judged)[:1], *dead(judged)]
    rest = [*ratios(judged), *miscounts(judged)[1:], *contradictions(judged), *exact(judged), *worst[1:]]
    return (first + rest)[:MOST]


def chosen(table: Sequence[Row]) -> list[str]:
    """What choosing on test was worth: a sentence and a table, or nothing where no runs did."""
    body: list[dict[str, str]] = []
    shares: list[float] = []
    for row in table:
        if not row.values or not all("on_val" in run["test"] and len(run["curve"]["samples"]) > 1 for run in row.runs):
            continue  # of one epoch there is nothing to choose
        name, sign = row.metric.name, 1 if row.metric.better == "higher" else -1
        honest = {run["seed"]: run["test"]["on_val"][name] for run in row.runs}
        gain = interval([sign * (row.values[seed] - honest[seed]) for seed in honest])
        shares += [100 * gain.mean] if row.metric.percent else []
        body.append(
            {
                "cell": f"`{row.model}` on `{row.dataset}`, `{row.budget}`",
                "best on test": quality(row.value, row.metric),
                "the same runs, chosen on val": quality(interval(list(honest.values())), row.metric),
                "worth": points(gain, row),
                **{f"`{budget}`, chosen on val": beside(row, budget, table) for budget in ("paper", "default")},
                "seeds": str(gain.n),
                "machine": f"`{row.machine}`",
            }
        )
    if not shares:
        return []
    sentence = f"Choosing the best epoch by the test set was worth {np.mean(shares):.2f} points on average over {len(shares)} cells"
    sentence += f", {min(shares):.2f} to {max(shares):.2f}." if len(shares) > 1 else "."
    return [sentence, tabulate(body, headers="keys", tablefmt="pipe", disable_numparse=True)]


def beside(row: Row, budget: str, table: Sequence[Row]) -> str:
    """What the cell scored under another budget on the same machine, '' if it was not run."""
    cell = (row.model, row.dataset, row.machine, budget)
    own = [r for r in table if (r.model, r.dataset, r.machine, r.budget) == cell and r.values]
    return quality(own[0].value, own[0].metric) if own else ""


def points(gain: Interval, row: Row) -> str:
    scale, unit = (100, " points") if row.metric.percent else (1, "")
    return f"{scale * gain.mean:.3g}{'' if gain.n < 2 else f' ± {plain(scale * gain.half, 2)}'}{unit}"


def protocols(judged: Sequence[Judged]) -> list[str]:
    """Figures measured under two budgets, and which comes nearer: a sentence and a table, or nothing."""
    both = [j for j in judged if j.claim.explained.get("budget") and j.found.value is not None and j.other.value is not None]
    if not both:
        return []
    body: list[dict[str, str]] = []
    nearer: dict[str, int] = defaultdict(int)
    for j in both:
        assert j.found.value is not None and j.other.value is not None
        budgets = (j.claim.budget, str(j.claim.explained["budget"]))
        distances = [abs(value.mean - float(j.claim.published)) for value in (j.found.value, j.other.value)]
        best = budgets[int(distances[1] < distances[0])]
        nearer[best] += 1
        values = [measured(value, j.claim) for value in (j.found.value, j.other.value)]
        within = [b for b, v in zip(budgets, (j.found.value, j.other.value), strict=True) if close(v, j.claim.published, j.claim.tolerance)]
        line = {"claim": subject(j.claim), "published": published(j.claim), **{f"`{b}`": v for b, v in zip(budgets, values, strict=True)}}
        body.append(line | {"nearer": f"`{best}`", "as published": ", ".join(f"`{b}`" for b in within) or "neither"})
    counts = ", ".join(f"{n} are nearer under `{budget}`" for budget, n in sorted(nearer.items(), key=lambda pair: -pair[1]))
    return [
        f"Of {len(both)} figures measured under both readings of their protocol, {counts}.",
        tabulate(body, headers="keys", tablefmt="pipe", disable_numparse=True),
    ]
