"""python -m bench claims: the verdict on every published figure, as claims.md, claims.csv and facts. Never trains."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate
from tqdm import tqdm

from bench.claims import sources
from bench.claims.claim import EXPLAINED, HOLDS, UNMEASURED
from bench.claims.counting import Uncountable
from bench.claims.evidence import Evidence
from bench.claims.findings import chosen, protocols, telling
from bench.claims.judgement import BUDGETS, RULE, Judged, judge
from bench.claims.ledger import Ledger
from bench.claims.sections import commands, counts, heading, line, lines, link, noted, parted, remaining, summed
from bench.claims.wording import subject, topic
from bench.plan.grid import RequestError
from bench.store.records import Store


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
        told = {name: getattr(c, name) for name in ("source", "kind", "ours", "model", "dataset", "quantity", "taken", "budget", "unit")}
        order = {"<": f", said to be below {c.published}", ">": f", said to be above {c.published}"}.get(c.order, "")
        rows.append(
            told
            | {
                "claim": f"{topic(c)}{f', after {c.epoch} epochs' if c.epoch else ''}{order}",
                "whose": c.label,
                "size": " ".join(f"{name}={size}" for name, size in c.size.items()),
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
                "why": ". ".join(filter(None, [j.why, c.explained["because"] if j.verdict == EXPLAINED else ""])),
                "protocol": c.protocol,
                "remark": c.remark,
                "command": "; ".join(commands([j])),
            }
        )
    return rows


def section(source: str, ledger: Ledger, verdicts: Sequence[Judged], pages: str) -> str:
    """One source: its table, the notes it refers to, and, where it has no page of its own, how to measure the rest."""
    theirs, _ = parted(j for j in verdicts if j.claim.source == source)
    notes: dict[str, int] = {}
    parts = [f"## {heading(source, ledger)}", lines(theirs, notes) if theirs else "", noted(notes), *ledger.sources[source].notes]
    more = f"[Pictures, and what rebuilding it showed]({pages}{sources.address(source)})."
    return "\n\n".join(filter(None, [*parts, *([more] if ledger.sources[source].showed else remaining(theirs))]))


def page(ledger: Ledger, verdicts: Sequence[Judged], evidence: Evidence, pages: str) -> str:
    """claims.md. `pages` is the way from it to the folder of the sources' pages."""
    theirs, ours = parted(verdicts)
    bullets = "\n".join(f"- {link(s, ledger)}: {text}" if s else f"- {text}" for s, text in telling(verdicts, evidence.table))
    machines = ", ".join(f"`{name}`" for name in sorted({name for row in evidence.table for name in row.trained_on}))
    besides = f" Besides, counts that no source printed, found by rebuilding and made anew each time: {len(ours)}." if ours else ""
    own = " · ".join(f"[{name}]({pages}{sources.address(name)})" for name in sources.paged(ledger))
    parts = [
        "# Which published figures hold?",
        f"Every figure that the sources published, {len(theirs)} in all, held against the model built as described, or against runs of"
        f" this suite. {summed(verdicts)}.{besides}",
        f"A page per source, with pictures: {own}." if own else "",
        f"Typed in by hand, in `{ledger.name}`: what was published, our counts, tolerances, explanations and remarks. Every measured figure"
        f" and every verdict is computed; runs are from {machines or 'nowhere yet'}. [How to read this](#how-to-read-this).",
        counts(ledger, verdicts),
        "## What tells most",
        bullets,
        *(section(source, ledger, verdicts, pages) for source in ledger.sources),
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
    return "\n\n".join(filter(None, parts)) + "\n"


def terminal(ledger: Ledger, verdicts: Sequence[Judged]) -> str:
    """Every figure beside what was measured, for a terminal: the sources' first, then our own."""
    theirs, ours = parted(verdicts)
    rows = [{"source": j.claim.source + ", ours" * j.claim.ours} | line(j) for j in (*theirs, *ours)]
    plain = [{name: re.sub(r"[`*]", "", text).replace("&lt;", "<") for name, text in row.items()} for row in rows]
    body = tabulate(plain, headers="keys", disable_numparse=True, maxcolwidths=[None, 52, None, None, None, 60])
    own = f"; of {len(ours)} counts of our own {sum(j.verdict == HOLDS for j in ours)} are confirmed" if ours else ""
    return f"{body}\n\n{len(theirs)} published figures. {summed(verdicts)}{own}"


def write(folder: Path, ledger: Ledger, verdicts: Sequence[Judged], evidence: Evidence, home: Path) -> Path:
    """claims.md and claims.csv in `folder`, the sources' pages below `home`, where the pictures are; returns the path of claims.md."""
    rows, text = facts(verdicts), io.StringIO()
    file = csv.DictWriter(text, list(rows[0]) if rows else ["source"], lineterminator="\n")
    file.writeheader()
    for row in rows:
        file.writerow({name: f"{value:.10g}" if isinstance(value, float) else value for name, value in row.items()})
    store, inner = Store(folder), "" if home == folder else f"{home.relative_to(folder).as_posix()}/"
    store.write(folder / "claims.csv", text.getvalue().encode())
    store.write(folder / "claims.md", page(ledger, verdicts, evidence, inner).encode())
    sources.write(home, ledger, verdicts, "../" * (1 + inner.count("/")) + "claims.md")
    return folder / "claims.md"
