"""What was read belongs to what a run was made of: other bytes are another run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import datasets
from bench.core import opened
from bench.plan import grid
from bench.plan.grid import Cell
from bench.run.doubts import Probes
from bench.run.driver import Driver
from bench.run.job import Ended, Job, Message
from bench.store import fingerprint
from bench.store.records import Store
from bench.train import loading
from datasets.task import Budget
from tests.conftest import Bench, InProcess, run_cell, table

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
    (root / "d.txt").write_text("d")
    with opened.watch({"": root}) as names:
        (root / "a.txt").read_text()
        np.load(root / "deep" / "b.npy")
        outside.read_text()
        (root / "written.txt").write_text("w")
        os.close(os.open(root / "deep" / ".." / "d.txt", os.O_RDONLY))
        os.close(os.open(root / "made.txt", os.O_WRONLY | os.O_CREAT))
    (root / "unread.txt").read_text()
    found = opened.digests({"": root}, names)
    assert set(found) == {"a.txt", "deep/b.npy", "d.txt"}
    assert opened.same({"": root}, found)


def test_a_root_that_is_a_link_is_the_folder_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.txt").write_text("a")
    link = tmp_path / "link"
    link.symlink_to("real")
    with opened.watch({"": link}) as names:
        (link.resolve() / "a.txt").read_text()
    found = opened.digests({"": link}, names)
    assert set(found) == {"a.txt"}
    (tmp_path / "real" / "a.txt").write_text("b")
    assert not opened.same({"": link}, found)


def test_a_file_more_in_a_folder_that_was_listed_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "1.txt").write_text("a")
    with opened.watch({"": tmp_path}) as names:
        [path.read_text() for path in sorted((tmp_path / "cats").glob("*.txt"))]
    found = opened.digests({"": tmp_path}, names)
    assert set(found) == {"cats", "cats/1.txt"} and opened.same({"": tmp_path}, found)
    (tmp_path / "cats" / "0.txt").write_text("b")
    assert not opened.same({"": tmp_path}, found)


def test_other_bytes_of_the_same_length_and_time_are_noticed_in_another_process_and_missing_files_are_not(tmp_path: Path) -> None:
    path, folders = tmp_path / "a.txt", {"": tmp_path}
    path.write_text("0 1")
    known = opened.digests(folders, {"a.txt"})
    path.write_text("1 0")
    assert not opened.same(folders, known)
    path.write_text("0 1")
    os.utime(path, (1, 1))
    assert opened.same(folders, known)
    path.unlink()
    assert opened.same(folders, known)


def test_a_record_cannot_make_us_read_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (tmp_path / "root").mkdir()
    places = {"": tmp_path / "root", "data:": tmp_path / "root"}
    assert opened.same(places, {"../secret": "0", str(tmp_path / "secret"): "0", "data:../secret": "0", "other:secret": "0"})


BESIDE = """
import torch, datasets, models
from pathlib import Path
from datasets.data import generator, three_way
from datasets.task import Budget, Input, Output, Task, budgets
from {helper} import SCALE

HERE = Path(__file__).parent
SHIFT = float((HERE / "shift.txt").read_text())
TASK = Task("{name}", Input("table", (4,)), Output("classes", 2), (60, 20, 20),
            (Budget("smoke", samples=200, batch=20, lr=1e-2, seeds=2, evaluations=2),))

@datasets.register(TASK)
def load(root, seed, download):
    y = torch.tensor([int(line) for line in (HERE / "labels.txt").read_text().split()])
    return three_way(torch.randn(100, 4, generator=generator("beside", 0)) + SHIFT, y, TASK.sizes, "beside", seed)

@models.register
def model_{name}(task):
    made = torch.nn.Linear(4, 2)
    made.weight.data *= SCALE * float((HERE / "weights.txt").read_text())
    return made
