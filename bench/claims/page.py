"""python -m bench claims: the verdict on every published figure, as claims.md, claims.csv and facts. Never trains."""

from __future__ import annotations

import csv
import io
import re
import shlex
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence, Sized
from pathlib import Path
from typing import Any

from tabulate import tabulate
from tqdm import tqdm

from bench.claims.claim import EXPLAINED, FAILS, HOLDS, UNMEASURED, VERDICTS
from bench.claims.evidence import Evidence, Uncountable
from bench.claims.findings import chosen, protocols, telling
from bench.claims.judgement import BUDGETS, RULE, Judged, judge, measured, published, spanned, subject, subjects, topic
from bench.claims.ledger import Ledger
from bench.plan.grid import RequestError
from bench.store.records import Store
from bench.tables.formatting import escape, markdown


def judged(ledger: Ledger, evidence: Evidence) -> list[Judged]:
    """All verdicts, in the order of the file. RequestError with the line where a model cannot be built as a claim says."""
    verdicts = []
    for claim in tqdm(ledger.claims, desc="claims", unit="", leave=False, file=sys.stderr, disable=not sys.stderr.isatty()):
        try:
            verdicts.append(judge(claim, evidence))
        except Uncountable as error:
            raise RequestError(f"{ledger.name}:{claim.line}: {subject(claim)}: {error}") from error
    return verdicts


def facts(verdicts: Iterable[Judged]) -> list[dict[str, Any]]:
    """One row a figure, unrounded, for machines: those of claims.csv. What was not judged is `nearest`, not `measured`."""
    rows = []
    for j in verdicts:
        c, value, near = j.claim, j.found.value if j.verdict != UNMEASURED else None, j.near.value
        spread = value is not None and value.n > 1
        seen = value or near
        rows.append(
            {
                "source": c.source,
                "ours": c.ours,
                "claim": topic(c),
                "model": c.model,
                "dataset": c.dataset,
                "whose": c.label,
                "size": " ".join(f"{name}={size}" for name, size in c.size.items()),
                "quantity": c.quantity,
                "budget": c.budget,
                "unit": c.unit,
                "published": float(c.published),
                "tolerance": float(c.tolerance),
                "measured": value.mean if value else None,
                "low": value.low if value and spread else None,
                "high": value.high if value and spread else None,
                "nearest": near.mean if near else None,
                "nearest_budget": j.near.budget,
                "seeds": seen.n if seen and not c.computed else None,
                "machine": (j.found.machine if value else j.near.machine).replace("`", ""),
                "verdict": j.verdict,
                "expected": c.expect,
                "why": " ".join(filter(None, [j.why, c.explained["because"] if j.verdict == EXPLAINED else ""])),
                "protocol": c.protocol,
                "remark": c.remark,
                "command": "; ".join(commands([j])),
            }
        )
    return rows


def commands(verdicts: Iterable[Judged]) -> list[str]:
    """What would measure the figures that wait for a run, as few command lines as it takes."""
    wanted = dict.fromkeys(run for j in verdicts for run in j.wanted)
    by_dataset: dict[tuple[str, str], list[str]] = defaultdict(list)
    for model, dataset, budget in wanted:
        by_dataset[budget, dataset].append(model)
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (budget, dataset), names in by_dataset.items():
        alike[budget, tuple(names)].append(dataset)
    return [
        f"pytest bench --benchmark-only --models {shlex.quote(','.join(names))} --datasets {','.join(sets)} --budget {budget}"
        for (budget, names), sets in alike.items()
    ]


def parted(verdicts: Iterable[Judged]) -> tuple[list[Judged], list[Judged]]:
    """What the sources claim, and what rebuilding them showed."""
    every = list(verdicts)
    return [j for j in every if not j.claim.ours], [j for j in every if j.claim.ours]


