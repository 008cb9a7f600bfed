"""python -m bench compare A B: two models, variants or budgets of one or two results folders, data set by data set, from the store."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from bench.compare import sides
from bench.compare.answers import answered
from bench.compare.pair import COLUMNS, SHOWN, Pair
from bench.compare.sides import Side
from bench.plan import grid
from bench.store.encoding import finite
from bench.store.records import Store
from bench.tables.column import as_csv, as_lines
from bench.tables.family import FEWEST, SIZE
from bench.tables.formatting import RAISED, markdown

NOTE = (
    f"Differences are paired by seed; each 95 % interval stands alone. All of this is descriptive, outside the committed family of"
    f" {SIZE} comparisons that verdicts of the suite are read off: of many comparisons some come out by chance. The words are the"
    f" suite's, with its margins; fewer than {FEWEST} seeds and smoke runs get none. *Disagree*: samples of all seeds on which one"
    " was right and the other wrong (of other tasks, whose loss is lower), as A's to B's; p is McNemar's exact test (the sign test),"
    " the median over seeds. Costs are A's over B's."
)
UNTURNED = (
    "Latencies are each of one process, so that their ratio has no interval: two processes of one code differ by 5 to 18 %;"
    " python -m bench study length and gate time by turns."
)
ON_VAL = (
    "On val: it chooses between variants of one model, and what it passed over has no test score. It chose the weights too, so that both"
    " sides look better there than they are."
)
LATEX: dict[str, Any] = {chr(raised): f"$^{{{chr(digit)}}}$" for digit, raised in RAISED.items()}
LATEX |= {"×": r"$\times$", "±": r"$\pm$", "−": "$-$", "†": r"\textdagger{}", "²": "$^2$"}


def run(options: argparse.Namespace) -> int:
    """Print what was asked for. RequestError for what cannot be compared."""
    asked = [sides.read(text, options.results, options.budget) for text in (options.a, options.b)]
    sides.distinct(asked)
    rows, left_out = sides.pairs(asked, sides.table(asked, options.machine), options.datasets)
    stores = [Store(grid.located(side.folder)) for side in asked]
    pairs = [Pair(*answered(both, stores)) for both in rows]
    if options.json:
        print(json.dumps(finite(facts(asked, pairs, left_out)), indent=1, allow_nan=False))
    elif options.csv:
        print(as_csv(COLUMNS, pairs), end="")
    elif options.latex:
        print(latex(pairs))
    else:
        print(text(asked, pairs))
    if not options.json:
        for name, why in left_out.items():
            print(f"not compared, {name}: {why}", file=sys.stderr)
    return 0


def facts(asked: Sequence[Side], pairs: Sequence[Pair], left_out: dict[str, str]) -> dict[str, Any]:
    """Every figure, and of each seed its values and the places of the test samples on which one was better."""
    told = []
    for one in pairs:
        by_seed = {
            seed.seed: {"compared_on": seed.by, "samples": seed.samples, "a_better": seed.a, "b_better": seed.b, "p": seed.p}
            for seed in one.by_seed
        }
        seeds = [{"seed": seed, "a": one.a.values[seed], "b": one.b.values[seed], **by_seed.get(seed, {})} for seed in one.seeds]
        told.append({column.name: column.of(one) for column in COLUMNS} | {"by_seed": seeds, "untold": one.untold})
    a, b = ({"model": side.model, "budget": side.budget or None} for side in asked)
    return {"a": a, "b": b, "note": note(pairs), "datasets": told, "not_compared": left_out}


def note(pairs: Sequence[Pair]) -> str:
    return " ".join([NOTE, *[ON_VAL] * any(one.split == "val" for one in pairs)])


def lines(pairs: Sequence[Pair]) -> list[dict[str, str]]:
    """The table's lines, without columns in which nothing is said."""
    found = as_lines(COLUMNS, pairs)
    return [{head: said for head, said in line.items() if any(other[head] for other in found)} for line in found]


def text(asked: Sequence[Side], pairs: Sequence[Pair]) -> str:
    heads = [
        f"{name} = {side.said}" + (f" in {side.folder}" if asked[0].folder != asked[1].folder else "")
        for name, side in zip("AB", asked, strict=True)
    ]
    budgets = sorted({row.budget for one in pairs for row in (one.a, one.b)})
    timed = [UNTURNED] if any(one.ratio(key) for one in pairs for key in SHOWN) else []
    doubts = [f"† {one.a.dataset}: {one.doubt}" for one in pairs if one.doubt]
    doubts += [f"Not told sample by sample, {one.a.dataset}: {one.untold}" for one in pairs if one.untold]
    return "\n\n".join(
        [f"{heads[0]}, {heads[1]}; budgets: {', '.join(budgets)}", markdown(lines(pairs)), " ".join([note(pairs), *timed]), *doubts]
    )


def latex(pairs: Sequence[Pair]) -> str:
    table = tabulate(lines(pairs), headers="keys", tablefmt="latex_booktabs", disable_numparse=True)
    return table.translate(str.maketrans(LATEX))
