"""What may end its process is asked in another one, and what may change its process is undone: code of others runs in both ways."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import multiprocessing
import os
import pickle
import queue
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Lost:
    """There is no answer: the process that was asked is gone, and why."""

    reason: str


def died(code: int | None) -> str:
    """Why a process is gone, for its cell's row."""
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended by itself, with exit code {code}"


def answer(function: Callable[[Any], Any], ours: Connection, theirs: Connection) -> None:
    """The asked process, from beginning to end; Ctrl-C is the driver's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.disable()  # the driver tells what happened
    ours.close()  # else nobody would hear that the driver is gone
    torch.set_num_threads(1)  # threads of the driver's are not here
    with contextlib.suppress(EOFError, BrokenPipeError):  # the driver is gone, before it asked or before it heard
        while True:
            theirs.send(function(theirs.recv()))


PATIENCE = 20.0  # seconds for a forked process: one that was forked while a thread held a lock never answers


class Apart:
    """A process that is asked one thing at a time, begun at the first question; where one dies, another takes its place.

    `function` answers, and raises nothing; where there is no fork, it and what it is asked are pickled. A fork is quick and may hang, as
    threads of this process are not in it but their locks are: one that keeps silent is given up for a fresh process.
    """

    forks = sys.platform == "linux"  # of all of them: where one fork hung, the next would

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self.asked: tuple[BaseProcess, Connection] | None = None

    def begin(self) -> tuple[BaseProcess, Connection]:
        """The process, started where there is none."""
        if self.asked is None:
            context: Any = multiprocessing.get_context("fork" if self.forks else "spawn")
            ours, theirs = context.Pipe()
            process = context.Process(target=answer, args=(self.function, ours, theirs), daemon=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python 3.12 warns of a fork beside threads: the child uses none of them
                process.start()
            theirs.close()
            self.asked = process, ours
        return self.asked

    def ask(self, item: Any) -> Any:
        """What `function(item)` gives, Lost if the process does not survive it."""
        process, ours = self.begin()
        try:
            ours.send(item)
            if self.forks and not ours.poll(PATIENCE):
                self.close()
                Apart.forks = False
                return self.ask(item)
            return ours.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            process.join()
            self.asked = None
            return Lost(died(process.exitcode))

    def close(self) -> None:
        if self.asked is not None:
            process, ours = self.asked
            process.kill()
            process.join()
            ours.close()
            self.asked = None


def answers(function: Callable[[Any], Any], items: Sequence[Any], processes: int) -> Iterator[Any]:
    """What `function` gives for each item, in their order, worked out by several processes; here for an item whose process is lost."""
    free: queue.SimpleQueue[Apart] = queue.SimpleQueue()
    all_of_them = [Apart(function) for _ in range(min(processes, len(items)))]
    for one in all_of_them:
        one.begin()  # before there are threads: a fork beside one that imports would wait for ever
        free.put(one)

    def asked(item: Any) -> Any:
        one = free.get()
        try:
            told = one.ask(item)
        finally:
            free.put(one)
        return function(item) if isinstance(told, Lost) else told

    try:
        with ThreadPoolExecutor(max(1, len(all_of_them))) as pool:
            yield from pool.map(asked, items)
    finally:
        for one in all_of_them:
            one.close()


def surround(values: dict[str, str]) -> None:
    """Set the environment, all of it."""
    os.environ.clear()
    os.environ.update(values)


def determinism() -> tuple[bool, bool]:
    """Whether torch insists on deterministic algorithms, and whether it then only warns."""
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def mask() -> int:
    """The umask, which can be read by setting it only."""
    now = os.umask(0o077)
    os.umask(now)
    return now


def answer_interrupts(handler: Any) -> None:
    """Have Ctrl-C answered by this, where it may be set: in the main thread only, and not where it was not Python that set it."""
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, handler)


def flushes() -> bool:
    """Whether the smallest numbers are 0 here: torch tells the processor, which tells all code of this thread."""
    return sys.float_info.min / 2 == 0.0


# What all code of a process shares: how it is read, and how it is set.
SHARED: list[tuple[Callable[[], Any], Callable[[Any], Any]]] = [
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, torch.set_default_device),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (determinism, lambda how: torch.use_deterministic_algorithms(how[0], warn_only=how[1])),
    (
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda how: torch.autograd.set_detect_anomaly(*how),
    ),
    (flushes, torch.set_flush_denormal),
    (np.geterr, lambda how: np.seterr(**how)),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (partial(signal.getsignal, signal.SIGINT), answer_interrupts),
    (mask, os.umask),
    (
        lambda: torch.get_rng_state().numpy().tobytes(),
        lambda state: torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8)),
    ),
    (random.getstate, random.setstate),
    (lambda: pickle.dumps(np.random.get_state()), lambda state: np.random.set_state(pickle.loads(state))),
    (Path.cwd, os.chdir),
    (lambda: dict(os.environ), surround),
    (lambda: warnings.filters[:], lambda filters: warnings.filters.__setitem__(slice(None), filters)),  # type: ignore[index]
    (gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
]
SHARED += [
    (partial(getattr, place, name), partial(setattr, place, name))
    for place, names in (
        (sys, ("stdout", "stderr")),
        (torch.backends.cudnn, ("deterministic", "benchmark", "allow_tf32")),
        (torch.backends.cuda.matmul, ("allow_tf32",)),
    )
    for name in names
]
SHARED += [
    (partial(read, device), partial(put, device))
    for device in ("cpu", "cuda")
    for read, put in ((torch.is_autocast_enabled, torch.set_autocast_enabled), (torch.get_autocast_dtype, torch.set_autocast_dtype))
]
SHARED += [
    (getattr(torch.backends.cuda, f"{kernel}_sdp_enabled"), getattr(torch.backends.cuda, f"enable_{kernel}_sdp"))
    for kernel in ("flash", "mem_efficient", "math", "cudnn")
]
if hasattr(os, "sched_getaffinity"):  # Linux
    SHARED.append((partial(os.sched_getaffinity, 0), partial(os.sched_setaffinity, 0)))
if hasattr(torch._C, "_get_fp32_precision_getter"):
    # After the older settings, which change these; from general to special, as what is not set is read from the more general one.
    # By torch's inner functions: torch.backends.mkldnn.fp32_precision reads one setting and puts another.
    SHARED += [
        (partial(torch._C._get_fp32_precision_getter, *which), partial(torch._C._set_fp32_precision_setter, *which))
        for which in [("generic", "all"), *((place, what) for place in ("cuda", "mkldnn") for what in ("all", "matmul", "conv", "rnn"))]
    ]
UNTOLD = object()  # where reading raises: torch's older settings of precision do where the newer ones contradict them


def told(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception:
        return UNTOLD


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Inside, whatever changes what the process shares; afterwards it is as before. How modules were imported stays. What cannot be put
    back hinders nothing else and is raised in the end: later figures would not be what they say."""
    before = [told(read) for read, _ in SHARED]
    failed: list[Exception] = []
    try:
        yield
    finally:
        for (read, put), value in zip(SHARED, before, strict=True):
            if value is not UNTOLD and told(read) != value:
                try:
                    put(value)
                except Exception as error:
                    failed.append(error)
    if failed:
        raise failed[0]
