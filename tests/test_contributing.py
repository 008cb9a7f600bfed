"""The examples of CONTRIBUTING.md, run as they are printed: in this process, and each by its own command."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_iris

import datasets
import models
from bench.plan import grid
from tests.conftest import ROOT, environment, run_cell, table

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
LIBRARIES = {"A model of timm"}  # whose import and building take longer than a quick test may


class Example(NamedTuple):
    title: str
    code: str
    command: list[str]

    def option(self, name: str) -> str:
        return self.command[self.command.index(name) + 1]


def examples() -> list[Example]:
    """Every title under "Worked examples" with its code and its command."""
    section = TEXT.split("## Worked examples\n")[1].split("\n## ")[0]
    found = []
    for part in section.split("\n### ")[1:]:
        (code,), (command,) = re.findall(r"```python\n(.*?)```", part, re.DOTALL), re.findall(r"^    (python .*)$", part, re.MULTILINE)
        found.append(Example(part.splitlines()[0], code, shlex.split(command)))
    return found


EXAMPLES = {example.title: example for example in examples()}


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


def test_there_are_seven_examples_of_at_most_thirty_lines() -> None:
    assert len(EXAMPLES) == 7
    assert max(len(example.code.splitlines()) for example in EXAMPLES.values()) <= 30


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize("title", [title for title in EXAMPLES if title not in LIBRARIES])
def test_an_example_trains(title: str, tmp_path: Path) -> None:
    example = EXAMPLES[title]
    grid.plugin(str(written(example, tmp_path)))
    cells = grid.cells(example.option("--models"), example.option("--datasets"), "smoke", 1)
    assert len(cells) >= 2
    for cell in cells:
        outcome = run_cell(cell, tmp_path / "results")
        assert (cell.status, outcome.status) == ("", "ok"), cell.reason + outcome.reason


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


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize(("section", "model", "dataset"), [("Add a model", "wide", "digits"), ("Add a data set", "linear", "parity")])
def test_what_a_model_and_a_data_set_look_like(section: str, model: str, dataset: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(re.findall(r"```python\n(.*?)```", TEXT.split(f"## {section}\n")[1], re.DOTALL)[0])
    grid.plugin(str(tmp_path / "mine.py"))
    assert run_cell(grid.cell(model, dataset, "smoke", 1), tmp_path / "results").status == "ok"


def test_every_helper_is_in_the_table() -> None:
    for package in (datasets, models):
        offered = [name for name in package.__all__ if name.startswith(("from_", "wrap"))]
        assert offered and all(f"`{package.__name__}.{name}(" in TEXT for name in offered)
