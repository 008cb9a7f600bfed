"""What a contest found, for a terminal, for a pull request and for a machine."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
from tabulate import tabulate

from bench.gate.survey import COSTS, Cell, Contest
from bench.gate.verdicts import judge
from bench.tables.formatting import escape

FAILS = ("slower", "missing", "failing", "crashed")
MEANING = {  # of each verdict, in the order of the tables
    "slower": "the interval's lower end passes what is allowed, again in a rerun",
    "missing": "gone: base has it, head does not, as it was deleted or renamed",
    "failing": "runs on base, raises on head",
    "crashed": "base's process ended while it was timed",
    "undecided": "the interval is wider than the question",
    "faster": "the whole interval lies below 0",
    "new": "only head has it",
    "fixed": "raises on base, runs on head",
    "broken": "raises on both",
    "same": "the interval ends below what is allowed",
}
WORDS = "*head / base*: how much longer head takes; *exact costs*: operators, FLOPs and bytes, counted and not timed."
MARK = "<!-- attention-bench gate -->"  # by which a workflow finds its own comment
REASON, ROOM = 160, 60_000  # characters of a cell's text, and of all tables of a comment
HEADERS = ["cell", "latency", "head / base", "95 % interval", "detectable", "base, ms", "trios", "exact costs", "why"]


def growth(cell: Cell) -> dict[str, Any] | None:
    """The exact costs' verdict: same, grew (any figure did) or shrank, each figure that changed, and the operators that did."""
    base, head = cell.costs["base"], cell.costs["head"]
    if "error" in base or "error" in head:
        return None
    changed = {name: [base[name], head[name]] for name in COSTS if base[name] != head[name]}
    before, after = Counter(base["names"]), Counter(head["names"])
    operators = {name: after[name] - before[name] for name in sorted(before | after) if before[name] != after[name]}
    grew = any(new > old for old, new in changed.values())
    word = "grew" if grew else "shrank" if changed else "changed" if operators else "same"
    return {"verdict": word, **changed, **({"by_operator": operators} if operators else {})}


def worded(costs: dict[str, Any] | None) -> str:
    """'grew: operators 68 → 69 (aten.relu.default +1)'."""
    if costs is None or costs["verdict"] == "same":
        return "" if costs is None else "same"
    parts = [f"{name} {costs[name][0]:,} → {costs[name][1]:,}" for name in COSTS if name in costs]
    changes = [f"{name.removeprefix('aten.')} {change:+d}" for name, change in costs.get("by_operator", {}).items()]
    more = f" ({', '.join(changes[:4])}{', …' if len(changes) > 4 else ''})" if changes else ""
    return f"{costs['verdict']}: {', '.join(parts)}{more}"


def per_cent(ratio: float) -> str:
    return "" if not math.isfinite(ratio) else f"{100 * (ratio - 1):+.1f} %"


def row(cell: Cell) -> list[str]:
    figures, said, samples = [""] * 5, cell.latency, cell.samples or cell.first
    if said is not None and samples:
        ms = float(np.median([sample.ms for sample in samples]))
        interval = f"{per_cent(said.low)} to {per_cent(said.high)}"
        figures = [per_cent(said.ratio), interval, per_cent(1 + said.mds), f"{ms:.3g}", str(said.trios)]
    return [cell.id, cell.verdict, *figures, worded(growth(cell)), cell.reason]


def facts(contest: Contest) -> list[dict[str, Any]]:
    """One object a cell; ratios are head / base, null where nothing was timed."""

    def rounded(value: float) -> float | None:
        return round(value, 5) if math.isfinite(value) else None

    found = []
    for cell in ordered(contest):
        figures = {name: rounded(getattr(cell.latency, name, math.nan)) for name in ("ratio", "low", "high", "mds")}
        more = {"trios": getattr(cell.latency, "trios", 0), "noise": rounded(cell.noise)}
        found.append({"cell": cell.id, "latency": cell.verdict, **figures, "costs": growth(cell), "reason": cell.reason, **more})
    return found


def ordered(contest: Contest) -> list[Cell]:
    return sorted(contest.cells, key=lambda cell: [*MEANING].index(cell.verdict))


