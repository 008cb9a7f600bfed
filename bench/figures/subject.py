"""A trained cell opened again, for its picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

import models
from bench.core.apart import restored
from bench.store import fingerprint
from bench.store.records import LARGEST, Record, Store
from bench.tables.rows import Row
from datasets.data import Data, derive
from datasets.task import Task


class NoPicture(Exception):
    """Why a cell has no picture of some kind; the rest is drawn. A message without a capital and a full stop."""


class Outdated(NoPicture):
    """There is none any more: one that was drawn before shows another run or another model."""


@torch.no_grad()
def answer(module: nn.Module, task: Task, x: torch.Tensor) -> torch.Tensor:
    """What a model says of x (n, *input.shape), as its runs are scored: by its own `predict` if it has one."""
    own = getattr(module, "predict", None)
    out: torch.Tensor = module(x) if own is None else own(x, task)
    return out


@dataclass(frozen=True)
class Subject:
    """One cell of the store. `run` is the record of the seed whose weights were kept; `data` are that seed's."""

    row: Row
    run: Record
    task: Task
    store: Store
    load: Callable[[str], Data]
    root: str | None = None

    @property
    def title(self) -> str:
        """Which cell this is, to begin a picture's title with."""
        return f"{self.row.model} on {self.row.dataset}"

    @cached_property
    def data(self) -> Data:
        """Raises datasets.Missing or Corrupt where they are not at hand, for which there is no picture either."""
        return self.load(self.row.dataset)

    @cached_property
    def kept(self) -> dict[str, Any]:
        """{"last": weights, "snapshots": {samples seen: weights}}. Raises NoPicture where the run kept nothing that fits."""
        if fingerprint.source(self.row.model) != self.run["source"]:
            raise Outdated("the model's code has changed since it was trained; train it again")
        if self.run.get("version", self.task.version) != self.task.version:
            raise Outdated("the data set has another version than when it was trained; train it again")
        kept = self.store.weights(self.run)
        if kept is None and 4 * self.run["costs"]["params"] > LARGEST:
            raise NoPicture(f"runs keep weights of models over {LARGEST >> 20} MiB with --keep-weights only; train it again with --retrain")
        if kept is None:
            raise NoPicture("the store has no weights of this run; train it again with --retrain")
        if not all(bool(value.isfinite().all()) for value in kept["last"].values()):
            raise NoPicture("its weights are not finite")
        return kept

    @cached_property
    def module(self) -> nn.Module:
        """The model with the weights of the last step, in evaluation mode, float32 on the CPU."""
        return self.at(self.kept["last"])

    @property
    def weights(self) -> str:
        """Which `module` has, to tell below a picture's title."""
        return f"weights of the last step, seed {self.run['seed']}"

    def predicted(self, x: torch.Tensor) -> torch.Tensor:
        """What the model answers, as its metrics take it."""
        return self.task.predicted(answer(self.module, self.task, x))

    def at(self, weights: dict[str, torch.Tensor]) -> nn.Module:
        """The model with other weights: those of `kept["snapshots"]`. Each call builds a new one."""
        with restored(), torch.random.fork_rng(devices=[]):  # the seed's own initialisation: it may hold random numbers that are not saved
            torch.manual_seed(derive("init", self.run["seed"]))
            module = models.build(self.row.model, self.task)
        try:
            module.load_state_dict(weights)
        except RuntimeError as error:
            raise Outdated("the weights that were kept do not fit the model; train it again") from error
        return module.eval().requires_grad_(False)
