"""What others' code does to a process: in one of its own it is told, in ours it is undone."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.core import apart as apart_module
from bench.core import machine
from bench.core.apart import SHARED, Apart, Lost, answers, restored, told
from bench.plan import grid
from bench.plan.plugins import PLUGGED
from bench.store.records import Store
from tests.conftest import Bench, run_cell, table
from tests.test_engines import DEATHS, quality


def does(what: str) -> str:
    deaths: dict[str, Any] = {"segfault": lambda: ctypes.string_at(0), "abort": os.abort, "leaves": lambda: os._exit(3)}
    deaths.get(what, lambda: None)()
    return f"{what} of {os.getpid()}"


def test_a_process_that_dies_is_told_and_another_takes_its_place() -> None:
    apart = Apart(does)
    first, again = apart.ask("one"), apart.ask("two")
    assert first.split()[-1] == again.split()[-1] != str(os.getpid())
    assert apart.ask("segfault") == Lost("its process was ended by SIGSEGV")
    assert apart.ask("abort") == Lost("its process was ended by SIGABRT")
    assert apart.ask("leaves") == Lost("its process ended by itself, with exit code 3")
    assert apart.ask("three").startswith("three of ")
    apart.close()
    assert apart.asked is None


def only_here(asked: tuple[int, int]) -> tuple[int, bool]:
    """Ends every process but the one that asks at the third item, and refuses the fifth anywhere."""
    item, asker = asked
    if item == 3 and os.getpid() != asker:
        os._exit(4)
    if item == 5:
        raise ValueError("five")
    time.sleep(0.05 * (item == 0))
    return item, os.getpid() == asker


def test_answers_come_in_order_and_from_here_where_a_process_is_lost(capfd: pytest.CaptureFixture[str]) -> None:
    asked = [(item, os.getpid()) for item in range(5)]
    assert list(answers(only_here, asked, 2)) == [(0, False), (1, False), (2, False), (3, True), (4, False)]
    assert list(answers(only_here, [], 2)) == []
    with pytest.raises(ValueError, match="five"):
        list(answers(only_here, [(5, os.getpid())], 2))
    capfd.readouterr()  # the process said so, too


CHANGES: dict[str, Any] = {
    "dtype": lambda: torch.set_default_dtype(torch.float64),
    "device": lambda: torch.set_default_device("meta"),
    "gradients": lambda: torch.set_grad_enabled(False),
    "deterministic": lambda: torch.use_deterministic_algorithms(True),
    "deterministic, warnings only": lambda: torch.use_deterministic_algorithms(False, warn_only=True),
    "anomalies": lambda: torch.autograd.set_detect_anomaly(True),
    "tiny numbers": lambda: torch.set_flush_denormal(True),
    "errors of numpy": lambda: np.seterr(all="raise"),
    "recursion": lambda: sys.setrecursionlimit(sys.getrecursionlimit() + 7),
    "ctrl-c": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    "umask": lambda: os.umask(0o007),
    "torch's random numbers": lambda: torch.manual_seed(7),
    "numpy's random numbers": lambda: np.random.seed(7),
    "python's random numbers": lambda: random.seed(7),
    "cwd": lambda: os.chdir("/"),
    "environment": lambda: os.environ.update(LEFT_BEHIND="1"),
    "warnings": lambda: warnings.simplefilter("error"),
    "output": lambda: setattr(sys, "stdout", None),
    "tf32": lambda: setattr(torch.backends.cudnn, "allow_tf32", not torch.backends.cudnn.allow_tf32),
    "autocast": lambda: torch.set_autocast_enabled("cpu", True),
    "autocast's dtype": lambda: torch.set_autocast_dtype("cpu", torch.float16),
    "flash": lambda: torch.backends.cuda.enable_flash_sdp(False),
    "attention in pieces": lambda: torch.backends.cuda.enable_math_sdp(False),
    "precision of all": lambda: setattr(torch.backends, "fp32_precision", "tf32"),
    "precision of products": lambda: setattr(torch.backends.mkldnn.matmul, "fp32_precision", "bf16"),
    "precision on cuda": lambda: setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32"),
    "precision of convolutions": lambda: setattr(torch.backends.cudnn.conv, "fp32_precision", "ieee"),
}
if hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) > 1:
    CHANGES["cores"] = lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


HELD = False  # a lock that a thread of this process holds: a fork inherits it, a fresh process does not


def waits_for_what_is_held(what: str) -> str:
    while HELD:
        time.sleep(0.1)
    return what


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is forked")
def test_a_fork_that_keeps_silent_is_given_up_for_a_fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart_module, "PATIENCE", 0.5)
    monkeypatch.setattr(Apart, "forks", True)
    monkeypatch.setattr(sys.modules[__name__], "HELD", True)
    apart = Apart(waits_for_what_is_held)
    assert [apart.ask("one"), apart.ask("two")] == ["one", "two"]
    assert not apart.forks
    apart.close()


@pytest.mark.parametrize("what", CHANGES)
def test_what_a_process_shares_is_restored(what: str) -> None:
    before = [read() for read, _ in SHARED]
    with contextlib.suppress(ZeroDivisionError), restored():
        CHANGES[what]()
        changed = [told(read) for read, _ in SHARED] != before  # some raise where settings of precision contradict each other
        raise ZeroDivisionError
    assert changed
    assert [read() for read, _ in SHARED] == before


def test_what_cannot_be_read_or_put_back_hinders_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    held = {"first": 0, "stubborn": 0, "last": 0}

    def refuses(value: Any) -> None:
        raise ValueError("stubborn")

    unread = (lambda: 1 // 0, lambda value: held.update(unread=value))
    stubborn = (lambda: held["stubborn"], refuses)
    first, last = ((lambda name=name: held[name], lambda value, name=name: held.update({name: value})) for name in ("first", "last"))
    monkeypatch.setattr(apart_module, "SHARED", [first, unread, stubborn, last])
    with restored():
        held.update(first=1, last=1)
    assert held == {"first": 0, "stubborn": 0, "last": 0}
    with pytest.raises(ValueError, match="stubborn"), restored():
        held.update(first=1, stubborn=1, last=1)
    assert held == {"first": 0, "stubborn": 1, "last": 0}
    with pytest.raises(ZeroDivisionError), restored():  # its own error is told, not ours
        held.update(first=1, stubborn=2, last=1)
        raise ZeroDivisionError
    assert held == {"first": 0, "stubborn": 2, "last": 0}


LEAKS = """
import os, torch
torch.set_autocast_enabled("cpu", True)
torch.backends.mkldnn.matmul.fp32_precision = "bf16"
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
"""


def test_a_worker_trains_as_if_its_plugins_had_changed_nothing(tmp_path: Path) -> None:
    file = tmp_path / "leaks.py"
    file.write_text(LEAKS)
    cell = grid.cell("linear", "iris", "smoke", 1)
    runs = []
    for folder, plugins in (("without", ()), ("with", (str(file),))):
        outcome = run_cell(cell, tmp_path / folder, plugins=plugins)
        assert outcome.status == "ok", outcome.reason
        runs.append(next(record for record in Store(tmp_path / folder).runs() if record["kind"] == "run"))
    without, those = runs
    assert those["test"] == without["test"] and those["curve"]["val_loss"] == without["curve"]["val_loss"]
    assert str(file) in PLUGGED and machine.cores() == those["machine"]["cores"]


BUILDS = """
import ctypes, os, sys
import pytest, torch
import models
torch.set_default_dtype(torch.float64)
os.environ["OMP_NUM_THREADS"] = "7"

