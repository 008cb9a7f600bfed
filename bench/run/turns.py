"""Processes that live long and take turns: whatever is timed is timed in each of them, one process at a time.

    process 3: c a b     process 1: b c a     process 2: a c b

A process is one draw of where memory lies and of what its core was about: all its times move alike, so an interval over the samples
of one process is none. Within a turn things are timed in random order, moments apart: a ratio is of one process and one moment.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from bench.core import machine
from bench.core.apart import died, restored
from bench.plan.grid import plugin
from bench.run.engines import bound_to_driver, context, started
from datasets.registry import describe


@dataclass(frozen=True)
class Failed:
    """Why there is no answer."""

    reason: str


def follow(plugins: tuple[str, ...], connection: Connection) -> None:
    """A process's side: answer until nothing more is asked."""
    bound_to_driver()
    torch.set_num_threads(1)
    for file in plugins:
        plugin(file)
    while (asked := connection.recv()) is not None:
        function, item = asked
        try:
            with restored():  # what one thing changes, the next does not meet
                answer = function(item)
        except BaseException as error:  # a model may raise anything: SystemExit, what a test framework skips with
            answer = Failed(machine.anonymous(describe(error)))
        connection.send(answer)


class Turns:
    """`processes` processes of one thread. Use it as a context; afterwards they are gone."""

    def __init__(self, processes: int, plugins: Sequence[str] = ()) -> None:
        self.processes, self.plugins = processes, tuple(plugins)
        self.context, self.order = context(), random.Random(0)
        self.running: dict[int, tuple[BaseProcess, Connection]] = {}

    def __enter__(self) -> Turns:
        return self

    def __exit__(self, *_: object) -> None:
        for process, connection in self.running.values():
            process.kill()
            process.join()
            connection.close()
        self.running.clear()

    def ask(self, i: int, function: Callable[[Any], Any], item: Any) -> Any:
        """What `function(item)` gives in process i, started where it is not there. Failed if it raises, or the process does not survive."""
        if i not in self.running:
            self.running[i] = started(self.context, follow, self.plugins, both_ways=True)
        process, connection = self.running[i]
        try:
            connection.send((function, item))
            return connection.recv()
        except (EOFError, OSError):
            process.join()
            connection.close()
            del self.running[i]
            return Failed(died(process.exitcode))

    def round(self, function: Callable[[Any], Any], items: Sequence[Any], advance: Callable[[], None]) -> list[list[Any]]:
        """For each item its answers, process by process. Processes and, in each, items come in random order."""
        found = [[Failed("not asked")] * self.processes for _ in items]
        for i in self.order.sample(range(self.processes), self.processes):
            for place in self.order.sample(range(len(items)), len(items)):
                found[place][i] = self.ask(i, function, items[place])
                advance()
        return found
