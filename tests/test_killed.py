"""A process killed at any operation on the store's files: started again it goes on, loses nothing, and leaves nothing behind."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import datasets
from bench.plan.grid import Cell
from bench.store.records import Store
from datasets.task import Budget
from tests.conftest import run_cell

# three seeds that stack, a checkpoint after every evaluation, under a name that keeps no probe: a probe writes nothing
CELL = Cell("mlp", "circle", datasets.task("circle"), Budget("smoke", samples=320, batch=64, lr=3e-2, evaluations=3, seeds=3))
pytestmark = pytest.mark.slow  # they fork a process that has trained: after other tests, whose threads may hold locks, that is not safe
OPERATIONS = ("open", "os.rename", "os.remove", "os.mkdir", "os.truncate", "fcntl.flock", "shutil.rmtree")  # that Python tells of
KILLED = 77


def watched(folder: Path, at: int, meet: Callable[[str], object]) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook that calls `meet` before the operation number `at` that changes something under `folder`, and again after it."""
    met = itertools.count(1)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.fsync" or (event in OPERATIONS and arguments and isinstance(arguments[0], str | bytes | os.PathLike)):
            path = os.fsdecode(arguments[0]) if event != "os.fsync" else ""
            writes = event != "open" or (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writes and path.startswith(str(folder)) and next(met) == at:
                meet(f"{event} {path}")

    return hook


@contextmanager
def counted(folder: Path, at: int) -> Iterator[None]:
    """Kills this process at an operation. Python tells of what it opens, renames and removes; of the rest it is asked here."""
    hook = watched(folder, at, lambda what: os._exit(KILLED))
    sys.addaudithook(hook)
    fsync, save = os.fsync, torch.save

    def synced(number: int) -> None:
        hook("os.truncate", (str(folder),))  # written, and not yet on the disk
        fsync(number)
        hook("os.truncate", (str(folder),))  # on the disk, without its name

    def saved(what: Any, file: Any, *more: Any, **named: Any) -> None:
        hook("os.truncate", (str(folder),)) if isinstance(file, Path) else None
        save(what, file, *more, **named)
        hook("os.truncate", (str(folder),)) if isinstance(file, Path) else None

    os.fsync, torch.save = synced, saved  # type: ignore[assignment]
    try:
        yield
    finally:
        os.fsync, torch.save = fsync, save


def killed(folder: Path, at: int) -> bool:
    """Whether a process that trains the cell was killed at its operation number `at`; if not, it has ended well."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            torch.set_num_threads(1)
            with counted(folder, at):
                Store(folder).writable()
                code = 0 if run_cell(CELL, folder, checkpoint_every=0.0).status == "ok" else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, KILLED), f"operation {at}: exit code {code}"
    return code == KILLED


def numbers(folder: Path) -> dict[str, Any]:
    """What runs say, without the circumstances of their making."""
    fields = ("seed", "status", "test", "examples", "best_samples", "together", "derived")
    found = {}
    for path in sorted(folder.glob("runs/*/*/*-s?.json")):
        record = json.loads(path.read_text())
        curve = {name: values for name, values in record["curve"].items() if name != "seconds"}
        found[path.name] = {name: record[name] for name in fields} | {"curve": curve}
    return found


def leftovers(folder: Path) -> list[str]:
    """All files that are neither records nor weights."""
    kept = ("machines", "runs", "weights")
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file()
        and (path.relative_to(folder).parts[0] not in kept or path.name.startswith(".") or path.suffix not in (".json", ".pt"))
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert not killed(folder, 10**6)
    return folder


def goes_on(folder: Path, undisturbed: Path, at: int) -> bool:
    """Whether there was an operation number `at`, at which the process was killed; what comes of it is checked."""
    if not killed(folder, at):
        return False
    before = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/*/*-s?.json")}
    store = Store(folder)
    for run in store.records("runs"):
        assert run["kind"] == "cell" or store.weights(run) is not None, f"operation {at}: a run without its weights"
    store.writable()
    assert run_cell(CELL, folder, checkpoint_every=0.0).status == "ok"
    assert numbers(folder) == numbers(undisturbed), f"operation {at}"
    assert all(path.stat().st_mtime_ns == when for path, when in before.items()), f"operation {at}: a finished run was trained twice"
    assert len(list(folder.rglob("*.pt"))) == 3, f"operation {at}: weights are not kept"
    assert not leftovers(folder), f"operation {at} leaves {leftovers(folder)}"
    assert not list(folder.rglob("*.broken"))
    return True


@pytest.mark.parametrize("at", [2, 11, 30])
def test_killed_at_an_operation_it_goes_on(tmp_path: Path, undisturbed: Path, at: int) -> None:
    assert goes_on(tmp_path, undisturbed, at)


@pytest.mark.slow
def test_killed_at_every_operation_in_turn_it_goes_on(tmp_path: Path, undisturbed: Path) -> None:
    places = next(at for at in itertools.count(1) if not goes_on(tmp_path / str(at), undisturbed, at)) - 1
    print(f"{places} operations")
    assert places >= 45
