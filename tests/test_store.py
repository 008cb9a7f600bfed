"""The store survives what happens to files."""

from __future__ import annotations

import base64
import errno
import json
import os
import subprocess
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.store.encoding import as_record, as_text, pack, unpack
from bench.store.records import Store, StoreError
from bench.store.schema import SCHEMA, check
from tests.conftest import ROOT


def record(seed: int = 0, **fields: object) -> dict[str, object]:
    base = {"recipe": "r", "model": "m", "dataset": "d", "budget": {"name": "smoke"}, "status": "ok", "reason": ""}
    base["budget"] = {"name": "smoke", "dtype": "float32", "samples": 1}
    scores = {"best": {"mse": 1.0}, "last": {"mse": 1.0}}
    metric = {"name": "mse", "better": "lower", "percent": False}
    curve = {"samples": [1, 2], "seconds": [0.1, 0.2], "train_loss": [2.0, 1.0], "val_loss": [2.0, 1.5]}
    more = {"curve": curve, "metric": metric, "costs": {}, "conditions": "c", "source": "s", "test": scores, "train_seconds": 1.0}
    return {**base, **more, "seed": seed, "machine": {"slug": "x"}, **fields}


NO_TEST = json.dumps({"schema": 1, "kind": "run", "created": "now", **record(), "test": {}}).encode()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_written_and_read(store: Store) -> None:
    store.put_run(record(0))
    store.put_run(record(1, status="diverged"))
    store.put_run(record(2, status="error"))
    assert [r["seed"] for r in store.runs()] == [0, 1, 2]
    assert sorted(store.finished("m", "d", "smoke", "r", [0, 1, 2, 3])) == [0, 1]
    assert store.finished("m", "d", "smoke", "other", [0]) == {}


def test_what_is_known_of_a_machine_is_kept_once_and_read_with_every_record(tmp_path: Path) -> None:
    known = {"slug": "box-2-cores", "torch": "2.15.0", "cpu": "a box", "cores": 2, "silicon": {"numbers": ["1"], "instructions": []}}
    for seed in range(3):
        Store(tmp_path).put_run(record(seed, machine=known | {"commit": f"c{seed}", "dirty": False}))
    (kept,) = (tmp_path / "machines" / "box-2-cores" / "2.15.0").iterdir()
    assert json.loads(kept.read_text())["machine"] == known
    for path in (tmp_path / "runs").glob("*/*/*.json"):
        assert json.loads(path.read_text())["machine"].keys() == {"slug", "torch", "commit", "dirty", "facts"}
    assert [r["machine"] for r in Store(tmp_path).runs()] == [known | {"commit": f"c{seed}", "dirty": False} for seed in range(3)]
    again = record(4, machine=Store(tmp_path).runs()[0]["machine"])  # what was read is written as what was measured
    Store(tmp_path).put_run(again)
    assert len(list((tmp_path / "machines").rglob("*.json"))) == 1


@pytest.mark.parametrize("content", [None, "", '{"schema": 1, "kind": "machine", "machine": {"slug": "other", "torch": "1.0"}}'])
def test_records_outlive_the_facts_of_their_machine(tmp_path: Path, content: str | None) -> None:
    named = {"slug": "box", "torch": "2.15.0", "commit": "c", "dirty": False}
    Store(tmp_path).put_run(record(machine=named | {"cpu": "a box"}))
    (kept,) = (tmp_path / "machines").rglob("*.json")
    if content is None:
        kept.unlink()
        assert [r["machine"] for r in Store(tmp_path).runs()] == [named]
    else:
        kept.write_text(content)
        with pytest.warns(UserWarning, match="set aside"):
            assert [r["machine"] for r in Store(tmp_path).runs()] == [named]


