"""The same commands under somebody else's settings, in a git hook, and where there is no fcntl."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.core import machine, silicon
from bench.gate import trees
from bench.store.claim import claimed
from tests.conftest import ROOT, environment

DRAWN = """
import sys, hashlib, matplotlib
from matplotlib.figure import Figure
from bench.report.plots import STYLE, png
with matplotlib.rc_context(STYLE):
    figure = Figure(figsize=(3, 2))
    figure.subplots().plot([1, 2, 4], label="a_b")
    sys.stdout.write(hashlib.sha256(png(figure)).hexdigest())
"""
HOSTILE = "text.usetex: True\nsavefig.dpi: 300\nfont.family: monospace\nlines.linewidth: 9\nfigure.facecolor: red\nsavefig.bbox: tight\n"


def test_pictures_are_the_same_bytes_under_any_matplotlibrc(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text(HOSTILE)
    drawn = [
        subprocess.run([sys.executable, "-c", DRAWN], cwd=ROOT, env=environment(ROOT) | more, capture_output=True, text=True, check=True)
        for more in ({}, {"MATPLOTLIBRC": str(tmp_path)})
    ]
    assert len({one.stdout for one in drawn}) == 1


def test_a_hook_of_another_repository_changes_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = silicon.output_of("git", "rev-parse", "HEAD", folder=ROOT)
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert silicon.output_of("git", "rev-parse", "HEAD", folder=ROOT) == ours
    assert trees.git(machine.ROOT, "rev-parse", "HEAD").stdout.decode().strip() == ours


def test_without_fcntl_cells_are_claimed_and_the_gate_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    claim = claimed(tmp_path / "claim")
    assert claim is not None
    claim.release()
    monkeypatch.setattr(sys, "platform", "win32")
    assert main(["gate", "--base", "HEAD"]) == 2
    assert "on Linux only" in capsys.readouterr().err


BLOCKED = "import sys; sys.modules['fcntl'] = None; from bench.__main__ import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.parametrize("more", [{}, {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "cp1252"}], ids=str)
def test_the_grid_is_listed_anywhere(more: dict[str, str]) -> None:
    blank = {name: value for name, value in environment(ROOT).items() if name != "HOME"} | more
    listed = [sys.executable, "-c", BLOCKED, "list", "--models", "mlp"]
    done = subprocess.run(listed, cwd=ROOT, env=blank, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-500:]
    assert b"Traceback" not in done.stderr
    assert os.linesep.encode() in done.stdout
