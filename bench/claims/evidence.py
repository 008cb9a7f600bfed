"""What stands against a claim: what is counted, and what runs and latencies of the stores say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import datasets
from bench.claims.claim import CURVES, TIMED, Claim
from bench.claims.counting import Uncountable, counted
from bench.core import machine
from bench.core.stats import Interval, interval
from bench.store.records import Record, Store
from bench.tables.rows import CHOSEN, Row, everything, tabulated
from datasets.registry import describe

FEWEST = 3  # seeds without which no trained figure is judged
INSTEAD = {  # where a figure was not recorded or timed, what is shown in its place, unjudged
    "last_loss": ("train_loss",),
    **{
        name: [other for device in ("cuda", "cpu") for b in (64, 1) if (other := f"latency_{device}_b{b}_p50_ms") != name] for name in TIMED
    },
}
Cell = tuple[str, str, str]  # model, data set, budget


@dataclass(frozen=True)
class Found:
    """A figure in the unit of the claim and where it is from. `note` is what its runs say themselves.

    `missing` says why there is none, or why the one there is judges nothing; `wanted` the runs that would mend that.
    """

    value: Interval | None = None
    missing: str = ""
    budget: str = ""
    machine: str = ""
    note: str = ""
    wanted: tuple[Cell, ...] = ()

    @property
    def judges(self) -> bool:
        return self.value is not None and not self.missing


def of_run(run: Record, claim: Claim) -> float:
    """A trained figure of one seed. KeyError or ValueError, with the reason, if the run does not have it."""
    name, curve, test = run["metric"]["name"], run["curve"], run["test"]
    chosen = test.get("on_val", test["best"])  # a budget that chose on test recorded only its metric there
    match claim.quantity:
        case "value":
            return test["best"][name]
        case "error":
            return 1 - test["best"][name]
        case "value_last":
            return test["last"][name]
        case "test_loss":
            return chosen["loss"]
        case "test_loss_last":
            return test["last"]["loss"]
        case "val_value":
            return curve["val_metric"][curve["samples"].index(run["best_samples"])]
        case "settled":
            return settled(curve["train_loss"], curve["samples"]) / datasets.task(claim.dataset).sizes[0]
    if claim.quantity in CURVES:
        return curve[CURVES[claim.quantity]][reached(curve["samples"], claim) if claim.epoch else -1]
    return chosen[claim.quantity]


def settled(losses: Sequence[float], samples: Sequence[int]) -> int:
    """Samples after which a loss has come 95 % of its way from the first value to the least."""
    least = min(losses)
    return next(n for n, loss in zip(samples, losses, strict=True) if loss <= least + 0.05 * (losses[0] - least))


def reached(samples: Sequence[int], claim: Claim) -> int:
    """The point of a curve at the claim's epoch. ValueError if the run was shorter."""
    epoch = datasets.task(claim.dataset).sizes[0]
    if samples[-1] < (claim.epoch - 0.5) * epoch:
        raise ValueError(f"the runs end after {samples[-1] / epoch:.3g} epochs")
    return min(range(len(samples)), key=lambda i: abs(samples[i] - claim.epoch * epoch))


def cut_short(row: Row) -> bool:
    """Whether a run was stopped before its budget was spent."""
    return any(run["curve"]["samples"][-1] < run["budget"]["samples"] for run in row.runs)


