"""One invocation of the suite: the request read and checked, the cells it names, and where their results go."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import torch

import datasets
from bench import grid, machine, timing
from bench.cells import Settings
from bench.grid import Cell
from bench.store import Record, Store
from bench.timing import Timing
from datasets.task import Dtype


@dataclass
class Session:
    """Cells in order, devices (the first trains, all are timed), arithmetics to time (None: each budget's own), settings."""

    cells: list[Cell]
    devices: list[str]
    dtypes: list[Dtype] | None
    budget: str
    settings: Settings
    on_gpu: list[tuple[Timing, Record]] = field(default_factory=list)  # timed in this session

    @property
    def timings(self) -> list[Timing]:
        """A smoke run times one thread only: it must be over soon."""
        threads = 1 if self.budget == "smoke" else machine.facts()["cores"]
        return timing.timings(self.cells, self.devices, self.dtypes, threads)

    @property
    def seconds_per_timing(self) -> float:
        return 0.1 if self.budget == "smoke" else 0.3


def between_checkpoints() -> float:
    """Seconds, from the environment; RequestError if they are none."""
    text = os.environ.get("ATTENTION_BENCH_CHECKPOINT_SECONDS", "30")
    try:
        return float(text)
    except ValueError as error:
        raise grid.RequestError(f"ATTENTION_BENCH_CHECKPOINT_SECONDS is {text!r}; it takes a number of seconds") from error


def begin(
    *,
    models: str | None = None,
    datasets_: str | None = None,
    budget: str = "default",
    seeds: str | None = None,
    devices: str | None = None,
    dtypes: str | None = None,
    data: str | None = None,
    results: str | None = None,
    plugins: list[str] | None = None,
    retrain: bool = False,
    download: bool = False,
) -> Session:
    """Check a request before anything is run. Raises grid.RequestError for what cannot be served."""
    if torch.cuda.is_available():
        machine.exact()
    for file in plugins or []:
        grid.plugin(file)
    chosen = grid.parse_devices(devices, torch.cuda.is_available())
    arithmetics = timing.parse_dtypes(dtypes)
    cells = grid.cells(models, datasets_, budget, grid.parse_seeds(seeds))
    grid.data_root(data, download)
    store = Store(machine.LOCAL if results is None else grid.located(results))
    settings = Settings(store, torch.device(chosen[0]), datasets.data_root(data), download, retrain, between_checkpoints())
    return Session(cells, chosen, arithmetics, budget, settings)
