"""Cells by one worker, by two, by shards, and by workers and drivers that are killed: the same numbers, nothing twice, nothing lost."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from bench.plan.request import RequestError
from bench.run import cluster, engines
from bench.run.job import Job
from datasets.task import Budget
from tests.conftest import PATIENCE, ROOT, Bench, environment, table

NOTHING = Budget("none", samples=1, batch=1)
ASKED = ("--models", "linear,mlp,backbone_none", "--datasets", "gaussian,digits", "--seeds", "2")
QUALITY = ("status", "metric", "value", "low", "high", "value_last", "seeds", "params", "params_active", "flops")
DEATHS = """
import ctypes, os, sys
import pytest, torch
import models

class Dies(torch.nn.Linear):
    def forward(self, x):
        {"segfault": lambda: ctypes.string_at(0), "abort": os.abort, "leaves": lambda: os._exit(3), "exits": lambda: sys.exit("gone"),
         "skips": lambda: pytest.skip("not today"), "traces": lambda: torch.set_default_dtype(torch.float64)}[self.how]()
        return super().forward(x)

def add(how):
    def build(task):
        made = Dies(task.input.size, task.output.size)
        made.how = how
        return made
    build.__name__ = "dies_" + how
    models.register(build)

for how in ("segfault", "abort", "leaves", "exits", "skips", "traces"):
    add(how)
"""


def quality(results: Path) -> dict[tuple[str, str], list[str]]:
    return {cell: [row[name] for name in QUALITY] for cell, row in table(results).items()}


def runs(results: Path) -> dict[str, dict[str, object]]:
    return {path.relative_to(results).as_posix(): json.loads(path.read_text()) for path in results.glob("runs/*/*/*-s?.json")}


def leftovers(results: Path) -> list[str]:
    """Whatever a finished run should have swept: checkpoints, claims, half-written files."""
    return [path.name for path in results.rglob("*") if path.is_file() and (path.parent.name == "checkpoints" or path.name.startswith("."))]


@pytest.mark.slow
def test_one_worker_two_workers_and_two_shards_give_the_same(bench: Bench, tmp_path: Path) -> None:
    found = []
    for options in (("--workers", "1"), ("--workers", "2")):
        done = bench(*ASKED, *options, what="bench/test_training.py")
        assert done.returncode == 0, done.stdout + done.stderr
        found.append(quality(tmp_path / "results"))
        assert len(runs(tmp_path / "results")) == 12 and not leftovers(tmp_path / "results")
        shutil.rmtree(tmp_path / "results")
    parts = []
    for shard in ("1/2", "2/2"):
        assert bench(*ASKED, "--shard", shard, what="bench/test_training.py").returncode == 0
        parts.append(set(table(tmp_path / "results")))
        (tmp_path / "results").rename(tmp_path / f"shard{shard[0]}")
    assert parts[0] | parts[1] == found[0].keys() and not parts[0] & parts[1]
    merged = [
        sys.executable,
        "-m",
        "bench",
        "merge",
        str(tmp_path / "shard1"),
        str(tmp_path / "shard2"),
        "--results",
        str(tmp_path / "results"),
    ]
    subprocess.run(merged, cwd=ROOT, env=environment(ROOT), check=True, capture_output=True)
    again = bench(*ASKED, "-v", what="bench/test_training.py")  # writes the tables, and trains nothing
    assert again.stdout.count("FROM STORE") == 6, again.stdout
    found.append(quality(tmp_path / "results"))
    assert found[0] == found[1] == found[2]


THREADED = """
import torch
import models

class Counts(torch.nn.Linear):
    def forward(self, x):
        if self.training and torch.get_num_threads() != self.wanted:
            raise RuntimeError(f"{torch.get_num_threads()} threads")
        return super().forward(x)

def add(name, asked, wanted):
    def build(task):
        made = Counts(task.input.size, task.output.size)
        made.wanted = wanted
        return made
    build.__name__ = name
    models.register(threads=asked)(build)

