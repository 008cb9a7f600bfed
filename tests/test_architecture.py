"""The folders keep the promises of the design: who may import whom, and that names say what is inside."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import FrameType

import pytest

from bench.run.job import Finished, Job, Message
from bench.run.worker import work
from bench.store.fingerprint import closure, code, imported, parsed, recipe
from bench.train.loop import Training
from datasets.data import TrainingData
from datasets.task import Budget
from tests.conftest import ROOT, environment

ROOMS = (  # each imports only those before it and itself; files directly in bench/ may import all of them
    "core",
    "store",
    "plan",
    "train",
    "measure",
    "run",
    "tables",
    "report",
    "studies",
    "claims",
    "peers",
    "page",
    "figures",
    "compare",
    "gate",
)
OUTSIDE = {"__init__", "__main__", "conftest"}  # files of bench/ that lie in no room; besides pytest's test_*.py
FILES = [path for folder in ("bench", "datasets", "models") for path in sorted((ROOT / folder).rglob("*.py"))]
IN_ROOMS = [path for path in FILES if path.is_relative_to(ROOT / "bench") and path.parent != ROOT / "bench"]


def named(path: Path) -> str:
    """`bench/train/loop.py` for a failing test's name."""
    return path.relative_to(ROOT).as_posix()


@cache
def imports(path: Path) -> frozenset[str]:
    """Modules of this project that a file imports, `package` or `package.module`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return frozenset(name for name in found if name.split(".")[0] in ("bench", "datasets", "models"))


def reaches(*start: str) -> set[str]:
    """All modules of bench's rooms, as `room.module`, that these import, directly or not."""
    seen: set[str] = set()
    waiting = [f"bench.{name}" for name in start]
    while waiting:
        name = waiting.pop()
        path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
        if name.startswith("bench.") and name not in seen and path.is_file():
            seen.add(name)
            waiting += imports(path)
    return {name.removeprefix("bench.") for name in seen}


def rooms(modules: set[str]) -> set[str]:
    return {name.split(".")[0] for name in modules}


def test_every_file_of_bench_lies_in_a_room() -> None:
    flat = {path.stem for path in (ROOT / "bench").glob("*.py") if not path.stem.startswith("test_")}
    assert flat == OUTSIDE
    assert {path.parent.name for path in IN_ROOMS} == set(ROOMS)


@pytest.mark.parametrize("path", IN_ROOMS, ids=named)
def test_rooms_import_only_what_stands_before_them(path: Path) -> None:
    found = {name.split(".")[1] for name in imports(path) if name.startswith("bench.")} - {"INTERFACE"}
    before = ROOMS[: ROOMS.index(path.parent.name) + 1]
    assert found <= set(before), f"{path.parent.name} may import {', '.join(before)}: move what is needed down, or the file up"


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_say_what_belongs_in_them_and_nothing_else(room: str) -> None:
    tree = ast.parse((ROOT / "bench" / room / "__init__.py").read_text())
    assert ast.get_docstring(tree)
    assert len(tree.body) == 1, "a fingerprint leaves __init__ files out: code in them would change runs unseen"


def test_datasets_know_nothing_of_models_or_bench() -> None:
    for path in (ROOT / "datasets").glob("*.py"):
        assert not {name for name in imports(path) if not name.startswith("datasets")}, path.name


def test_models_know_tasks_but_no_data() -> None:
    allowed = ("models", "datasets.task", "datasets.kinds", "datasets.vocabulary", "datasets.registry")
    for path in (ROOT / "models").glob("*.py"):
        assert not {name for name in imports(path) if not name.startswith(allowed)}, path.name


def test_a_cell_s_way_through_training_turns_back_at_most_five_times(tmp_path: Path) -> None:
    """Calls from a room to one that stands after it, as a callback makes them, while a cell is trained from its job to its records."""
    places = {str(path): path.parent.name for path in IN_ROOMS}
    back: set[tuple[str, str]] = set()
    passed: set[str] = set()

    def follow(frame: FrameType, event: str, _: object) -> None:
        room = places.get(frame.f_code.co_filename)
        if event != "call" or room is None:
            return
        passed.add(room)
        caller = frame.f_back
        while caller is not None and caller.f_code.co_filename not in places:
            caller = caller.f_back
        if caller is not None and ROOMS.index(room) > ROOMS.index(places[caller.f_code.co_filename]):
            back.add((caller.f_code.co_qualname, frame.f_code.co_qualname))

    job = Job("mlp", "gaussian", Budget("short", samples=400, batch=50, seeds=2, evaluations=4), (0, 1), "cpu", tmp_path, tmp_path)
    told: list[Message] = []
    sys.setprofile(follow)
    try:
        work(job, told.append)
    finally:
        sys.setprofile(None)
    assert any(isinstance(one, Finished) for one in told) and passed >= {"core", "store", "train", "measure", "run"}
    assert 1 <= len(back) <= 5, back  # one tells how far it is