def add(how, does):
    def build(task):
        does()
        return torch.nn.Linear(task.input.size, task.output.size)
    build.__name__ = "built_" + how
    models.register(build)

add("segfault", lambda: ctypes.string_at(0))
add("leaves", lambda: os._exit(3))
add("exits", lambda: sys.exit("gone"))
add("skips", lambda: pytest.skip("not today"))

class Mute(RuntimeError):
    def __str__(self):
        raise KeyError("what it says")

class Unfit(Mute, models.Unsupported):
    pass

def throw(error):
    raise error

add("mute", lambda: throw(Mute()))
add("unfit", lambda: throw(Unfit()))
add("traces", lambda: (torch.set_default_dtype(torch.float64), torch.set_num_threads(3)))

class Late(torch.nn.Linear):
    def forward(self, x):
        if len(x) == 64 and not self.training and not torch.is_grad_enabled():
            os.abort()
        return super().forward(x)

@models.register
def late(task):
    return Late(task.input.size, task.output.size)
"""


def test_a_model_that_ends_its_process_when_it_is_built_is_a_cell_with_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "builds.py"
    file.write_text(BUILDS)
    grid.plugin(str(file))
    assert torch.get_default_dtype() == torch.float32
    found = {cell.model: (cell.status, cell.reason) for cell in grid.cells("built_*,linear", "xor", "smoke", 1)}
    assert {model: status for model, (status, _) in found.items()} == {
        **dict.fromkeys(("built_segfault", "built_leaves", "built_exits", "built_skips", "built_mute"), "error"),
        "built_unfit": "skipped",
        **dict.fromkeys(("built_traces", "linear"), ""),
    }
    assert "SIGSEGV" in found["built_segfault"][1] and "exit code 3" in found["built_leaves"][1]
    assert "Mute: its message cannot be read: KeyError (builds.py:" in found["built_mute"][1]
    assert found["built_unfit"][1] == "its message cannot be read: KeyError"
    assert "SystemExit: gone" in found["built_exits"][1] and "Skipped: not today" in found["built_skips"][1]
    assert torch.get_default_dtype() == torch.float32


SPOILS = """
import torch
import models
from models.mlp import flat

