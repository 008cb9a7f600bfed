"""The examples of CONTRIBUTING.md, run as they are printed: in this process, and each by its own command."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file
from sklearn.datasets import load_iris

import datasets
import models
from bench import load_run
from bench.__main__ import main
from bench.plan import grid
from bench.store.records import Store
from tests.conftest import ROOT, environment, run_cell, table

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
LIBRARIES = {"A model of timm"}  # whose import and building take longer than a quick test may
AUTHOR = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


class Example(NamedTuple):
    title: str
    steps: list[tuple[str, str]]  # as printed: a block of Python, or a line of a shell

    @property
    def code(self) -> str:
        return next(code for code, _ in self.steps if code)

    @property
    def command(self) -> list[str]:
        return next(shlex.split(line) for _, line in self.steps if line)

    def option(self, name: str) -> str:
        return self.command[self.command.index(name) + 1]


def examples() -> list[Example]:
    """Every title under "Worked examples" with what is printed below it."""
    section = TEXT.split("## Worked examples\n")[1].split("\n## ")[0]
    printed = re.compile(r"```python\n(.*?)```|^    (\S[^\n]*)$", re.DOTALL | re.MULTILINE)
    return [Example(part.splitlines()[0], printed.findall(part)) for part in section.split("\n### ")[1:]]


TWELVE = examples()
EXAMPLES = {example.title: example for example in TWELVE[:7]}  # a plugin and its command
ASKED = TWELVE[7:]  # of what the first of them trains, in order, and of a repository


def written(example: Example, folder: Path) -> Path:
    """The plugin, and the files that the text says lie beside it."""
    flowers = load_iris()
    rows = [f"{a},{b},{c},{flowers.target_names[y]}" for (a, b, c, _), y in zip(flowers.data, flowers.target, strict=True)]
    (folder / "flowers.csv").write_text("\n".join(["length,width,height,species", *rows]))
    for i, kind in enumerate(("cats", "dogs")):
        (folder / "pets" / kind).mkdir(parents=True)
        for n in range(20):
            pixels = np.random.default_rng([i, n]).integers(120 * i, 120 * i + 120, (20 + n, 30, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "pets" / kind / f"{n}.jpg")
    file = folder / example.option("--plugin")
    file.write_text(example.code)
    return file


def test_there_are_twelve_examples_of_at_most_thirty_lines() -> None:
    assert len({example.title for example in TWELVE}) == 12
    assert all(0 < sum(len(code.splitlines()) + bool(line) for code, line in example.steps) <= 31 for example in TWELVE)


@pytest.mark.parametrize("title", [title for title in EXAMPLES if title not in LIBRARIES])
def test_an_example_trains(title: str, tmp_path: Path) -> None:
    example = EXAMPLES[title]
    grid.plugin(str(written(example, tmp_path)))
    cells = grid.cells(example.option("--models"), example.option("--datasets"), "smoke", 1)
    assert len(cells) >= 2
    for cell in cells:
        outcome = run_cell(cell, tmp_path / "results")
        assert (cell.status, outcome.status) == ("", "ok"), cell.reason + outcome.reason


def follow(example: Example, folder: Path) -> int:
    """Do as is printed; our own commands and Python in this process, where nothing need be imported anew. The last exit code."""
    code = 0
    for block, line in example.steps:
        if block:
            exec(block, {})
        elif line.startswith("python -m bench"):
            code = main(shlex.split(line)[3:])
        else:
            subprocess.run(line, shell=True, cwd=folder, env=os.environ | AUTHOR, check=True)
    return code


def test_what_is_asked_of_results(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One after another in one folder: a sweep, two comparisons, a table for LaTeX, weights."""
    monkeypatch.chdir(tmp_path)
    sweep, compare, latex, weights, _ = ASKED
    said = {}
    for example in (sweep, compare, latex, weights):
        assert follow(example, tmp_path) == 0
        said[example.title] = capsys.readouterr().out
    vals = dict(line.split(maxsplit=1) for line in said[sweep.title].splitlines() if line.startswith(("linear@", "mlp")))
    told = {model: float(text.split()[0]) for model, text in vals.items() if "val chose another" not in text}
    assert len(vals) == 3 and set(told) - {"mlp"} == {max((m for m in vals if m != "mlp"), key=lambda m: float(vals[m].split()[0]))}
    first, second = (line for line in said[compare.title].splitlines() if line.startswith("| iris"))
    assert "| val " in first and "| accuracy" in second
    assert r"\bottomrule" in said[latex.title] and "iris" in said[latex.title]
    (run,) = (run for run in Store(tmp_path / "results/sweep").runs() if (run["model"], run.get("seed")) == ("mlp", 1))
    assert float(said[weights.title]) == pytest.approx(run["test"]["best"]["accuracy"])
    others = load_file(tmp_path / "mlp.safetensors")
    module = load_run(tmp_path / "results/sweep", "mlp", "iris", seed=1)
    assert others.keys() == {*module.state_dict()} and all(value.equal(others[name]) for name, value in module.state_dict().items())


@pytest.mark.slow  # two minutes; quick siblings: the test above, and that of the gate in test_gate_elsewhere.py
def test_what_is_asked_runs_by_its_commands(tmp_path: Path) -> None:
    (tmp_path / "pooled.py").write_text(TWELVE[0].code)
    there = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    for example in ASKED:
        for code, line in example.steps:
            command = [sys.executable, "-c", code] if code else ["bash", "-c", line]
            done = subprocess.run(
                command, cwd=tmp_path, env=environment(ROOT) | AUTHOR | there, capture_output=True, text=True, timeout=400, check=False
            )
            failing = " gate " in line
            assert done.returncode == failing, done.stdout + done.stderr
            assert not failing or "1 slower of 1 cell; exact costs grew in 1" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_runs_by_its_command(title: str, tmp_path: Path) -> None:
    example = EXAMPLES[title]
    written(example, tmp_path)
    command = [sys.executable, *example.command[1:], "--results", str(tmp_path / "results")]
    done = subprocess.run(command, cwd=tmp_path, env=environment(ROOT), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    statuses = {row["status"] for row in table(tmp_path / "results").values()}
    assert statuses == ({"ok", "skipped"} if title in LIBRARIES else {"ok"})


@pytest.mark.parametrize(("section", "model", "dataset"), [("Add a model", "wide", "digits"), ("Add a data set", "linear", "parity")])
def test_what_a_model_and_a_data_set_look_like(section: str, model: str, dataset: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(re.findall(r"```python\n(.*?)```", TEXT.split(f"## {section}\n")[1], re.DOTALL)[0])
    grid.plugin(str(tmp_path / "mine.py"))
    assert run_cell(grid.cell(model, dataset, "smoke", 1), tmp_path / "results").status == "ok"


def test_every_helper_is_in_the_table() -> None:
    for package in (datasets, models):
        offered = [name for name in package.__all__ if name.startswith(("from_", "wrap"))]
        assert offered and all(f"`{package.__name__}.{name}(" in TEXT for name in offered)
