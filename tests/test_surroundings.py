"""The same commands under somebody else's settings, in a git hook, and where there is no fcntl."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import datasets
import models
from bench.__main__ import main
from bench.claims import ledger
from bench.core import machine, silicon
from bench.gate import trees
from bench.page import details
from bench.plan import grid, tuned
from bench.plan.settings import settings
from bench.store import fingerprint, merge
from bench.store.claim import claimed
from tests.conftest import ROOT, environment, table

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


@pytest.mark.slow
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


# compiled libraries look for those of their platform while they are imported: what is faked is faked after that
ELSEWHERE = """
import sys
sys.modules["fcntl"] = None
import multiprocessing.popen_spawn_posix, multiprocessing.spawn, platform
from bench.__main__ import main
if {platform!r}:
    import matplotlib.font_manager
    sys.platform, platform.system = {platform!r}, lambda: {system!r}
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""
SYSTEMS = {"": "", "win32": "Windows", "darwin": "Darwin"}
ASCII = {"LC_ALL": "C", "LANG": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
WINDOWS = {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}


def anywhere(platform: str, more: dict[str, str], *command: str) -> subprocess.CompletedProcess[bytes]:
    """A command of ours without a home, without fcntl, and with what else is said."""
    blank = {name: value for name, value in environment(ROOT).items() if name not in ("HOME", "ATTENTION_BENCH_DATA")} | more
    code = ELSEWHERE.format(platform=platform, system=SYSTEMS[platform])
    return subprocess.run([sys.executable, "-c", code, *command], cwd=ROOT, env=blank, capture_output=True, check=False)


@pytest.mark.parametrize(("platform", "more"), [("", ASCII), ("win32", WINDOWS)], ids=["ascii", "windows"])
def test_the_grid_is_listed_anywhere(platform: str, more: dict[str, str]) -> None:
    done = anywhere(platform, more, "list", "--models", "mlp")
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-500:]
    assert b"Traceback" not in done.stderr
    assert os.linesep.encode() in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("platform", "more"), [("", ASCII), ("win32", WINDOWS), ("darwin", {})], ids=["ascii", "windows", "macos"])
def test_a_cell_is_trained_and_told_anywhere(platform: str, more: dict[str, str], tmp_path: Path) -> None:
    """In a folder whose name no ASCII terminal can say, and twice."""
    results = tmp_path / "résultats ✓"
    for _ in range(2):
        asked = ("--models", "linear", "--datasets", "xor", "--budget", "smoke", "--results", str(results))
        done = anywhere(platform, more, "run", *asked)
        assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
        assert b"Traceback" not in done.stderr and b"report: " in done.stdout
    assert table(results)["linear", "xor"]["status"] == "ok"


def test_what_a_terminal_cannot_say_is_spelled() -> None:
    code = "from bench.core import terminal; terminal.speak(); print('0.5 \\u00b1 0.1')"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(ROOT) | ASCII, capture_output=True, check=True).stdout
    assert told.strip() == rb"0.5 \xb1 0.1"


def test_without_a_home_data_are_looked_for_below_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.delenv("ATTENTION_BENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert datasets.data_root() == tmp_path / ".cache" / "attention-bench"


@pytest.mark.slow
def test_a_report_is_the_same_bytes_under_hostile_settings(tmp_path: Path) -> None:
    """Somebody's matplotlibrc, a git hook of another repository, another language: tables and pictures."""
    (tmp_path / "matplotlibrc").write_text(HOSTILE)
    reference, found = ROOT / "results" / "reference", []
    hostile = {"MATPLOTLIBRC": str(tmp_path), "GIT_DIR": str(tmp_path), "GIT_INDEX_FILE": str(tmp_path / "index"), **ASCII}
    for name, more in (("plain", {}), ("hostile", hostile)):
        folder = tmp_path / name
        for top in ("runs", "latency"):
            for model in ("linear", "mlp"):
                shutil.copytree(reference / top / "iris" / model, folder / top / "iris" / model)
        command = [sys.executable, "-m", "bench", "report", "--results", str(folder)]
        done = subprocess.run(command, cwd=ROOT, env=environment(ROOT) | more, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()[-2000:]
        made = [path for path in folder.rglob("*") if path.suffix in (".png", ".csv", ".md", ".html")]
        found.append({path.relative_to(folder).as_posix(): path.read_bytes() for path in made})
    assert any(name.endswith(".png") for name in found[0])
    assert found[0] == found[1]


def test_a_plugin_may_be_in_any_encoding_that_python_reads(tmp_path: Path) -> None:
    path = tmp_path / "latin.py"
    text = '# -*- coding: latin-1 -*-\n"""Größe."""\nimport models\n\n@models.register\ndef latin(task):\n    """Für zwei."""\n'
    path.write_bytes(text.encode("latin-1"))
    grid.plugin(str(path))
    assert len(fingerprint.closure(models.source("latin"))) == 64
    assert details.described(path) == ("Größe.", {"latin": "Für zwei."})


@pytest.mark.parametrize("read", ["ledger", "tuned", "plugin", "record of another folder", "settings"])
def test_files_may_begin_with_a_byte_order_mark(read: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = b"\xef\xbb\xbf"
    if read == "ledger":
        (tmp_path / "claims.toml").write_bytes(mark + ledger.FILE.read_bytes())
        assert len(ledger.read(tmp_path / "claims.toml").claims) == len(ledger.read().claims)
    elif read == "tuned":
        path = next((ROOT / "bench" / "plan" / "tuned").glob("*/*.json"))
        target = tmp_path / path.parent.name / path.name
        target.parent.mkdir()
        target.write_bytes(mark + path.read_bytes())
        assert tuned.read(target) == tuned.read(path)
    elif read == "plugin":
        path = tmp_path / "marked.py"
        path.write_bytes(mark + b"import models\nimport torch\n\n@models.register\ndef marked(task):\n    return torch.nn.Linear(2, 1)\n")
        grid.plugin(str(path))
        assert len(fingerprint.closure(models.source("marked"))) == 64
        assert details.described(path) == ("", {"marked": ""})
    elif read == "settings":
        monkeypatch.chdir(tmp_path)
        (tmp_path / "bench.toml").write_bytes(mark + b'models = "mlp"\n')
        assert settings() == {"models": "mlp"}
    else:
        path = next((ROOT / "results" / "reference" / "runs" / "iris" / "mlp").glob("*-s0.json"))
        (tmp_path / "marked.json").write_bytes(mark + path.read_bytes())
        assert merge.read(tmp_path / "marked.json", True) == merge.read(path, True)
