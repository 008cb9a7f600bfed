"""What stands against a claim: models built and counted, sums done, and runs and latencies read from the stores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

import datasets
import models
from bench.claims.claim import COMPUTED, TIMED, Claim
from bench.claims.formula import total
from bench.core import machine
from bench.core.stats import Interval, interval
from bench.measure import counts
from bench.store.records import Record, Store
from bench.tables.rows import Row, everything, tabulated
from datasets.data import generator
from datasets.registry import describe
from datasets.task import Task

MOST_DRAWS, PATIENCE, BATCH = 64, 2, 8


class Uncountable(ValueError):
    """A computed figure that cannot be computed."""


@dataclass(frozen=True)
class Found:
    """A figure in the unit of the claim and where it is from. `note` is what its runs say themselves.

    `missing` says why there is none, or why the one there is judges nothing.
    """

    value: Interval | None = None
    missing: str = ""
    budget: str = ""
    machine: str = ""
    note: str = ""

    @property
    def judges(self) -> bool:
        return self.value is not None and not self.missing


def exact(value: float) -> Found:
    return Found(interval([value]))


def dead(module: nn.Module, task: Task) -> int:
    """Elements of parameters that no gradient reaches: exactly 0 for all weights and batches drawn, until `PATIENCE`
    draws reach no new one.

    Weights are redrawn as in `cost.active`, for a ReLU that some shut, others open. That one is more careful, and far slower:
    in float64 it also sees gradients that cancel but for rounding. The tests compare the two.
    """
    module.eval()
    parameters = [p for p in module.parameters() if p.requires_grad]
    unreached: list[Tensor] = [torch.ones_like(p, dtype=torch.bool) for p in parameters]
    left, waited = sum(p.numel() for p in parameters), 0
    for draw in range(MOST_DRAWS):
        g = generator("claims", draw)
        module.zero_grad()
        counts.loss(module, task, *task.sample(BATCH, g)).backward()
        for mask, p in zip(unreached, parameters, strict=True):
            if p.grad is not None:
                mask &= p.grad == 0
        before, left = left, sum(int(mask.sum()) for mask in unreached)
        waited = waited + 1 if left == before else 0
        if left == 0 or waited == PATIENCE:
            break
        with torch.no_grad():
            for p in parameters:
                noise = torch.randn(p.shape, generator=g)
                p.mul_(noise.sign()).add_(noise, alpha=0.02)
    return left + sum(p.numel() for p in module.parameters() if not p.requires_grad)


def counted(claim: Claim) -> float:
    """A computed figure, in the claim's unit."""
    if claim.quantity == "arithmetic":
        return total(claim.formula) * claim.scale
    task = datasets.task(claim.dataset)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = models.build(claim.model, task, **claim.size)
    whole = sum(p.numel() for p in module.parameters())
    if claim.quantity == "parameters":
        return whole
    return dead(module, task) * (claim.scale / whole if claim.quantity == "dead_share" else 1)


