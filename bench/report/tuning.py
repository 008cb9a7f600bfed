"""DIR/tuning.md: what tuning was worth for each model: what k trials buy, and how flat the optimum is. From stored trials; where they
were made elsewhere, from the committed file of what was chosen from them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import models
from bench.plan.trials import DECAYS, FURTHER, REACH, SEEDS, SHARE, STEP, UNTUNED, drawn
from bench.plan.tuned import FOLDER, Tried, Tuned, judged, read
from bench.store.records import Record, Store
from bench.tables.formatting import markdown, number
from bench.tables.scales import called
from datasets import metrics
from models.naming import plain

BUYS = (1, 2, 4, 8, 16, 32, 64)  # trials
NEAR = {"accuracy": 0.01, "r2": 0.02, "bleu": 1.0}  # from the best: as good for all we know
SHARE_NEAR = 0.1  # of the best value, for other metrics
AROUND = 3.0  # times the chosen learning rate, up and down: how much val is lost there
SPREAD = f"spread ×/÷ {AROUND:g}"


def expected_best(values: Sequence[float], k: int) -> float:
    """The mean, over all choices of k among n values, of the largest: what k trials are expected to find (arXiv 2004.13705, unbiased).

    A value of -inf (a trial that diverged) counts where nothing better was chosen with it. ValueError unless 1 <= k <= n.
    """
    n = len(values)
    if not 1 <= k <= n:
        raise ValueError(f"{k} of {n} values cannot be chosen")
    shares = ((math.comb(i, k - 1) / math.comb(n, k), value) for i, value in enumerate(sorted(values)))
    return sum(share * value for share, value in shares if share)


def lost(found: Tuned, trial: Tried) -> float:
    """How much worse than the best a trial's val is; infinite where it diverged."""
    assert found.best.val is not None
    return math.inf if trial.val is None else abs(found.best.val - trial.val)


def margin(found: Tuned) -> float:
    """What may be lost by trials that are as good for all we know."""
    assert found.best.val is not None
    return NEAR.get(found.metric, SHARE_NEAR * abs(found.best.val))


def near(found: Tuned) -> list[Tried]:
    """The trials whose val is as good as the best one's for all we know, the best among them."""
    return [t for t in found.trials if lost(found, t) <= margin(found)]


def around(found: Tuned) -> list[Tried]:
    """The trials within ×/÷ `AROUND` of the chosen learning rate, whatever their weight decay, the chosen one among them."""
    return [t for t in found.trials if found.best.lr / AROUND <= t.lr <= found.best.lr * AROUND]


def spread(found: Tuned) -> float:
    """How far val lies apart among those; infinite where one diverged."""
    return max(lost(found, t) for t in around(found))


def span(found: Tuned) -> float:
    """How many times the largest learning rate of those trials is the smallest."""
    rates = [t.lr for t in near(found)]
    return max(rates) / min(rates)


def row(found: Tuned) -> dict[str, Any]:
    """A model's line. Trial 0 is no draw, and so stands beside what draws buy."""
    sign, scale = (1 if found.better == "higher" else -1), 100 if metrics.named(found.metric).percent else 1

    def said(value: float | None) -> str:
        return "diverged" if value is None or not math.isfinite(value) else number(scale * value, 4)

    values = [-math.inf if t.val is None else sign * t.val for t in found.trials[1:] if drawn(found.trials[0].lr, t.lr)]
    best, plain = found.best, found.trials[0]
    end = f", the {found.end} tried" if found.end else ""
    line = {
        "model": found.model,
        "plain": f"{said(plain.val)} (lr {plain.lr:g}, decay {plain.weight_decay:g})",
        "chosen": f"{said(best.val)} (lr {best.lr:g}{end}, decay {best.weight_decay:g})" if found.chosen else "the plain recipe",
    }
    for k in (k for k in BUYS if k <= len(values)):
        line[f"{k} drawn"] = said(sign * expected_best(values, k))
    line |= {"as good": f"{len(near(found))} of {len(found.trials)}", "their lr": f"× {number(span(found), 2)}"}
    return line | {SPREAD: f"{said(spread(found))} ({len(around(found))} trials)" if len(around(found)) > 1 else "one trial"}


