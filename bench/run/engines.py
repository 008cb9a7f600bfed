"""Where jobs run. An engine takes jobs and hands back what their workers tell, in whatever order it comes.

`Local` starts a fresh process for every job, of one thread unless its model asks for more: whatever a model does to its process dies
with it, and a process that dies takes only its own cell along. Processes are forked from a server that has everything imported
(preloaded.py) and has computed nothing.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

import psutil

from bench.core import machine
from bench.core.apart import died
from bench.run.job import Ended, Job, Message
from bench.store.files import HERE

MEMORY = 1.5 * 2**30  # bytes that a worker is expected to need
SCRATCH = "attention-bench-"
TRIES = 2  # of a job whose process dies: the second goes on from its checkpoint


class Engine(Protocol):
    """What runs jobs; `room` is how many it has use for at a time."""

    room: int

    def submit(self, job: Job) -> None:
        """Take a job, to be begun in the order of submission."""

    def poll(self, seconds: float) -> list[tuple[Job, Message]]:
        """What has been told since; waits up to `seconds` for something."""

    def close(self) -> None:
        """End what runs; its checkpoints stay."""


def fitting() -> int:
    """Workers that cores and memory permit."""
    return max(1, min(machine.cores(), int(psutil.virtual_memory().available / MEMORY)))


def context() -> Any:
    """What starts worker processes: forked from a server where there is fork."""
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    found: Any = multiprocessing.get_context(method)
    if method == "forkserver":
        found.set_forkserver_preload(["__main__", "bench.run.preloaded"])
    return found


def warm() -> None:
    """Start the server of workers, where there is one: it imports for seconds, and much is done here meanwhile."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        context()
        with settled():
            forkserver.ensure_running()


def bound_to_driver() -> None:
    """The first thing a worker does: Ctrl-C is the driver's to answer, and no worker outlives it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()


def serve(job: Job, connection: Connection) -> None:
    """A worker process, from beginning to end. It waits for no thread that its model began and did not end."""
    bound_to_driver()
    from bench.run.worker import work_alone

    work_alone(job, connection.send)
    connection.close()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # whatever a model put in its place
            stream.flush()
    os._exit(0)


@dataclass
class Running:
    job: Job
    process: BaseProcess
    connection: Connection
    tries: int


def started(own: Any, target: Callable[[Any, Connection], None], first: Any, both_ways: bool = False) -> tuple[BaseProcess, Connection]:
    """A worker process that does `target(first, connection)`, and our end of the connection."""
    ours, theirs = own.Pipe(duplex=both_ways)
    process = own.Process(target=target, args=(first, theirs), daemon=True)
    with settled():
        process.start()
    theirs.close()
    return process, ours


def sweep_scratch() -> None:
    """Remove what drivers of this machine that were killed left of what their workers shared."""
    for folder in Path(tempfile.gettempdir()).glob(f"{SCRATCH}{HERE}-*"):
        number = folder.name.split("-")[3]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


class Local:
    """Processes of this machine, up to `workers` threads of them at a time."""

    def __init__(self, workers: int) -> None:
        self.workers, self.room = workers, workers + 1
        self.context = context()
        sweep_scratch()
        self.scratch = tempfile.TemporaryDirectory(prefix=f"{SCRATCH}{HERE}-{os.getpid()}-", ignore_cleanup_errors=True)
        self.waiting: deque[tuple[Job, int]] = deque()
        self.running: dict[Connection, Running] = {}

    def submit(self, job: Job) -> None:
        self.waiting.append((replace(job, scratch=Path(self.scratch.name), threads=min(job.threads, self.workers)), 1))

    def start(self) -> None:
        while self.waiting and sum(one.job.threads for one in self.running.values()) + self.waiting[0][0].threads <= self.workers:
            job, tries = self.waiting.popleft()
            process, ours = started(self.context, serve, job)
            self.running[ours] = Running(job, process, ours, tries)

    def poll(self, seconds: float) -> list[tuple[Job, Message]]:
        self.start()
        told: list[tuple[Job, Message]] = []
        for ready in wait(list(self.running), seconds) if self.running else []:
            assert isinstance(ready, Connection)
            one = self.running[ready]
            try:
                message: Message = ready.recv()
            except (EOFError, OSError):
                told += self.gone(one)
                continue
            told.append((one.job, message))
            if isinstance(message, Ended):
                self.forget(one)
        return told

    def gone(self, one: Running) -> Iterator[tuple[Job, Message]]:
        """A process died before its job was over: once more, from its checkpoint; then it is the cell's own fault."""
        self.forget(one)
        if one.tries < TRIES:
            self.waiting.appendleft((one.job, one.tries + 1))
        else:
            yield one.job, Ended("error", f"{died(one.process.exitcode)}, {TRIES} times")

    def forget(self, one: Running) -> None:
        del self.running[one.connection]
        one.connection.close()
        one.process.join()

    def close(self) -> None:
        self.waiting.clear()
        for one in self.running.values():
            one.process.kill()
        for one in list(self.running.values()):
            self.forget(one)
        self.scratch.cleanup()


def surroundings() -> dict[str, str]:
    """Environment of a worker on this machine: one thread, and imports from the checkout, wherever it is run."""
    path = os.pathsep.join(filter(None, [str(machine.ROOT), os.environ.get("PYTHONPATH")]))
    return {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}


@contextlib.contextmanager
def settled() -> Iterator[None]:
    """Inside, a worker that is started has its `surroundings`."""
    root, wanted = str(machine.ROOT), surroundings()
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    added = root not in sys.path
    if added:
        sys.path.insert(0, root)
    try:
        yield
    finally:
        if added:
            sys.path.remove(root)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