def failed(contest: Contest, accept_costs: bool) -> bool:
    """Whether anything is worse: a verdict that fails, or costs that grew and nobody accepts."""
    return any(cell.verdict in FAILS for cell in contest.cells) or bool(dearer(contest) and not accept_costs)


def dearer(contest: Contest, *words: str) -> list[str]:
    """Cells of which an exact cost grew, or did what these words say."""
    return [cell.id for cell in contest.cells if (costs := growth(cell)) is not None and costs["verdict"] in (words or ("grew",))]


def headline(contest: Contest) -> str:
    """'2 slower, 130 same, 4 undecided of 136 cells; exact costs grew in 1.'"""
    count = Counter(cell.verdict for cell in contest.cells)
    words = ", ".join(f"{count[word]} {word}" for word in MEANING if count[word])
    grown = len(dearer(contest))
    costs = f"exact costs grew in {grown}" if grown else "no exact cost grew"
    return f"{words} of {len(contest.cells)} cell{'s' * (len(contest.cells) != 1)}; {costs}."


def noise(contest: Contest) -> str:
    """Today's noise: base against itself, in the same trios."""
    timed = [cell for cell in contest.cells if cell.first]
    if not timed:
        return "Nothing was timed."
    spread = 100 * float(np.median([cell.noise for cell in timed]))
    itself = judge({cell.id: [s.noise for s in cell.first] for cell in timed}, contest.allow, len(timed))
    accused = sum(one.verdict == "slower" for one in itself.values())
    return (
        f"Today's noise: base against itself differs by {spread:.1f} % in one trio (median over cells of the root mean square); "
        f"before any rerun the rule would call {accused} of {len(itself)} cells slower."
    )


def rules(contest: Contest) -> str:
    return (
        f"Base {contest.base.name}, head {contest.head.name}; a slowdown of {100 * contest.allow:g} % is allowed. "
        f"{contest.trios} trios of processes (base, head, base again; one thread, one core, taking turns) in "
        f"{contest.seconds / 60:.1f} min, torch {contest.facts.get('torch', '?')}. "
        "The interval's lower end is corrected for the number of cells. "
        "Detectable: the slowdown that this precision catches four times in five."
    )


def terminal(contest: Contest) -> str:
    table = tabulate([row(cell) for cell in ordered(contest)], headers=HEADERS, maxcolwidths=[None] * 7 + [48, 48], disable_numparse=True)
    return "\n\n".join([table, noise(contest), rules(contest), headline(contest)])


def piped(lines: list[list[str]]) -> str:
    """A Markdown table without padding: a comment may have 65,536 characters."""
    body = [HEADERS, ["---"] * len(HEADERS), *([escape(text[:REASON]) for text in line] for line in lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in body)


def markdown(contest: Contest) -> str:
    """The comment under a pull request: the verdict in one line, then what matters; undecided and equal cells are folded."""
    costly = set(dearer(contest, "grew", "shrank", "changed"))
    groups: dict[str, list[list[str]]] = {"": [], "undecided": [], "same": []}
    for cell in ordered(contest):
        groups["" if cell.id in costly or cell.verdict not in groups else cell.verdict].append(row(cell))
    tables, room = [], ROOM
    for word, lines in groups.items():
        shown = lines
        while shown and len(piped(shown)) > room:
            shown = shown[: len(shown) * 3 // 4]
        more = f"\n\nThe first {len(shown)} of {len(lines)} cells: more than fit into a comment." * (len(shown) < len(lines))
        text = (piped(shown) if shown else "") + more
        room -= len(text)
        if lines:
            tables.append(f"<details><summary>{len(lines)} {word}</summary>\n\n{text}\n\n</details>" if word else text)
    verdicts = {cell.verdict for cell in contest.cells}
    legend = "; ".join(f"*{word}*: {meaning}" for word, meaning in MEANING.items() if word in verdicts)
    about = [f"{legend}. {WORDS}", escape(noise(contest)), escape(rules(contest))]
    line = headline(contest).replace(" missing", " gone")
    return "\n\n".join([f"{MARK}\n## Latency: {line}", *about, *tables]) + "\n"