def of_run(run: Record, claim: Claim) -> float:
    """A trained figure of one seed. KeyError or ValueError, with the reason, if the run does not have it."""
    name, curve = run["metric"]["name"], run["curve"]
    on_val = run["test"].get("on_val", run["test"]["best"])  # a budget that chose on test recorded only its metric there
    match claim.quantity:
        case "value":
            return run["test"]["best"][name]
        case "error":
            return 1 - run["test"]["best"][name]
        case "value_last":
            return run["test"]["last"][name]
        case "on_val":
            return run["test"]["on_val"][name]
        case "test_loss":
            return on_val["loss"]
        case "val_value":
            return curve["val_metric"][curve["samples"].index(run["best_samples"])]
        case "train_loss" | "last_loss" | "val_loss":
            values = curve[claim.quantity]
            if claim.epoch:
                return values[reached(curve["samples"], claim)]
            return min(values) if claim.quantity == "val_loss" else values[-1]
    return on_val[claim.quantity]


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
        if claim.quantity in COMPUTED:
            try:
                key = (claim.quantity, claim.model, claim.dataset, tuple(sorted(claim.size.items())), claim.formula, claim.scale)
                if key not in self.counts:
                    self.counts[key] = counted(claim)
                return exact(self.counts[key])
            except Exception as error:  # a model may fail in any way: whose claim it is matters more than where
                raise Uncountable(describe(error)) from error
        if not claim.dataset:
            return Found()
        return self.latency(claim) if claim.quantity in TIMED else self.trained(claim)

    def latency(self, claim: Claim) -> Found:
        if claim.quantity.startswith("latency_cuda") and not any("latency_cuda_b1_p50_ms" in row.latency for row in self.timed):
            return Found(missing="no CUDA device")
        for row in self.timed:
            if (row.model, row.dataset) == (claim.model, claim.dataset) and claim.quantity in row.latency:
                return replace(exact(row.latency[claim.quantity]), machine=row.machine)
        return Found(missing="not timed")

    def row(self, claim: Claim, arithmetic: str = "") -> Row | None:
        """The cell's row in an arithmetic; if in any, in the one with most seeds."""
        own = [row for row in self.table if (row.model, row.dataset, row.budget) == (claim.model, claim.dataset, claim.budget)]
        return max((row for row in own if arithmetic in ("", row.arithmetic)), key=lambda row: len(row.values), default=None)

    def trained(self, claim: Claim) -> Found:
        row = self.row(claim)
        if row is None:
            return Found(missing=f"no run at budget `{claim.budget}`", budget=claim.budget)
        place = Found(budget=claim.budget, machine="`, `".join(row.trained_on))
        if not row.values:
            return replace(place, missing=f"{row.status}: {row.reason}")
        try:
            by_seed = {run["seed"]: of_run(run, claim) * claim.scale for run in row.runs}
            short = cut_short(row)
            if claim.denominator is not None:
                by_seed = self.divided(by_seed, row, claim)
            if not all(math.isfinite(value) for value in by_seed.values()):
                raise ValueError("not finite")
        except KeyError as error:
            return replace(place, missing=f"the runs do not record {error.args[0]}")
        except (IndexError, TypeError):
            return replace(place, missing="the runs' record is incomplete")
        except ValueError as error:
            return replace(place, missing=str(error))
        return replace(place, value=interval(list(by_seed.values())), missing="its runs were cut short" if short else "", note=row.reason)

    def divided(self, by_seed: Mapping[int, float], row: Row, claim: Claim) -> dict[int, float]:
        """Figures of a row divided by another cell's of the same arithmetic and seeds. ValueError if there are none."""
        below = claim.denominator
        assert below is not None
        other = self.row(below, row.arithmetic)
        if other is None or not other.values:
            raise ValueError(f"no run of `{below.model}` at budget `{below.budget}` in `{row.arithmetic}`")
        if (below.dataset, below.budget) == (claim.dataset, claim.budget) and other.conditions != row.conditions:
            raise ValueError(f"`{claim.model}` and `{below.model}` were trained under different conditions")
        if cut_short(other):
            raise ValueError(f"the runs of `{below.model}` were cut short")
        others = {run["seed"]: of_run(run, below) * below.scale for run in other.runs}
        shared = [seed for seed in by_seed if others.get(seed)]
        if not shared:
            raise ValueError(f"no seed of both `{claim.model}` and `{below.model}`")
        return {seed: by_seed[seed] / others[seed] for seed in shared}

    def nearest(self, claim: Claim) -> Found:
        """The same figure under another budget: the one that may explain it, else the largest that was run."""
        others = {r.budget: r.samples for r in self.table if (r.model, r.dataset) == (claim.model, claim.dataset) and r.values}
        first = claim.explained.get("budget")
        for budget in sorted(others, key=lambda name: (name != first, -others[name], name)):
            if budget != claim.budget and (found := self.trained(replace(claim, budget=budget))).value is not None:
                return found
        return Found()
