"""The gate on real trees: what is compared, what each difference is called, and that nothing is left behind."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench import INTERFACE
from bench.__main__ import main
from bench.core import machine
from bench.gate import calibration, contest, survey, trees, trio, work
from bench.gate import verdicts as verdicts_
from bench.gate.arm import Arm
from bench.gate.trees import Tree
from bench.gate.trio import Nursery, arms
from bench.plan.grid import RequestError
from bench.store.claim import claimed
from tests.conftest import ROOT, environment

HERE = Tree("here", ROOT)


def copy(target: Path) -> Path:
    """The parts of this checkout that a gate measures."""
    (target / "bench").mkdir(parents=True)
    shutil.copy(ROOT / "bench" / "__init__.py", target / "bench")
    for part in ("datasets", "models"):
        shutil.copytree(ROOT / part, target / part, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    one = Nursery(tmp_path_factory.mktemp("bytecode"))
    yield one
    one.close()


MODEL = '''"""A model of a test."""

import os

from torch import nn

from models import Unsupported, register


@register
def {name}(task):
    {body}
    return nn.Sequential(nn.Flatten(), nn.Linear(task.input.size, task.output.size), *{more})
'''


def surveyed(nursery: Nursery, base: Tree, head: Tree, models: str, data: str = "iris") -> survey.Contest:
    one = survey.Contest(base, head, 0.01, 1)
    survey.survey(one, nursery, partial(survey.grid, models, data, [1], False), lambda *_: None)
    return one


def write(tree: Path, name: str, *, body: str = "pass", more: str = "[]") -> None:
    (tree / "models" / f"{name}.py").write_text(MODEL.format(name=name, body=body, more=more))


CLOCK = '''"""An arm's clock that counts layers: what is slower than what is decided by the models and not by the machine."""

import time

from torch import nn

seconds, forward = [0.0], nn.Linear.forward


def ticking(self, x):
    seconds[0] += 2e-5
    return forward(self, x)


