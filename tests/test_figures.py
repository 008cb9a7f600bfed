"""python -m bench figures: what can be drawn is drawn, what cannot is told with its reason, nothing is lost."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from bench.__main__ import main
from bench.figures import command, kinds
from bench.figures.subject import NoPicture
from bench.plan import grid
from bench.store.records import Store
from bench.tables.rows import rows
from tests.conftest import run_cell


@dataclass
class Done:
    """What a command answered and said."""

    returncode: int
    stdout: str
    stderr: str


Figures = Callable[..., Done]


@pytest.fixture
def figures(capsys: pytest.CaptureFixture[str]) -> Figures:
    """python -m bench figures, in this process: libraries that draw take longer to import than the pictures to draw."""
    threads = torch.get_num_threads()

    def run(folder: Path, *options: str) -> Done:
        code = main(["figures", "--results", str(folder), *options])
        torch.set_num_threads(threads)
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a model that attends and two that do not, on two sorts of tasks."""
    folder = tmp_path_factory.mktemp("figures") / "results"
    for model, dataset in itertools.product(("linear", "mlp", "backbone_attention"), ("xor", "digits")):
        assert run_cell(grid.cell(model, dataset, "smoke", None), folder).status == "ok"
    return folder


def test_every_kind_that_fits_is_drawn_and_the_rest_is_told(trained: Path, figures: Figures) -> None:
    done = figures(trained)
    assert done.returncode == 0, done.stderr
    made = sorted(str(path.relative_to(trained / "figures")) for path in (trained / "figures").rglob("*.*"))
    kinds.load()
    assert {path.stem for path in (trained / "figures").glob("*.png")} == set(kinds.suites) - {"quality_latency"}  # nothing was timed
    for model in ("linear", "mlp", "backbone_attention"):
        assert f"xor/{model}-plane.png" in made and f"xor/{model}-plane_training.webp" in made
        assert f"digits/{model}-confusion.png" in made
    assert {"xor/sample.png", "digits/sample.png"} <= {*made}
    assert "digits/backbone_attention-rollout.png" in made and "digits/mlp-rollout.png" not in made
    assert "attention: no layer of it shows attention weights (linear-digits, mlp-digits)" in done.stderr
    assert f"figures: {len(made)} in {trained / 'figures'}" in done.stdout


@pytest.mark.slow
def test_the_same_store_gives_the_same_bytes(trained: Path, figures: Figures) -> None:
    wanted = ("--models", "mlp,backbone_attention")
    assert figures(trained, *wanted).returncode == 0
    before = {path: path.read_bytes() for path in (trained / "figures").rglob("*.*")}
    assert figures(trained, *wanted).returncode == 0
    assert before == {path: path.read_bytes() for path in (trained / "figures").rglob("*.*")}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--models", "foo"], "unknown model 'foo'"),
        (["--datasets", "digts"], "unknown data set 'digts'; did you mean 'digits'"),
        (["--kinds", "pie"], "unknown kind of picture 'pie'; there are: "),
        (["--data", "nowhere"], "data root nowhere is not a folder"),
        (["--models", "linear", "--datasets", "digits,xor", "--plugin", "~nobody-of-this-name/x.py"], "~nobody-of-this-name/x.py: "),
        (["--budget", "paper"], "unknown budget 'paper'; the store has: smoke"),
        (["--models", "linear", "--datasets", "foo*"], "unknown data set 'foo*'"),
        (["--plugin", "nowhere.py"], "no such file"),
    ],
)
def test_a_request_that_cannot_be_served_is_refused(trained: Path, options: list[str], said: str, figures: Figures) -> None:
    done = figures(trained, *options)
    assert done.returncode == 2 and said in done.stderr


def test_no_runs_and_no_place_to_write(tmp_path: Path, trained: Path, figures: Figures) -> None:
    done = figures(tmp_path)
    assert done.returncode == 2 and "no runs in" in done.stderr
    blocked = tmp_path / "blocked"
    for part in ("runs", "weights"):
        shutil.copytree(trained / part / "xor", blocked / part / "xor")
    (blocked / "figures").write_text("a file where the folder belongs")
    done = figures(blocked, "--kinds", "plane")
    assert done.returncode == 2
    assert "could not write figures/xor/" in done.stderr


def test_a_store_without_weights_and_changed_code_are_reasons(trained: Path, tmp_path: Path, figures: Figures) -> None:
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


def test_a_drawing_that_raises_does_not_stop_the_rest(trained: Path, monkeypatch: pytest.MonkeyPatch, figures: Figures) -> None:
    kinds.load()

    def broken(subject: object) -> bytes:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setitem(kinds.cells, "plane", kinds.Kind("plane", "png", lambda task: task.input.kind == "points", broken))
    done = figures(trained, "--datasets", "xor", "--models", "mlp", "--kinds", "plane*")
    assert done.returncode == 1
    assert "mlp-xor: plane could not be drawn: ZeroDivisionError: on purpose" in done.stderr
    assert (trained / "figures" / "xor" / "mlp-plane_training.webp").is_file()


def test_weights_that_do_not_fit_are_a_reason(trained: Path, tmp_path: Path, figures: Figures) -> None:
    """Another model's weights under this one's name."""
    folder = tmp_path / "results"
    for path in [*trained.glob("runs/xor/mlp/*"), *trained.glob("weights/xor/mlp/*")]:
        copy = folder / path.relative_to(trained)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    target = next(folder.glob("weights/xor/mlp/*-s0.pt"))
    target.write_bytes(next(trained.glob("weights/xor/linear/*-s0.pt")).read_bytes())
    done = figures(folder, "--kinds", "plane")
    assert "plane: the store has no weights of this run; train it again with --retrain (mlp-xor)" in done.stderr
    target.write_bytes(b"PK")
    with pytest.warns(UserWarning, match="set aside as"):
        done = figures(folder, "--kinds", "plane")
    assert done.returncode == 0 and "plane: the store has no weights" in done.stderr


def test_what_val_passed_over_has_no_picture_of_test_samples(tmp_path: Path) -> None:
    for model in ("mlp[width=2]", "mlp[width=8]"):
        run_cell(grid.cell(model, "iris", "smoke", 1), tmp_path)
    table = {row.model: row for row in rows(Store(tmp_path))}
    assert sorted(row.chosen for row in table.values()) == [False, True]
    for row in table.values():
        opened = lambda row=row: command.subject(row, Store(tmp_path), None, None)  # noqa: E731
        if row.chosen:
            assert opened().row is row
        else:
            with pytest.raises(NoPicture, match="val chose another variant"):
                opened()
