"""Ray as the engine: a task for every job, on whatever nodes a cluster has, or on this machine.

A node that is lost takes its tasks along; Ray gives them to another, which goes on from the last checkpoint where the results folder
is one that both can read.
"""

from __future__ import annotations

import os
import socket
import traceback
from dataclasses import replace
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
    """Tasks of one core each, of as many as a model asks for, or of one GPU. Without an address a cluster of this machine is started,
    with `workers` cores.

    RequestError if nobody answers at the address.
    """

    room = 1_000  # tasks: the cluster knows best how many fit

    def __init__(self, address: str | None, workers: int) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told what is run here
        import ray

        if address is not None:
            answering(address)
        self.ray: Any = ray
        self.waiting: dict[Any, Job] = {}
        self.ours = not ray.is_initialized()
        if not self.ours:
            return
        away = {"env_vars": {"OMP_NUM_THREADS": "1"}, "working_dir": str(machine.ROOT), "excludes": LEFT_HERE}
        # without an address Ray would join whatever cluster it finds on this machine: "local" starts one
        here = {"address": "local", "num_cpus": workers, "include_dashboard": False, "runtime_env": {"env_vars": surroundings()}}
        try:
            ray.init(**(here if address is None else {"address": address, "runtime_env": away}), log_to_driver=False)
        except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
            said = " ".join(str(error).split())[:200] or type(error).__name__
            if address is None:
                raise RequestError(f"Ray does not start on this machine: {said}; --engine local needs no Ray") from error
            raise silent(f"{address}: {said}") from error

    def submit(self, job: Job) -> None:
        # a process for every job: whatever a model does to its process is not met by the next
        if job.threads > 1:
            largest = max((int(node["Resources"].get("CPU", 1)) for node in self.ray.nodes() if node["Alive"]), default=1)
            job = replace(job, threads=max(1, min(job.threads, largest)))  # or no node would ever take it
        remote = self.ray.remote(num_cpus=job.threads, num_gpus=int(job.device == "cuda"), max_retries=RETRIES, max_calls=1)(task)
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
