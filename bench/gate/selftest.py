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
import math
import random
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from tabulate import tabulate

from bench.core import machine
from bench.gate import contest, survey, table, trees
from bench.gate.calibration import Line, calibrated, slower_tree
from bench.gate.trio import Nursery
from bench.run.progress import Progress
from bench.store import fingerprint
from bench.store.encoding import as_text
from bench.store.records import Store

# files that a gate's outcome depends on; how much work was added it keeps
TIMING = ("arm", "trio", "verdicts", "survey", "contest", "work")
KINDS = (0.0, 0.03, 0.05, 0.1)  # the slowdowns, as shares
CELLS = ["mlp-gaussian", "backbone_conv-iris", "cnn-digits", "conv1d_attention-shapes", "vit-digits", "vit-mnist"]


@dataclass(frozen=True)
class Plan:
    """How many gates of each kind, minutes each may take, the slowdown allowed in each, and the cells."""

    gates: int
    minutes: float
    allow: float
    cells: tuple[str, ...] = tuple(CELLS)

    @cached_property
    def order(self) -> list[tuple[float, int]]:
        """Kind and number of every gate, mixed, so that an hour's weather falls on all kinds alike."""
        every = [(kind, i) for kind in KINDS for i in range(self.gates)]
        random.Random(0).shuffle(every)
        return every

    def slowed(self, kind: float, number: int) -> list[str]:
        """Every other cell, in the next gate of the kind the others."""
        return list(self.cells[number % 2 :: 2]) if kind else []

    @property
    def source(self) -> str:
        """What a gate's outcome depends on: gates of other code, rules or machines are made again."""
        rules = {"minutes": self.minutes, "allow": self.allow, "cells": self.cells, "machine": machine.slug()}
        code = [Path(__file__).with_name(f"{part}.py").read_text(encoding="utf-8") for part in TIMING]
        return fingerprint.digest({**rules, "torch": machine.facts()["torch"], "code": code})


def gate(plan: Plan, kind: float, number: int, base: trees.Tree, work: dict[str, Line], place: Path, say: survey.Say) -> dict[str, Any]:
    """One real gate, as a record."""
    slowed = plan.slowed(kind, number)
    head = slower_tree(place, {cell: work[cell].amount(kind) for cell in slowed})
    asked = survey.Contest(base, head, plan.allow, plan.minutes)
    models, datasets = (",".join(dict.fromkeys(part)) for part in zip(*(cell.rsplit("-", 1) for cell in plan.cells), strict=True))
    wanted = [f"{cell}-cpu-b1" for cell in plan.cells]
    done = contest.run(asked, models, datasets, [1], place / "bytecode", say, only=wanted)
    cells = [{**fact, "slowed": fact["cell"].removesuffix("-cpu-b1") in slowed} for fact in table.facts(done)]
    about = {"kind": kind, "number": number, "seconds": round(done.seconds, 1), "trios": done.trios, "source": plan.source}
    about["work"] = {cell: work[cell].amount(kind) for cell in slowed}
    return {**about, "machine": {"slug": machine.slug(), **machine.facts()}, "cells": cells}