TRAINS = {"train", "measure", "run"}
READS = ("tables", "report", "page", "figures", "compare")


@pytest.mark.parametrize("path", [path for path in IN_ROOMS if path.parent.name in READS], ids=named)
def test_reading_the_store_never_trains(path: Path) -> None:
    assert not rooms(reaches(f"{path.parent.name}.{path.stem}")) & TRAINS


def test_only_the_store_reads_and_writes_runs() -> None:
    for path in (ROOT / "bench").rglob("*.py"):
        if path.parent.name != "store" and path.name != "test_harness.py":
            text = path.read_text()
            assert "torch.save" not in text, path.name
            assert "torch.load" not in text, path.name


def test_training_is_handed_no_test_split() -> None:
    assert inspect.signature(Training.__init__).parameters["data"].annotation == "list[TrainingData]"
    assert [f.name for f in fields(TrainingData)] == ["train", "val", "augment", "peek", "draw"]


# Larger than that, for the reason beside it: they may only shrink, and a file that fits leaves the list.
LARGER = {
    "models/attention.py": 267,  # its text is part of the source that every run with attention is known by
}


def test_larger_files_are_larger() -> None:
    assert all(len((ROOT / name).read_text().splitlines()) > 250 for name in LARGER)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_files_fit_in_a_head(path: Path) -> None:
    assert path.stem not in ("utils", "helpers", "common", "base", "misc")
    text = path.read_text()
    assert len(text.splitlines()) <= LARGER.get(named(path), 250), "more than fits in a head: which noun can have a file of its own?"
    assert ast.get_docstring(ast.parse(text)), "what belongs here?"


def test_no_code_in_results() -> None:
    assert not list((ROOT / "results").rglob("*.py"))


BUDGET = Budget("b", samples=10, batch=1)


def forget_sources() -> None:
    parsed.cache_clear()
    closure.cache_clear()


def test_a_run_depends_on_its_source_and_not_on_words_about_it(tmp_path: Path) -> None:
    file = tmp_path / "model.py"
    file.write_text('"""One."""\nfrom models.attention import SelfAttention\n\ndef f(x):\n    """Two."""\n    return x + 1  # three\n')
    first = closure(file)
    forget_sources()
    file.write_text('"""Other words."""\nfrom models.attention import SelfAttention\n\n\ndef f(x):\n    return x + 1\n')
    assert closure(file) == first
    forget_sources()
    file.write_text(file.read_text().replace("x + 1", "x + 2"))
    assert closure(file) != first
    forget_sources()


def test_editing_attention_changes_its_users_and_a_plot_changes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.read_bytes

    def names(edited: str) -> dict[str, str]:
        forget_sources()
        monkeypatch.setattr(Path, "read_bytes", lambda self: real(self) + (b"\nx = 1\n" if self.name == edited else b""))
        return {model: code(model, "digits") for model in ("vit", "transformer", "backbone_attention", "cnn", "linear")}

    plain = names("nothing")
    changed = {
        file: {m for m, r in names(file).items() if r != plain[m]}
        for file in ("attention.py", "plots.py", "loop.py", "digits.py", "iris.py")
    }
    forget_sources()
    assert changed["attention.py"] == {"vit", "transformer", "backbone_attention"}
    assert changed["plots.py"] == changed["iris.py"] == set()
    assert changed["loop.py"] == changed["digits.py"] == set(plain)


def test_relative_imports_count_too(tmp_path: Path) -> None:
    file = ROOT / "models" / "relative_probe.py"
    found = {path.name for path in imported(ast.parse("from .attention import SelfAttention\nfrom . import tokens"), file)}
    assert found == {"attention.py", "tokens.py"}


def test_a_recipe_depends_on_the_budget_but_not_on_the_number_of_seeds() -> None:
    one = recipe("mlp", "digits", BUDGET, "cpu")
    assert one == recipe("mlp", "digits", Budget("b", samples=10, batch=1, seeds=9), "cpu")
    assert one != recipe("mlp", "digits", Budget("b", samples=11, batch=1), "cpu")
    assert one != recipe("mlp", "digits", BUDGET, "cuda") != recipe("mlp", "xor", BUDGET, "cuda")


def test_listing_the_grid_waits_for_no_library_that_draws_or_counts() -> None:
    """An import of these takes longer than all the rest of the command."""
    slow = ["jinja2", "matplotlib", "pandas", "sacrebleu", "scipy.stats", "sklearn"]
    listed = "import sys; from bench.__main__ import main; main(['list', '--json'])"
    code = f"{listed}; print([name for name in {slow} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"