"""


@pytest.mark.parametrize("changed", ["shift.txt", "labels.txt", "weights.txt", ""])
def test_what_lies_beside_a_plugin_and_is_read_belongs_to_its_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    """By the plugin itself, by its data set and by its model; its own modules are known by their code."""
    name = f"beside_{changed.removesuffix('.txt') or 'none'}"
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"{name}_helper.py").write_text("SCALE = 1.0")
    for file, text in (("shift.txt", "1"), ("labels.txt", "0 1 " * 50), ("weights.txt", "1"), ("unread.txt", "1")):
        (tmp_path / file).write_text(text)
    plugin = tmp_path / f"{name}.py"
    plugin.write_text(BESIDE.format(name=name, helper=f"{name}_helper"))
    grid.plugin(str(plugin))
    cell = grid.cell(f"model_{name}", name, "smoke", None)
    first = run_cell(cell, tmp_path / "results")
    assert (first.status, first.trained) == ("ok", 2), first.reason
    assert set(first.runs[0]["files"]) == {"data:shift.txt", "model:shift.txt", "data:labels.txt", "model:weights.txt"}
    (tmp_path / "unread.txt").write_text("2")
    if changed:
        (tmp_path / changed).write_text("1 0 " * 50 if changed == "labels.txt" else "2")
    assert run_cell(cell, tmp_path / "results").trained == (2 if changed else 0)


LOADED = {
    "imported": 'import importlib\nSCALE = importlib.import_module("{name}").SCALE',
    "by its file": """
import importlib.util
from pathlib import Path
spec = importlib.util.spec_from_file_location("anything", Path(__file__).with_name("{name}.py"))
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
SCALE = module.SCALE""",
    "executed": 'from pathlib import Path\nexec((Path(__file__).parent / "{name}.py").read_text())',
}
SCALED = """
import torch, models

@models.register
def {model}(task):
    made = torch.nn.Linear(task.input.shape[0], task.output.size)
    made.weight.data *= SCALE
    return made