def counts(ledger: Ledger, verdicts: Sequence[Judged]) -> str:
    """How many figures of each source came to which verdict, and how many counts of our own stand."""
    body = []
    for source in (*ledger.sources, ""):
        theirs, ours = parted(j for j in verdicts if source in ("", j.claim.source))
        found = Counter(j.verdict for j in theirs)
        stand = f"{sum(j.verdict == HOLDS for j in ours)} of {len(ours)}" if ours else ""
        row = {"source": link(source, ledger) if source else "all", **{verdict: found[verdict] or "" for verdict in VERDICTS}}
        body.append(row | {"our own counts, confirmed": stand})
    return markdown(body)


def summed(verdicts: Sequence[Judged]) -> str:
    """The verdicts on what the sources claim, in one sentence."""
    theirs, _ = parted(verdicts)
    n = Counter(j.verdict for j in theirs)
    words = {HOLDS: ("holds", "hold"), FAILS: ("does not", "do not"), EXPLAINED: ("is explained", "are explained")}
    parts = [f"{n[verdict]} {words[verdict][n[verdict] != 1]}" for verdict in words]
    waits = sum(j.waits for j in theirs)
    split = f" ({waits} for want of runs, {n[UNMEASURED] - waits} that nothing here can judge)" if n[UNMEASURED] else ""
    return f"{', '.join(parts)} and {n[UNMEASURED]} not measured yet{split}"


