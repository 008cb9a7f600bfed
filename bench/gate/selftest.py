"""What the gate is worth on this machine: real gates on unchanged code and on code made slower by a known amount.

    calibrate     how many iterations of work.py make each cell's forward pass longer by how much, where they are done
    gates         unchanged, + 3 %, + 5 %, + 10 %, in random order; in each of the slower kinds every other cell is slowed
    report        DIR/gate.md: what share was caught, who was accused wrongly, with exact binomial intervals

The head of such a gate is a copy of this tree with one file more, which adds the work to each forward pass of the cells it
names. Nothing else differs, and the gate is run as anyone runs it. A gate is kept as soon as it is done
(DIR/gate/<kind>-<number>.json); started again, the self-test makes those that are missing.
"""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from bench.core import machine
from bench.core.stats import share
from bench.gate import contest, survey, table, trees
from bench.gate.calibration import Line, calibrated, slower_tree, timed
from bench.gate.trio import Nursery
from bench.run.progress import Progress
from bench.store import fingerprint
from bench.store.encoding import as_text
from bench.store.files import set_aside
from bench.store.records import Store
from bench.tables.formatting import markdown

# files that a gate's outcome depends on; how much work was added it keeps
TIMING = ("arm", "trio", "verdicts", "survey", "contest", "work")
KINDS = (0.0, 0.03, 0.05, 0.1)  # the slowdowns, as shares
CELLS = ["mlp-gaussian", "backbone_conv-iris", "cnn-digits", "conv1d_attention-shapes", "vit-digits", "vit-mnist"]


@dataclass(frozen=True)
class Plan:
    """How many gates of each kind, minutes each may take, and the slowdown allowed in each."""

    gates: int
    minutes: float
    allow: float

    @cached_property
    def order(self) -> list[tuple[float, int]]:
        """Kind and number of every gate, mixed, so that an hour's weather falls on all kinds alike."""
        every = [(kind, i) for kind in KINDS for i in range(self.gates)]
        random.Random(0).shuffle(every)
        return every

    def slowed(self, kind: float, number: int) -> list[str]:
        """Every other cell, in the next gate of the kind the others."""
        return CELLS[number % 2 :: 2] if kind else []

    @property
    def source(self) -> str:
        """What a gate's outcome depends on: gates of other code, rules or machines are made again."""
        rules = {"minutes": self.minutes, "allow": self.allow, "cells": CELLS, "machine": machine.slug()}
        code = [Path(__file__).with_name(f"{part}.py").read_text(encoding="utf-8") for part in TIMING]
        return fingerprint.digest({**rules, "torch": machine.facts()["torch"], "code": code})


def gate(plan: Plan, kind: float, number: int, base: trees.Tree, lines: dict[str, Line], place: Path) -> dict[str, Any]:
    """One real gate, as a record."""
    work = {cell: lines[cell].amount(kind) for cell in plan.slowed(kind, number)}
    asked = survey.Contest(base, slower_tree(place, work), plan.allow, plan.minutes)
    done = contest.run(asked, lambda *_: [timed(cell) for cell in CELLS], place / "bytecode", lambda *_: None)
    about = {"kind": kind, "number": number, "seconds": round(done.seconds, 1), "trios": done.trios, "source": plan.source, "work": work}
    judged = [{**fact, "slowed": fact["cell"].removesuffix("-cpu-b1") in work} for fact in table.facts(done)]
    return {**about, "machine": {"slug": machine.slug(), **machine.facts()}, "cells": judged}