nn.Linear.forward, time.perf_counter = ticking, lambda: seconds[0]
'''


def wind(tree: Path) -> None:
    """Arms of this tree are timed by `CLOCK`."""
    (tree / "models" / "t_clock.py").write_text(CLOCK)


@pytest.fixture(scope="module")
def verdicts(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> dict[str, survey.Cell]:
    """Every way in which head can differ from base, in one survey."""
    folder = tmp_path_factory.mktemp("trees")
    base, head = copy(folder / "base"), copy(folder / "head")
    for name in ("t_same", "t_deleted", "t_renamed", "t_raises", "t_dies", "t_operator", "t_broken", "t_unsupported", "t_import"):
        write(base, name, body="raise ValueError('as before')" if name == "t_broken" else "pass")
    write(base, "t_fixed", body="raise ValueError('as before')")
    write(base, "t_dies_in_base", body="os._exit(3)")
    for name in ("t_fixed", "t_dies_in_base", "t_same"):
        write(head, name)
    write(head, "t_renamed_to")
    write(head, "t_raises", body="raise ValueError('now it raises')")
    write(head, "t_dies", body="os._exit(3)")
    write(head, "t_operator", more="[nn.ReLU()]")
    write(head, "t_broken", body="raise ValueError('as before')")
    write(head, "t_unsupported", body="raise Unsupported('no longer')")
    (head / "models" / "t_import.py").write_text('"""Broken."""\nimport nothing_of_that_name\n')
    one = surveyed(nursery, Tree("base", base), Tree("head", head), "t_*")
    return {cell.id.removesuffix("-iris-cpu-b1"): cell for cell in one.cells}


@pytest.mark.parametrize(
    ("name", "word", "why"),
    [
        ("t_fixed", "fixed", "as before"),
        ("t_dies_in_base", "crashed", "its process ended"),
        ("t_same", "", ""),
        ("t_deleted", "missing", "there is no model t_deleted"),
        ("t_renamed", "missing", "there is no model t_renamed"),
        ("t_renamed_to", "new", "there is no model t_renamed_to"),
        ("t_raises", "failing", "now it raises"),
        ("t_dies", "failing", "its process ended"),
        ("t_broken", "broken", "as before"),
        ("t_unsupported", "missing", "no longer"),
        ("t_operator", "", ""),
        ("t_import", "failing", "nothing_of_that_name"),  # and no model of another file
    ],
)
def test_each_difference_has_its_verdict(verdicts: dict[str, survey.Cell], name: str, word: str, why: str) -> None:
    assert verdicts[name].verdict == word
    assert why in verdicts[name].reason


def test_one_layer_more_is_exactly_one_operator_more(verdicts: dict[str, survey.Cell]) -> None:
    costs = verdicts["t_operator"].costs
    assert costs["head"]["operators"] == costs["base"]["operators"] + 1
    assert costs["head"]["params"] == costs["base"]["params"]
    assert verdicts["t_same"].costs["head"] == verdicts["t_same"].costs["base"]


def test_a_tree_is_measured_from_its_own_files_and_never_written_to(
    verdicts: dict[str, survey.Cell], nursery: Nursery, tmp_path: Path
) -> None:
    tree = copy(tmp_path / "tree")
    (tree / "models" / "mlp.py").unlink()
    before = sorted(tree.rglob("*"))
    with arms(nursery, {"base": Tree("tree", tree)}, 0, None) as one:
        assert "mlp" not in one["base"].ask("hello")["models"]
    assert sorted(tree.rglob("*")) == before


class Scripted:
    """A nursery of one arm, and the arm: it says what it was given."""

    def __init__(self, opened: dict[str, Any], **torch: str) -> None:
        self.opened, self.torch, self.role = opened, torch, ""

    def arm(self, role: str, *_: object) -> Scripted:
        self.role = role
        return self

    def ask(self, do: str, **_: object) -> dict[str, Any]:
        known = {"models": ["mlp"], "datasets": {"iris": True}, "model_errors": {}, "dataset_errors": {}}
        return known | {"facts": {"torch": self.torch.get(self.role, "2")}} if do == "hello" else self.opened

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("nursery", "why"),
    [
        (Scripted({}, base="1.0"), r"cannot be compared: base runs on torch 1\.0, head on torch 2"),
        (Scripted({"error": "no sense", "kind": "unsupported"}), "no cell can be built"),
    ],
)
def test_what_cannot_be_surveyed(nursery: Any, why: str) -> None:
    with pytest.raises(RequestError, match=why):
        surveyed(nursery, HERE, HERE, "mlp")


def test_a_name_that_neither_tree_knows_is_refused() -> None:
    with pytest.raises(RequestError, match=r"did you mean 'mlp'\?"):
        surveyed(Scripted({}), HERE, HERE, "mlq")  # type: ignore[arg-type]


def timed(one: survey.Contest, nursery: Nursery, trios: int) -> dict[str, survey.Cell]:
    for i, _ in enumerate(contest.rounds(one, nursery, time.perf_counter(), lambda *_: None), 1):
        if i == trios:
            break
    return {cell.model: cell for cell in one.cells}


def test_an_arm_that_dies_while_timing_fails_its_cell_and_no_other(nursery: Nursery, tmp_path: Path) -> None:
    found = {name: copy(tmp_path / name) for name in ("base", "head")}
    marker = tmp_path / "now"
    for name, tree in found.items():
        wind(tree)
        for role in ("base", "head"):
            write(tree, f"t_{role}", body=f"os.path.exists({str(marker)!r}) and os._exit(1)" if name == role else "pass")
    one = surveyed(nursery, Tree("base", found["base"]), Tree("head", found["head"]), "t_base,t_head,linear")
    assert [cell.verdict for cell in one.cells] == [""] * 3
    marker.touch()
    cells = timed(one, nursery, 6)
    assert (cells["t_head"].verdict, cells["t_head"].deaths) == ("failing", 2)
    assert (cells["t_base"].verdict, cells["t_base"].deaths) == ("crashed", 2)
    assert cells["linear"].verdict == ""
    assert len(cells["linear"].first) >= 2
    assert all(sample.ratio == pytest.approx(0) and sample.ms == pytest.approx(0.02) for sample in cells["linear"].first)


@pytest.mark.slow
def test_a_model_that_hangs_fails_and_its_process_ends(nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trio, "PATIENCE", 3.0)  # an arm has to import its tree in that time, on a busy machine too
    monkeypatch.setattr(trio, "GRACE", 3.0)
    head = copy(tmp_path / "head")
    write(head, "t_hangs", body="while True: pass")
    write(copy(tmp_path / "base"), "t_hangs")
    before = set(psutil.Process(nursery.process.pid).children())
    one = surveyed(nursery, Tree("base", tmp_path / "base"), Tree("head", head), "t_hangs", "iris,gaussian")
    assert [cell.verdict for cell in one.cells] == ["failing", "failing"]
    assert "took too long" in one.cells[0].reason or "no answer in time" in one.cells[0].reason
    assert "not tried, as it ended its process on" in one.cells[1].reason
    same = surveyed(nursery, Tree("base", head), Tree("head", head), "t_hangs", "iris,gaussian")
    assert [cell.verdict for cell in same.cells] == ["broken", "broken"]  # as it was: nobody is accused
    assert same.cells[1].reason.startswith("base and head: not tried")
    _, alive = psutil.wait_procs(set(psutil.Process(nursery.process.pid).children()) - before, timeout=10)
    assert not alive


@pytest.mark.parametrize("file", ["models/__init__.py", "datasets/task.py"])
def test_a_tree_that_does_not_import_cannot_be_compared(nursery: Nursery, tmp_path: Path, file: str) -> None:
    head = copy(tmp_path / "head")
    (head / file).write_text('"""Broken."""\ndef (\n')
    with pytest.raises(RequestError, match="base the tree does not import: SyntaxError"):
        surveyed(nursery, Tree("the tree", head), HERE, "mlp")


def test_a_tree_too_old_for_what_measures_it_cannot_be_compared(nursery: Nursery, tmp_path: Path) -> None:
    base = copy(tmp_path / "base")
    (base / "datasets" / "vocabulary.py").unlink()
    with pytest.raises(RequestError, match=r"base old does not import: .*vocabulary"):
        surveyed(nursery, Tree("old", base), HERE, "mlp")


@pytest.fixture
def shared(nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate uses the nursery of the other tests: to start one takes longer than most gates."""
    monkeypatch.setattr(contest, "Nursery", lambda *_: nursery)
    monkeypatch.setattr(nursery, "close", lambda: None)


@pytest.mark.usefixtures("shared")
def test_the_command_line_says_what_is_missing_in_three_ways_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contest, "FEWEST", contest.MOST + 1)  # whatever the machine manages in three seconds is too little
    head = copy(tmp_path / "head")
    (head / "models" / "mlp.py").rename(head / "models" / "mlp_.py")
    text = (head / "models" / "mlp_.py").read_text()
    (head / "models" / "mlp_.py").write_text(text.replace("def mlp(", "def mlp_renamed("))
    page = tmp_path / "comment.md"
    options = ["--head", str(head), "--models", "mlp*,linear", "--datasets", "gaussian", "--minutes", "0.05"]
    assert main(["gate", "--base", str(copy(tmp_path / "base")), *options, "--json", "--markdown", str(page)]) == 1
    found = {fact["cell"]: fact["latency"] for fact in json.loads(capsys.readouterr().out)}
    assert found["mlp-gaussian-cpu-b1"] == "missing"
    assert found["mlp_renamed-gaussian-cpu-b1"] == "new"
    assert found["linear-gaussian-cpu-b1"] == "undecided"
    assert page.read_text().splitlines()[1].startswith("## Latency: 1 gone, 1 undecided, 1 new of 3 cells")


@pytest.mark.usefixtures("shared")
def test_a_model_that_does_more_work_is_slower(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way, to exit code 1; beside it a cell that did not change, and a model that prints. Time is counted in layers."""
    base, head = copy(tmp_path / "base"), copy(tmp_path / "head")
    for tree in (base, head):
        wind(tree)
    write(base, "t_slow", body="print('a model may print')")
    write(head, "t_slow", body="print('a model may print')", more="[nn.Linear(task.output.size, task.output.size)]")
    options = ["--models", "t_slow,linear", "--datasets", "iris", "--minutes", "60", "--allow", "25%", "--accept-costs", "--json"]
    for module, constant, value in ((contest, "LONGEST", 0.1), (contest, "EVERY", 1), (contest, "FEWEST", 3), (verdicts_, "FEWEST", 3)):
        monkeypatch.setattr(module, constant, value)
    assert main(["gate", "--base", str(base), "--head", str(head), *options]) == 1
    found = {fact["cell"]: fact for fact in json.loads(capfd.readouterr().out)}
    slow, same = found["t_slow-iris-cpu-b1"], found["linear-iris-cpu-b1"]
    assert (slow["latency"], same["latency"]) == ("slower", "same")
    assert "also in" in slow["reason"]
    assert (slow["low"], slow["high"], same["low"], same["high"]) == pytest.approx((2, 2, 1, 1))
    assert slow["trios"] >= 3 <= same["trios"]
    assert (slow["costs"]["verdict"], same["costs"]["verdict"]) == ("grew", "same")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    tree = copy(tmp_path / "repository")
    git(tree, "init", "-q")
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "one")
    return tree


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """The message of a request that is exit code 2."""
    assert main(["gate", *options]) == 2
    return capsys.readouterr().err


def test_what_cannot_be_compared(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    assert "neither a revision nor a folder" in refused(capsys, "--base", "no-such-branch")
    assert "neither a revision nor a folder" in refused(capsys, "--base=-p")
    (tmp_path / "plain").mkdir()
    assert "no bench/__init__.py" in refused(capsys, "--base", str(tmp_path / "plain"))
    (repository / "models" / "linear_.py").write_text('"""New."""\n')
    assert "uncommitted changes" in refused(capsys, "--base", str(repository))
    (repository / "models" / "linear_.py").unlink()
    (repository / "bench" / "__init__.py").write_text(f'"""Later."""\n\nINTERFACE = {INTERFACE + 1}\n')
    git(repository, "commit", "-qam", "two")
    assert f"serves interface {INTERFACE + 1}" in refused(capsys, "--base", "HEAD")
    git(repository, "rm", "-rq", "bench")
    git(repository, "commit", "-qm", "three")
    assert "has no bench/__init__.py" in refused(capsys, "--base", "HEAD")
    monkeypatch.chdir(tmp_path)
    assert "not a git repository" in refused(capsys, "--base", "main")


def test_git_is_asked_in_the_language_its_answer_is_read_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "git"
    program.write_text('#!/bin/sh\n[ "$LC_ALL$LANGUAGE" = C ] && echo not a git repository >&2 || echo Kein Git-Repository >&2\nexit 128\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("LANGUAGE", "de")
    assert not trees.within_git(tmp_path)


def test_another_pinned_torch_cannot_be_compared(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "constraints.txt").write_text("torch==2.14.0\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "pins")
    (repository / "constraints.txt").write_text("torch==2.15.0\n")
    monkeypatch.chdir(repository)
    assert "pins torch 2.14.0" in refused(capsys, "--base", "HEAD", "--models", "linear", "--datasets", "iris")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "needs --base"),
        (("--base", "HEAD", "--allow", "nan"), "--allow takes"),
        (("--base", "HEAD", "--allow=-1%"), "--allow takes"),
        (("--base", "HEAD", "--allow", "0"), "--allow takes"),
        (("--base", ""), "base is empty"),
        (("--base", "~nobody_of_that_name/x"), "~nobody_of_that_name"),
        (("--self-test", "--base", "HEAD"), "leave out --base"),
        (("--base", "HEAD", "--minutes", "0"), "--minutes takes"),
        (("--base", "HEAD", "--batches", "0"), "--batches takes"),
        (("--base", "HEAD", "--batches", ","), "no batch size"),
        (("--base", "HEAD", "--markdown", "/no/such/folder/x.md"), "cannot be written"),
        (("--self-test", "--gates", "x"), "--gates takes"),
        (("--self-test", "--head", "HEAD"), "leave out --head"),
        (("--self-test", "--batches", "64"), "leave out --batches"),
        (("--base", "HEAD", "--gates", "3"), "--gates belongs to --self-test"),
        (("--base", "HEAD", "--results", "here"), "--results belongs to --self-test"),
        (("--base", "HEAD", "--minutes", ""), "--minutes takes"),
    ],
)
def test_nonsense_is_refused_before_anything_runs(options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refused(capsys, *options)


def test_a_revision_is_laid_out_aside(repository: Path, tmp_path: Path) -> None:
    (repository / "models" / "mlp.py").unlink()
    tree = trees.resolve("base", "HEAD", repository, tmp_path)
    assert (tree.folder / "models" / "mlp.py").is_file()
    assert not tree.folder.is_relative_to(repository)
    listed = subprocess.run(["git", "-C", str(repository), "worktree", "list"], capture_output=True, text=True, check=True).stdout
    assert len(listed.splitlines()) == 1
    assert not (repository / "models" / "mlp.py").exists()


def test_an_older_tree_without_a_stated_interface_has_the_first(tmp_path: Path) -> None:
    tree = copy(tmp_path / "tree")
    (tree / "bench" / "__init__.py").write_text('"""Older."""\n')
    assert trees.interface(tree) == 1


def places() -> set[Path]:
    return {path for path in Path(trees.tempfile.gettempdir()).glob(f"{trees.PREFIX}*") if path.is_dir()}


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_killed_in_the_middle_nothing_is_left(
    how: signal.Signals, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = environment(ROOT) | {"TMPDIR": str(tmp_path)}
    monkeypatch.setattr(trees.tempfile, "gettempdir", lambda: str(tmp_path))
    line = [sys.executable, "-P", "-m", "bench", "gate", "--base", "HEAD", "--models", "linear", "--datasets", "iris", "--minutes", "5"]
    gate = subprocess.Popen(line, cwd=repository, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    waited = time.monotonic()
    children: list[psutil.Process] = []
    while len(children) < 4 and gate.poll() is None and time.monotonic() < waited + 120:  # the nursery and a trio
        time.sleep(0.05)
        children = psutil.Process(gate.pid).children(recursive=True)
    assert len(places()) == 1
    gate.send_signal(how)
    gate.communicate(timeout=60)
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
    with trees.workplace() as mine:  # what SIGKILL left, the next gate clears away
        assert places() == {mine}
    assert places() == set()
    assert gate.returncode == {signal.SIGTERM: 143, signal.SIGKILL: -9}[how]


def test_a_place_that_may_not_be_looked_into_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("foreign", "old"):
        (tmp_path / f"{trees.PREFIX}{name}").mkdir()
        (tmp_path / f"{trees.PREFIX}{name}" / "lock").touch()
    monkeypatch.setattr(trees, "claimed", lambda path: denied() if "foreign" in str(path) else claimed(path))
    trees.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f"{trees.PREFIX}foreign"]


def denied() -> None:
    raise PermissionError("another user's")


def test_a_place_in_use_is_not_swept_away() -> None:
    with trees.workplace() as first, trees.workplace():
        assert (first / "lock").is_file()


def test_the_self_tests_head_differs_in_work_alone(nursery: Nursery, tmp_path: Path) -> None:
    """By a clock that counts layers and iterations, the slowed tree does exactly the stated work in exactly the named cell."""
    tree = calibration.slower_tree(tmp_path, {"linear-iris": 123})
    changed = {p.relative_to(tree.folder) for p in tree.folder.rglob("*.py")} ^ {
        p.relative_to(machine.ROOT) for part in trees.PARTS for p in (machine.ROOT / part).rglob("*.py")
    }
    assert changed == {Path("models/zz_slowed.py")}
    wind(tree.folder)
    with (tree.folder / "models" / "t_clock.py").open("a") as clock:
        clock.write("\n\nimport bench.gate.work\n\n\ndef worked(n):\n    seconds[0] += 1e-5 * n\n\n\nbench.gate.work.work = worked\n")
    with arms(nursery, {"base": tree}, 0, None) as one:
        cells = (("linear", "iris"), ("mlp", "iris"), ("linear", "gaussian"))
        took = [one["base"].ask("open", model=model, dataset=data, batch=1)["seconds"] for model, data in cells]
    assert took == pytest.approx([2e-5 + 123e-5, 6e-5, 2e-5])  # the MLP has three layers


def test_work_adds_up_and_changes_nothing() -> None:
    assert work.slowed(lambda x: x + 1, 5)(2) == 3
    line = calibration.Line((100, 300), (0.05, 0.11))
    assert [line.amount(share) for share in (0.05, 0.08, 0.11, 0.0)] == [100, 200, 300, 0]
    assert work.work(0) == 1
    assert work.work(3) == work.work(3) != work.work(2)


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not a word")


def test_an_error_whose_message_raises_is_a_cell_s_answer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def hello(self: Arm) -> None:
        raise Mute

    monkeypatch.setattr(Arm, "hello", hello)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b'{"do": "hello", "within": 9}\n')
        ours.shutdown(socket.SHUT_WR)
        Arm(0, {}).serve(theirs)
        assert json.loads(ours.recv(999)) == {"error": "Mute, whose message cannot be read", "kind": "raised"}
