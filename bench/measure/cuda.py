"""Where the time of a forward pass on a GPU goes: what the device needed, what launching cost, what not waiting would have claimed.

    events   from the call's beginning to the last kernel's end, by the device's own clock; its waits for launches included
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

from bench.core.machine import anonymous
from bench.store.encoding import pack
from datasets.registry import describe

Call = Callable[[], object]
BEFORE_CAPTURE = 3  # calls on the side stream, as torch's notes on CUDA graphs ask for
failures: list[str] = []  # captures that failed in this process


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
    """The kernels of one call as a graph. Raises where the call cannot be captured: one that waits for an answer, say.

    Such a call is found before a capture begins. A capture that fails all the same may leave torch's allocator in it, and up to
    torch 2.12 the stream: after one there are no more graphs in this process.
    """
    if failures:
        raise RuntimeError(f"an earlier capture failed ({failures[0]})")
    before, side = torch.cuda.current_stream(), torch.cuda.Stream()
    side.wait_stream(before)
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.cuda.stream(side):
            for _ in range(BEFORE_CAPTURE):
                launch()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    before.wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            launch()
    except Exception as error:
        cause = error.__context__ or error  # ending the capture complains of the capture, not of what broke it
        failures.append(describe(cause))
        raise cause from None
    finally:
        torch.cuda.set_stream(before)
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


def on_device(seen: Iterable[Any]) -> int:
    """How many of a profiler's events are kernels. RuntimeError if it saw none, which is what a missing CUPTI looks like."""
    kernels = [e for e in seen if e.device_type == DeviceType.CUDA and not e.name.startswith(("Memcpy", "Memset"))]
    if not kernels:
        raise RuntimeError("the profiler saw none")
    return len(kernels)


def kernels(launch: Call) -> int:
    """Kernels that one call launches, not the first."""
    launch()
    torch.cuda.synchronize()
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        launch()
        torch.cuda.synchronize()
    return on_device(profile.events() or [])


def milliseconds(way: Callable[[Call, int], list[float]], launch: Call, calls: int) -> str:
    """What one of the ways to time found, packed."""
    return pack(1e3 * np.array(way(launch, calls), "<f4"))


def measure(launch: Call, calls: int) -> tuple[dict[str, Any], list[str]]:
    """Packed milliseconds `events_ms`, `async_ms` and `graph_ms`. What cannot be had is left out, with a note."""
    ways = {"events": events, "async": unsynchronised, "graph": replayed}
    return had({f"{name}_ms": partial(milliseconds, way, launch, calls) for name, way in ways.items()})


def counted(prepared: Callable[[], Call]) -> tuple[dict[str, Any], list[str]]:
    """`kernels` of one call, or a note. The profiler's hooks stay in the process, so nothing should be timed after it."""
    return had({"kernels": lambda: kernels(prepared())})


def had(parts: dict[str, Callable[[], Any]]) -> tuple[dict[str, Any], list[str]]:
    """What the parts give, and a note for each that raises."""
    found: dict[str, Any] = {}
    notes = []
    for name, part in parts.items():
        try:
            found[name] = part()
        except Exception as error:  # a model may do anything; its synchronised time stands
            notes.append(f"no {name.removesuffix('_ms')}: {anonymous(describe(error))}")
    return found, notes