def kept(folder: Path, plan: Plan) -> dict[tuple[float, int], dict[str, Any]]:
    """Gates of this plan that were done before; a file that cannot be read is set aside."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            if record["source"] == plan.source and record["number"] < plan.gates:
                found[record["kind"], record["number"]] = record
        except (ValueError, KeyError, TypeError) as error:
            path.rename(path.with_name(path.name + ".broken"))
            warnings.warn(f"{path.name} cannot be read ({error}); set aside, the gate is made again", stacklevel=2)
    return found


def run(plan: Plan, results: Path) -> int:
    """Make the gates that are missing, one after another, then the report."""
    store = Store(results.resolve())
    store.writable()
    done = kept(store.folder / "gate", plan)
    missing = [gate for gate in plan.order if gate not in done]
    if missing:
        bar = Progress(len(missing) + 1)
        try:
            for record in made(plan, missing, bar):
                done[record["kind"], record["number"]] = record
                name = f"{100 * record['kind']:g}-{record['number']:02}.json"
                store.write(store.folder / "gate" / name, as_text(record).encode())
        finally:
            bar.close()
    store.write(store.folder / "gate.md", report(plan, [done[key] for key in sorted(done)]).encode())
    print(f"self-test: {store.folder / 'gate.md'}")
    return 0


def made(plan: Plan, missing: list[tuple[float, int]], bar: Progress) -> Iterator[dict[str, Any]]:
    """Calibrate, then hold the gates of these kinds and numbers."""
    with trees.workplace() as place:
        bar.show("calibration")
        base = slower_tree(place, {}, "base")  # a copy, so that what is edited here meanwhile changes nothing
        nursery = Nursery(place / "bytecode")
        try:
            work = calibrated(plan.cells, nursery, base, place)
        finally:
            nursery.close()
        bar.advance(1.0)
        for kind, number in missing:
            bar.show(f"{100 * kind:+.0f} %, gate {number + 1}")
            yield gate(plan, kind, number, base, work, place, lambda *_: None)
            bar.advance(1.0)


def proportion(k: int, n: int) -> str:
    """'35 of 36 (97 %, 85 to 100)': a share with its exact 95 % interval (Clopper and Pearson 1934)."""
    if n == 0:
        return "none"
    low, high = stats.binomtest(k, n).proportion_ci(method="exact")
    return f"{k} of {n} ({100 * k / n:.0f} %, {100 * low:.0f} to {100 * high:.0f})"


def by_kind(records: list[dict[str, Any]]) -> list[list[str]]:
    lines = []
    for kind in KINDS:
        gates = [record for record in records if record["kind"] == kind]
        slowed = [cell for record in gates for cell in record["cells"] if cell["slowed"]]
        left = [cell for record in gates for cell in record["cells"] if not cell["slowed"]]
        ratios = [cell["ratio"] for cell in slowed if cell["ratio"] is not None]
        seen = f"{100 * (float(np.median(ratios)) - 1):+.1f} %" if ratios else ""
        minutes = [record["seconds"] / 60 for record in gates]
        lines.append(
            [
                f"+ {100 * kind:g} %" if kind else "unchanged",
                str(len(gates)),
                proportion(sum(cell["latency"] == "slower" for cell in slowed), len(slowed)) if slowed else "",
                seen,
                proportion(sum(cell["latency"] == "slower" for cell in left), len(left)),
                str(sum(cell["latency"] == "undecided" for cell in slowed + left)),
                f"{np.median(minutes):.1f}, at most {max(minutes):.1f}" if minutes else "",
            ]
        )
    return lines


def by_cell(records: list[dict[str, Any]]) -> list[list[str]]:
    """A line a cell: the share caught of each kind, and the precision."""
    lines = []
    names = [cell["cell"] for cell in records[0]["cells"]] if records else []
    for name in sorted(names):
        seen = [(record["kind"], cell) for record in records for cell in record["cells"] if cell["cell"] == name]
        caught = []
        for kind in KINDS[1:]:
            hit = [cell["latency"] == "slower" for k, cell in seen if k == kind and cell["slowed"]]
            caught.append(f"{sum(hit)} of {len(hit)}")
        left = [cell for _, cell in seen if not cell["slowed"]]
        off = [abs(cell["ratio"] - 1) for cell in left if cell["ratio"] is not None]
        detectable = [cell["mds"] for _, cell in seen if cell["mds"] is not None and math.isfinite(cell["mds"])]
        worst = f"{100 * np.median(off):.1f} %, {100 * max(off):.1f} %" if off else ""
        accused = f"{sum(cell['latency'] == 'slower' for cell in left)} of {len(left)}"
        lines.append([name, *caught, accused, worst, f"{100 * np.median(detectable):.1f} %" if detectable else ""])
    return lines


def report(plan: Plan, records: list[dict[str, Any]]) -> str:
    """The self-test's page."""
    unchanged = [cell for record in records for cell in record["cells"] if not cell["slowed"]]
    accused = sum(cell["latency"] == "slower" for cell in unchanged)
    bound = float(stats.binomtest(accused, max(1, len(unchanged))).proportion_ci(method="exact").high)
    one_sided = float(stats.beta.ppf(0.95, accused + 1, max(1, len(unchanged)) - accused))
    about = records[0]["machine"] if records else {}
    notes = " ".join(sorted({record["note"] for record in records if record.get("note")}))
    commits = sorted({record["machine"]["commit"] + " (changed)" * record["machine"]["dirty"] for record in records})
    kinds = tabulate(
        by_kind(records),
        headers=["kind", "gates", "slowed cells caught", "measured", "unchanged cells accused", "undecided", "minutes a gate"],
        tablefmt="github",
        disable_numparse=True,
    )
    cells = tabulate(
        by_cell(records),
        headers=["cell", *(f"+ {100 * kind:g} %" for kind in KINDS[1:]), "accused", "off when unchanged: median, worst", "detectable"],
        tablefmt="github",
        disable_numparse=True,
    )
    return f"""# What the latency gate catches on this machine

{len(records)} gates, each as anyone would run it: `python -m bench gate --base … --minutes {plan.minutes:g} --allow {100 * plan.allow:g}%`
over {len(plan.cells)} cells, one thread. In a *slower* gate every other cell's forward pass does more work by the stated share
(integer arithmetic, calibrated; no sleep); the rest is unchanged. *Measured* is the median of the gate's own estimates.
Shares stand with their exact 95 % intervals.

{kinds}

**Unchanged code was accused in {accused} of {len(unchanged)} verdicts**: with 95 % confidence in at most {100 * one_sided:.1f} % of
them (two-sided interval: up to {100 * bound:.1f} %).

{cells}

*Detectable*: the slowdown that a gate's precision accuses four times in five, median over gates. *Off when unchanged*: how far
from 0 the ratio of identical code came out.

Machine: {about.get("cpu", "?")}, {about.get("cores", "?")} cores, torch {about.get("torch", "?")}, Python {about.get("python", "?")};
commit {", ".join(commits)}. {notes}
Rebuilt by `python -m bench gate --self-test --gates {plan.gates} --results DIR`; one file a gate in `gate/`.
"""
