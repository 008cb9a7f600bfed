"""The folders keep the promises of the design: who may import whom, and that names say what is inside."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from bench.fingerprint import closure, depends, imported, recipe
from bench.train import Training
from datasets.data import TrainingData
from datasets.task import Budget
from tests.conftest import ROOT, environment

FILES = [path for folder in ("bench", "datasets", "models") for path in sorted((ROOT / folder).glob("*.py"))]


def imports(path: Path) -> set[str]:
    """Modules of this project that a file imports, `package` or `package.module`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.split(".")[0] in ("bench", "datasets", "models")}


def reaches(start: str) -> set[str]:
    """All files of bench/ that a module of bench/ imports, directly or not."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        waiting += [
            n.split(".")[1]
            for n in imports(ROOT / "bench" / f"{name}.py")
            if n.startswith("bench.") and (ROOT / "bench" / f"{n.split('.')[1]}.py").is_file()
        ]
    return seen


def test_datasets_know_nothing_of_models_or_bench() -> None:
    for path in (ROOT / "datasets").glob("*.py"):
        assert not {name for name in imports(path) if not name.startswith("datasets")}, path.name


def test_models_know_tasks_but_no_data() -> None:
    allowed = ("models", "datasets.task", "datasets.kinds", "datasets.vocabulary", "datasets.registry")
    for path in (ROOT / "models").glob("*.py"):
        assert not {name for name in imports(path) if not name.startswith(allowed)}, path.name


TRAINS = {"train", "cells", "learners", "latency", "evaluate", "cost"}


@pytest.mark.parametrize("module", ["report", "plots", "summary", "stats", "verdict", "reference", "certificate", "column", "columns"])
def test_reading_the_store_never_trains(module: str) -> None:
    assert not reaches(module) & TRAINS


@pytest.mark.parametrize("path", sorted(ROOT.glob("bench/figures/*.py")) + sorted(ROOT.glob("bench/page/*.py")), ids=lambda path: path.stem)
def test_pictures_and_page_never_train(path: Path) -> None:
    direct = {name.split(".")[1] for name in imports(path) if name.startswith("bench.")}
    files = {name for name in direct if (ROOT / "bench" / f"{name}.py").is_file()}
    assert not set().union(*map(reaches, files)) & TRAINS


def test_only_the_store_reads_and_writes_runs() -> None:
    for path in (ROOT / "bench").rglob("*.py"):
        if path.name not in ("store.py", "test_harness.py"):
            text = path.read_text()
            assert "torch.save" not in text, path.name
            assert "torch.load" not in text, path.name


def test_training_is_handed_no_test_split() -> None:
    assert inspect.signature(Training.__init__).parameters["data"].annotation == "list[TrainingData]"
    assert [f.name for f in fields(TrainingData)] == ["train", "val", "augment", "peek", "draw"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_files_fit_in_a_head(path: Path) -> None:
    assert path.stem not in ("utils", "helpers", "common", "base", "misc")
    text = path.read_text()
    assert len(text.splitlines()) <= 330
    assert ast.get_docstring(ast.parse(text)), "what belongs here?"


def test_no_code_in_results() -> None:
    assert not list((ROOT / "results").rglob("*.py"))


BUDGET = Budget("b", samples=10, batch=1)


def test_a_run_depends_on_its_source_and_not_on_words_about_it(tmp_path: Path) -> None:
    file = tmp_path / "model.py"
    file.write_text('"""One."""\nfrom models.attention import SelfAttention\n\ndef f(x):\n    """Two."""\n    return x + 1  # three\n')
    first = closure(file)
    closure.cache_clear()
    file.write_text('"""Other words."""\nfrom models.attention import SelfAttention\n\n\ndef f(x):\n    return x + 1\n')
    assert closure(file) == first
    closure.cache_clear()
    file.write_text(file.read_text().replace("x + 1", "x + 2"))
    assert closure(file) != first
    closure.cache_clear()


def test_editing_attention_changes_its_users_and_a_plot_changes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.read_text

    def names(edited: str) -> dict[str, str]:
        closure.cache_clear()
        monkeypatch.setattr(Path, "read_text", lambda self, *a, **k: real(self, *a, **k) + ("\nx = 1\n" if self.name == edited else ""))
        return {model: recipe(model, "digits", BUDGET, "cpu") for model in ("vit", "transformer", "backbone_attention", "cnn", "linear")}

    plain = names("nothing")
    changed = {
        file: {m for m, r in names(file).items() if r != plain[m]}
        for file in ("attention.py", "plots.py", "train.py", "digits.py", "iris.py")
    }
    closure.cache_clear()
    assert changed["attention.py"] == {"vit", "transformer", "backbone_attention"}
    assert changed["plots.py"] == changed["iris.py"] == set()
    assert changed["train.py"] == changed["digits.py"] == set(plain)


def test_relative_imports_count_too(tmp_path: Path) -> None:
    file = ROOT / "models" / "relative_probe.py"
    found = {path.name for path in imported(ast.parse("from .attention import SelfAttention\nfrom . import tokens"), file)}
    assert found == {"attention.py", "tokens.py"}


def test_a_recipe_depends_on_the_budget_but_not_on_the_number_of_seeds() -> None:
    one = depends("mlp", "digits", BUDGET, "cpu")
    assert one == depends("mlp", "digits", Budget("b", samples=10, batch=1, seeds=9), "cpu")
    assert one != depends("mlp", "digits", Budget("b", samples=11, batch=1), "cpu")
    assert one != depends("mlp", "digits", BUDGET, "cuda")


def test_listing_the_grid_waits_for_no_library_that_draws_or_counts() -> None:
    """An import of these takes longer than all the rest of the command."""
    slow = ["matplotlib", "pandas", "plotly", "sacrebleu", "scipy.stats", "sklearn"]
    listed = "import sys; from bench.__main__ import main; main(['list', '--json'])"
    code = f"{listed}; print([name for name in {slow} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"
