"""Where the time of a forward pass on a GPU goes: what the device needed, what launching cost, what not waiting would have claimed.

    events   from the first kernel's start to the last one's end, by the device's own clock; gaps between kernels included
    graph    the same kernels replayed as one CUDA graph, waited for: what is left when nobody has to launch them one by one
    async    the clock stopped without waiting for the device: the time of launching, which is not the time of computing

A pass whose graph is much faster than the synchronised call is bound by launching; one whose graph takes as long computes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.autograd import DeviceType

from bench.machine import anonymous
from bench.store import pack
from datasets.registry import describe

Call = Callable[[], object]
BEFORE_CAPTURE = 3  # calls on the side stream, as torch's notes on CUDA graphs ask for


def events(launch: Call, calls: int) -> list[float]:
    """Seconds of each call by the device's clock."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    times = []
    for _ in range(calls):
        start.record()
        launch()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return times


def unsynchronised(launch: Call, calls: int) -> list[float]:
    """Seconds until each call returned. The device is waited for outside the clock, so that its queue never fills."""
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        launch()
        times.append(time.perf_counter() - start)
        torch.cuda.synchronize()
    return times


def captured(launch: Call) -> torch.cuda.CUDAGraph:
    """The kernels of one call as a graph. Raises where the call cannot be captured: one that waits for an answer, say."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(BEFORE_CAPTURE):
            launch()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        launch()
    return graph


def replayed(launch: Call, calls: int) -> list[float]:
    """Seconds of each replay of the captured call, the device waited for."""
    graph = captured(launch)
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        graph.replay()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return times[1:] or times  # the first replay uploads the graph


def on_device(seen: Iterable[Any]) -> int | None:
    """How many of a profiler's events are kernels; None if it saw none, which is what a missing CUPTI looks like."""
    kernels = [e for e in seen if e.device_type == DeviceType.CUDA and not e.name.startswith(("Memcpy", "Memset"))]
    return len(kernels) or None


def kernels(launch: Call) -> int | None:
    """Kernels that one call launches."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        launch()
        torch.cuda.synchronize()
    return on_device(profile.events() or [])


def milliseconds(way: Callable[[Call, int], list[float]], launch: Call, calls: int) -> str:
    """What one of the ways to time found, packed."""
    return pack(1e3 * np.array(way(launch, calls), "<f4"))


def measure(launch: Call, calls: int) -> tuple[dict[str, Any], list[str]]:
    """Packed milliseconds `events_ms`, `async_ms`, `graph_ms`, and `kernels`. What cannot be had is left out, with a note.

    The graph comes last: a capture that fails may leave warnings behind, and nothing else is timed after it.
    """
    found: dict[str, Any] = {}
    notes = []
    ways = {"events": events, "async": unsynchronised, "graph": replayed}
    parts: dict[str, Callable[[], Any]] = {"kernels": partial(kernels, launch)}
    parts |= {f"{name}_ms": partial(milliseconds, way, launch, calls) for name, way in ways.items()}
    for name, part in parts.items():
        try:
            found[name] = part()
        except Exception as error:  # a model may do anything; its synchronised time stands
            notes.append(f"no {name.removesuffix('_ms')}: {anonymous(describe(error))}")
    return found, notes