def kept(folder: Path, plan: Plan) -> dict[tuple[float, int], dict[str, Any]]:
    """Gates of this plan that were done before; a file that cannot be read is set aside."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            if record["source"] == plan.source and record["number"] < plan.gates:
                found[record["kind"], record["number"]] = record
        except (ValueError, KeyError, TypeError) as error:
            warnings.warn(f"{path.name} cannot be read ({error}); set aside as {set_aside(path)}, the gate is made again", stacklevel=2)
    return found


def run(plan: Plan, results: Path) -> int:
    """Calibrate, make the gates that are missing, one after another, then the report."""
    store = Store(results.resolve())
    store.writable()
    done = kept(store.folder / "gate", plan)
    if missing := [gate for gate in plan.order if gate not in done]:
        with trees.workplace() as place, closing(Progress(len(missing) + 1)) as bar:
            bar.show("calibration")
            base = slower_tree(place, {}, "base")  # a copy, so that what is edited here meanwhile changes nothing
            with closing(Nursery(place / "bytecode")) as nursery:
                lines = calibrated(CELLS, nursery, base, place)
            for kind, number in missing:
                bar.advance(1.0)
                bar.show(f"{100 * kind:+.0f} %, gate {number + 1}")
                done[kind, number] = record = gate(plan, kind, number, base, lines, place)
                store.write(store.folder / "gate" / f"{100 * kind:g}-{number:02}.json", as_text(record).encode())
            bar.advance(1.0)
    store.write(store.folder / "gate.md", report(plan, [done[key] for key in sorted(done)]).encode())
    print(f"self-test: {store.folder / 'gate.md'}")
    return 0


def proportion(accused: pd.Series) -> str:
    """'35 of 36 (97 %, 85 to 100)': a share with its exact 95 % interval; '' of nothing."""
    k, n = int(accused.sum()), len(accused)
    low, high = share(k, n) if n else (0.0, 0.0)
    return f"{k} of {n} ({100 * k / n:.0f} %, {100 * low:.0f} to {100 * high:.0f})" if n else ""


def percent(values: pd.Series, of: Callable[[Any], float] = np.median, sign: str = "") -> str:
    """A figure of those values that there are; '' of none."""
    there = values[np.isfinite(values)]
    return f"{100 * of(there):{sign}.1f} %" if len(there) else ""


def by_kind(cells: pd.DataFrame) -> list[dict[str, str]]:
    """A line a kind, from a row for each cell of each gate."""
    lines = []
    for kind in sorted(set(cells.kind)):
        own = cells[cells.kind == kind]
        minutes = own.groupby("number")["seconds"].first() / 60
        lines.append(
            {
                "kind": f"+ {100 * kind:g} %" if kind else "unchanged",
                "gates": str(len(minutes)),
                "slowed cells caught": proportion(own.accused[own.slowed]),
                "measured": percent(own.ratio[own.slowed] - 1, sign="+"),
                "unchanged cells accused": proportion(own.accused[~own.slowed]),
                "undecided": str((own.latency == "undecided").sum()),
                "minutes a gate": f"{minutes.median():.1f}, at most {minutes.max():.1f}",
            }
        )
    return lines


def by_cell(cells: pd.DataFrame) -> list[dict[str, str]]:
    """A line a cell: how often it was caught in each kind, and the precision."""
    lines = []
    for name, own in cells.groupby("cell"):
        left = own[~own.slowed]
        off = (left.ratio - 1).abs()
        caught = {f"+ {100 * kind:g} %": own.accused[own.slowed & (own.kind == kind)] for kind in KINDS[1:]}
        counted = {head: f"{hit.sum()} of {len(hit)}" for head, hit in {**caught, "accused": left.accused}.items()}
        worst = f"{percent(off)}, {percent(off, np.max)}" if off.notna().any() else ""
        lines.append({"cell": str(name), **counted, "off when unchanged: median, worst": worst, "detectable": percent(own.mds)})
    return lines


def report(plan: Plan, records: list[dict[str, Any]]) -> str:
    """The self-test's page."""
    asked = ("kind", "number", "seconds")
    lines = [{**cell, **{name: gate[name] for name in asked}} for gate in records for cell in gate["cells"]]
    cells = pd.DataFrame(lines).astype({"ratio": float, "mds": float})
    cells["accused"] = cells.latency == "slower"
    unchanged = cells.accused[~cells.slowed]
    accused, n = int(unchanged.sum()), len(unchanged)
    one_sided = float(stats.beta.ppf(0.95, accused + 1, n - accused))
    about = records[0]["machine"]
    notes = " ".join(sorted({record["note"] for record in records if record.get("note")}))
    commits = sorted({record["machine"]["commit"] + " (changed)" * record["machine"]["dirty"] for record in records})
    return f"""# What the latency gate catches on this machine

{len(records)} gates, each as anyone would run it: `python -m bench gate --base … --minutes {plan.minutes:g} --allow {100 * plan.allow:g}%`
over {len(CELLS)} cells, one thread. In a *slower* gate every other cell's forward pass does more work by the stated share
(integer arithmetic, calibrated; no sleep); the rest is unchanged. *Measured* is the median of the gate's own estimates.
Shares stand with their exact 95 % intervals. *Accused*: the gate said that a cell is slower; *caught*: it was right. *Undecided*: the
interval was wider than the question, so that nothing is said.

{markdown(by_kind(cells))}

**Unchanged code was accused in {accused} of {n} verdicts**: with 95 % confidence in at most {100 * one_sided:.1f} % of
them (two-sided interval: up to {100 * share(accused, n)[1]:.1f} %).

{markdown(by_cell(cells))}

*Detectable*: the slowdown that a gate's precision accuses four times in five, median over gates. *Off when unchanged*: how far
from 0 the ratio of identical code came out.

Machine: {about["cpu"]}, {about["cores"]} cores, torch {about["torch"]}, Python {about["python"]};
commit {", ".join(commits)}. {notes}
Rebuilt by `python -m bench gate --self-test --gates {plan.gates} --results DIR`; one file a gate in `gate/`.
"""
