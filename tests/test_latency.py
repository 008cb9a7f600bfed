"""What a timing promises: settled before it is timed, doubts named, threads and arithmetic as stated."""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import datasets
from bench.conftest import count_kernels
from bench.core.stats import between
from bench.measure import cuda, forward_counts, latency
from bench.measure.validity import Clocks, coarse, complaints, disturbed, resolution
from bench.measure.warmup import WarmUp, agreed, warm_up
from bench.plan import grid
from bench.plan.timing import Timing, parse_dtypes, timings
from bench.run.session import begin
from bench.store.curves import short_times
from bench.tables import latency_table
from tests.conftest import Bench


class Sequence:
    """A call whose durations are given, and the clock that it moves; the last duration goes on for ever."""

    def __init__(self, *durations: float) -> None:
        self.durations, self.calls, self.now = durations, 0, 0.0

    def __call__(self) -> None:
        self.now += self.durations[min(self.calls, len(self.durations) - 1)]
        self.calls += 1

    def clock(self) -> float:
        return self.now


def test_it_settles_once_it_stops_getting_faster() -> None:
    call = Sequence(0.05, 0.02, 0.01, 0.006, 0.006, 0.006, 0.1)
    warm = warm_up(call, 0.3, call.clock)
    assert (warm.calls, warm.settled, warm.typical) == (6, True, pytest.approx(0.006))


def test_what_keeps_changing_is_not_settled_and_ends() -> None:
    call = Sequence(*(0.006 * 1.1**i for i in range(100)))
    warm = warm_up(call, 0.3, call.clock)
    assert not warm.settled
    assert 0.15 <= call.now < 0.3


def test_a_slow_call_is_given_a_few_windows_and_a_fast_one_many_calls() -> None:
    slow = Sequence(1.0)
    assert warm_up(slow, 2.0, slow.clock) == WarmUp(3, True, 1.0)
    assert warm_up(slow, 0.3, slow.clock) == WarmUp(1, True, 1.0)  # longer than all of its seconds: once
    restless = Sequence(1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0)
    assert warm_up(restless, 2.0, restless.clock).calls == 6
    fast = Sequence(1e-4)
    assert 140 <= warm_up(fast, 0.3, fast.clock).calls <= 160  # three windows of 5 ms


def test_agreement_is_of_the_last_three() -> None:
    assert agreed([9, 1.0, 1.04, 1.0])
    assert not agreed([1.0, 1.06, 1.0])
    assert not agreed([1.0, 1.0])


def test_intervals_of_quantiles_by_the_table() -> None:
    """Ranks of the 95 % interval of a median in any table of order statistics: 40 and 61 of 100, 1 and 6 of 6, none of 5."""
    assert between(np.arange(1, 101), 0.5) == (40, 61)
    assert between(np.array([3, 1, 2, 6, 5, 4]), 0.5) == (1, 6)
    assert between(np.arange(5), 0.5) is None
    assert between(np.arange(20), 0.95) is None  # the 95th percentile may lie above all of them


@pytest.mark.parametrize(("n", "share"), [(40, 0.5), (400, 0.95), (800, 0.99)])
def test_intervals_of_quantiles_cover(n: int, share: float) -> None:
    draws = np.random.default_rng(0).exponential(size=(2000, n))
    truth = -np.log(1 - share)
    found = [between(row, share) for row in draws]
    assert 0.94 <= np.mean([pair is not None and pair[0] <= truth <= pair[1] for pair in found]) <= 0.99


CALM = Clocks(wall=0.3, own=0.3, busy=0.3, stolen=0.0)
SETTLED = WarmUp(30, True, 1e-3)


def test_nothing_is_said_of_a_calm_timing() -> None:
    assert complaints(SETTLED, CALM, True, 1e-3, 1e-7, 1e-7) == []
    assert disturbed(replace(CALM, busy=0.34), one_thread=True) == []  # what ticks of 10 ms may be off by


def test_doubts_are_named_with_figures() -> None:
    assert complaints(WarmUp(7, False, 1e-3), CALM, True, 1e-3, 0, 0) == ["not settled after 7 warm-up calls"]
    assert disturbed(replace(CALM, busy=0.45), True) == ["other load on the machine: 50 % of a core"]
    assert disturbed(replace(CALM, busy=0.9), True) == ["other load on the machine: 200 % of a core"]
    assert disturbed(replace(CALM, stolen=0.06), True) == ["a hypervisor took 20 % of a core"]
    assert disturbed(replace(CALM, own=0.24, busy=0.24), True) == ["waited for a core 20 % of the time"]
    assert disturbed(replace(CALM, own=0.24, busy=0.24), False) == []  # a pool of threads waits by design
    assert coarse(1e-6, step=1e-7, empty=0) == ["clock too coarse: steps of 0.1 µs, 10 % of the median"]
    assert coarse(1e-5, step=0, empty=2e-7) == ["an empty call takes 0.2 µs, 2 % of the median"]


