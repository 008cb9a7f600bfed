"""python -m bench claims: the verdict on every published figure, as claims.md, claims.csv and facts. Never trains."""

from __future__ import annotations

import csv
import io
import re
import shlex
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate
from tqdm import tqdm

from bench.claim import EXPLAINED, FAILS, HOLDS, UNMEASURED, VERDICTS
from bench.evidence import Evidence, Uncountable
from bench.findings import chosen, protocols, telling
from bench.grid import RequestError
from bench.judgement import RULE, Judged, judge, measured, published, subject
from bench.ledger import Ledger
from bench.store import Store
from bench.wording import escape


def stores(folder: Path | None, results: Path) -> list[Store]:
    """The store asked for, else the committed ones of every machine. RequestError if there is no such folder."""
    if folder is None:
        return [Store(path.parent) for path in sorted(results.glob("*/runs")) if path.parent.name != "local"]
    if not folder.is_dir():
        raise RequestError(f"no results in {folder}; make some: pytest bench --benchmark-only --results {folder}")
    return [Store(folder)]


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
    """One row a figure, unrounded, for machines: those of claims.csv."""
    rows = []
    for j in verdicts:
        c, value = j.claim, j.found.value
        spread = value is not None and value.n > 1
        rows.append(
            {
                "source": c.source,
                "claim": c.about or c.quantity,
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
                "seeds": value.n if value and not c.computed else None,
                "machine": j.found.machine,
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


def table(lines: Sequence[dict[str, Any]]) -> str:
    return tabulate(lines, headers="keys", tablefmt="pipe", disable_numparse=True)


def counts(ledger: Ledger, verdicts: Sequence[Judged]) -> str:
    """How many figures of each source came to which verdict."""
    lines = []
    for source in ledger.sources:
        found = Counter(j.verdict for j in verdicts if j.claim.source == source)
        lines.append({"source": f"[{source}](#{anchor(source, ledger)})", **{verdict: found[verdict] or "" for verdict in VERDICTS}})
    whole = Counter(j.verdict for j in verdicts)
    return table([*lines, {"source": "all", **{verdict: whole[verdict] for verdict in VERDICTS}}])


def summed(verdicts: Sequence[Judged]) -> str:
    n = Counter(j.verdict for j in verdicts)
    words = {HOLDS: ("holds", "hold"), FAILS: ("does not", "do not"), EXPLAINED: ("is explained", "are explained")}
    parts = [f"{n[verdict]} {words[verdict][n[verdict] != 1]}" for verdict in words]
    return f"{', '.join(parts)} and {n[UNMEASURED]} not measured yet"


def heading(source: str, ledger: Ledger) -> str:
    return f"{source} · {ledger.sources[source]}"


def anchor(source: str, ledger: Ledger) -> str:
    """GitHub's anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading(source, ledger).lower()).replace(" ", "-")


def section(source: str, ledger: Ledger, verdicts: Sequence[Judged]) -> str:
    """One source: its table, the notes that the table refers to, and how to measure the rest."""
    own = [j for j in verdicts if j.claim.source == source]
    notes: dict[str, int] = {}
    lines = []
    for j in own:
        said = [j.claim.explained["because"] if j.verdict == EXPLAINED else "", j.claim.remark]
        said += [f"Protocol of the source: {j.claim.protocol}" if j.claim.protocol else ""]
        numbers = [notes.setdefault(text, len(notes) + 1) for text in said if text]
        where = f"note{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}" if numbers else ""
        near = f"*{measured(j.near.value, j.claim)}*" if j.near.value is not None else ""
        lines.append(
            {
                "claim": escape(subject(j.claim)),
                "published": published(j.claim),
                "measured": near if j.verdict == UNMEASURED else measured(j.found.value, j.claim),
                "verdict": j.verdict if j.verdict == UNMEASURED else f"**{j.verdict}**",
                "why": escape("; ".join(filter(None, [j.why, where]))),
            }
        )
    parts = [f"## {heading(source, ledger)}", table(lines) if lines else ""]
    parts.append("\n".join(f"{number}. {text}" for text, number in notes.items()))
    parts += ledger.notes[source]
    if waiting := commands(own):
        parts += ["Not run yet; these would measure it (real data need `--data ROOT`, or `--download` once):"]
        parts += ["```\n" + "\n".join(waiting) + "\n```"]
    return "\n\n".join(part for part in parts if part)


def page(ledger: Ledger, verdicts: Sequence[Judged], evidence: Evidence) -> str:
    """claims.md."""
    bullets = "\n".join(f"- {sentence}" for sentence in telling(verdicts, evidence.table))
    machines = ", ".join(f"`{name}`" for name in sorted({row.machine for row in evidence.table}))
    on_test, two = chosen(evidence.table), protocols(verdicts)
    parts = [
        "# Which published figures hold?",
        f"{len(verdicts)} figures of {len(ledger.sources)} sources, each held against the model built as described, or against runs"
        f" of this suite: {summed(verdicts)}. Runs are from {machines or 'nowhere yet'}; only what was claimed was typed in by hand.",
        counts(ledger, verdicts),
        "## What tells most",
        bullets,
        *(section(source, ledger, verdicts) for source in ledger.sources),
        "## What choosing on the test set was worth",
        *(on_test or ["Not measured yet: no budget that chooses on test, as its source did, has been run."]),
        "## Two readings of a protocol",
        *(two or ["Not measured yet: no cell has been run under both budgets."]),
        "## How to read this",
        RULE.replace("{ledger}", ledger.name),
        "A measured figure is the mean over seeds ± half its 95 % Student interval, on the test split, with weights chosen as its budget"
        " says. Rebuilt by `python -m bench claims`, offline and byte for byte; [claims.csv](claims.csv) has every figure unrounded.",
    ]
    return "\n\n".join(parts) + "\n"


def terminal(ledger: Ledger, verdicts: Sequence[Judged]) -> str:
    """Every claim beside what was measured, for a terminal."""
    lines = [
        {
            "source": j.claim.source,
            "claim": subject(j.claim).replace("`", ""),
            "published": published(j.claim),
            "measured": measured(j.found.value, j.claim) or (f"({measured(j.near.value, j.claim)})" if j.near.value else ""),
            "verdict": j.verdict,
            "why": j.why.replace("`", ""),
        }
        for j in verdicts
    ]
    body = tabulate(lines, headers="keys", disable_numparse=True, maxcolwidths=[None, 52, None, None, None, 60])
    return f"{body}\n\n{len(verdicts)} figures: {summed(verdicts)}"


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
