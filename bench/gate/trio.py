"""Three arms on one core, base, head and base again, taking turns: one ratio a cell, and today's noise beside it."""

from __future__ import annotations

import json
import math
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy import stats

from bench.gate import arm
from bench.gate.trees import Tree

TURN = 0.004  # seconds: short, so that whatever else the machine does falls on all arms alike
PATIENCE, GRACE = 60.0, 10.0  # seconds an arm may take for one answer; the same when the time is up
FEWEST = 2  # rounds of turns a cell gets from a trio
STDERR = 2  # what a model prints must not get between the lines that the gate prints
ORDERS = ("base head again", "head again base", "again base head")  # each is followed by its mirror image


class Died(RuntimeError):
    """An arm's process ended, or gave no answer in time. `role` says whose, where that is known."""

    def __init__(self, why: str, role: str = "") -> None:
        super().__init__(why)
        self.role = role


class Arm:
    """The gate's end of a channel to the arm of a role. `stop` is when the gate's time is up, by time.perf_counter."""

    def __init__(self, channel: socket.socket, role: str, stop: float = math.inf) -> None:
        self.channel, self.role, self.stop = channel, role, stop
        self.lines = channel.makefile("rw", encoding="utf-8")

    def ask(self, do: str, **message: Any) -> dict[str, Any]:
        """One command, one answer. Raises Died if there is none."""
        within = max(GRACE, min(PATIENCE, self.stop - time.perf_counter()))
        self.channel.settimeout(within + 1)
        try:
            print(json.dumps({"do": do, "within": within, **message}), file=self.lines, flush=True)
            line = self.lines.readline()
        except OSError as error:
            raise Died("no answer in time" if isinstance(error, TimeoutError) else f"its process ended: {error}", self.role) from error
        if not line:
            raise Died("its process ended, or was ended because it took too long", self.role)
        reply: dict[str, Any] = json.loads(line)
        return reply

    def close(self) -> None:
        for end in (self.lines, self.channel):
            with suppress(OSError):  # the arm died with a message under way
                end.close()


class Nursery:
    """A process that has imported the libraries and forks arms; see arm.py."""

    def __init__(self, bytecode: Path, stop: float = math.inf) -> None:
        self.bytecode, self.stop = bytecode, stop
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-P", arm.__file__, str(theirs.fileno())]
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
            self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment, stdin=subprocess.DEVNULL, stdout=STDERR)
        self.control.settimeout(2 * PATIENCE)
        self.ready = False

    def arm(self, role: str, tree: Tree, seed: int, core: int | None) -> Arm:
        """A fresh arm that has said hello to nobody yet. Raises Died if the nursery has gone."""
        ours, theirs = socket.socketpair()
        plug = {"files": tree.plugins, "laid": tree.laid, "origin": tree.origin}
        request = {"tree": str(tree.folder), "seed": seed, "core": core, "bytecode": str(self.bytecode), "plug": plug}
        try:
            if not self.ready and self.control.recv(16) != b"ready":
                raise Died("the process that forks the arms ended while it imported torch")
            self.ready = True
            with theirs:
                socket.send_fds(self.control, [json.dumps(request).encode()], [theirs.fileno()])
        except OSError as error:
            raise Died(f"the process that forks the arms has gone: {error}") from error
        return Arm(ours, role, self.stop)

    def close(self) -> None:
        self.control.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


@contextmanager
def arms(nursery: Nursery, trees: dict[str, Tree], seed: int, core: int | None) -> Iterator[dict[str, Arm]]:
    """Fresh arms by role, their trees imported; they end with the block. Raises Died if one does not come to life."""
    found = {role: nursery.arm(role, tree, seed * len(trees) + i, core) for i, (role, tree) in enumerate(trees.items())}
    try:
        for role, one in found.items():
            if "error" in (reply := one.ask("hello")):
                raise Died(f"{role} does not import: {reply['error']}")
        yield found
    finally:
        for one in found.values():
            one.close()


def cores() -> list[int]:
    """The cores an arm may be bound to."""
    return sorted(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Sample:
    """What one trio says of one cell: log(head / base), log(base again / base), and a call's milliseconds on base."""

    ratio: float
    noise: float
    ms: float


@dataclass(frozen=True)
class Failed:
    """What an arm answered instead: the roles it happened in, and why."""

    roles: tuple[str, ...]
    reason: str


def middle(values: list[float]) -> float:
    """The mean of the middle half: rounds that something interrupted do not move it."""
    return float(stats.trim_mean(values, 0.25))


def measure(trio: dict[str, Arm], cell: dict[str, Any], seconds: float, rng: random.Random) -> Sample | Failed:
    """Open a cell in all arms, then rounds of turns (base head again, again head base) for about `seconds`.

    Raises Died if an arm's process ends.
    """
    roles = list(trio)
    rng.shuffle(roles)
    opened = {role: trio[role].ask("open", **cell) for role in roles}
    if wrong := tuple(role for role in trio if "error" in opened[role]):
        return Failed(wrong, opened[wrong[0]]["error"])
    calls = max(1, round(TURN / min(reply["seconds"] for reply in opened.values())))
    rounds: list[dict[str, float]] = []
    stop = time.perf_counter() + seconds
    while len(rounds) < FEWEST or time.perf_counter() < stop:
        order = rng.choice(ORDERS).split()
        logs = dict.fromkeys(order, 0.0)
        for role in (*order, *reversed(order)):
            reply = trio[role].ask("turn", calls=calls)
            if "error" in reply:
                return Failed((role,), reply["error"])
            logs[role] += math.log(reply["seconds"]) / 2
        rounds.append(logs)
    return Sample(
        middle([r["head"] - (r["base"] + r["again"]) / 2 for r in rounds]),
        middle([r["again"] - r["base"] for r in rounds]),
        1e3 * math.exp(middle([r["base"] for r in rounds])),
    )