add("modest", 1, 1)
add("greedy", 2, 2)
add("cut", 8, 2)
add("wrong", 2, 7)
"""


@pytest.mark.slow  # quick: the next one, of the engine alone
def test_a_model_is_trained_with_the_threads_it_asks_for_as_far_as_there_are_any(bench: Bench, tmp_path: Path) -> None:
    plugin = tmp_path / "threaded.py"
    plugin.write_text(THREADED)
    asked = ("--plugin", str(plugin), "--models", "modest,greedy,cut,wrong", "--datasets", "xor", "--seeds", "1", "--workers", "2")
    bench(*asked, what="bench/test_training.py")
    rows = {model: row["reason"] for (model, _), row in table(tmp_path / "results").items()}
    assert (rows["modest"], rows["greedy"], rows["cut"]) == ("", "trained with 2 threads", "trained with 2 threads")
    assert "RuntimeError: 2 threads" in rows["wrong"]


def test_jobs_wait_for_the_threads_they_ask_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(engines, "started", lambda own, target, job: (job.model, f"to {job.model}"))
    local = engines.Local(3)
    for model, threads in (("two", 2), ("all", 9), ("one", 1)):
        local.submit(Job(model, "xor", NOTHING, (0,), "cpu", tmp_path, tmp_path, threads=threads))
    seen = []
    while local.waiting:
        local.start()
        seen.append([(one.job.model, one.job.threads) for one in local.running.values()])
        local.running.clear()
    assert seen == [[("two", 2)], [("all", 3)], [("one", 1)]]  # in their order: no small one overtakes for ever
    local.close()


LINGERS = """
import threading, time
import models
from models.mlp import flat

@models.register
def lingers(task):
    threading.Thread(target=time.sleep, args=(600,)).start()
    return flat(task, [])
"""


@pytest.mark.slow
def test_a_thread_that_a_model_leaves_behind_is_not_waited_for(tmp_path: Path) -> None:
    plugin = tmp_path / "lingers.py"
    plugin.write_text(LINGERS)
    command = [sys.executable, "-m", "bench", "run", "--plugin", str(plugin), "--models", "lingers", "--datasets", "xor"]
    command += ["--budget", "smoke", "--seeds", "1", "--results", str(tmp_path / "results")]
    done = subprocess.run(command, cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert table(tmp_path / "results")["lingers", "xor"]["status"] == "ok"


@pytest.mark.parametrize("ways", ["segfault,exits", pytest.param("abort,leaves,skips", marks=pytest.mark.slow)])
def test_models_that_end_their_process_take_no_other_cell_along(bench: Bench, tmp_path: Path, ways: str) -> None:
    plugin = tmp_path / "deaths.py"
    plugin.write_text(DEATHS)
    dying = ",".join(f"dies_{how}" for how in ways.split(","))
    asked = ("--plugin", str(plugin), "--models", f"{dying},linear", "--datasets", "xor")
    done = bench(*asked, what="bench/test_training.py")
    assert done.returncode == 1, done.stdout + done.stderr
    rows = {model: row for (model, _), row in table(tmp_path / "results").items()}
    reasons = {
        "segfault": "ended by SIGSEGV",
        "abort": "ended by SIGABRT",
        "leaves": "with exit code 3",
        "exits": "SystemExit: gone",
        "skips": "Skipped: not today",
    }
    for how in ways.split(","):
        assert rows[f"dies_{how}"]["status"] == "error" and reasons[how] in rows[f"dies_{how}"]["reason"], how
    assert rows["linear"]["status"] == "ok"


@pytest.mark.slow
def test_a_grid_with_deaths_equals_one_without_and_trains_nothing_again(bench: Bench, tmp_path: Path) -> None:
    results, datasets_ = tmp_path / "results", ("xor", "iris", "gaussian")
    grid = ("--datasets", ",".join(datasets_), "--models")
    assert bench(*grid, "linear,mlp,backbone_none", what="bench/test_training.py").returncode == 0
    expected = quality(results)
    shutil.rmtree(results)
    plugin = tmp_path / "deaths.py"
    plugin.write_text(DEATHS)
    asked = ("--plugin", str(plugin), *grid, "dies_*,linear,mlp,backbone_none")
    done = bench(*asked, what="bench/test_training.py")
    assert done.returncode == 1, done.stdout + done.stderr
    found = quality(results)
    assert {cell: found[cell] for cell in expected} == expected
    assert {row["status"] for (model, _), row in table(results).items() if model.startswith("dies_") and model != "dies_traces"} == {
        "error"
    }
    before = {name: (results / name).stat().st_mtime_ns for name in runs(results)}
    again = bench(*asked, "-v", what="bench/test_training.py")
    living = {cell for cell, row in table(results).items() if row["status"] == "ok"}
    assert again.returncode == 1 and expected.keys() <= living and again.stdout.count("FROM STORE") == len(living)
    assert {name: (results / name).stat().st_mtime_ns for name in runs(results)} == before
    assert quality(results) == found and not leftovers(results)


STARTED: list[subprocess.Popen[bytes]] = []


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """Sessions of a test that failed do not go on."""
    yield
    while STARTED:
        process = STARTED.pop()
        for one in [*kin(process), process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()


def started(tmp_path: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pytest", "bench/test_training.py", "--benchmark-only", "--benchmark-quiet", "-p", "no:cacheprovider"]
    command += ["--results", str(tmp_path / "results"), *options]
    kept = environment(ROOT) | {"ATTENTION_BENCH_CHECKPOINT_SECONDS": "0"}
    STARTED.append(subprocess.Popen(command, cwd=ROOT, env=kept, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    return STARTED[-1]


def wait_for(what: Callable[[], object], seconds: float = 400) -> object:
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(0.05)
    return found


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    found = []
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if one.is_running() and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
    return found


LONGER = ("--models", "mlp,heads", "--datasets", "gaussian,xor", "--seeds", "3", "--budget", "default")


@pytest.mark.parametrize(("address", "said"), [("127.0.0.1:9", "no Ray cluster answers at 127.0.0.1:9"), ("somewhere", "takes HOST:PORT")])
def test_an_address_where_nobody_answers_is_refused(address: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        cluster.answering(address)


def kin(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """All processes that came of this one and still run."""
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def tasks(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Ray's workers that are at a task: they call themselves by its name."""
    found = []
    for one in kin(process):
        with contextlib.suppress(psutil.Error):
            if one.cmdline()[:1] == ["ray::task"]:
                found.append(one)
    return found


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (pip install -e '.[cluster]')")
def test_a_ray_cluster_with_a_worker_killed_gives_the_same(bench: Bench, tmp_path: Path) -> None:
    results = tmp_path / "results"
    assert bench(*LONGER[:-2], what="bench/test_training.py", budget="default").returncode == 0
    undisturbed = quality(results)
    shutil.rmtree(results)
    process = started(tmp_path, *LONGER, "--engine", "ray", "--workers", "2")
    wait_for(lambda: list(results.glob("checkpoints/*.pt")) and tasks(process))
    tasks(process)[0].kill()
    family = kin(process)
    assert process.wait(timeout=PATIENCE) == 0
    assert quality(results) == undisturbed
    assert len(runs(results)) == 12 and not leftovers(results)
    assert not living(family), "the cluster outlived its driver"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (pip install -e '.[cluster]')")