def refuses(*_, **__):
    raise RuntimeError("spoiled")

@models.register
def moves(task):
    torch.set_default_device("meta")
    return flat(task, [])

@models.register
def stays(task):
    if torch.get_default_device().type == "meta":
        raise RuntimeError("moved")
    return flat(task, [])

@models.register
def spoils(task):
    made = flat(task, [])
    torch.nn.init.kaiming_uniform_ = refuses
    return made

@models.register
def broken(task):
    raise RuntimeError("its own fault")
"""


def test_what_a_model_does_to_its_process_is_no_error_of_the_next(tmp_path: Path) -> None:
    file = tmp_path / "spoils.py"
    file.write_text(SPOILS)
    grid.plugin(str(file))
    with grid.Builder() as builder:
        assert builder.ask("moves", "xor").status == ""
        first = builder.apart.asked
        assert builder.ask("stays", "xor").reason == ""
        assert builder.apart.asked is first
        assert builder.ask("spoils", "xor").status == ""
        assert builder.ask("linear", "xor").reason == ""
        assert builder.ask("broken", "xor").reason.startswith("RuntimeError: its own fault")


MUTE = "class Mute(Exception):\n    __str__ = lambda self: 1 / 0\nraise Mute"
LEAVES = ["raise SystemExit('gone')", "import pytest; pytest.skip('x', allow_module_level=True)", "1 / 0", MUTE]


@pytest.mark.parametrize("what", LEAVES)
def test_a_plugin_that_leaves_while_it_is_imported_is_a_wrong_request(tmp_path: Path, what: str) -> None:
    (tmp_path / "leaves.py").write_text(what)
    with pytest.raises(grid.RequestError, match=r"plugin .*leaves\.py does not import"):
        grid.plugin(str(tmp_path / "leaves.py"))


@pytest.mark.slow
def test_the_whole_suite_survives_models_that_do_not(bench: Bench, tmp_path: Path) -> None:
    """Training and latency: what ends its process in a forward pass would take the clock's process along."""
    assert bench("--models", "linear", "--datasets", "xor").returncode == 0
    expected = quality(tmp_path / "results")
    for name, text in (("deaths.py", DEATHS), ("builds.py", BUILDS)):
        (tmp_path / name).write_text(text)
    asked = ("--plugin", str(tmp_path / "deaths.py"), "--plugin", str(tmp_path / "builds.py"))
    done = bench(*asked, "--models", "dies_segfault,dies_exits,built_segfault,built_traces,late,linear", "--datasets", "xor", "--retrain")
    assert done.returncode == 1, done.stdout + done.stderr
    rows = table(tmp_path / "results")
    assert quality(tmp_path / "results")["linear", "xor"] == expected["linear", "xor"]
    assert float(rows["linear", "xor"]["latency_cpu_b64_p50_ms"]) > 0
    assert "SIGABRT" in rows["late", "xor"]["reason"] and rows["late", "xor"]["latency_cpu_b64_p50_ms"] == ""
    assert {row["status"] for (model, _), row in rows.items() if model not in ("late", "linear", "dies_traces", "built_traces")} == {
        "error"
    }