def counted(things: Sized, noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def heading(source: str, ledger: Ledger) -> str:
    return f"{source} · {ledger.sources[source]}"


def link(source: str, ledger: Ledger) -> str:
    """To the source's section, by GitHub's anchor of its heading."""
    anchor = re.sub(r"[^\w\- ]", "", heading(source, ledger).lower()).replace(" ", "-")
    return f"[{heading(source, ledger)}](#{anchor})"


def line(group: Sequence[Judged], numbers: Sequence[int], stated: str) -> dict[str, str]:
    """One row of a table: a figure, or several that share all but their cell and wait for the same."""
    one = group[0]
    notes = f"note{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}" if numbers else ""
    near = f"*{measured(one.near.value, one.claim)}*" if one.near.value else ""
    return {
        "claim" if stated == "published" else "finding": escape(subject(one.claim) if len(group) == 1 else subjects(group)),
        stated: published(one.claim) if len(group) == 1 else spanned(group),
        "measured": near if one.verdict == UNMEASURED else measured(one.found.value, one.claim),
        "verdict": one.verdict if one.verdict == UNMEASURED else f"**{one.verdict}**",
        "why": escape("; ".join(filter(None, [one.why, notes]))),
    }


def lines(verdicts: Sequence[Judged], notes: dict[str, int], stated: str) -> str:
    """A table of figures; new notes are numbered on. Figures of one topic that wait for one reason share a row."""
    groups: dict[tuple[Any, ...], tuple[list[Judged], list[int]]] = {}
    for i, j in enumerate(verdicts):
        said = [j.claim.explained["because"] if j.verdict == EXPLAINED else "", j.claim.remark]
        said += [f"Protocol of the source: {j.claim.protocol}" if j.claim.protocol else ""]
        numbers = [notes.setdefault(text, len(notes) + 1) for text in said if text]
        alone = j.verdict != UNMEASURED or j.near.value is not None
        key = (i,) if alone else (topic(j.claim), j.claim.unit, j.why, *numbers)
        groups.setdefault(key, ([], numbers))[0].append(j)
    return markdown([line(group, numbers, stated) for group, numbers in groups.values()])


def section(source: str, ledger: Ledger, verdicts: Sequence[Judged]) -> str:
    """One source: its table, what rebuilding it showed, the notes that both refer to, and how to measure the rest."""
    theirs, ours = parted(j for j in verdicts if j.claim.source == source)
    notes: dict[str, int] = {}
    parts = [f"## {heading(source, ledger)}", lines(theirs, notes, "published") if theirs else ""]
    if ours:
        parts += ["Not printed by the source; what rebuilding it showed:", lines(ours, notes, "recorded")]
    parts.append("\n".join(f"{number}. {text}" for text, number in notes.items()))
    parts += ledger.notes[source]
    if waiting := commands(theirs):
        parts += ["Not run yet; these would measure it (real data need `--data ROOT`, or `--download` once):"]
        parts += ["```\n" + "\n".join(waiting) + "\n```"]
    return "\n\n".join(part for part in parts if part)


def page(ledger: Ledger, verdicts: Sequence[Judged], evidence: Evidence) -> str:
    """claims.md."""
    theirs, ours = parted(verdicts)
    bullets = "\n".join(f"- {link(s, ledger)}: {text}" if s else f"- {text}" for s, text in telling(verdicts, evidence.table))
    machines = ", ".join(f"`{name}`" for name in sorted({name for row in evidence.table for name in row.trained_on}))
    besides = f" Besides, {counted(ours, 'count')} that no source printed: found by rebuilding, and made anew each time." if ours else ""
    parts = [
        "# Which published figures hold?",
        f"{counted(theirs, 'figure')} that {counted(ledger.sources, 'source')} published, each held against the model built as described,"
        f" or against runs of this suite: {summed(verdicts)}.{besides}",
        f"Typed in by hand, in `{ledger.name}`: what was published, our counts, tolerances, explanations and remarks. Every measured figure"
        f" and every verdict is computed; runs are from {machines or 'nowhere yet'}. [How to read this](#how-to-read-this).",
        counts(ledger, verdicts),
        "## What tells most",
        bullets,
        *(section(source, ledger, verdicts) for source in ledger.sources),
        "## What choosing on the test set was worth",
        *(chosen(evidence.table) or ["Not measured yet: no budget that chooses on test, as its source did, has been run."]),
        "## Two readings of a protocol",
        *(protocols(verdicts) or ["Not measured yet: no cell has been run under both budgets."]),
        "## How to read this",
        RULE.replace("{ledger}", ledger.name),
        BUDGETS,
        "A measured figure is the mean over seeds ± half its 95 % Student interval, on the test split unless its claim names another, with"
        " weights chosen as its budget says. Rebuilt by `python -m bench claims`, offline and byte for byte; [claims.csv](claims.csv) has"
        " every figure unrounded.",
    ]
    return "\n\n".join(parts) + "\n"


def terminal(ledger: Ledger, verdicts: Sequence[Judged]) -> str:
    """Every figure beside what was measured, for a terminal: the sources' first, then our own."""
    theirs, ours = parted(verdicts)
    rows = [
        {
            "source": j.claim.source,
            "claim": subject(j.claim).replace("`", ""),
            "published": published(j.claim),
            "measured": f"({measured(j.near.value, j.claim)})" if j.near.value else measured(j.found.value, j.claim),
            "verdict": j.verdict,
            "why": "; ".join(filter(None, ["ours, by rebuilding" if j.claim.ours else "", j.why.replace("`", "")])),
        }
        for j in (*theirs, *ours)
    ]
    body = tabulate(rows, headers="keys", disable_numparse=True, maxcolwidths=[None, 52, None, None, None, 60])
    own = f"; of {len(ours)} counts of our own {sum(j.verdict == HOLDS for j in ours)} are confirmed" if ours else ""
    return f"{body}\n\n{len(theirs)} published figures: {summed(verdicts)}{own}"


def write(folder: Path, ledger: Ledger, verdicts: Sequence[Judged], evidence: Evidence) -> Path:
    """claims.md and claims.csv; returns the path of the page."""
    rows, text = facts(verdicts), io.StringIO()
    file = csv.DictWriter(text, list(rows[0]) if rows else ["source"], lineterminator="\n")
    file.writeheader()
    for row in rows:
        file.writerow({name: f"{value:.10g}" if isinstance(value, float) else value for name, value in row.items()})
    store = Store(folder)
    store.write(folder / "claims.csv", text.getvalue().encode())
    store.write(folder / "claims.md", page(ledger, verdicts, evidence).encode())
    return folder / "claims.md"
