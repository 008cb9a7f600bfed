"""python -m bench run trains, tells and answers as pytest bench does, without pytest."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench import __main__
from bench.run import driver, session
from bench.store.records import Store
from tests.conftest import ROOT, Bench, environment, table

ASKED = ("--models", "linear,mlp", "--datasets", "xor", "--seeds", "2")
PLUGIN = """
import torch, models

class Fails(torch.nn.Linear):
    def forward(self, x):
        raise IndexError("no such row")

@models.register
def fails(task): return Fails(task.input.size, task.output.size)
"""


def command(results: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "bench", "run", "--budget", "smoke", "--results", str(results), *options]


@pytest.mark.slow  # .ci/run asks pytest twice for the same
def test_it_trains_what_pytest_trains_and_nothing_twice(bench: Bench, tmp_path: Path) -> None:
    done = subprocess.run(
        command(tmp_path / "results", *ASKED), cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, check=True
    )
    assert f"report: {tmp_path / 'results' / 'README.md'}" in done.stdout
    assert [line.split()[:2] for line in done.stderr.splitlines() if "2 seeds, " in line] == [["xor", "linear"], ["xor", "mlp"]]
    assert "elapsed" in done.stderr  # the bar
    before = {path: path.read_bytes() for path in (tmp_path / "results").glob("runs/*/*/*-s?.json")}
    assert len(before) == 4
    again = bench(*ASKED, "-v", what="bench/test_training.py")
    assert again.stdout.count("FROM STORE") == 2, again.stdout + again.stderr
    assert all(path.read_bytes() == content for path, content in before.items())


@pytest.mark.slow
def test_a_cell_that_fails_is_exit_code_1_and_the_rest_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = tmp_path / "fails.py"
    plugin.write_text(PLUGIN)
    asked = command(tmp_path / "results", "--plugin", str(plugin), "--models", "fails,linear", "--datasets", "xor", "--seeds", "1")
    done = subprocess.run(asked, cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "xor                fails                error: IndexError: no such row" in done.stderr
    assert {model: row["status"] for (model, _), row in table(tmp_path / "results").items()} == {"fails": "error", "linear": "ok"}


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
from bench.__main__ import main
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("size", [pytest.param(20_000, marks=pytest.mark.slow), 2_000])
def test_a_disk_that_is_full_is_said_and_what_was_written_stays_whole(tmp_path: Path, size: int) -> None:
    """As if the disk were full: no file gets larger, neither the probe of the folder nor a record, nor a picture."""
    asked = ["run", "--budget", "smoke", "--models", "linear", "--datasets", "xor", "--results", str(tmp_path / "results")]
    limited = [sys.executable, "-c", LIMITED.format(size=size), *asked]
    done = subprocess.run(limited, cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, check=False)
    assert done.returncode == (1 if size > 4096 else 2), done.stderr
    assert "Traceback" not in done.stderr and "File too large" in done.stderr
    assert not [path for path in (tmp_path / "results").rglob(".*") if path.is_file()]
    for path in (tmp_path / "results").rglob("*.json"):
        json.loads(path.read_text())


def test_nonsense_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["run", "--models", "vti", "--results", str(tmp_path)]) == 2
    assert "did you mean 'vit'?" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_interrupted_it_writes_tables_and_leaves_130(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, before = driver.Driver.outcome, signal.getsignal(signal.SIGINT)

    def outcome(self: driver.Driver, cell: session.Cell) -> driver.Outcome:
        if cell.model == "mlp":
            signal.raise_signal(signal.SIGINT)
        return real(self, cell)

    monkeypatch.setattr(driver.Driver, "outcome", outcome)
    try:
        assert __main__.main(command(tmp_path, *ASKED)[3:]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert f"report: {tmp_path / 'README.md'}" in capsys.readouterr().out
    assert "linear" in {run["model"] for run in Store(tmp_path).runs()}  # and mlp's, where a second worker was quick