def latest(records: Sequence[Record]) -> list[Tuned]:
    """What the newest trials of every cell and budget say: those of one plan, under one code. Unfinished ones, too."""
    plans: dict[tuple[str, str, str], dict[tuple[str, str], list[Record]]] = defaultdict(lambda: defaultdict(list))
    for one in records:
        plans[one["dataset"], one["model"], one["budget"]["name"]][one["plan"], one["code"]].append(one)
    found = []
    for by_plan in plans.values():
        newest = max(by_plan.values(), key=lambda trials: max(one["created"] for one in trials))
        if any(one["trial"] == 0 for one in newest) and (choice := judged(newest)) is not None:
            found.append(choice)
    return found


def committed(store: Store, known: Sequence[Tuned]) -> list[Tuned]:
    """What committed files say of cells that the store has no trials of, and runs that use them."""
    told = {(one.dataset, one.model, one.budget) for one in known}

    def used(path: Path) -> bool:
        runs = (store.folder / "runs" / path.parent.name / plain(path.stem)).glob("*-s*.json")
        return any(not run.name.startswith(UNTUNED) for run in runs)

    found = [read(path) for path in sorted(FOLDER.glob("*/*.json")) if used(path)]
    return [one for one in found if (one.dataset, one.model, one.budget) not in told]


def by_family(found: Sequence[Tuned]) -> str:
    """How flat the optimum is, a line a family."""
    families: dict[str, list[Tuned]] = defaultdict(list)
    for one in found:
        families[models.family(one.model) if plain(one.model) in models.names(published=True) else "other"].append(one)
    return markdown(
        [
            {
                "family": family,
                "cells": len(those),
                "plain recipe as good": f"{sum(one.trials[0] in near(one) for one in those)} of {len(those)}",
                "trials as good (median)": f"{median(len(near(one)) / len(one.trials) for one in those):.0%}",
                "their lr (median)": f"× {number(median(map(span, those)), 2)}",
                f"{SPREAD}, in margins (median)": of_spreads([one for one in those if len(around(one)) > 1]),
                "chosen at an end": f"{sum(bool(one.end) for one in those)} of {len(those)}",
                "chosen lr / plain (median)": number(median(one.best.lr / one.trials[0].lr for one in those), 2),
            }
            for family, those in sorted(families.items())
        ]
    )


def of_spreads(found: Sequence[Tuned]) -> str:
    """Their median in margins, as sets have metrics of their own; empty where no cell has two such trials, ∞ where some diverged."""
    middle = median(spread(one) / (margin(one) or math.ulp(0)) for one in found) if found else math.nan
    return "∞" if math.isinf(middle) else number(middle, 2)


def write(store: Store, blank: bool = True) -> Path:
    """Rebuild the report, with `blank` even where nothing is tuned. StoreError if the folder cannot be written to."""
    found = latest(list(store.records("trials")))
    found = sorted([*found, *committed(store, found)], key=lambda one: (one.dataset, one.budget, one.model))
    path = store.folder / "tuning.md"
    if not (found or blank):
        return path
    within = ", ".join(f"{number(most)} {called(metrics.named(name))}" for name, most in NEAR.items())
    parts = [
        "# Tuning",
        f"Every trial is one part in {SHARE} of a budget with seeds {' and '.join(map(str, SEEDS))}, which no run has; what is shown is the"
        " mean of their best val metric of any evaluation. *plain* is the task's recipe; the others are Sobol points, learning rate within"
        f" ×/÷ {REACH:g} of it and weight decay {DECAYS[0]:g} … {DECAYS[1]:g}; where the best rate is the last one of those, up to"
        f" {FURTHER} more go further, ×/÷ {STEP:g} each. *k drawn* is what k draws are expected to find at best"
        " (unbiased estimate, arXiv 2004.13705): it flatters, as val chose. *as good* are the trials within a margin of the best"
        f" ({within}; {SHARE_NEAR:.0%} of the best for other metrics), *their lr* is how many times the largest rate among them is the"
        f" smallest: the wider, the flatter the optimum. *{SPREAD}* is how far val lies apart among the trials within ×/÷ {AROUND:g} of the"
        " chosen learning rate. Where the chosen rate is the largest or smallest tried, a better one may lie beyond. Test was not opened.",
        by_family(found) if found else "There are no trials yet.",
    ]
    sets: dict[tuple[str, str], list[Tuned]] = defaultdict(list)
    for one in found:
        sets[one.dataset, one.budget].append(one)
    for (dataset, budget), those in sets.items():
        unit = " in %" if metrics.named(those[0].metric).percent else ""
        parts += [f"## {dataset}, {budget}: {those[0].metric}{unit}", markdown([row(one) for one in those])]
    store.write(path, ("\n\n".join(parts) + "\n").encode())
    return path
