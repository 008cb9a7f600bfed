"""Whatever happened to the files of a results folder, reading it ends, executes nothing and renames only what cannot be used."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.page import build, view
from bench.plan import grid
from bench.report import report
from bench.store import schema
from bench.store.files import HERE, partial
from bench.store.records import Store, StoreError, pack_weights, place
from bench.tables.column import Column, as_csv
from bench.tables.formatting import escape
from bench.tables.rows import rows
from tests.conftest import ROOT, run_cell
from tests.test_store import record

TRIES = int(os.environ.get("ATTENTION_BENCH_TRIES", "100"))
REFERENCE = ROOT / "results" / "reference"
MODELS = ("linear", "mlp")
JUNK: list[Any] = [
    None,
    True,
    -1,
    0,
    10**400,
    1e308,
    5e-324,
    -3,
    1e30,
    math.nan,
    "",
    "x",
    "../../x",
    "=1+1",
    "\0",
    "\ud800",
    [],
    [[]],
    {},
    {"": 0},
    [None, "x"],
]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small part of the committed results."""
    folder = tmp_path_factory.mktemp("few")
    for top in ("runs", "latency"):
        for model in MODELS:
            for path in sorted((REFERENCE / top / "iris" / model).glob("*.json"))[:4]:
                target = folder / path.relative_to(REFERENCE)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
    return folder


def retyped(value: Any, data: st.DataObject) -> Any:
    """The same with something in it replaced, removed or put somewhere else."""
    if isinstance(value, dict) and value and data.draw(st.integers(0, 4)):
        name = data.draw(st.sampled_from(sorted(value)))
        if not data.draw(st.integers(0, 4)):
            return {other: one for other, one in value.items() if other != name}
        return value | {name: retyped(value[name], data)}
    if isinstance(value, list) and value and data.draw(st.booleans()):
        i = data.draw(st.integers(0, len(value) - 1))
        return [*value[:i], retyped(value[i], data), *value[i + 1 :]]
    return data.draw(st.sampled_from(JUNK))


def damaged(content: bytes, data: st.DataObject) -> bytes:
    """Cut off, with some bits turned, or with a part of it repeated."""
    at = data.draw(st.integers(0, max(len(content) - 1, 0)))
    how = data.draw(st.sampled_from(("cut", "flip", "repeat")))
    if how == "cut":
        return content[:at]
    if how == "repeat":
        return content[:at] + content[max(0, at - 50) :]
    return content[:at] + bytes([content[at] ^ 1 << data.draw(st.integers(0, 7))]) + content[at + 1 :]


def files(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for top in ("runs", "latency") for path in sorted((folder / top).rglob("*.json"))}


