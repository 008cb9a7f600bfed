"""The suite as its users run it: whole processes, killed, interrupted, given nonsense, extended by a file."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from bench.plan import grid
from bench.store.records import Store
from tests.conftest import ROOT, Bench, environment, run_cell, session, table

PLUGIN = """
import math, torch
import datasets, models
from datasets.data import Data, Split, generator
from datasets.task import Budget, Input, Output, Task, budgets

TASK = Task("parity", Input("table", (6,)), Output("classes", 2), (64, 32, 32),
            budgets(Budget("default", samples=640, batch=32, seeds=2), smoke_samples=320))

@datasets.register(TASK)
def parity(root, seed, download):
    def draw(part, n):
        x = torch.randint(0, 2, (n, 6), generator=generator(part, seed)).float()
        return Split(x, x.sum(1).long() % 2)
    return Data(draw("train", 64), draw("val", 32), draw("test", 32))

@models.register(family="mlp")
def tiny(task, *, width=4):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(task.input.size, width), torch.nn.Tanh(),
                               torch.nn.Linear(width, task.output.size))
"""
BAD = """
import math, torch
import models

class Nan(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x) * math.nan

class Huge(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x) + torch.empty(2**46).sum()

class Fragile(torch.nn.Linear):
    def forward(self, x):
        raise IndexError("no such thing as <b> in /scratch/alice/weights.pt or " + __file__)

class Flat(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x)[:, 0]

class Noisy(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x) + 0.01 * torch.randn(1)

