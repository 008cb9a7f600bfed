"""Ray as the engine: a task for every job, on whatever nodes a cluster has, or on this machine.

A node that is lost takes its tasks along; Ray gives them to another, which goes on from the last checkpoint where the results folder
is one that both can read.
"""

from __future__ import annotations

import socket
import traceback
from typing import Any

from bench.core import machine
from bench.plan.grid import RequestError
from bench.run.engines import surroundings
from bench.run.job import Ended, Job, Message
from bench.run.worker import work_alone

RETRIES = 3  # of a task whose process or node is lost
LEFT_HERE = [".venv", ".git", "results", "**/__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"]


def task(job: Job) -> list[Message]:
    """A job on a node of the cluster: everything it has to tell, at once."""
    told: list[Message] = []
    work_alone(job, told.append)
    return told


def silent(where: str) -> RequestError:
    return RequestError(f"no Ray cluster answers at {where}; start one (ray start --head) or leave --address out")


def answering(address: str) -> None:
    """RequestError if nobody listens at HOST:PORT: Ray itself waits for minutes, and then ends the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdecimal():
        raise RequestError(f"--address takes HOST:PORT, not {address!r}; a cluster prints its own when it starts (ray start --head)")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise silent(f"{address} ({error})") from error


class Cluster:
    """Tasks of one core each, or of one GPU. RequestError if nobody answers at the address."""

    room = 1_000  # tasks: the cluster knows best how many fit

    def __init__(self, address: str | None) -> None:
        import ray

        if address is not None:
            answering(address)
        self.ray: Any = ray
        self.waiting: dict[Any, Job] = {}
        self.ours = not ray.is_initialized()
        if not self.ours:
            return
        here: dict[str, Any] = {"env_vars": surroundings()}
        away = {"env_vars": {"OMP_NUM_THREADS": "1"}, "working_dir": str(machine.ROOT), "excludes": LEFT_HERE}
        try:
            ray.init(
                address=address,
                runtime_env=here if address is None else away,
                log_to_driver=False,
                include_dashboard=False if address is None else None,
            )
        except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise silent(f"{address}: {said}") from error

    def submit(self, job: Job) -> None:
        remote = self.ray.remote(num_cpus=1, num_gpus=int(job.device == "cuda"), max_retries=RETRIES)(task)
        self.waiting[remote.remote(job)] = job

    def poll(self, seconds: float) -> list[tuple[Job, Message]]:
        told: list[tuple[Job, Message]] = []
        ready, _ = self.ray.wait(list(self.waiting), num_returns=1, timeout=seconds) if self.waiting else ([], [])
        for reference in ready:
            job = self.waiting.pop(reference)
            try:
                told += [(job, message) for message in self.ray.get(reference)]
            except self.ray.exceptions.RayError as error:
                last = traceback.format_exception_only(error)[-1]
                told.append((job, Ended("error", machine.anonymous(f"its task was lost: {' '.join(last.split())[:200]}"))))
        return told

    def close(self) -> None:
        for reference in self.waiting:
            self.ray.cancel(reference, force=True)
        self.waiting.clear()
        if self.ours:
            self.ray.shutdown()