def refused(store: Store, altered: dict[str, Any]) -> None:
    """A record that names a file elsewhere is not written, and one that was altered so is not read."""
    with pytest.raises(ValueError, match="is no name of a file"):
        store.put_run(record(0, **altered))
    store.put_run(record(0))
    (path,) = (store.folder / "runs").glob("*/*/*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | altered))
    with pytest.warns(UserWarning, match="is no name of a file"):
        assert store.runs() == []


NAMES = {"slug": "box", "torch": "2.15.0", "facts": "0123456789abcdef"}


@pytest.mark.parametrize(
    "altered", [*({"facts": name} for name in ("../../../etc/x", "/etc/x", "a/b", "")), {"torch": ".."}, {"torch": ""}]
)
def test_facts_lie_nowhere_else(tmp_path: Path, altered: dict[str, str]) -> None:
    refused(Store(tmp_path), {"machine": NAMES | altered})


@pytest.mark.parametrize("dtype", ["<f2", "u1", "<f4"])
def test_arrays_survive_as_text(dtype: str) -> None:
    values = np.arange(100).astype(dtype)
    assert np.array_equal(unpack(pack(values)), values)
    assert unpack(pack(values)).dtype == values.dtype
    assert unpack(f"{values.dtype.str}:{base64.b64encode(zlib.compress(values.tobytes())).decode()}").tolist() == values.tolist()  # before


@pytest.mark.parametrize("length", [0, 1, 7, 3000])
def test_arrays_of_any_length_survive(length: int) -> None:
    noise = np.random.default_rng(length).standard_normal(length)
    for values in (noise.astype("<f4"), noise.astype("<f8"), np.zeros(length, "u1")):
        assert np.array_equal(unpack(pack(values)), values)


@pytest.mark.parametrize("bad", ["<O8:lzma:", "<f4:zip:000", "<f4:lzma:zzzzz", "<f4:bz2:00000", "<f4:lzma:\x7f", "<f4", "<f4:eJ"])
def test_what_is_no_array_is_a_value_error(bad: str) -> None:
    with pytest.raises(ValueError):
        unpack(bad)
    cut = pack(np.arange(1000.0))[:-40]
    with pytest.raises(ValueError, match="cut off"):
        unpack(cut)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe\x00", b"[]", b'{"schema": 1, "kind": "run"}', b'{"schema": 1, "kind": "no such"}']
)
def test_a_broken_file_is_set_aside_with_a_message(store: Store, content: bytes) -> None:
    store.put_run(record(0))
    broken = store.folder / "runs" / "d" / "m" / "smoke-r-s1.json"
    broken.write_bytes(content)
    with pytest.warns(UserWarning, match=r"smoke-r-s1.json cannot be read .* set aside as smoke-r-s1.json.broken"):
        assert [r["seed"] for r in store.runs()] == [0]
    assert broken.with_name(broken.name + ".broken").read_bytes() == content
    assert [r["seed"] for r in store.runs()] == [0]  # and no second warning


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("curve", {}, "no curve.samples"),
        ("curve", {**record()["curve"], "val_loss": [1.0]}, "not of one length"),  # type: ignore[dict-item]
        ("curve", {**record()["curve"], "val_loss": [1.0, "low"]}, "not made of numbers"),  # type: ignore[dict-item]
        ("curve", {**record()["curve"], "val_loss": 1.0}, "no list"),  # type: ignore[dict-item]
        ("curve", {**record()["curve"], "val_scores": {"mse": 1.0}}, "no list"),  # type: ignore[dict-item]
        ("curve", {**record()["curve"], "val_scores": {"mse": ["low"]}}, "not made of numbers"),  # type: ignore[dict-item]
        ("curve", [], "curve is no object"),
        ("metric", {"name": "mse"}, "which way is better"),
        ("metric", {"name": "mse", "better": "lower", "worse": "higher"}, "which way is better"),
        ("seed", "zero", "seed is str"),
        ("test", {"best": {"mse": "good"}, "last": {"mse": 1.0}}, "test.best.mse is str"),
        ("train_seconds", None, "no train_seconds"),
        ("notes", [None, "x"], "notes is list, not str"),
    ],
)
def test_a_record_that_tables_could_not_use_is_set_aside(store: Store, field: str, value: object, why: str) -> None:
    store.put_run(record(0))
    store.put_run(record(1))
    path = store.folder / "runs" / "d" / "m" / "smoke-r-s1.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.warns(UserWarning, match=why):
        assert [r["seed"] for r in store.runs()] == [0]


def test_seeds_share_one_probe_and_runs_that_hold_their_own_are_read(store: Store) -> None:
    probe = {"version": 1, "stacked": True, "own": {"sizes": {"loss": 1}, "numbers": pack(np.array([0.1]))}}
    for seed in (0, 1):
        store.put_run(record(seed, probe=probe))
    store.put_run(record(2, probe={"unprobed": "why"}))
    (path,) = (store.folder / "probes").rglob("*.json")
    one, two, without = store.runs()
    assert one["probe"] == two["probe"] == path.stem
    assert store.probe_of(one) == store.probe_of(record(probe=probe)) == probe
    assert store.probe_of(without) == store.probe_of(record()) == {}
    path.write_text(path.read_text().replace("true", "false"))
    with pytest.warns(UserWarning, match=f"{path.name} cannot be read .*set aside"):
        assert store.probe_of(one) == {}, "what was altered is no probe"
    assert store.probe_of(two) == {}, "and what is gone is none"
    store.put_run(record(3, probe=probe))
    assert store.probe_of(two) == probe


def test_a_probe_lies_in_its_folder(store: Store) -> None:
    refused(store, {"probe": "../../up"})


@pytest.mark.parametrize("altered", [{"dataset": "../../../evil"}, {"model": "../evil"}, {"dataset": "a/b"}])
def test_nothing_is_written_outside_the_folder(store: Store, altered: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="is no name of a file"):
        store.put_run(record(0, **altered))
    assert not store.folder.exists() or not list(store.folder.rglob("*.json"))


def test_a_later_schema_is_left_alone(store: Store) -> None:
    store.put_run(record(0))
    path = next((store.folder / "runs").glob("*/*/*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": SCHEMA + 1}))
    with pytest.warns(UserWarning, match="later version"):
        assert store.runs() == []
    assert path.is_file()