def test_what_a_model_does_to_its_process_stays_in_it_on_a_cluster_too(bench: Bench, tmp_path: Path) -> None:
    assert bench("--models", "linear", "--datasets", "xor", what="bench/test_training.py").returncode == 0
    expected = quality(tmp_path / "results")
    shutil.rmtree(tmp_path / "results")
    plugin = tmp_path / "deaths.py"
    plugin.write_text(DEATHS)
    asked = ("--plugin", str(plugin), "--models", "dies_traces,dies_leaves,linear", "--datasets", "xor")
    done = bench(*asked, "--engine", "ray", "--workers", "1", what="bench/test_training.py")
    assert done.returncode == 1, done.stdout + done.stderr
    rows = {model: row for (model, _), row in table(tmp_path / "results").items()}
    assert rows["dies_leaves"]["status"] == "error" and "its task was lost: " in rows["dies_leaves"]["reason"]
    assert quality(tmp_path / "results")["linear", "xor"] == expected["linear", "xor"]


@pytest.mark.slow
def test_killed_workers_and_drivers_lose_and_double_nothing(bench: Bench, tmp_path: Path) -> None:
    results = tmp_path / "results"
    assert bench(*LONGER[:-2], what="bench/test_training.py", budget="default").returncode == 0
    undisturbed = quality(results)
    shutil.rmtree(results)
    process = started(tmp_path, *LONGER)
    wait_for(lambda: list(results.glob("checkpoints/*.pt")))
    youngest = max((one for one in kin(process) if not one.children()), key=psutil.Process.create_time)  # a worker: they start last
    os.kill(youngest.pid, signal.SIGKILL)
    wait_for(lambda: len(runs(results)) >= 3)
    before = {name: (results / name).stat().st_mtime_ns for name in runs(results)}
    family = kin(process)
    process.kill()
    process.wait()
    wait_for(lambda: not living(family), 60)
    again = bench(*LONGER[:-2], what="bench/test_training.py", budget="default")
    assert again.returncode == 0, again.stdout + again.stderr
    assert quality(results) == undisturbed
    assert all((results / name).stat().st_mtime_ns == when for name, when in before.items()), "a finished run was trained twice"
    assert not leftovers(results)


@pytest.mark.slow
def test_two_runs_at_once_on_one_folder_train_nothing_twice(bench: Bench, tmp_path: Path) -> None:
    both = [started(tmp_path, *LONGER, "--benchmark-json", str(tmp_path / f"{i}.json")) for i in range(2)]
    assert [process.wait(timeout=PATIENCE) for process in both] == [0, 0]
    trained = sum(b["extra_info"]["trained"] for i in range(2) for b in json.loads((tmp_path / f"{i}.json").read_text())["benchmarks"])
    assert trained == len(runs(tmp_path / "results")) == 12
    assert not leftovers(tmp_path / "results")