"""


@pytest.mark.parametrize("way", LOADED)
def test_modules_beside_a_plugin_belong_to_its_runs_however_they_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    word = way.replace(" ", "_")
    name, model = f"loaded_{word}", f"scaled_{word}"
    monkeypatch.syspath_prepend(tmp_path)
    helper, plugin = tmp_path / f"{name}.py", tmp_path / f"plugin_{word}.py"
    (tmp_path / "broken.py").write_text("def")
    helper.write_text("SCALE = 1.0")
    plugin.write_text(
        LOADED[way].format(name=name) + "\nTEXTS = ['broken', '', '..', '/', 'x' * 300, chr(0)]\n" + SCALED.format(model=model)
    )
    grid.plugin(str(plugin))
    before = fingerprint.source(model)
    for text, same in (("# told better\nSCALE = 1.0", True), ("SCALE = 2.0", False)):
        helper.write_text(text)
        for cache in (fingerprint.parsed, fingerprint.closure):
            cache.cache_clear()
        assert (fingerprint.source(model) == before) == same


ELSEWHERE = {  # what a plugin imports from other folders, and from there
    "lib/{0}_helper.py": "import {0}_deep\nfrom {0}_parts.sub.layers import SCALE\nfrom models import mlp\nimport {0}_installed",
    "lib/{0}_deep.py": "import PIL",
    "src/{0}_parts/__init__.py": "",
    "src/{0}_parts/core.py": "SCALE = 1.0",
    "src/{0}_parts/old.py": "print 'of another Python'",
    "src/{0}_parts/sub/__init__.py": "",
    "src/{0}_parts/sub/models.py": "",
    "src/{0}_parts/sub/layers.py": "from ..core import SCALE\nfrom .models import *\ntry: from .. import old\nexcept SyntaxError: pass",
    "src/{0}_parts/unused.py": "",
    "site-packages/{0}_installed.py": "",
}
APART = ("unused.py", "installed.py")  # no part of the source: they count by their package's version


@pytest.mark.parametrize("edited", ELSEWHERE)
def test_what_a_plugin_imports_from_other_folders_belongs_to_its_runs(edited: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stem = f"elsewhere{list(ELSEWHERE).index(edited)}"
    for name, text in ELSEWHERE.items():
        (file := tmp_path / name.format(stem)).parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.format(stem) + "\n")
    for folder in ("lib", "src", "site-packages"):
        monkeypatch.syspath_prepend(tmp_path / folder)
    plugin = tmp_path / "plugins" / f"{stem}.py"
    plugin.parent.mkdir()
    plugin.write_text(f"from {stem}_helper import SCALE\n" + SCALED.format(model=stem))
    grid.plugin(str(plugin))
    before, packages = fingerprint.source(stem), fingerprint.packages(stem, "xor")
    assert {"mlp.py", f"{stem}_deep.py"} <= {path.name for path in fingerprint.reached(plugin)}
    assert packages["PIL"] == metadata.version("pillow")
    with (tmp_path / edited.format(stem)).open("a") as file:
        file.write("X = 1\n")
    for cache in (fingerprint.parsed, fingerprint.closure, fingerprint.version, fingerprint.packages_of):
        cache.cache_clear()
    assert (fingerprint.source(stem) == before) == edited.endswith(APART)
    assert fingerprint.source(stem) != before or fingerprint.packages(stem, "xor") != packages


def test_files_that_change_while_they_are_read_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, reads = tmp_path / "a.txt", []
    path.write_text("1")
    data = datasets.load("iris")

    def reading(meanwhile: Callable[[], object]) -> Callable[..., Any]:
        def load_(*_: object) -> Any:
            reads.append(path.read_text())
            meanwhile()
            return data

        return load_

    loading.load.cache_clear()
    monkeypatch.setattr(datasets, "load", reading(lambda: path.write_text("2") if len(reads) < 2 else None))
    _, files = loading.load("iris", tmp_path, 0, False)
    assert reads == ["1", "2"] and opened.same({"": tmp_path}, files)
    monkeypatch.setattr(datasets, "load", reading(lambda: path.write_text(str(len(reads)))))
    with pytest.raises(datasets.Corrupt, match=r"written while they are read: a\.txt"):
        loading.load("iris", tmp_path, 1, False)
    loading.load.cache_clear()


def test_what_a_loader_keeps_belongs_to_later_seeds_and_may_not_change_under_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, data = tmp_path / "a.txt", datasets.load("iris")
    path.write_text("1")
    read = lru_cache(lambda: path.read_text())
    monkeypatch.setattr(datasets, "load", lambda *_: (read(), data)[1])
    loading.load.cache_clear()
    files = [loading.load("iris", tmp_path, seed, False)[1] for seed in range(3)]
    assert files[0].keys() == {"a.txt"} and files[1] == files[2] == files[0]
    path.write_text("22")
    with pytest.raises(datasets.Corrupt, match=r"its loader keeps what it read before: a\.txt; start again"):
        loading.load("iris", tmp_path, 3, False)
    read.cache_clear()
    assert loading.load("iris", tmp_path, 3, False)[1] != files[0]
    loading.load.cache_clear()


CELL = Cell("mlp", "circle", datasets.task("circle"), Budget("default", samples=640, batch=64, lr=3e-2, evaluations=2, seeds=2))


def test_runs_of_another_version_of_a_package_are_probed_and_those_of_before_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = run_cell(CELL, tmp_path).runs
    assert runs[0]["packages"]["sklearn"] == metadata.version("scikit-learn")
    probed: list[str] = []
    agree = Probes.agree
    monkeypatch.setattr(Probes, "agree", lambda *of: probed.append("probed") or agree(*of))
    store = Store(tmp_path)
    for packages, times in (({"sklearn": "0.1"}, 2), ({}, 0)):
        for run in runs:
            store.put_run(run | {"packages": packages})
        probed.clear()
        again = run_cell(CELL, tmp_path)
        assert (again.status, again.trained, len(probed)) == ("ok", 0, times)
    monkeypatch.setattr(Probes, "agree", lambda *of: False)
    store.put_run(runs[0] | {"packages": {"sklearn": "0.1"}})
    assert run_cell(CELL, tmp_path).trained == 1


def test_code_that_is_of_no_distribution_is_known_by_what_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lies_about.py").write_text("X = 1")
    first = fingerprint.version("lies_about")
    (tmp_path / "lies_about.py").write_text("X = 2")
    fingerprint.version.cache_clear()
    assert first.startswith("content ") and fingerprint.version("lies_about") != first
    assert fingerprint.version("no_such_package_anywhere") == "unknown"


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


def test_a_file_that_changes_under_a_session_fails_its_cell_and_names_the_reason(tmp_path: Path) -> None:
    """A worker that read other data than the driver stores its runs under another recipe; the driver once looked for its own and raised."""
    told = Ended(head={"recipe": "of other data"})

    class Elsewhere(InProcess):
        def poll(self, seconds: float) -> list[tuple[Job, Message]]:
            return [(self.waiting.pop(), told)]

    cell = Cell("mlp", "circle", datasets.task("circle"), Budget("default", samples=128, batch=64))
    blank = Job("", "", cell.budget, (), "cpu", tmp_path, tmp_path)
    outcome = Driver(Store(tmp_path), blank, [cell], Elsewhere, lambda *_: None).outcome(cell)
    assert outcome.status == "error"
    assert "start again" in outcome.reason
