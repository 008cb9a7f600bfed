"""What was read belongs to what a run was made of: other bytes are another run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from bench.core import opened
from tests.conftest import Bench, table

FILEDATA = """
import torch, datasets
from datasets.data import generator, three_way
from datasets.task import Budget, Input, Output, Task, budgets

TASK = Task("lines", Input("table", (4,)), Output("classes", 2), (60, 20, 20),
            budgets(Budget("default", samples=800, batch=20, lr=1e-2, seeds=2), smoke_samples=400), embedded=False)

@datasets.register(TASK)
def lines(root, seed, download):
    path = root / "labels.txt"
    if not path.is_file():
        raise datasets.Missing(f"{path} is not there")
    y = torch.tensor([int(line) for line in path.read_text().split()])
    return three_way(torch.randn(100, 4, generator=generator("lines", 0)), y, TASK.sizes, "lines", seed)
"""


def test_files_under_the_root_are_heard_of_however_they_are_opened(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside.txt"
    (root / "deep").mkdir(parents=True)
    outside.write_text("x")
    (root / "a.txt").write_text("a")
    np.save(root / "deep" / "b.npy", np.arange(3))
    (root / "unread.txt").write_text("u")
    with opened.watch(root) as files:
        (root / "a.txt").read_text()
        np.load(root / "deep" / "b.npy")
        outside.read_text()
        (root / "written.txt").write_text("w")
    (root / "unread.txt").read_text()
    found = opened.digests(root, files)
    assert set(found) == {"a.txt", "deep/b.npy"}
    assert opened.same(root, found)


def test_other_bytes_of_the_same_length_and_time_are_noticed_in_another_process_and_missing_files_are_not(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("0 1")
    known = opened.digests(tmp_path, {path})
    path.write_text("1 0")
    assert not opened.same(tmp_path, known)
    path.write_text("0 1")
    os.utime(path, (1, 1))
    assert opened.same(tmp_path, known)
    path.unlink()
    assert opened.same(tmp_path, known)


def test_a_record_cannot_make_us_read_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (tmp_path / "root").mkdir()
    assert opened.same(tmp_path / "root", {"../secret": "0", str(tmp_path / "secret"): "0"})


@pytest.mark.slow
def test_a_root_with_other_labels_is_trained_anew(bench: Bench, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(FILEDATA)
    roots = {name: tmp_path / name for name in ("first", "second")}
    for i, root in enumerate(roots.values()):
        root.mkdir()
        (root / "labels.txt").write_text("\n".join(str((n // (i + 1)) % 2) for n in range(100)))

    def run(root: str) -> str:
        asked = ("--plugin", str(plugin), "--models", "linear", "--datasets", "lines", "--data", str(roots[root]), "-v")
        done = bench(*asked, what="bench/test_training.py")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "FROM STORE" not in run("first")
    first = table(tmp_path / "results")["linear", "lines"]["value"]
    kept = json.loads(next((tmp_path / "results" / "runs" / "lines" / "linear").glob("*-s0.json")).read_text())
    assert list(kept["files"]) == ["labels.txt"]
    assert "FROM STORE" in run("first")
    assert "FROM STORE" not in run("second")
    assert table(tmp_path / "results")["linear", "lines"]["value"] != first
