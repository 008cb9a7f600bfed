"""What claims.md and the pages of the sources share: the figures of a source as a table with its notes, and how many came to what."""

from __future__ import annotations

import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from bench.claims.claim import EXPLAINED, FAILS, HOLDS, KINDS, UNMEASURED
from bench.claims.evidence import FEWEST
from bench.claims.judgement import Judged
from bench.claims.ledger import Ledger
from bench.claims.wording import measured, published, subject
from bench.tables.formatting import escape, markdown

SAID = {HOLDS: ("holds", "hold"), FAILS: ("does not hold", "do not hold"), EXPLAINED: ("is explained", "are explained")}


def parted(verdicts: Iterable[Judged]) -> tuple[list[Judged], list[Judged]]:
    """What the sources claim, and what rebuilding them showed."""
    every = list(verdicts)
    return [j for j in every if not j.claim.ours], [j for j in every if j.claim.ours]


def tally(verdicts: Sequence[Judged], split: bool = False) -> str:
    """How many came to which verdict: `2 hold, 1 not measured yet`; split, also why those were not measured."""
    n = Counter(j.verdict for j in verdicts)
    parts = [f"{n[verdict]} {words[n[verdict] != 1]}" for verdict, words in SAID.items() if n[verdict]]
    if n[UNMEASURED]:
        waits = sum(j.waits for j in verdicts)
        why = f" ({waits} for want of runs, {n[UNMEASURED] - waits} that nothing here can judge)" if split else ""
        parts.append(f"{n[UNMEASURED]} not measured yet{why}")
    return ", ".join(parts)


def summed(verdicts: Sequence[Judged]) -> str:
    """The verdicts on what the sources claim, each kind of figure counted apart."""
    theirs, _ = parted(verdicts)
    kinds = {name: [j for j in theirs if j.claim.kind == kind] for kind, name in KINDS.items()}
    return "; ".join(f"{name} ({len(own)}): {tally(own, split=True)}" for name, own in kinds.items() if own)


def counts(ledger: Ledger, verdicts: Sequence[Judged]) -> str:
    """The same for each source, and how many counts of our own stand."""
    body = []
    for source in (*ledger.sources, ""):
        theirs, ours = parted(j for j in verdicts if source in ("", j.claim.source))
        stand = f"{sum(j.verdict == HOLDS for j in ours)} of {len(ours)}" if ours else ""
        row = {"source": link(source, ledger) if source else "all"}
        row |= {name: tally([j for j in theirs if j.claim.kind == kind]) for kind, name in KINDS.items()}
        body.append(row | {"our own counts, confirmed": stand})
    return markdown(body)


def heading(source: str, ledger: Ledger) -> str:
    return f"{source} · {ledger.sources[source].title}"


def link(source: str, ledger: Ledger) -> str:
    """To the source's section in claims.md, by GitHub's anchor of its heading."""
    anchor = re.sub(r"[^\w\- ]", "", heading(source, ledger).lower()).replace(" ", "-")
    return f"[{heading(source, ledger)}](#{anchor})"


def line(one: Judged, numbers: Sequence[int] = (), stated: str = "published") -> dict[str, str]:
    """A figure as a row of a table, with the numbers of its notes."""
    notes = f"note{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}" if numbers else ""
    near = f"*{measured(one.near.value, one.claim)}*" if one.near.value else ""
    return {
        "claim" if stated == "published" else "finding": escape(subject(one.claim)),
        stated: escape(published(one.claim)),
        "measured": near if one.verdict == UNMEASURED else measured(one.found.value, one.claim),
        "verdict": one.verdict if one.verdict == UNMEASURED else f"**{one.verdict}**",
        "why": escape("; ".join(filter(None, [one.why, notes]))),
    }


def lines(verdicts: Sequence[Judged], notes: dict[str, int], stated: str = "published") -> str:
    """A table of figures; new notes are numbered on."""
    rows = []
    for j in verdicts:
        said = [j.claim.explained["because"] if j.verdict == EXPLAINED else "", j.claim.remark]
        said += [f"Protocol of the source: {j.claim.protocol}" if j.claim.protocol else ""]
        rows.append(line(j, [notes.setdefault(text, len(notes) + 1) for text in said if text], stated))
    return markdown(rows)


def noted(notes: dict[str, int]) -> str:
    return "\n".join(f"{number}. {escape(text)}" for text, number in notes.items())


def commands(verdicts: Iterable[Judged]) -> list[str]:
    """What would measure the figures that wait for a run, as few command lines as it takes."""
    by_dataset: dict[tuple[str, str], list[str]] = defaultdict(list)
    for model, dataset, budget in dict.fromkeys(run for j in verdicts if j.verdict == UNMEASURED for run in j.wanted):
        by_dataset[budget, dataset].append(model)
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (budget, dataset), names in by_dataset.items():
        alike[budget, tuple(sorted(names))].append(dataset)
    cells = [f"--models {shlex.quote(','.join(names))} --datasets {','.join(sets)} --budget {b}" for (b, names), sets in alike.items()]
    return [f"pytest bench --benchmark-only {those} --seeds {FEWEST}" for those in cells]


def remaining(verdicts: Iterable[Judged]) -> list[str]:
    """The commands as a paragraph and a block, nothing where all was run."""
    if not (waiting := commands(verdicts)):
        return []
    return [
        "Not run yet; these would measure it (real data need `--data ROOT`, or `--download` once):",
        "```\n" + "\n".join(waiting) + "\n```",
    ]
