"""The gate on a plugin in a repository of its own: what each change of it is called, whose code runs, and the action for its CI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from bench.__main__ import main
from bench.gate import contest, elsewhere, survey, trees
from bench.gate import verdicts as verdicts_
from bench.gate.plugged import Plugged
from bench.gate.trio import Nursery
from tests.conftest import ROOT, environment
from tests.test_contributing import ASKED, TWELVE, follow
from tests.test_gate import CLOCK, git, refused

PLUGIN = '''"""Two models of a stranger's."""

from torch import nn

import models
from blocks import LOOPS


class Loop(nn.Module):
    def __init__(self, task, loops):
        super().__init__()
        self.loops, self.layer = loops, nn.Linear(task.input.size, task.input.size)
        self.answer = nn.Linear(task.input.size, task.output.size)

    def forward(self, x):
        x = x.flatten(1)
        for _ in range(self.loops):
            x = self.layer(x)
        return self.answer(x)


@models.register
def looping(task):
    return Loop(task, LOOPS)


@models.register
def steady(task):
    return Loop(task, 9)


@models.register
def older(task):
    return Loop(task, 1)
'''


def commit(project: Path, **files: str) -> None:
    """Write `NAME.py` for each, and commit all that there is."""
    for name, text in files.items():
        (project / f"{name}.py").write_text(text)
    git(project, "add", ".")
    git(project, "commit", "-qm", "as it is")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with a plugin, a helper beside it and attributes that keep both out of an archive."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / ".gitattributes").write_text("*.py export-ignore\n")
    commit(folder, models=PLUGIN, blocks="LOOPS = 9\n")
    return folder


def change(project: Path) -> None:
    """One model takes twice as many products, by the helper alone; one is renamed."""
    (project / "blocks.py").write_text((project / "blocks.py").read_text().replace("LOOPS = 9", "LOOPS = 19"))
    (project / "models.py").write_text(PLUGIN.replace("def older", "def newer"))


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    one = Nursery(tmp_path_factory.mktemp("bytecode"))
    yield one
    one.close()


@pytest.fixture
def shared(nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates use one nursery, and three trios decide: what is timed by `CLOCK` is exact."""
    monkeypatch.setattr(contest, "Nursery", lambda *_: nursery)
    monkeypatch.setattr(nursery, "close", lambda: None)
    for module, constant, value in ((contest, "LONGEST", 0.1), (contest, "EVERY", 1), (contest, "FEWEST", 3), (verdicts_, "FEWEST", 3)):
        monkeypatch.setattr(module, constant, value)


def gated(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code, and what is said of each model."""
    code = main(["gate", "--datasets", "iris", "--minutes", "60", "--json", *options])
    return code, {fact["cell"].removesuffix("-iris-cpu-b1"): fact for fact in json.loads(capsys.readouterr().out)}


@pytest.mark.usefixtures("shared")
def test_each_change_has_its_verdict(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Time is counted in layers."""
    commit(project, blocks=f"{CLOCK}\nLOOPS = 9\n")
    change(project)
    before = sorted(project.rglob("*"))
    page, plugin = tmp_path / "comment.md", str(project / "models.py")
    code, found = gated(capsys, "--plugin", plugin, "--base", "HEAD", "--allow", "25%", "--accept-costs", "--markdown", str(page))
    assert {name: fact["latency"] for name, fact in found.items()} == {
        "looping": "slower",
        "steady": "same",
        "older": "missing",
        "newer": "new",
    }
    assert code == 1
    assert (found["looping"]["ratio"], found["steady"]["ratio"]) == pytest.approx((2, 1))
    assert page.read_text().splitlines()[1] == "## Latency: 1 slower, 1 gone, 1 new, 1 same of 4 cells; exact costs grew in 1."
    assert sorted(project.rglob("*")) == before


@pytest.mark.usefixtures("shared")
def test_what_base_has_not_is_new_and_what_head_cannot_import_fails(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    later = project / "later"
    later.mkdir()
    commit(project, **{"later/_none": ""})  # a folder without a plugin
    (later / "own.py").write_text(PLUGIN.replace("from blocks import LOOPS", "LOOPS = 1"))
    commit(project)
    code = main(["gate", "--plugin", str(later), "--base", "HEAD~1", "--head", "HEAD", "--datasets", "iris"])
    said = " ".join(capsys.readouterr().out.split())
    assert code == 0
    assert "3 new of 3 cells" in said
    assert "(it has no later: all models from there are new), head HEAD (" in said
    (project / "models.py").write_text("import nothing_of_that_name\n")  # not committed: the working tree is head
    code, found = gated(capsys, "--plugin", str(project / "models.py"), "--base", "HEAD")
    assert (code, {fact["latency"] for fact in found.values()}, set(found)) == (1, {"failing"}, {"looping", "steady", "older"})
    assert found["older"]["reason"].startswith("head: plugin models.py does not import: ModuleNotFoundError")


@pytest.mark.usefixtures("shared")
def test_the_example_in_an_empty_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As CONTRIBUTING prints it, by the real clock, but with fewer trios than decide: costs, which have no noise, fail it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pooled.py").write_text(TWELVE[0].code)
    assert follow(ASKED[-1], tmp_path) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "of 1 cell; exact costs grew in 1" in said and "grew: params 16,835 → 33,347" in said


PICKY = """
@models.register
def picky(task):
    return nn.Sequential(nn.Conv2d(task.input.shape[0], 4, 3), nn.Flatten(), nn.LazyLinear(10), *{more})


@models.register
def never(task):
    raise ValueError("as ever")
"""


def test_a_plugins_models_stand_on_the_data_sets_that_they_can_take(project: Path, tmp_path: Path, nursery: Nursery) -> None:
    """Nobody said which, so those on which a model raises are no failures of its, unless it raises on all of them."""
    commit(project, models=PLUGIN + PICKY.format(more="[]"))
    both = elsewhere.trees([str(project / "models.py")], "HEAD", None, tmp_path)
    one = survey.Contest(*both, 0.01, 1)
    survey.survey(one, nursery, lambda *said: survey.grid("picky,never", None, [1], True, *said), lambda *_: None)
    assert {cell.id.removesuffix("-cpu-b1"): cell.verdict for cell in one.cells} == {
        "picky-digits": "",
        **{f"never-{name}": "broken" for name in survey.SMALL},
    }


@pytest.fixture
def laid(project: Path, tmp_path: Path) -> Path:
    """The project laid out elsewhere, with a package that is installed from its checkout."""
    (project / "src").mkdir()
    commit(project, **{"src/stranger_layers": "LOOPS = 1\n", "models": "from stranger_layers import LOOPS\n"})
    return trees.found("base", "HEAD", project, tmp_path)[1]


def test_what_python_finds_in_the_checkout_it_finds_in_the_revision(laid: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [sys.path[0], str(project / "src"), *sys.path[1:]])
    one = Plugged([str(laid / "models.py")], str(laid), str(project))
    one.check()
    assert (one.error, sys.modules.pop("stranger_layers").__file__) == ("", str(laid / "src" / "stranger_layers.py"))


def test_code_of_the_checkout_on_both_sides_is_no_comparison(laid: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    module = ModuleType("stranger_layers")
    module.__file__ = str(project / "src" / "stranger_layers.py")
    monkeypatch.setitem(sys.modules, "stranger_layers", module)
    with pytest.raises(ImportError, match=r"stranger_layers comes from src/stranger_layers.py of the checkout and not of the revision"):
        Plugged([], str(laid), str(project)).check()
    Plugged([], str(project), str(project)).check()  # a head as it is


def test_what_cannot_be_compared(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin = str(project / "models.py")
    assert "base no-such-branch is no revision of" in refused(capsys, "--plugin", plugin, "--base", "no-such-branch")
    assert "head no-such-branch is no revision of" in refused(capsys, "--plugin", plugin, "--base", "HEAD", "--head", "no-such-branch")
    assert "git fetch --unshallow" in refused(capsys, "--plugin", plugin, "--base=-p")
    assert "needs --base" in refused(capsys, "--plugin", plugin)
    assert "none.py in" in refused(capsys, "--plugin", str(project / "none.py"), "--base", "HEAD")
    (begun := tmp_path / "begun").mkdir()
    git(begun, "init", "-q")
    (begun / "models.py").touch()
    assert "(nothing is committed there yet: git add, git commit)" in refused(
        capsys, "--plugin", str(begun / "models.py"), "--base", "HEAD"
    )
    outside = tmp_path / "outside.py"
    outside.touch()
    assert f"plugin {outside} lies in no checkout of a git repository" in refused(capsys, "--plugin", str(outside), "--base", "HEAD")
    assert "revisions of one repository" in refused(capsys, "--plugin", f"{plugin},{ROOT / 'setup.py'}", "--base", "HEAD")
    assert "leave out --plugin" in refused(capsys, "--self-test", "--plugin", plugin)


@pytest.mark.usefixtures("shared")
def test_a_plugin_without_models_says_what_to_do(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin = str(project / "blocks.py")
    assert "it registers no model, in base or in head; decorate one" in refused(capsys, "--plugin", plugin, "--base", "HEAD")
    (project / "blocks.py").write_text("import nothing_of_that_name\n")
    assert "plugin blocks.py does not import" in refused(capsys, "--plugin", plugin, "--base", "HEAD")


@pytest.mark.slow
def test_a_folder_with_a_models_py_of_its_own_does_not_hide_ours(project: Path) -> None:
    line = [sys.executable, "-m", "bench", "list", "--plugin", "models.py", "--models", "steady", "--datasets", "iris"]
    done = subprocess.run(line, cwd=project, env=environment(ROOT), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def filled(text: str, values: dict[str, str]) -> str:
    """A text with its expressions replaced."""
    for name, value in values.items():
        text = text.replace("${{ " + name + " }}", value)
    assert "${{" not in text
    return text


def steps(**given: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The lines that the example's gate runs, those of the action included, each with its environment."""
    workflow = yaml.safe_load((ROOT / ".github" / "example" / "latency.yml").read_text(encoding="utf-8"))
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    for step in workflow["jobs"]["gate"]["steps"]:
        assert "run" not in step
        if "attention-bench" in step["uses"]:
            said = {name: filled(text, {"github.base_ref": "main"}) for name, text in step["with"].items()} | given
            assert {name for name, about in action["inputs"].items() if about.get("required")} <= said.keys() <= action["inputs"].keys()
            values = {f"inputs.{name}": said.get(name, about.get("default", "")) for name, about in action["inputs"].items()}
            for inner in action["runs"]["steps"]:
                if "run" in inner:
                    yield inner["run"], {name: filled(text, values) for name, text in inner["env"].items()}


@pytest.mark.parametrize(
    ("minutes", "line"),
    [
        ("0.05", "1 gone, 2 undecided, 1 new of 4 cells; exact costs grew in 1."),
        pytest.param("5", "1 slower, 1 gone, 1 new, 1 same of 4 cells; exact costs grew in 1.", marks=pytest.mark.slow),
    ],
)
def test_the_steps_of_the_example_run_as_written(project: Path, minutes: str, line: str) -> None:
    """In a pull request whose target has moved on. By the real clock in the slow one: twice the work, and an unchanged model."""
    if subprocess.run(["make", "-q", "venv"], cwd=ROOT, check=False).returncode:
        pytest.skip("this checkout is not set up by make venv")
    git(project, "checkout", "-qb", "change")
    change(project)
    commit(project)
    git(project, "checkout", "-qB", "main", "HEAD~1")
    commit(project, models="\n", blocks="\n")
    git(project, "update-ref", "refs/remotes/origin/main", "main")
    git(project, "checkout", "-q", "change")
    codes = []
    for run, more in steps(datasets="mnist1d", minutes=minutes, allow="10%"):
        env = {**os.environ, **more, "GITHUB_ACTION_PATH": str(ROOT)}
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", run]
        codes.append(subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False).returncode)
    assert codes == [0, 1]
    assert (project / "latency.md").read_text().splitlines()[1] == f"## Latency: {line}"