def test_clocks_tell_what_this_process_spent() -> None:
    """A loop of 50 ms is seen as own time; the step of a clock that ticks every 10 ms is 10 ms."""
    before, end = Clocks.now(), Clocks.now().own + 0.05
    while Clocks.now().own < end:
        pass
    assert Clocks.now().since(before).own >= 0.05
    ticks = iter(range(10**9))
    assert resolution(lambda: 0.01 * (next(ticks) // 3)) == pytest.approx(0.01)


CELL = grid.cell("mlp", "gaussian", "smoke", 1)


def test_names_of_timings() -> None:
    def names(device: str, dtypes: Any, threads: int) -> list[str]:
        return [timing.id.removeprefix("mlp-gaussian-") for timing in timings([CELL], [device], dtypes, threads)]

    assert names("cpu", None, 1) == ["cpu-b1", "cpu-b64"]
    assert names("cpu", None, 4) == ["cpu-b1", "cpu-b1-4t", "cpu-b64", "cpu-b64-4t"]
    assert names("cuda", ["bfloat16", "float32"], 4) == ["cuda-b1-bf16", "cuda-b64-bf16", "cuda-b1", "cuda-b64"]
    half = replace(CELL, budget=replace(CELL.budget, dtype="bfloat16"))
    assert [t.id for t in timings([half], ["cpu"], None, 1)] == ["mlp-gaussian-cpu-b1", "mlp-gaussian-cpu-b64"]


def test_dtypes_by_name() -> None:
    assert parse_dtypes(None) is None
    assert parse_dtypes("bf16, fp32,bf16") == ["bfloat16", "float32"]
    for nonsense, message in (("bf61", "unknown dtype 'bf61'; did you mean 'bf16'?; there are fp32 and bf16"), (",", "no dtype named")):
        with pytest.raises(grid.RequestError, match=message.replace("?", r"\?")):
            parse_dtypes(nonsense)


@pytest.mark.parametrize("fails", [False, True])
def test_threads_and_the_search_for_cycles_are_put_back(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    before, seen = torch.get_num_threads(), []
    real = latency.clocked

    def watched(call: Callable[[], object], calls: int) -> list[float]:
        seen.append((torch.get_num_threads(), gc.isenabled()))
        if fails:
            raise ValueError
        return real(call, calls)

    monkeypatch.setattr(latency, "clocked", watched)
    with contextlib.suppress(ValueError):
        latency.turn(Timing(CELL, "cpu", 1, threads=before + 1), 0.01)
    assert set(seen) == {(before + 1, False)}
    assert (torch.get_num_threads(), gc.isenabled()) == (before, True)


@pytest.mark.parametrize(("dtype", "wanted"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_the_arithmetic_is_the_one_stated(dtype: Any, wanted: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = latency.built, set()

    def watched(*asked: Any) -> nn.Module:
        module = real(*asked)
        for layer in module.modules():
            if isinstance(layer, nn.Linear):
                layer.register_forward_hook(lambda layer, x, y: seen.add((y.dtype, layer.weight.dtype, torch.is_grad_enabled())))
        return module

    monkeypatch.setattr(latency, "built", watched)
    timing = Timing(CELL, "cpu", 2, dtype)
    record = latency.record(timing, [latency.turn(timing, 0.01)])
    assert seen == {(wanted, torch.float32, False)}  # autocast: the weights stay float32
    assert record["dtype"] == dtype


def test_an_empty_call_has_no_model_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[torch.Tensor] = []
    monkeypatch.setattr(latency, "answer", lambda module, task: ran.append)
    subject = latency.prepare(Timing(CELL, "cpu", 3))
    subject.idle()
    assert not ran
    subject.call()
    assert [x.shape for x in ran] == [(3, 2)]


def test_a_record_has_its_certificate() -> None:
    timing = Timing(CELL, "cpu", 64, threads=2)
    exact, missing = latency.counted(CELL, "cpu", 64, "float32")
    record = latency.record(timing, [latency.turn(timing, 0.02) for _ in range(6)], exact=exact, notes=missing)
    figures = latency_table.figures(record)
    assert [record[name] for name in ("device", "batch", "dtype", "threads")] == ["cpu", 64, "float32", 2]
    assert figures["processes"] == 6
    assert figures["samples"] >= 6 * latency.FEWEST
    assert figures["p50_low_ms"] == min(record["medians_ms"]) <= figures["p50_ms"] <= figures["p50_high_ms"] == max(record["medians_ms"])
    assert 0 < figures["noop_ms"] < figures["p50_ms"]
    assert record["warm_up_calls"] >= 6  # one a process; a call that takes longer than all of the warm-up ends it
    module = latency.built(CELL, CELL.budget, torch.device("cpu"))
    assert record["exact"] == forward_counts.measure(module, CELL.task, 64)  # type: ignore[arg-type]
    assert json.loads(json.dumps(record)) == record


def test_what_cannot_be_counted_keeps_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*asked: Any) -> dict[str, int]:
        raise ValueError("no such operator in /home/alice/x.py")

    monkeypatch.setattr(forward_counts, "measure", fails)
    latency.counted.cache_clear()
    exact, missing = latency.counted(CELL, "cpu", 1, "float32")
    latency.counted.cache_clear()
    assert exact == {}
    assert missing[0].startswith("not counted: ValueError: no such operator in …/x.py")


class Device:
    """Stands for torch.cuda: launching takes 1 ms of the host's time, computing 5 ms of the device's, a graph's launch nothing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.done = 0.0, 0.0
        monkeypatch.setattr(cuda.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(torch.cuda, "synchronize", self.wait)
        monkeypatch.setattr(torch.cuda, "Event", lambda enable_timing: self.Event(self))
        monkeypatch.setattr(cuda, "captured", lambda launch: self)

    class Event:
        def __init__(self, device: Device) -> None:
            self.device, self.at = device, 0.0

        def record(self) -> None:
            self.at = max(self.device.now, self.device.done)

        def synchronize(self) -> None:
            self.device.wait()

        def elapsed_time(self, end: Device.Event) -> float:
            return 1e3 * (end.at - self.at)

    def wait(self) -> None:
        self.now = max(self.now, self.done)

    def launch(self) -> None:
        self.done = max(self.now, self.done) + 0.006
        self.now += 0.001

    def replay(self) -> None:
        self.done = max(self.now, self.done) + 0.004


def test_three_ways_to_time_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(monkeypatch)
    assert cuda.events(device.launch, 3) == pytest.approx([0.006] * 3)
    assert cuda.unsynchronised(device.launch, 3) == pytest.approx([0.001] * 3)
    assert cuda.replayed(device.launch, 3) == pytest.approx([0.004] * 2)


def test_a_pass_that_cannot_be_captured_has_a_note_and_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(monkeypatch)

    def fails(launch: Callable[[], object]) -> None:
        raise RuntimeError("operation not permitted when stream is capturing, at /home/alice/x.py")

    monkeypatch.setattr(cuda, "captured", fails)
    found, notes = cuda.measure(device.launch, 3)
    assert set(found) == {"events_ms", "async_ms"}
    assert len(notes) == 1
    assert notes[0].startswith("no graph: RuntimeError: operation not permitted when stream is capturing, at …/x.py")


def test_kernels_are_told_from_copies_and_from_a_blind_profiler() -> None:
    class Seen:
        def __init__(self, name: str, device: Any = cuda.DeviceType.CUDA) -> None:
            self.name, self.device_type = name, device

    host = Seen("cudaLaunchKernel", cuda.DeviceType.CPU)
    assert cuda.on_device([host, Seen("sgemm"), Seen("Memcpy HtoD"), Seen("relu"), Seen("Memset (Device)")]) == 2
    with pytest.raises(RuntimeError, match="saw none"):
        cuda.on_device([host])


class Streams:
    """Stands for torch.cuda around a capture, as torch 2.11 has it: one that fails keeps its stream and hides what broke it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mode, self.stack, self.ended = "default", [Stream("default")], False
        monkeypatch.setattr(cuda, "failures", [])
        for name in ("current_stream", "set_stream", "stream", "graph", "set_sync_debug_mode"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))
        monkeypatch.setattr(torch.cuda, "Stream", lambda: Stream("side"))
        monkeypatch.setattr(torch.cuda, "CUDAGraph", object)

    def current_stream(self) -> Stream:
        return self.stack[-1]

    def set_stream(self, stream: Stream) -> None:
        self.stack[-1] = stream

    def set_sync_debug_mode(self, mode: str) -> None:
        self.mode = mode

    @contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        self.stack.append(stream)
        try:
            yield
        finally:
            self.stack.pop()

    @contextmanager
    def graph(self, graph: object) -> Iterator[None]:
        self.stack[-1] = Stream("capture")
        try:
            yield
        except Exception as error:
            raise RuntimeError("operation failed due to a previous error during capture") from error
        self.stack[-1] = Stream("default")


class Stream:
    def __init__(self, name: str) -> None:
        self.name = name

    def wait_stream(self, other: Stream) -> None:
        pass


def test_a_call_that_waits_is_refused_before_it_is_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    streams, tried = Streams(monkeypatch), []

    def waits() -> None:
        tried.append(streams.current_stream().name)
        if streams.mode == "error":
            raise RuntimeError("called a synchronizing CUDA operation")

    with pytest.raises(RuntimeError, match="synchronizing"):
        cuda.captured(waits)
    assert (tried, streams.mode, streams.current_stream().name) == (["side"], "default", "default")
    assert not cuda.failures  # the next model may be captured


def test_a_capture_that_fails_tells_why_gives_the_stream_back_and_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    streams, names = Streams(monkeypatch), []

    def launch() -> None:
        names.append(streams.current_stream().name)

    cuda.captured(launch)
    assert names == ["side"] * cuda.BEFORE_CAPTURE + ["capture"]

    def breaks() -> None:
        if streams.current_stream().name == "capture":
            raise ValueError("no such kernel")

    with pytest.raises(ValueError, match="no such kernel"):
        cuda.captured(breaks)
    assert (streams.current_stream().name, streams.mode) == ("default", "default")
    with pytest.raises(RuntimeError, match=r"earlier capture failed \(ValueError: no such kernel"):
        cuda.captured(launch)


def test_kernels_are_counted_after_everything_was_timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    session = begin(models="mlp", datasets_="gaussian", budget="smoke", devices="cpu", results=str(tmp_path))
    timing = session.timings[0]
    record = latency.record(timing, [latency.turn(timing, 0.01)])
    session.on_gpu.append((timing, record))
    monkeypatch.setattr(cuda, "kernels", lambda launch: 7 if launch() is not None else 0)
    count_kernels(session)
    (kept,) = session.store.latencies()
    assert kept.items() >= {**short_times(record), "kernels": 7}.items()

    def fails(launch: Callable[[], object]) -> int:
        raise RuntimeError("the profiler saw none")

    monkeypatch.setattr(cuda, "kernels", fails)
    count_kernels(session)
    (kept,) = session.store.latencies()
    assert kept["notes"][-1].startswith("no kernels: RuntimeError: the profiler saw none")
    assert "kernels" not in kept


def test_what_composite_operators_are_made_of_is_counted() -> None:
    signals = datasets.task("shapes")

    class Recurrent(nn.Module):
        def __init__(self, layers: int) -> None:
            super().__init__()
            self.gru, self.out = nn.GRU(1, 4, layers, batch_first=True), nn.Linear(4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.gru(x.mT)[0]).mT

    names = forward_counts.operators(nn.Sequential(nn.Flatten(), nn.Linear(100, 3)), signals, 2)
    assert names["aten.addmm.default"] == 1
    assert "aten.linear.default" not in names
    one, two, three = (forward_counts.operators(Recurrent(layers).eval(), signals, 2).total() for layers in (1, 2, 3))
    assert three - two == two - one > 100  # a few for every position


def test_bfloat16_is_counted_as_it_is_timed() -> None:
    cell = grid.cell("gru_seq2seq", "translation", "smoke", 1)
    counts, notes = latency.counted(cell, "cpu", 1, "bfloat16")
    plain, _ = latency.counted(cell, "cpu", 1, "float32")
    assert notes == []
    assert counts["operators"] > plain["operators"]  # the casts
    assert {name: counts[name] for name in ("params", "flops")} == {name: plain[name] for name in ("params", "flops")}


@pytest.mark.slow
def test_a_smoke_run_times_one_thread_in_the_arithmetics_asked_for(bench: Bench, tmp_path: Path) -> None:
    asked = ("--models", "mlp", "--datasets", "gaussian", "--dtypes", "fp32,bf16", "--devices", "cpu,cuda", "-v", "-rs")
    done = bench(*asked, what="bench/test_latency.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no CUDA device" in done.stdout or torch.cuda.is_available()
    names = {path.name.split("-cpu-")[1] for path in tmp_path.rglob("*-cpu-*.json")}
    assert names == {f"b{batch}-{dtype}.json" for batch in (1, 64) for dtype in ("float32", "bfloat16")}
    assert "test_latency[mlp-gaussian-cpu-b1-bf16]" in done.stdout
    assert "## gaussian" in (tmp_path / "results" / "latency.md").read_text()