@models.register
def nan(task): return Nan(task.input.size, task.output.size)
@models.register
def huge(task): return Huge(task.input.size, task.output.size)
@models.register
def flat(task): return Flat(task.input.size, task.output.size)
@models.register(recipe={"lr": 1e-4}, why="a test")
def noisy(task): return Noisy(task.input.size, task.output.size)
@models.register
def fragile(task): return Fragile(task.input.size, task.output.size)
"""


@pytest.mark.slow  # .ci/run does the same with every model and every data set at smoke
def test_a_few_cells_end_to_end_and_again_from_the_store(bench: Bench, tmp_path: Path) -> None:
    asked = ("--models", "mlp,vit,heads", "--datasets", "gaussian,digits", "--seeds", "2")
    first = bench(*asked, "--benchmark-json", str(tmp_path / "out.json"))
    assert first.returncode == 0, first.stdout + first.stderr
    results = tmp_path / "results"
    rows = table(results)
    assert set(rows) == {(m, d) for m in ("mlp", "vit", "heads") for d in ("gaussian", "digits")}
    assert {cell: row["status"] for cell, row in rows.items() if row["status"] != "ok"} == {
        ("vit", "gaussian"): "skipped",
        ("heads", "digits"): "skipped",
    }
    mlp = rows["mlp", "gaussian"]
    assert mlp["params"] == mlp["params_active"] == "105"
    assert float(mlp["low"]) < float(mlp["value"]) < float(mlp["high"])
    assert float(mlp["latency_cpu_b1_p50_ms"]) > 0 < float(mlp["throughput_cpu_b64_per_s"])
    assert (results / "curves" / "digits.png").stat().st_size > 10_000
    assert f"report: {results / 'README.md'}" in first.stdout
    written = json.loads((tmp_path / "out.json").read_text())
    assert {b["name"] for b in written["benchmarks"]} >= {"test_training[mlp-gaussian]", "test_latency[vit-digits-cpu-b64]"}
    assert "node" not in written["machine_info"]
    times = {path: path.stat().st_mtime_ns for path in results.glob("runs/*/*/*-s?.json")}
    assert len(times) == 4 * 2  # four cells, two seeds
    again = bench(*asked, "-v", what="bench/test_training.py")
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.count("FROM STORE") == 4
    assert "warning" not in again.stdout.lower()
    assert {path: path.stat().st_mtime_ns for path in results.glob("runs/*/*/*-s?.json")} == times
    before = rows["mlp", "gaussian"]["value"]
    retrained = bench(*asked, "--retrain", "-k", "training and mlp-gaussian")
    assert retrained.returncode == 0
    assert table(results)["mlp", "gaussian"]["value"] == before  # the same command gives the same number
    assert times != {path: path.stat().st_mtime_ns for path in results.glob("runs/*/*/*-s?.json")}


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The results and the output of one session with two plugins: one whose cells run, one whose cells fail."""
    folder = tmp_path_factory.mktemp("extended")
    for name, content in (("my_plugin.py", PLUGIN), ("bad.py", BAD)):
        (folder / name).write_text(content)
    asked = ["--plugin", str(folder / "my_plugin.py"), "--plugin", str(folder / "bad.py"), "--datasets", "parity,two_gaussians"]
    done = session(
        folder / "results", *asked, "--models", "tiny,backbone_n*,nan,huge,fragile,flat,noisy,linear", what="bench/test_training.py"
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return folder / "results", done.stdout


def test_a_plugin_brings_a_model_and_a_data_set(extended: tuple[Path, str]) -> None:
    results, _ = extended
    rows = table(results)
    assert {d for _, d in rows} == {"parity", "two_gaussians"}
    good = {model: row for (model, dataset), row in rows.items() if dataset == "parity" and (model == "tiny" or "backbone" in model)}
    assert len(good) == 2  # tiny and the backbone of that pattern
    assert {row["status"] for row in good.values()} == {rows["tiny", "two_gaussians"]["status"]} == {"ok"}
    assert "tiny" in (results / "README.md").read_text()
    assert (results / "pareto" / "parity.png").is_file()


@pytest.mark.slow
def test_files_in_the_folders_are_picked_up_and_broken_ones_are_rows(bench: Bench, tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    for folder in ("bench", "datasets", "models", "tests"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    data, model = PLUGIN.split("@models.register")
    (copy / "datasets" / "parity.py").write_text(data.replace("datasets, models", "datasets"))
    (copy / "models" / "tiny.py").write_text("import torch, models\n\n@models.register" + model)
    (copy / "models" / "broken.py").write_text("import models\n\nraise RuntimeError('half written')\n")
    done = bench("--models", "tiny,broken,backbone_none", "--datasets", "parity,xor", what="bench/test_training.py", folder=copy)
    assert done.returncode == 1
    rows = table(tmp_path / "results")
    assert {cell: row["status"] for cell, row in rows.items()} == {
        (m, d): "error" if m == "broken" else "ok" for m in ("tiny", "broken", "backbone_none") for d in ("parity", "xor")
    }
    assert "models/broken.py does not import: RuntimeError: half written" in rows["broken", "xor"]["reason"]
    collect = [sys.executable, "-m", "pytest", "tests/test_models.py", "--collect-only", "-q", "-p", "no:cacheprovider"]
    listed = subprocess.run(collect, cwd=copy, env=environment(copy), capture_output=True, text=True, check=False).stdout
    assert "[tiny-parity]" in listed


def test_cells_that_fail_are_rows_and_the_rest_goes_on(extended: tuple[Path, str]) -> None:
    results, said = extended
    asked = ("nan", "huge", "fragile", "flat", "noisy", "linear")
    rows = {model: row for (model, dataset), row in table(results).items() if model in asked and dataset == "two_gaussians"}
    assert {model: row["status"] for model, row in rows.items()} == {
        "nan": "diverged",
        "huge": "out_of_memory",
        "fragile": "error",
        "flat": "error",
        "noisy": "ok",
        "linear": "ok",
    }
    assert "stopped being finite" in rows["nan"]["reason"]
    assert "no such thing as <b> in …/weights.pt or …/bad.py" in rows["fragile"]["reason"]
    assert "answers two samples with shape (2,); two_gaussians asks for (2, 2)" in rows["flat"]["reason"]
    assert rows["noisy"]["reason"] == "own recipe {'lr': 0.0001}: a test"
    kept = next((results / "runs" / "two_gaussians" / "noisy").glob("*-s0.json")).read_text()
    assert "does not stack" in kept
    assert "/scratch/alice" not in "".join(path.read_text() for path in results.rglob("*.json"))
    assert "&lt;b>" in (results / "comparison.md").read_text()
    assert "two_gaussians: out_of_memory" in said.replace("huge-", "")
    assert str(results.parent) not in kept + (results / "comparison.csv").read_text()


WRONG = [  # of each option one that .ci/run tries
    (("--models", "vti"), "unknown model 'vti'; did you mean 'vit'? (python -m bench list)"),
    pytest.param(("--datasets", "digit"), "unknown data set 'digit'; did you mean 'digits'", marks=pytest.mark.slow),
    (("--budget", "smok"), "unknown budget 'smok'; did you mean 'smoke'?"),
    (("--devices", "gpu"), "unknown device 'gpu'; there are cpu and cuda"),
    (("--dtypes", "fp61"), "unknown dtype 'fp61'"),
    (("--workers", "0"), "--workers takes a whole number from 1 to 1024, not '0'"),
    pytest.param(("--workers", "many"), "leave it out for one a core", marks=pytest.mark.slow),
    (("--engine", "slurm"), "unknown engine 'slurm'; there are local and ray"),
    (("--address", "10.0.0.1:6379"), "--address names a Ray cluster; pass --engine ray with it"),
    (("--shard", "3/2"), "--shard takes I/N with I from 1 to N, 2/8 say, not '3/2'"),
    pytest.param(("--shard", "0/2"), "--shard takes I/N", marks=pytest.mark.slow),
    pytest.param(("--shard", "half"), "--shard takes I/N", marks=pytest.mark.slow),
    (("--seeds", "0"), "--seeds takes a whole number from 1 to 1000, not '0'"),
    pytest.param(("--seeds", "many"), "--seeds takes a whole number from 1 to 1000, not 'many'", marks=pytest.mark.slow),
    (("--plugin", "nowhere.py"), "plugin nowhere.py: no such file"),
    (("--data", "/no/such/folder"), "data root /no/such/folder is not a folder"),
    pytest.param(("--data", "~nobody-of-this-name/x"), "~nobody-of-this-name/x: ", marks=pytest.mark.slow),
    pytest.param(("--results", "~nobody-of-this-name/x"), "~nobody-of-this-name/x: ", marks=pytest.mark.slow),
    (("--results", ""), "an empty path was given"),
    pytest.param(("--plugin", "~nobody-of-this-name/x.py"), "~nobody-of-this-name/x.py: ", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, tuple) else "")
def test_nonsense_is_exit_code_2_before_anything_runs(
    options: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench import __main__
    from bench.plan import grid
    from bench.run import session

    names = {"--models": "models", "--datasets": "datasets_", "--plugin": "plugins"}
    value: object = [options[1]] if options[0] == "--plugin" else options[1]
    with pytest.raises(grid.RequestError) as caught:
        session.begin(**{names.get(options[0], options[0].removeprefix("--")): value})  # type: ignore[arg-type]
    assert message in str(caught.value)
    if options[0] in ("--models", "--datasets", "--budget"):
        assert __main__.main(["list", *options]) == 2
        assert message in capsys.readouterr().err


def test_a_saving_interval_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.plan import grid
    from bench.run import session

    monkeypatch.setenv("ATTENTION_BENCH_CHECKPOINT_SECONDS", "often")
    with pytest.raises(grid.RequestError, match="takes a number of seconds"):
        session.begin(models="mlp", datasets_="xor")


@pytest.mark.parametrize("command", ["report", "page", "figures", "claims"])
def test_a_results_folder_that_is_none_is_refused(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    from bench import __main__

    for name in ("~nobody-of-this-name/x", ""):
        assert __main__.main([command, "--results", name]) == 2
        assert capsys.readouterr().err.startswith("attention-bench: ")


@pytest.mark.slow
def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    listing = subprocess.Popen(
        [sys.executable, "-m", "bench", "list", "--json", "--datasets", "xor,digits"],
        cwd=ROOT,
        env=environment(ROOT),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert listing.stdout is not None and listing.stderr is not None
    listing.stdout.close()
    assert (listing.stderr.read(), listing.wait(timeout=120)) == ("", 0)


def test_an_unwritable_folder_is_exit_code_2_in_pytest(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file, not a folder")
    done = bench("--models", "mlp")
    assert done.returncode == 2
    assert "cannot write to the results folder" in done.stdout + done.stderr


LIMITED = """
import pytest
from bench.run.driver import Driver
from bench.test_latency import KeptClock

def over(*_):
    pytest.fail("its time is over")

Driver.outcome = KeptClock.again = over
"""


@pytest.mark.slow
def test_outcomes_of_pytests_own_lose_no_other_benchmark(bench: Bench, tmp_path: Path) -> None:
    """As a time limit fails a test: by what is no Exception, in the middle of what is timed."""
    (tmp_path / "limited.py").write_text(LIMITED)
    asked = ("--plugin", str(tmp_path / "limited.py"), "--models", "linear", "--datasets", "xor", "--seeds", "1")
    done = bench(*asked, "-k", "training or cpu-b1", "--benchmark-json", str(tmp_path / "out.json"))
    assert done.returncode == 1 and "INTERNALERROR" not in done.stdout + done.stderr, done.stdout + done.stderr
    assert done.stdout.count("its time is over") > 1
    assert json.loads((tmp_path / "out.json").read_text())["benchmarks"] == []


@pytest.mark.slow
def test_missing_data_skip_the_cell_and_a_missing_gpu_too(bench: Bench, tmp_path: Path) -> None:
    done = bench("--models", "linear", "--datasets", "mnist,plane", "--devices", "cpu,cuda")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = table(tmp_path / "results")
    assert rows["linear", "mnist"]["status"] == "skipped"
    assert "pass --download to fetch it, or --data ROOT" in rows["linear", "mnist"]["reason"]
    assert rows["linear", "plane"]["status"] == "ok"


def begun(results: Path, pattern: str, seconds: float = 90) -> None:
    """Wait until a file of that pattern is there."""
    end = time.monotonic() + seconds
    while not list(results.glob(pattern)):
        assert time.monotonic() < end, f"no {pattern} after {seconds} s"
        time.sleep(0.02)


def started(tmp_path: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pytest", "bench", "--benchmark-only", "--benchmark-quiet", "-p", "no:cacheprovider", "--results"]
    command += [str(tmp_path / "results"), "--benchmark-json", str(tmp_path / "out.json"), *options]
    return subprocess.Popen(command, cwd=ROOT, env=environment(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


ASKED = ("--models", "mlp,heads", "--datasets", "gaussian", "--seeds", "3", "--budget", "default")


@pytest.mark.slow  # quick: Ctrl-C twice in test_interrupt.py
def test_interrupted_it_writes_what_is_done_and_exits_with_130(tmp_path: Path) -> None:
    process = started(tmp_path, *ASKED, "--datasets", "gaussian,xor,spiral")
    assert process.stdout is not None
    output = ""
    for line in process.stdout:  # a cell's line comes when its test is over
        output += line
        if line.split()[:2] == ["gaussian", "heads"]:
            break
    process.send_signal(signal.SIGINT)
    output += process.stdout.read()
    assert process.wait(timeout=120) == 130, output
    assert table(tmp_path / "results")["heads", "gaussian"]["status"] == "ok"
    assert "Traceback" not in output.replace("KeyboardInterrupt", "")
    assert json.loads((tmp_path / "out.json").read_text())["benchmarks"]


@pytest.mark.slow
def test_killed_and_started_again_it_finishes_with_the_same_numbers(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints after every evaluation; SIGKILL while a checkpoint is there; the rest must equal an undisturbed run."""
    monkeypatch.setenv("ATTENTION_BENCH_CHECKPOINT_SECONDS", "0")
    results, aside = tmp_path / "results", tmp_path / "undisturbed"
    whole = bench(*ASKED, what="bench/test_training.py", budget="default")
    assert whole.returncode == 0, whole.stdout
    results.rename(aside)
    process = started(tmp_path, *ASKED)
    begun(results, "checkpoints/*.pt")
    time.sleep(0.2)
    process.kill()
    process.wait()
    finished = {path: path.stat().st_mtime_ns for path in results.glob("runs/*/*/*-s?.json")}
    assert len(finished) < 6
    again = bench(*ASKED, what="bench/test_training.py", budget="default")
    assert again.returncode == 0, again.stdout + again.stderr
    continued = [json.loads(path.read_text())["continued_from"] for path in results.glob("runs/*/*/*-s?.json")]
    assert max(continued) > 0, "the checkpoint was not used"
    assert all(path.stat().st_mtime_ns == when for path, when in finished.items()), "a finished run was trained twice"
    assert not list(results.glob("checkpoints/*"))
    quality = ("status", "metric", "value", "low", "high", "value_last", "seeds", "params", "params_active", "flops")
    first, second = table(aside), table(results)
    assert {cell: [row[c] for c in quality] for cell, row in first.items()} == {
        cell: [row[c] for c in quality] for cell, row in second.items()
    }


def test_list_names_every_cell_or_its_reason() -> None:
    command = [sys.executable, "-m", "bench", "list", "--json", "--datasets", "iris,mnist"]
    done = subprocess.run(command, cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, check=True)
    cells = json.loads(done.stdout)
    assert {c["dataset"] for c in cells} == {"iris", "mnist"}
    assert {c["model"]: c["status"] for c in cells if c["dataset"] == "iris"}["vit"] == "skipped"
    assert all(c["reason"] for c in cells if c["status"] != "ok")


def test_a_checkpoint_that_does_not_fit_is_set_aside_and_training_starts_over(tmp_path: Path) -> None:
    cell = grid.cell("mlp", "gaussian", "smoke", 1)
    undisturbed = run_cell(cell, tmp_path).runs[0]
    store, recipe, code = Store(tmp_path), undisturbed["recipe"], undisturbed["code"]
    for state in ({}, {"0.weight": torch.zeros(8, 2), "0.bias": torch.ones(3)}):  # nothing in it; fits only in part
        next(tmp_path.glob("runs/*/*/*-s0.json")).unlink()
        wrong = {"seeds": [0], "position": {"step": 3, "seconds": 0.0, "curves": [], "best_samples": [0], "diverged": [0]}, "state": state}
        store.checkpoints.save(recipe, wrong | {"best": state, "code": code})
        with pytest.warns(UserWarning, match="cannot be used"):
            (again,) = run_cell(cell, tmp_path).runs
        assert again["curve"]["val_loss"] == undisturbed["curve"]["val_loss"]
        assert again["continued_from"] == 0
