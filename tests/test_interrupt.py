"""When Ctrl-C is answered, and that pytest survives it wherever it comes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.run.interrupt import Interrupts
from tests.conftest import ROOT, Bench, environment


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    before = signal.getsignal(signal.SIGINT)
    yield Interrupts()
    signal.signal(signal.SIGINT, before)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_it_is_answered_at_once_where_nothing_holds_it(interrupts: Interrupts) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupt()


def test_held_it_waits_for_the_end(interrupts: Interrupts) -> None:
    went_on = False
    with pytest.raises(KeyboardInterrupt), interrupts.hold(True):
        interrupt()
        went_on = True
    assert went_on


def test_held_it_is_answered_where_work_begins_or_goes_on(interrupts: Interrupts) -> None:
    with pytest.raises(KeyboardInterrupt), interrupts.hold(True):
        interrupt()
        with interrupts.hold(False):
            pytest.fail("work began")
    with interrupts.hold(True):  # it was answered once
        pass


def test_unheld_within_what_holds_it_is_answered_at_once(interrupts: Interrupts) -> None:
    with pytest.raises(KeyboardInterrupt), interrupts.hold(True), interrupts.hold(False):
        interrupt()
        pytest.fail("work went on")
    with interrupts.hold(True):
        pass


@pytest.mark.parametrize("held", [True, False])
def test_the_second_ends_the_process_whether_the_first_is_held_or_was_answered(interrupts: Interrupts, held: bool) -> None:
    left: list[int] = []
    interrupts.leave = left.append
    with pytest.raises(KeyboardInterrupt), interrupts.hold(held):
        interrupt()
        interrupt()
    if not held:
        with contextlib.suppress(KeyboardInterrupt):  # where leaving is only noted
            interrupt()  # while tables are written
    assert left == [130]


PYTEST = ("pytest", "bench/test_training.py", "--benchmark-only", "-p", "no:cacheprovider")


@pytest.mark.slow
@pytest.mark.parametrize("command", [PYTEST, ("bench", "run")], ids=["pytest", "run"])
def test_ctrl_c_twice_ends_at_once_and_quietly(tmp_path: Path, command: tuple[str, ...]) -> None:
    """The first while a cell trains, the second before tables and pictures are written, which takes seconds."""
    asked = [sys.executable, "-m", *command, "--models", "mlp", "--datasets", "gaussian,xor,spiral", "--results", str(tmp_path)]
    asked += ["--seeds", "2", "--workers", "1"]
    process = subprocess.Popen(asked, cwd=ROOT, env=environment(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    end = time.monotonic() + 200
    while not list(tmp_path.glob("runs/*/*/*-s?.json")):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.02)
    family = psutil.Process(process.pid).children(recursive=True)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 130, output
    assert "Traceback" not in output and "Error" not in output, output
    assert "report:" not in output
    psutil.wait_procs(family, timeout=300)
    assert not [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def test_one_that_was_lost_on_the_way_is_answered_next(interrupts: Interrupts) -> None:
    with pytest.raises(KeyboardInterrupt), interrupts.hold(True), interrupts.hold(False):
        with contextlib.suppress(KeyboardInterrupt):  # as Python does in the callback of a weak reference
            interrupt()
        with interrupts.hold(True):
            pass
        pytest.fail("went on")


@pytest.mark.slow
@pytest.mark.parametrize("command", [PYTEST, ("bench", "run")], ids=["pytest", "run"])
def test_ctrl_c_while_pictures_are_drawn_is_130_too(tmp_path: Path, command: tuple[str, ...]) -> None:
    asked = [sys.executable, "-m", *command, "--models", "linear", "--datasets", "xor", "--results", str(tmp_path), "--budget", "smoke"]
    process = subprocess.Popen(asked, cwd=ROOT, env=environment(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        if line.startswith("drawing"):
            process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130, output
    assert "Traceback" not in output, output


FORGOTTEN = """
    try: os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt: pass
"""
NOWHERE = """
    exec(compile("os.kill(os.getpid(), signal.SIGINT)", "nowhere", "exec").replace(co_linetable=b""))
"""


@pytest.mark.slow
@pytest.mark.parametrize("sent", [FORGOTTEN, NOWHERE], ids=["forgotten", "on no line"])
@pytest.mark.parametrize("where", ["show", "advance"])
def test_wherever_it_comes_the_session_ends_with_a_report(bench: Bench, tmp_path: Path, where: str, sent: str) -> None:
    plugin = tmp_path / "sent.py"
    plugin.write_text(
        f"""
import os, signal
from bench.run.progress import Progress
stroke, strokes = Progress.{where}, []
def drawn(*args):
    strokes.append(1)
    if len(strokes) == 2:
        send()
    return stroke(*args)
def send():{sent}
Progress.{where} = drawn
"""
    )
    ended = bench("--plugin", str(plugin), "--models", "linear,mlp", "--datasets", "gaussian,xor", what="bench/test_training.py")
    assert ended.returncode == 130, ended.stdout
    assert "Traceback" not in ended.stdout
    assert "report:" in ended.stdout