@settings(max_examples=TRIES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=TRIES == 100)
@given(data=st.data())
def test_altered_records_end_in_no_traceback_and_rename_nothing_that_is_whole(few: Path, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "in", "results")
        shutil.copytree(few, folder)
        paths = sorted(folder.rglob("*.json"))
        path = data.draw(st.sampled_from(paths))
        how = data.draw(st.sampled_from(("retype", "damage", "swap")))
        if how == "retype":
            path.write_text(json.dumps(retyped(json.loads(path.read_text()), data)))
        elif how == "damage":
            path.write_bytes(damaged(path.read_bytes(), data))
        else:
            path.write_bytes(data.draw(st.sampled_from(paths)).read_bytes())
        before = files(folder)
        store = Store(folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            drawn = not data.draw(st.integers(0, 3))
            report.write(store, lambda _: None, draw=drawn)
            if drawn:
                build.html(view.facts(store))
        after = files(folder)
        assert {one: before[one] for one in after} == after
        assert len(before.keys() - after.keys()) <= 1
        assert {place(one) for top in ("runs", "latency") for one in store.records(top)} <= after.keys()
        assert [one.name for one in Path(name).iterdir()] == ["in"]
        assert [one.name for one in Path(name, "in").iterdir()] == ["results"]


CELL = grid.cell("mlp", "xor", "smoke", 2)


@pytest.fixture(scope="module")
def halfway(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, Any]]:
    """A finished seed with its weights, another that was stopped on its way, and how both end where nothing happens."""
    whole, folder = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("halfway")
    ended = {run["seed"]: run["test"] | {"val": run["curve"]["val_loss"]} for run in run_cell(CELL, whole).runs}
    run_cell(replace(CELL, budget=replace(CELL.budget, seeds=1)), folder)

    def stop(share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cell(CELL, folder, stop, checkpoint_every=0.0)
    assert len(list(folder.glob("runs/*/*/*-s0.json"))) == len(list(folder.glob("checkpoints/*.pt"))) == 1
    return folder, ended


@settings(max_examples=TRIES // 4, deadline=None, suppress_health_check=list(HealthCheck), derandomize=TRIES == 100)
@given(data=st.data())
def test_altered_files_change_no_seed_that_is_trained_on(halfway: tuple[Path, dict[int, Any]], data: st.DataObject) -> None:
    """A seed ends as if nothing had happened, or from a record that was altered and is one all the same."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "results")
        shutil.copytree(halfway[0], folder)
        paths = sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".pt"))
        path = data.draw(st.sampled_from(paths))
        if path.suffix == ".json" and data.draw(st.booleans()):
            path.write_text(json.dumps(retyped(json.loads(path.read_text()), data)))
        else:
            other = data.draw(st.sampled_from(paths))
            path.write_bytes(damaged(path.read_bytes(), data) if other == path else other.read_bytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome = run_cell(CELL, folder, checkpoint_every=0.0)
            assert outcome.status == "ok", outcome.reason
            assert run_cell(CELL, folder).trained == 0
        ended = {run["seed"]: run["test"] | {"val": run["curve"]["val_loss"]} for run in outcome.runs}
        altered = {0} if path.match("runs/*/*/*-s0.json") and outcome.trained < 2 else set()
        assert {seed: one for seed, one in ended.items() if seed not in altered} == {
            seed: one for seed, one in halfway[1].items() if seed not in altered
        }
        assert not list(folder.glob("checkpoints/*.pt"))


@pytest.mark.parametrize("what", ["metric", "budget"])
def test_a_run_that_was_asked_another_question_than_its_cell_is_left_out(tmp_path: Path, what: str) -> None:
    store = Store(tmp_path)
    for seed in range(3):
        store.put_run(record(seed))
    path = next(tmp_path.rglob("*-s0.json"))
    one = json.loads(path.read_text())
    if what == "metric":
        one["metric"]["name"], one["test"] = "zz", {which: {"zz": 1.0} for which in ("best", "last")}
    else:
        one["budget"]["samples"] = 2
    path.write_text(json.dumps(one))
    before = files(tmp_path)
    with pytest.warns(UserWarning, match=rf"^d/m/smoke-r-s0.json is left out: its {what} is .*again with --retrain$"):
        (row,) = rows(store)
    assert (sorted(row.values), row.metric.name, row.samples) == ([1, 2], "mse", 1)
    assert files(tmp_path) == before


@settings(max_examples=TRIES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=TRIES == 100)
@given(data=st.data())
def test_altered_tensors_are_as_they_were_or_set_aside(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        store, tensor, run = Store(Path(name)), torch.arange(64.0), record()
        store.put_weights(run, pack_weights({"best": {"w": tensor}, "last": {"w": tensor}}))
        store.checkpoints.save("r", {"seeds": [0, 1], "position": {"step": 3}, "state": {"w": tensor}})
        for path in (store.weights_of(run), store.checkpoints.path("r", [0, 1])):
            path.write_bytes(damaged(path.read_bytes(), data))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kept, saved = store.weights(run), store.checkpoints.read("r")
        assert kept is None or torch.equal(kept["best"]["w"], tensor)
        assert not saved or torch.equal(saved[0]["state"]["w"], tensor)
        assert (kept is None) != store.weights_of(run).exists()
        assert bool(saved) == store.checkpoints.path("r", [0, 1]).exists()


def test_every_byte_of_a_tensor_is_under_its_checksum(tmp_path: Path) -> None:
    store, run = Store(tmp_path), record()
    packed = pack_weights({"best": {"w": torch.full((8,), 1.5)}})
    at = packed.index(torch.full((8,), 1.5).numpy().tobytes())
    store.put_weights(run, packed[:at] + b"\x01" + packed[at + 1 :])
    with pytest.warns(UserWarning, match="set aside"):
        assert store.weights(run) is None


def test_a_checkpoint_of_another_recipe_or_other_seeds_is_set_aside(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.checkpoints.save("r", {"seeds": [0, 1], "position": {}})
    for target in (store.checkpoints.path("q", [0, 1]), store.checkpoints.path("r", [0, 2])):
        shutil.copy(store.checkpoints.path("r", [0, 1]), target)
        with pytest.warns(UserWarning, match="set aside"):
            store.checkpoints.read(target.name.split("-")[0])
        assert not target.exists()
    assert len(store.checkpoints.read("r")) == 1


@pytest.mark.parametrize(
    "fields",
    [{"seed": 1}, {"dataset": "../../x"}, {"model": "other"}, {"recipe": "q"}, {"dataset": "d/m", "model": ""}, {"kind": "trial"}],
    ids=str,
)
def test_a_record_lies_where_it_says(tmp_path: Path, fields: dict[str, Any]) -> None:
    store = Store(tmp_path)
    store.put_run(record(0))
    (path,) = tmp_path.rglob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    with pytest.warns(UserWarning, match="set aside"):
        assert store.runs() == []


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES, errno.EIO])
def test_what_may_pass_renames_nothing(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.put_run(record(0))
    store.put_weights(record(0), pack_weights({"best": {}}))
    store.checkpoints.save("r", {"seeds": [0], "position": {}})
    before = sorted(tmp_path.rglob("*"))

    def fails(self: Path) -> bytes:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "read_bytes", fails)
    for read in (store.runs, lambda: store.weights(record(0)), lambda: store.checkpoints.read("r")):
        with pytest.raises(StoreError, match=os.strerror(number)):
            read()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("what", ["pipe", "device", "folder", "huge"])
def test_what_is_no_record_at_all_is_left_out_unopened(tmp_path: Path, what: str) -> None:
    store = Store(tmp_path)
    store.put_run(record(0))
    path = next(tmp_path.rglob("*.json")).with_name("smoke-r-s1.json")
    if what == "pipe":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    elif what == "folder":
        path.mkdir()
    else:
        path.touch()
        os.truncate(path, 200 * 2**20)
    with pytest.warns(UserWarning, match="left out"):
        assert [one["seed"] for one in store.runs()] == [0]
    assert os.path.lexists(path)


def test_folders_where_weights_and_checkpoints_should_be_are_passed_over(tmp_path: Path) -> None:
    cell = grid.cell("linear", "xor", "smoke", 2)
    (first, *_) = run_cell(cell, tmp_path).runs
    store = Store(tmp_path)
    weights, checkpoint = store.weights_of(first), store.checkpoints.path(first["recipe"], [0, 1])
    weights.unlink()
    for path in (weights, checkpoint):
        path.mkdir(parents=True)
    with pytest.warns(UserWarning, match="left out: no regular file; move it away; .* with --retrain"):
        assert store.weights(first) is None
    for path in tmp_path.glob("runs/*/*/*-s?.json"):
        path.unlink()
    weights.rmdir()
    with pytest.warns(UserWarning, match=f"{checkpoint.name} is left out: no regular file"):
        assert run_cell(cell, tmp_path, checkpoint_every=0.0).status == "ok"
    assert checkpoint.is_dir()


def test_the_warning_of_weights_that_are_set_aside_names_the_way_to_have_them_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put_weights(record(), b"no weights")
    with pytest.warns(UserWarning, match=r"set aside as .*\.broken; its run is trained again at the next start"):
        assert store.weights(record()) is None


@pytest.mark.parametrize("harm", ["cut", "of another seed"])
def test_weights_that_cannot_be_used_are_set_aside_and_their_seed_alone_is_trained_again(tmp_path: Path, harm: str) -> None:
    cell, store = grid.cell("linear", "xor", "smoke", 2), Store(tmp_path)
    first, second = run_cell(cell, tmp_path).runs
    path, whole = store.weights_of(first), store.weights(first)
    path.write_bytes(path.read_bytes()[:100] if harm == "cut" else store.weights_of(second).read_bytes())
    with pytest.warns(UserWarning, match=r"cannot be used .*; set aside as .*; its run is trained again"):
        assert store.weights(first) is None
    again = run_cell(cell, tmp_path)
    assert again.trained == 1 and again.runs[1] == second
    assert again.runs[0]["test"]["best"] == pytest.approx(first["test"]["best"], rel=1e-4)
    loaded = store.weights(first)
    assert whole is not None and loaded is not None
    assert all(torch.allclose(loaded["best"][name], value, atol=1e-6) for name, value in whole["best"].items())
    assert run_cell(cell, tmp_path).trained == 0


def test_a_run_that_is_gone_right_after_it_was_stored_is_an_error_of_its_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put = Store.put_run
    monkeypatch.setattr(Store, "put_run", lambda self, run: put(self, run | ({"metric": {"name": "top 1"}} if run["seed"] == 1 else {})))
    with pytest.warns(UserWarning, match="set aside"):
        outcome = run_cell(grid.cell("linear", "xor", "smoke", 2), tmp_path)
    assert (outcome.status, outcome.runs) == ("error", ())
    assert outcome.reason == "seeds 1: their records were stored and cannot be read back: see the warnings above"
    assert [row.status for row in rows(Store(tmp_path))] == ["error"]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"schema":1,"kind":"run","x":' + "[" * 50 + "]" * 50 + "}"])
def test_nesting_is_set_aside(tmp_path: Path, text: str) -> None:
    path = tmp_path / "runs" / "d" / "m" / "smoke-r-s0.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.warns(UserWarning, match="set aside"):
        assert Store(tmp_path).runs() == []


def test_a_record_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put_run(record(0))
    (path,) = tmp_path.rglob("*.json")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [one["seed"] for one in store.runs()] == [0]


def test_a_start_sweeps_what_killed_processes_left_and_nothing_else(tmp_path: Path) -> None:
    gone = next(n for n in range(4_000_000, 2, -1) if not psutil.pid_exists(n))
    store = Store(tmp_path)
    store.put_run(record(0))
    runs = tmp_path / "runs" / "d" / "m"
    (tmp_path / "checkpoints").mkdir()
    swept = [tmp_path / f".probe-{gone}", tmp_path / f".probe.{gone}", runs / f".a.json.{gone}", runs / f".a.pt.{HERE}-{gone}"]
    swept += [tmp_path / "checkpoints" / ".r.claim"]
    left = [partial(runs / "b.json"), runs / f".c.json.{'0' * 8}-{gone}", tmp_path / ".gitignore"]
    left += [tmp_path / f".notes.{gone}", runs / f".d.json.{'9' * 23}", runs / f".e.json.{HERE}-{'9' * 23}"]  # nothing that we ever wrote
    for path in (*swept, *left):
        path.touch()
    held = store.claim("held")
    store.writable()
    assert [path for path in swept if path.exists()] == []
    assert all(path.exists() for path in left)
    assert held is not None
    assert held.path.exists()
    held.release()


def test_text_of_records_is_text_in_markdown_and_in_a_spreadsheet() -> None:
    assert escape("a\\|b <b>\n![x](y) [0, 1]") == "a\\\\\\|b &lt;b> ![x\\](y) [0, 1]"
    column: Column[str] = Column("text", "text", lambda row: row, "")
    lines = as_csv([column], ["=1+1", "+1", "-1", "@x", "\t=1", "plain"]).splitlines()
    assert all(line.strip('"').startswith(("'", "plain", "text")) for line in lines)


@pytest.mark.parametrize(
    ("text", "tame"),
    [
        ('{"a": 1e400}', False),
        ('{"a": -1.5E-100}', False),
        ('{"a":[1,1e+123]}', False),
        ('{"a":12345678901234567890}', False),
        ('{"a":0.' + "0" * 120 + "1}", False),
        ('{"a":"\\ud800"}', False),
        ('{"a":"\\"1e400"}', False),  # which quotes end a text is not told apart
        ('{"a":"é"}', False),
        ('{"a":"deadbe123","b":"0018742755525611556999"}', True),  # digests
        ('{"a":1e99,"b":-0.0018742755525611556,"c":9.123e-05}', True),
    ],
)
def test_numbers_out_of_range_are_looked_for_where_a_text_may_hold_any(text: str, tame: bool) -> None:
    assert schema.tame(text.encode()) == tame


def test_published_records_are_quick_to_read() -> None:
    """What would have to be walked number by number are a few at most."""
    paths = sorted((ROOT / "results" / "reference").glob("*/*/*/*.json"))
    assert sum(not schema.tame(path.read_bytes()) for path in paths) < len(paths) / 50
