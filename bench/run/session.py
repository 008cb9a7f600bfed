"""One invocation of the suite: the request read and checked, the cells it names, and where their results go."""

from __future__ import annotations

import importlib.util
import os
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

import datasets
from bench.core import machine
from bench.plan import grid, timing, variants
from bench.plan.grid import Cell
from bench.plan.request import whole
from bench.plan.settings import settings
from bench.plan.timing import Timing
from bench.run.driver import Driver
from bench.run.engines import Engine, Local, fitting
from bench.run.job import Job
from bench.run.options import OPTIONS
from bench.store.records import Record, Store
from datasets.registry import did_you_mean
from datasets.task import Budget, Dtype

ENGINES = ("local", "ray")
MOST_WORKERS = 1024
ARGUMENTS = {"datasets": "datasets_", "plugin": "plugins", "set": "sets"}  # of `begin`, where they are not called like the option
NOTHING = Budget("nothing", samples=1, batch=1)


@dataclass
class Session:
    """Cells in order, devices (the first trains, all are timed), arithmetics to time (None: each budget's own), and how cells are run."""

    cells: list[Cell]
    devices: list[str]
    dtypes: list[Dtype] | None
    budget: str
    store: Store
    blank: Job  # what all jobs have in common
    engine: Callable[[], Engine]
    on_gpu: list[tuple[Timing, Record]] = field(default_factory=list)  # timed in this session

    @property
    def timings(self) -> list[Timing]:
        """A smoke run times one thread only: it must be over soon."""
        threads = 1 if self.budget == "smoke" else machine.facts()["cores"]
        return timing.timings(self.cells, self.devices, self.dtypes, threads)

    @property
    def warnings(self) -> list[str]:
        """What to know before anything is run."""
        trained = {(self.devices[0], cell.budget.dtype) for cell in self.cells if not cell.status}
        asked = trained | {(timing.device, timing.dtype) for timing in self.timings if not timing.cell.status}
        return sorted({f"{dtype}: {doubt}" for device, dtype in asked if (doubt := machine.doubt(machine.facts(), device, dtype))})

    def driver(self, cells: Iterable[Cell], advance: Callable[[Cell, float], None]) -> Driver:
        """What runs these cells, and tells of them in any order."""
        return Driver(self.store, self.blank, cells, self.engine, advance)


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
    keep_weights: bool = False,
    download: bool = False,
    workers: str | None = None,
    engine: str = "local",
    address: str | None = None,
    shard: str | None = None,
    untuned: bool = False,
    sets: Sequence[str] = (),
    samples: str | None = None,
    cells: list[Cell] | None = None,
) -> Session:
    """Check a request before anything is run. Raises grid.RequestError for what cannot be served."""
    if torch.cuda.is_available():
        machine.exact()
    for file in plugins or []:
        grid.plugin(file)
    chosen = grid.parse_devices(devices, torch.cuda.is_available())
    arithmetics = timing.parse_dtypes(dtypes)
    if cells is None:
        changes = variants.recipe(sets, samples)
        cells = in_shard(grid.cells(models, datasets_, budget, grid.parse_seeds(seeds), untuned, changes), shard)
    grid.data_root(data, download)
    store = Store(machine.LOCAL if results is None else grid.located(results))
    blank = Job(
        "",
        "",
        NOTHING,
        (),
        chosen[0],
        datasets.data_root(data),
        store.folder,
        plugins=tuple(grid.plugin_files(plugins or [])),
        download=download,
        retrain=retrain,
        keep_weights=keep_weights,
        checkpoint_every=between_checkpoints(),
    )
    return Session(cells, chosen, arithmetics, budget, store, blank, chosen_engine(engine, address, parse_workers(workers, chosen[0])))


def asked(value: Callable[[str], Any]) -> Session:
    """The session of a request, by what `value` says of each option, else bench.toml. RequestError if it cannot be served."""
    names = [option.removeprefix("--").replace("-", "_") for option in OPTIONS]
    given = {name: value(name) for name in names}
    given |= {name: said for name, said in settings().items() if given[name] in (None, [])}
    return begin(**{ARGUMENTS.get(name, name): said for name, said in given.items() if said is not None})


def parse_workers(text: str | None, device: str) -> int:
    """Worker processes: what cores and memory permit unless said otherwise; a GPU gets one."""
    if text is None:
        return 1 if device == "cuda" else fitting()
    return whole("--workers", text, MOST_WORKERS, "; leave it out for one a core")


def chosen_engine(name: str, address: str | None, workers: int) -> Callable[[], Engine]:
    """What starts the engine of that name once there is something to run. RequestError if it cannot be."""
    if name not in ENGINES:
        raise grid.RequestError(f"unknown engine {name!r}{did_you_mean(name, ENGINES)}; there are {' and '.join(ENGINES)}")
    if name == "local":
        if address is not None:
            raise grid.RequestError("--address names a Ray cluster; pass --engine ray with it")
        return lambda: Local(workers)
    if importlib.util.find_spec("ray") is None:
        raise grid.RequestError("--engine ray needs Ray, which is not installed: pip install -c constraints.txt -e '.[cluster]'")
    from bench.run.cluster import Cluster

    if address is None:
        return lambda: Cluster(None, workers)
    cluster = Cluster(address, workers)  # an address that nobody answers at is found now
    return lambda: cluster


def in_shard(cells: list[Cell], text: str | None) -> list[Cell]:
    """The cells whose id hashes to shard I of N, whatever is in the store."""
    if text is None:
        return cells
    found = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise grid.RequestError(f"--shard takes I/N with I from 1 to N, 2/8 say, not {text!r}")
    return [cell for cell in cells if zlib.crc32(cell.id.encode()) % int(found[2]) == int(found[1]) - 1]