def test_a_full_disk_is_said_and_leaves_what_was_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put_run(record(0))

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device; what was written before is safe"):
        store.put_run(record(1))
    assert [r["seed"] for r in store.runs()] == [0]
    assert list(store.folder.rglob(".*")) == []


def test_an_unwritable_folder_is_found_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write to the results folder"):
        Store(tmp_path / "file" / "results").writable()


def test_a_reader_never_sees_half_a_file(store: Store) -> None:
    """One thread rewrites a record, the other reads: every read is a whole one."""
    store.put_run(record(0, payload="a" * 200_000))
    stop = threading.Event()

    def rewrite() -> None:
        while not stop.is_set():
            store.put_run(record(0, payload="b" * 200_000))

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        for _ in range(50):
            (found,) = store.runs()
            assert len(found["payload"]) == 200_000
    finally:
        stop.set()
        writer.join()


def test_checkpoints_load_as_data_only_and_broken_ones_are_set_aside(store: Store) -> None:
    store.checkpoints.save("r", {"seeds": [0, 1], "position": {"step": 3}, "state": {"w": torch.ones(2)}})
    (found,) = store.checkpoints.read("r")
    assert found["position"] == {"step": 3}
    assert store.checkpoints.read("other") == []
    path = store.checkpoints.path("r", [0, 1])
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.warns(UserWarning, match="set aside, training from the start"):
        assert store.checkpoints.read("r") == []
    trap = store.folder / "sprung"

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (trap,))

    torch.save({"seeds": [0], "trap": Trap()}, store.checkpoints.path("r", [0]))
    with pytest.warns(UserWarning, match="cannot be used"):
        assert store.checkpoints.read("r") == []
    assert not trap.exists()


def test_every_committed_record_is_one_that_tables_can_use() -> None:
    paths = sorted(ROOT.glob("results/*/runs/*/*/*.json"))
    assert paths
    for path in paths:
        check(json.loads(path.read_text(encoding="utf-8")))


def nonsense(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def test_a_record_is_strict_json_with_a_line_for_each_field(store: Store) -> None:
    values = [1.0, float("nan"), float("inf"), float("-inf")]
    curve = {"samples": [1, 2, 3, 4], "seconds": [0.1] * 4, "train_loss": values, "val_loss": values}
    store.put_run(record(status="diverged", curve=curve, test={}, found=[1.5, None], flops=None))
    (path,) = store.folder.rglob("*.json")
    text = path.read_text()
    strict = json.loads(text, parse_constant=nonsense)
    assert strict["curve"]["val_loss"] == [1.0, None, None, None]
    assert len(text.splitlines()) == len(strict) + 2
    (read,) = store.runs()
    assert np.array_equal(read["curve"]["val_loss"], [1.0, np.nan, np.nan, np.nan], equal_nan=True)
    assert (read["found"], read["flops"]) == ([1.5, None], None)  # null stays null where no number must be


def test_half_characters_are_replaced_where_a_record_is_written(store: Store) -> None:
    store.put_cell({**record(), "status": "error", "reason": "bad \ud800, \U0001f600", "notes": "\udfff", "files": {"\ud800": "x"}})
    (one,) = store.runs()
    assert (one["reason"], one["notes"], one["files"]) == ("bad ?, \U0001f600", "?", {"?": "x"})


def test_records_of_before_with_nan_over_many_lines_are_read(store: Store) -> None:
    curve = {"samples": [1, 2], "seconds": [0.1, 0.2], "train_loss": [float("nan"), 1.0], "val_loss": [2.0, float("inf")]}
    old = {"schema": 1, "kind": "run", "created": "now", **record(status="diverged", curve=curve)}
    path = store.folder / "runs" / "d" / "m" / "smoke-r-s0.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(old, indent=1))
    (read,) = store.runs()
    assert np.isnan(read["curve"]["train_loss"][0])
    assert read["curve"]["val_loss"] == [2.0, float("inf")]


def test_text_and_record_say_the_same() -> None:
    told = {"a": 'é \n"', "b": {"c": [1, 2.5, True, None], "d": {}}, "curve": {"x": [0.1, 2]}, "test": {"best": {"mse": 1e-300}}}
    assert as_record(as_text(told)) == json.loads(as_text(told)) == told


def test_committed_records_are_as_the_store_writes_them() -> None:
    for path in (ROOT / "results" / "reference").glob("runs/iris/*/*.json"):
        assert as_text(as_record(path.read_text(encoding="utf-8"))) == path.read_text(encoding="utf-8"), path.name


def test_the_committed_tree_stays_small() -> None:
    """16 MiB, so that a data set's part fits beside it where 64 are allowed."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("no git checkout")
    sizes = [path.stat().st_size for name in listed.stdout.split(b"\0") if name and (path := ROOT / os.fsdecode(name)).is_file()]
    assert len(sizes) > 1000
    assert sum(sizes) < 16 * 2**20
