"""bench.toml: said once, read by pytest and every command, never stronger than the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import models
from bench.__main__ import main
from bench.plan.settings import settings
from bench.run import options, session
from tests.conftest import ROOT, environment, table

PLUGIN = "import models\nfrom models.mlp import flat\n\n\n@models.register\ndef own(task):\n    return flat(task, [])\n"
TOML = 'plugins = "own.py"\nresults = "found"\nmodels = ["own", "linear"]\ndatasets = "xor"\nbudget = "smoke"\nseeds = 1\n'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own.py").write_text(PLUGIN)
    (tmp_path / "bench.toml").write_text(TOML)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asked(**given: object) -> session.Session:
    names = [name.removeprefix("--").replace("-", "_") for name in options.OPTIONS]
    nothing = {"engine": "local", "plugin": [], "retrain": False, "keep_weights": False, "download": False, "untuned": False}
    return session.asked(lambda name: (dict.fromkeys(names) | nothing | given)[name])


def test_a_request_is_what_the_file_says_and_the_command_line_wins(project: Path) -> None:
    one = asked()
    assert [cell.id for cell in one.cells] == ["linear-xor", "own-xor"]
    assert one.budget == "smoke" and one.store.folder == project / "found" and one.cells[0].budget.seeds == 1
    assert one.blank.plugins == (str(project / "own.py"),)
    assert asked(keep_weights=True).blank.keep_weights and not one.blank.keep_weights
    other = asked(models="own", budget="default", seeds="2", results="elsewhere")
    assert [cell.id for cell in other.cells] == ["own-xor"]
    assert (other.budget, other.cells[0].budget.seeds, other.store.folder) == ("default", 2, project / "elsewhere")


def test_commands_read_it_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    assert {(cell["model"], cell["dataset"]) for cell in json.loads(capsys.readouterr().out)} == {("own", "xor"), ("linear", "xor")}
    for command in (["report"], ["compare", "own", "linear"], ["figures"]):
        assert main(command) == 2
        assert " in found; make some" in capsys.readouterr().err
    assert main(["study", "data", "--models", "nothing_of_the_kind"]) == 2
    assert "nothing_of_the_kind" in capsys.readouterr().err and "own" in models.names()  # the plugin is there


def test_a_plugin_of_the_command_line_takes_the_place_of_the_files(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []
    monkeypatch.setattr("bench.plan.grid.plugin", lambda file: given[-1].append(file))
    for more, wanted in (([], ["own.py"]), (["--plugin", "other.py"], ["other.py"])):
        given.append([])
        main(["report", *more])
        assert given[-1] == wanted


def test_the_gate_takes_the_files_plugin(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr("bench.gate.options.run", lambda options: asked.append(options.plugin) or 0)
    assert main(["gate", "--base", "HEAD"]) == 0 and asked == [["own.py"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('modells = "vit"', "bench.toml: unknown key 'modells'; did you mean 'models'?; it may say plugins, data, results, models"),
        ("budget = 3", "bench.toml: budget cannot be 3; it takes a text"),
        ("models = [1]", "bench.toml: models cannot be [1]; it takes a text or a list of texts"),
        ('results = ["a"]', "results cannot be ['a']; it takes a text"),
        ("models = ", "bench.toml cannot be read: Invalid value (at end of document)"),
        ('models = "vti"', "unknown model 'vti'"),
        ('plugins = "none.py"', "plugin none.py: no such file"),
        ("seeds = 0", "--seeds takes a whole number from 1"),
    ],
)
def test_what_it_should_not_say_is_exit_code_2(project: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "bench.toml").write_text(text)
    assert main(["run"]) == 2
    assert message in capsys.readouterr().err


def test_without_a_file_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings() == {}
    (tmp_path / "bench.toml").mkdir()
    assert settings() == {}


@pytest.mark.slow
def test_pytest_reads_it_as_well(project: Path) -> None:
    command = [sys.executable, "-m", "pytest", str(ROOT / "bench" / "test_training.py"), "--benchmark-only", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=project, env=environment(ROOT), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(table(project / "found")) == {("own", "xor"), ("linear", "xor")}
