"""What the ledger shows as a whole: the telling sentences, what choosing on test was worth, which protocol gives a table.

Every number is computed from the verdicts and the stores; where something was not measured, its sentence is not there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from bench.claims.claim import EXPLAINED, FAILS, HOLDS
from bench.claims.judgement import Judged
from bench.claims.wording import measured, published, subject
from bench.core.stats import Interval, interval
from bench.tables.formatting import markdown, number, quality
from bench.tables.rows import Row

MOST = 6

Sentence = tuple[str, str]  # the source it is about, '' for all of them, and what it says


def misses(judged: Sequence[Judged]) -> list[Judged]:
    """Measured figures that came out otherwise, the furthest (in tolerances) first."""

    def distance(one: Judged) -> float:
        assert one.found.value is not None
        return abs(one.found.value.mean - float(one.claim.published)) / max(float(one.claim.tolerance), 1e-12)

    return sorted((j for j in judged if not j.claim.computed and j.verdict in (FAILS, EXPLAINED)), key=distance, reverse=True)


def compared(one: Judged) -> str:
    """The two figures side by side."""
    seen = f"{measured(one.found.value, one.claim)} {'counted' if one.claim.computed else 'measured'}"
    return f"{subject(one.claim)}: {published(one.claim)} published, {seen}"


def missed(one: Judged) -> Sentence:
    why = f". {one.claim.explained['because']}" if one.verdict == EXPLAINED else f" ({one.why})."
    return one.claim.source, compared(one) + why


def ratios(judged: Sequence[Judged]) -> list[Sentence]:
    """Conclusions, and claims that divide one cell's figure by another's, that hold."""
    return [(j.claim.source, f"{compared(j)}: it holds.") for j in judged if (j.claim.over or j.claim.order) and j.verdict == HOLDS]


def miscounts(judged: Sequence[Judged]) -> list[Sentence]:
    """Computed figures that are not what was printed."""
    return [(j.claim.source, f"{compared(j)}.") for j in judged if j.claim.computed and not j.claim.ours and j.verdict != HOLDS]


def dead(judged: Sequence[Judged]) -> list[Sentence]:
    """Our own: the largest share of parameters that nothing reads."""
    shares = [(j.found.value.mean, j) for j in judged if j.claim.quantity == "dead_share" and j.found.value is not None]
    if not shares:
        return []
    largest = max(shares, key=lambda pair: pair[0])[1]
    share = f"{measured(largest.found.value, largest.claim)} of the parameters of `{largest.claim.model}` on `{largest.claim.dataset}`"
    return [(largest.claim.source, f"rebuilding it shows that {share} never see a gradient, whatever they are trained on.")]


def contradictions(judged: Sequence[Judged]) -> list[Sentence]:
    """Two figures of one source for one and the same thing, further apart than their tolerances allow."""
    said: dict[tuple[str, ...], list[Judged]] = defaultdict(list)
    for j in judged:
        c = j.claim
        if c.dataset and not (c.over or c.not_measured or c.ours):
            said[c.source, c.model, c.dataset, str(dict(c.size)), c.quantity, c.budget, str(c.epoch)].append(j)
    sentences = []
    for (source, model, dataset, *_), group in said.items():
        least, most = (f(group, key=lambda j: j.claim.published) for f in (min, max))
        if most.claim.published - least.claim.published > least.claim.tolerance + most.claim.tolerance:
            both = f"{published(least.claim)} and {published(most.claim)} are given for `{model}` on `{dataset}`"
            sentences.append((source, f"{both}; one budget judges them here: at most one can hold."))
    return sentences


def exact(judged: Sequence[Judged]) -> list[Sentence]:
    counts = [j for j in judged if j.claim.quantity == "parameters" and not (j.claim.ours or j.claim.tolerance)]
    right = sum(j.verdict == HOLDS for j in counts)
    return [("", f"{right} of {len(counts)} published parameter counts are right to the last unit.")] if counts else []


def telling(judged: Sequence[Judged], table: Sequence[Row]) -> list[Sentence]:
    """The most telling findings there are: the sources' own figures first, of each kind the worst; then what we found besides."""
    cells: dict[tuple[str, ...], Judged] = {}
    for j in misses(judged):
        cells.setdefault((j.claim.source, j.claim.model, j.claim.dataset), j)  # of one cell, its furthest miss
    worst, wrong = [missed(j) for j in cells.values()], miscounts(judged)
    whole = [("", sentence) for sentence in (*chosen(table)[:1], *protocols(judged)[:1])]
    first = [*exact(judged), *worst[:1], *wrong[:1], *whole, *ratios(judged)][: MOST - 1]
    rest = [*contradictions(judged), *wrong[1:], *worst[1:]]
    last = dead(judged)
    return (first + rest)[: MOST - len(last)] + last


def chosen(table: Sequence[Row]) -> list[str]:
    """What choosing on test was worth: a sentence and a table, or nothing where no runs did."""
    body: list[dict[str, str]] = []
    shares: list[float] = []
    for row in table:
        if not row.values or not all("on_val" in run["test"] and len(run["curve"]["samples"]) > 1 for run in row.runs):
            continue  # of one epoch there is nothing to choose
        honest = {run["seed"]: run["test"]["on_val"][row.metric.name] for run in row.runs}
        gain = interval([row.metric.sign * (row.values[seed] - honest[seed]) for seed in honest])
        shares += [100 * gain.mean] if row.metric.percent else []
        body.append(
            {
                "cell": f"`{row.model}` on `{row.dataset}`, `{row.budget}`",
                "best on test": quality(row.value, row.metric),
                "the same runs, chosen on val": quality(interval(list(honest.values())), row.metric),
                "worth": points(gain, row),
                **{f"`{budget}`, chosen on val": beside(row, budget, table) for budget in ("paper", "default")},
                "seeds": str(gain.n),
                "machine": ", ".join(f"`{name}`" for name in row.trained_on),
            }
        )
    if not shares:
        return []
    cells = f"over {len(shares)} cells, {min(shares):.2f} to {max(shares):.2f}" if len(shares) > 1 else "in the one cell that did so"
    sentence = f"Choosing the best epoch by the test set was worth {np.mean(shares):.2f} points on average {cells}."
    return [sentence, markdown(body)]


def beside(row: Row, budget: str, table: Sequence[Row]) -> str:
    """What the cell scored under another budget in the same arithmetic, '' if it was not run."""
    cell = (row.model, row.dataset, row.arithmetic, budget)
    own = [r for r in table if (r.model, r.dataset, r.arithmetic, r.budget) == cell and r.values]
    return quality(own[0].value, own[0].metric) if own else ""


def points(gain: Interval, row: Row) -> str:
    scale, unit = (100, " points") if row.metric.percent else (1, "")
    return f"{number(scale * gain.mean)}{'' if gain.n < 2 else f' ± {number(scale * gain.half, 2)}'}{unit}"


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
        line = {"claim": subject(j.claim), "published": published(j.claim), **{f"`{b}`": v for b, v in zip(budgets, values, strict=True)}}
        body.append(line | {"nearer": f"`{best}`"})
    counts = ", ".join(
        f"{n} {'is' if n == 1 else 'are'} nearer under `{budget}`" for budget, n in sorted(nearer.items(), key=lambda pair: -pair[1])
    )
    measured_ = f"{len(both)} figure{'s' if len(both) > 1 else ''} measured under both readings of their protocol, whether judged or not"
    return [f"Of {measured_}, {counts}.", markdown(body)]
