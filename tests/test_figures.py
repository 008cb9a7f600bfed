"""python -m bench figures: what can be drawn is drawn, what cannot is told with its reason, nothing is lost."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.__main__ import main
from bench.figures import kinds
from tests.conftest import ROOT, environment


def figures(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", "figures", "--results", str(folder), *options],
        cwd=ROOT,
        env=environment(ROOT),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a model that attends and two that do not, on three sorts of tasks."""
    folder = tmp_path_factory.mktemp("figures") / "results"
    command = [sys.executable, "-m", "pytest", "bench/test_training.py", "--benchmark-only", "--benchmark-quiet", "-p", "no:cacheprovider"]
    command += ["--results", str(folder), "--budget", "smoke", "--models", "linear,mlp,backbone_attention", "--datasets", "xor,digits,iris"]
    done = subprocess.run(command, cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_kind_that_fits_is_drawn_and_the_rest_is_told(trained: Path) -> None:
    done = figures(trained, "--datasets", "xor,digits")
    assert done.returncode == 0, done.stderr
    made = sorted(str(path.relative_to(trained / "figures")) for path in (trained / "figures").rglob("*.*"))
    kinds.load()
    assert {path.stem for path in (trained / "figures").glob("*.png")} == set(kinds.suites)
    for model in ("linear", "mlp", "backbone_attention"):
        assert f"xor/{model}-plane.png" in made and f"xor/{model}-plane_training.gif" in made
        assert f"digits/{model}-confusion.png" in made
    assert "digits/backbone_attention-rollout.png" in made and "digits/mlp-rollout.png" not in made
    assert "attention: no layer of it shows attention weights (linear-digits, mlp-digits)" in done.stderr
    assert f"figures: {len(made)} in {trained / 'figures'}" in done.stdout


@pytest.mark.slow
def test_the_same_store_gives_the_same_bytes(trained: Path) -> None:
    wanted = ("--datasets", "xor,iris", "--models", "mlp,backbone_attention")
    assert figures(trained, *wanted).returncode == 0
    before = {path: path.read_bytes() for path in (trained / "figures").rglob("*.*")}
    assert figures(trained, *wanted).returncode == 0
    assert before == {path: path.read_bytes() for path in (trained / "figures").rglob("*.*")}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--models", "foo"], "unknown model 'foo'"),
        (["--datasets", "irs"], "unknown data set 'irs'; did you mean 'iris'"),
        (["--kinds", "pie"], "unknown kind of picture 'pie'; there are: "),
        (["--data", "nowhere"], "data root nowhere is not a folder"),
        (["--models", "linear", "--datasets", "digits,xor", "--plugin", "~nobody-of-this-name/x.py"], "~nobody-of-this-name/x.py: "),
        (["--budget", "paper"], "unknown budget 'paper'; the store has: smoke"),
        (["--models", "linear", "--datasets", "foo*"], "unknown data set 'foo*'"),
        (["--plugin", "nowhere.py"], "no such file"),
    ],
)
def test_a_request_that_cannot_be_served_is_refused(
    trained: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["figures", "--results", str(trained), *options]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_no_runs_and_no_place_to_write(tmp_path: Path, trained: Path) -> None:
    done = figures(tmp_path)
    assert done.returncode == 2 and "no runs in" in done.stderr
    blocked = tmp_path / "blocked"
    for part in ("runs", "weights"):
        shutil.copytree(trained / part / "xor", blocked / part / "xor")
    (blocked / "figures").write_text("a file where the folder belongs")
    done = figures(blocked, "--kinds", "plane")
    assert done.returncode == 2
    assert "could not write figures/xor/" in done.stderr


def test_a_store_without_weights_and_changed_code_are_reasons(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "results"
    for path in trained.glob("runs/xor/*/*.json"):
        copy = folder / path.relative_to(trained)
        copy.parent.mkdir(parents=True, exist_ok=True)
        record = json.loads(path.read_text())
        if "mlp" in path.parent.name and "source" in record:
            record["source"] = "another"
        copy.write_text(json.dumps(record))
    drawn = folder / "figures" / "xor"
    drawn.mkdir(parents=True)
    for model in ("linear", "mlp"):
        (drawn / f"{model}-plane.png").touch()
    done = figures(folder, "--kinds", "plane")
    assert done.returncode == 0
    assert [path.name for path in drawn.iterdir()] == ["linear-plane.png"]  # weights may be elsewhere; changed code is another model
    assert "plane: the store has no weights of this run; train it again with --retrain (backbone_attention-xor, linear-xor)" in done.stderr
    assert "plane: the model's code has changed since it was trained; train it again (mlp-xor)" in done.stderr


def test_a_drawing_that_raises_does_not_stop_the_rest(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds.load()
    threads = torch.get_num_threads()

    def broken(subject: object) -> bytes:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setitem(kinds.cells, "plane", kinds.Kind("plane", "png", lambda task: task.input.kind == "points", broken))
    assert main(["figures", "--results", str(trained), "--datasets", "xor", "--models", "mlp"]) == 1
    torch.set_num_threads(threads)
    told = capsys.readouterr()
    assert "mlp-xor: plane could not be drawn: ZeroDivisionError: on purpose" in told.err
    assert (trained / "figures" / "xor" / "mlp-plane_training.gif").is_file()


@pytest.mark.slow
def test_weights_that_do_not_fit_are_a_reason(trained: Path, tmp_path: Path) -> None:
    """Another model's weights under this one's name."""
    folder = tmp_path / "results"
    for path in [*trained.glob("runs/xor/mlp/*"), *trained.glob("weights/xor/mlp/*")]:
        copy = folder / path.relative_to(trained)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    target = next(folder.glob("weights/xor/mlp/*-s0.pt"))
    target.write_bytes(next(trained.glob("weights/xor/linear/*-s0.pt")).read_bytes())
    done = figures(folder, "--kinds", "plane")
    assert "plane: the weights that were kept do not fit the model; train it again (mlp-xor)" in done.stderr
    target.write_bytes(b"PK")
    done = figures(folder, "--kinds", "plane")
    assert done.returncode == 0
    assert "set aside as" in done.stderr and "plane: the store has no weights" in done.stderr
