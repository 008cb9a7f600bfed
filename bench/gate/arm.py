"""One arm: a process that holds one tree's model, and runs a few forward passes whenever it is its turn.

A nursery (this file as a script) imports the libraries once and forks an arm for every tree it is handed. The fork takes
`models`, `datasets` and plugins from that tree and everything that measures from the gate's own checkout, so that all arms are
measured by the same code. Messages are lines of JSON, each with the seconds the answer may take. A closed channel ends the process, and an
alarm ends one that is stuck in a model, so that nothing outlives a killed gate.

    {"do": "hello"}                                  -> names of the tree's models and data sets, versions; comes first
    {"do": "open", "model", "dataset", "batch"}      -> {"seconds": of one call}
    {"do": "turn", "calls": n}                       -> {"seconds": lower quartile of n calls}
    {"do": "exact"}                                  -> {"params", "flops", "operators", "peak_bytes", "names"}
    anything that raises                             -> {"error": what, "kind": missing, unsupported or raised}
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import platform
import random
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).resolve().parents[2]
LIBRARIES = "numpy torch.utils.flop_counter torchvision.datasets scipy.stats sklearn.datasets sklearn.model_selection einops"
WARM_UP = 0.02  # seconds of calls before a cell's first turn
GAP = 1 << 16  # bytes: the most that is put before a model, so that no two arms' models lie alike in memory


def quartile(times: list[float]) -> float:
    """The lower quartile: what a call takes when nobody interrupts it."""
    return sorted(times)[len(times) // 4]


def said(error: Exception) -> str:
    """An error's type and message; its type alone where the message raises. `datasets`, which also knows how, is the tree's here."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return f"{type(error).__name__}, whose message cannot be read"


class Arm:
    """The commands of one forked process."""

    def __init__(self, seed: int, plug: dict[str, Any]) -> None:
        self.random, self.plug = random.Random(seed), plug
        self.plugged: Any = None
        self.counts: Any = None
        self.gap: Any = None
        self.made: Any = None
        self.call: Callable[[], Any] = lambda: None

    def hello(self) -> dict[str, Any]:
        """Import the tree, and what measures it."""
        ballast = [bytearray(self.random.randrange(1, 4096)) for _ in range(self.random.randrange(1000))]
        import datasets
        import models

        self.counts = importlib.import_module("bench.measure.forward_counts")
        if self.plug["origin"]:
            self.plugged = importlib.import_module("bench.gate.plugged").Plugged(**self.plug)
            self.plugged.check()
        del ballast
        gc.freeze()
        return {
            "models": models.names(published=True),
            "datasets": {name: datasets.task(name).embedded for name in datasets.names(published=True)},
            "model_errors": models.errors,
            "dataset_errors": datasets.errors,
            "own": {noun: getattr(self.plugged, noun, []) for noun in ("models", "datasets")},
            "plugin_error": getattr(self.plugged, "error", ""),
            "facts": {"torch": torch.__version__, "python": platform.python_version(), "threads": torch.get_num_threads()},
        }

    def open(self, model: str, dataset: str, batch: int) -> dict[str, Any]:
        """Build a cell and warm it up."""
        import datasets
        import models

        for noun, registry, name in (("model", models, model), ("data set", datasets, dataset)):
            if name in registry.errors:
                return {"error": f"{noun} {name} {registry.errors[name]}", "kind": "raised"}
            if name not in registry.names(published=True):
                broken = getattr(self.plugged, "error", "")
                return {"error": broken or f"there is no {noun} {name}", "kind": "raised" if broken else "missing"}
        task = datasets.task(dataset)
        self.gap = torch.empty(self.random.randrange(64, GAP), dtype=torch.uint8)
        torch.manual_seed(0)
        try:
            module = models.build(model, task).eval()
        except models.Unsupported as reason:
            return {"error": str(reason), "kind": "unsupported"}
        if self.plugged:
            self.plugged.check()  # what building it imported
        x = self.counts.sample(task, batch, torch.device("cpu"))
        self.made, self.call = (module, task, batch), partial(self.counts.answer(module, task), x)
        with torch.inference_mode():
            return {"seconds": self.warm_up()}

    def warm_up(self) -> float:
        times: list[float] = []
        stop = time.perf_counter() + WARM_UP
        while len(times) < 2 or time.perf_counter() < stop:
            start = time.perf_counter()
            self.call()
            times.append(time.perf_counter() - start)
        return quartile(times[1:])

    def turn(self, calls: int) -> dict[str, Any]:
        call, clock = self.call, time.perf_counter
        times = []
        with torch.inference_mode():
            if calls > 1:
                call()  # brings the model back into the caches that the other arms filled
            for _ in range(calls):
                start = clock()
                call()
                times.append(clock() - start)
        return {"seconds": quartile(times)}

    def exact(self) -> dict[str, Any]:
        return {**self.counts.measure(*self.made), "names": dict(self.counts.operators(*self.made))}

    def serve(self, channel: socket.socket) -> None:
        with channel.makefile("rw", encoding="utf-8") as lines:
            for line in lines:
                message = json.loads(line)
                signal.setitimer(signal.ITIMER_REAL, message.pop("within"))  # nobody waits for a later answer
                try:
                    reply = getattr(self, message.pop("do"))(**message)
                except Exception as error:  # whatever a model raises is the cell's answer
                    reply = {"error": said(error)[:500], "kind": "raised"}
                signal.setitimer(signal.ITIMER_REAL, 0)
                print(json.dumps(reply), file=lines, flush=True)


def hatch(tree: str, seed: int, core: int | None, bytecode: str, plug: dict[str, Any], channel: socket.socket) -> None:
    """In the fork: `bench` from here, `models` and `datasets` from the tree; then serve until the channel closes."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    torch.set_num_threads(1)
    sys.pycache_prefix = bytecode  # a tree is read, never written to
    importlib.invalidate_caches()
    sys.path.insert(0, str(HERE))
    importlib.import_module("bench")
    sys.path[0] = tree
    Arm(seed, plug).serve(channel)


def nursery(control: socket.socket) -> None:
    """Import the libraries, say so, then fork an arm for every request that comes with a socket."""
    for library in LIBRARIES.split():
        with contextlib.suppress(ImportError):  # a tree that needs what is not installed says so itself
            importlib.import_module(library)
    gc.collect()
    gc.freeze()  # a collector that looked at what is shared with the forks would copy all of it
    gc.disable()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the dead
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the gate's to answer; its closed channels end us
    control.send(b"ready")
    while True:
        text, handles, _, _ = socket.recv_fds(control, 1 << 16, 1)
        if not text:
            os._exit(0)  # at once: taking torch apart in good order lasts seconds
        request = json.loads(text)
        channel = socket.socket(fileno=handles[0])
        if os.fork() == 0:
            status = 1
            try:
                control.close()
                hatch(**request, channel=channel)
                status = 0
            except BrokenPipeError:
                status = 0
            finally:
                sys.stderr.flush()
                os._exit(status)
        channel.close()


if __name__ == "__main__":
    nursery(socket.socket(fileno=int(sys.argv[1])))