class Evidence:
    """Everything that claims are held against; what is asked twice is counted once."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self.records = [everything(store) for store in stores]
        self.table: list[Row] = [row for runs, timings in self.records for row in tabulated(runs, timings)]
        self.counts: dict[tuple[Any, ...], float] = {}

    @cached_property
    def timed(self) -> list[Row]:
        """Rows with latencies: those of the table, then the same with the latencies of every other machine."""
        others = [
            row
            for runs, timings in self.records
            for name in sorted({machine.name_of(r) for r in timings} - {row.machine for row in self.table})
            for row in tabulated(runs, timings, name)
        ]
        return [row for row in (*self.table, *others) if row.latency]

    def of(self, claim: Claim) -> Found:
        """The measured figure in the claim's unit. Uncountable if a model cannot be built as the claim says, or a formula is none."""
        if claim.computed:
            try:
                key = (claim.quantity, claim.model, claim.dataset, tuple(sorted(claim.size.items())), claim.formula, claim.scale)
                if key not in self.counts:
                    self.counts[key] = counted(claim)
                return Found(interval([self.counts[key]]))
            except Exception as error:  # a model may fail in any way: whose claim it is matters more than where
                raise Uncountable(describe(error)) from error
        if not claim.dataset:
            return Found()
        return self.latency(claim) if claim.kind == "timed" else self.trained(claim)

    def latency(self, claim: Claim) -> Found:
        """The first machine's that timed it, and what it is divided by."""
        below = claim.denominator
        for row in self.timed:
            value = row.latency.get(claim.quantity) if (row.model, row.dataset) == (claim.model, claim.dataset) else None
            if value is not None and below is not None:
                beside = (r for r in self.timed if (r.model, r.dataset, r.machine) == (below.model, below.dataset, row.machine))
                other = next((r.latency[below.quantity] for r in beside if below.quantity in r.latency), None)
                value = value / other if other else None
            if value is not None:
                return Found(interval([value]), machine=row.machine)
        return Found(missing=f"not timed on {'a CUDA device' if 'cuda' in claim.quantity else 'a CPU'}")

    def row(self, claim: Claim, arithmetic: str = "") -> Row | None:
        """The cell's row in an arithmetic; if in any, in the one with most seeds."""
        own = [row for row in self.table if (row.model, row.dataset, row.budget) == (claim.model, claim.dataset, claim.budget)]
        return max((row for row in own if arithmetic in ("", row.arithmetic)), key=lambda row: len(row.values), default=None)

    def trained(self, claim: Claim) -> Found:
        row, below = self.row(claim), claim.denominator
        cells = tuple((c.model, c.dataset, c.budget) for c in (claim, below) if c is not None)
        if row is None:
            return Found(missing=f"no run of `{claim.dataset}` at budget `{claim.budget}`", budget=claim.budget, wanted=cells)
        said = row.reason.split("; ")
        note = "; ".join(part for part in said if part != CHOSEN or claim.quantity in ("value", "error"))
        place = Found(budget=claim.budget, machine="`, `".join(row.trained_on), note=note)
        if not row.values:
            return replace(place, missing=f"{row.status}: {row.reason}", note="")
        try:
            by_seed = {run["seed"]: of_run(run, claim) * claim.scale for run in row.runs}
            short = cut_short(row)
            if below is not None:
                other = self.row(below, row.arithmetic)
                if other is None or not other.values:
                    none = f"no run of `{below.model}` at budget `{below.budget}` in `{row.arithmetic}`"
                    return replace(place, missing=none, wanted=cells)
                by_seed = divided(by_seed, row, other, below)
            if not all(math.isfinite(value) for value in by_seed.values()):
                raise ValueError("not finite")
        except KeyError as error:
            return replace(place, missing=f"the runs do not record {error.args[0]}")
        except (IndexError, TypeError):
            return replace(place, missing="the runs' record is incomplete")
        except ValueError as error:
            return replace(place, missing=str(error))
        found = replace(place, value=interval(list(by_seed.values())))
        if short:
            return replace(found, missing="its runs were cut short")
        if len(by_seed) < FEWEST:
            return replace(found, missing=f"{len(by_seed)} of the {FEWEST} seeds that a verdict needs", wanted=cells)
        return found

    def nearest(self, claim: Claim) -> Found:
        """What else there is of the cell, to be shown: of its own budget, of that which may explain it, of the largest; else of
        the cell that is `near`. What stands in for the figure where a run lacks it."""
        first = (claim.budget, claim.explained.get("budget"))
        for place in (claim, claim.elsewhere(claim.near)) if claim.dataset and not claim.computed else ():
            others = {r.budget: r.samples for r in self.table if (r.model, r.dataset) == (place.model, place.dataset) and r.values}
            budgets = sorted(others, key=lambda name: (first.index(name) if name in first else 2, -others[name], name))
            for budget in [""] if claim.kind == "timed" else budgets:
                for quantity in (claim.quantity, *INSTEAD.get(claim.quantity, ())):
                    found = self.of(replace(place, budget=budget, quantity=quantity))
                    if found.value is not None:
                        cell = f"`{place.model}` on `{place.dataset}`" if place != claim else ""
                        other = quantity.replace("_", " ") if quantity != claim.quantity else ""
                        return replace(found, note="; ".join(filter(None, [cell, f"{other} instead" if other else "", found.note])))
        return Found()


def divided(by_seed: Mapping[int, float], row: Row, other: Row, below: Claim) -> dict[int, float]:
    """Figures of a row divided by those of another cell of its arithmetic, seed by seed. ValueError if they do not belong together."""
    if (other.dataset, other.budget) == (row.dataset, row.budget) and other.conditions != row.conditions:
        raise ValueError(f"`{row.model}` and `{below.model}` were trained under different conditions")
    if cut_short(other):
        raise ValueError(f"the runs of `{below.model}` were cut short")
    others = {run["seed"]: of_run(run, below) * below.scale for run in other.runs}
    shared = [seed for seed in by_seed if others.get(seed)]
    if not shared:
        raise ValueError(f"no seed of both `{row.model}` and `{below.model}`")
    return {seed: by_seed[seed] / others[seed] for seed in shared}
