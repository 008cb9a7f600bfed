"""What a run keeps for its pictures: the right weights, small, safe to load, and the same after a kill."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

import datasets
import models
from bench.plan import grid
from bench.store.records import Store, pack_weights
from bench.train import snapshots
from bench.train.loop import Training
from bench.train.snapshots import Snapshots, over_the_plane
from tests.conftest import run_cell
from tests.test_store import record

CPU = torch.device("cpu")


def training(model: str, dataset: str, seeds: list[int]) -> Training:
    task = datasets.task(dataset)
    data = [datasets.load(dataset, seed=seed).for_training for seed in seeds]
    return Training(partial(models.build, model, task), task, task.budget("smoke"), seeds, data, CPU)


def test_what_is_kept_is_the_last_step_and_the_way_there() -> None:
    one = training("mlp", "xor", [3, 0])
    task = datasets.task("xor")
    assert over_the_plane(task) and not over_the_plane(datasets.task("iris"))
    taken = Snapshots(one, task, None)
    start = {name: value[1].clone() for name, value in one.learner.state().items()}
    trained = one.run(lambda share: taken.take())
    other = taken.kept(trained[0])
    assert other is not None and list(other) == ["best"]  # the rest of one seed only
    assert all(torch.equal(other["best"][name], value) for name, value in trained[0].best.items())
    kept = taken.kept(trained[1])
    assert kept is not None
    assert all(torch.equal(kept["last"][name], value) for name, value in trained[1].last.items())
    assert list(kept["snapshots"]) == [0, *trained[1].curve.samples]
    assert all(torch.equal(kept["snapshots"][0][name], value.half()) for name, value in start.items())
    end = kept["snapshots"][trained[1].curve.samples[-1]]
    assert all(torch.equal(end[name], value.half()) for name, value in kept["last"].items())


def test_other_tasks_keep_the_last_step_alone() -> None:
    one = training("linear", "iris", [0])
    taken = Snapshots(one, datasets.task("iris"), None)
    kept = taken.kept(one.run(lambda share: taken.take())[0])
    assert kept is not None and kept["snapshots"] == {}


def test_weights_that_ended_best_are_stored_once(tmp_path: Path) -> None:
    one = training("backbone_conv", "iris", [0])
    taken = Snapshots(one, datasets.task("iris"), None)
    trained = one.run(lambda share: taken.take())[0]
    store, sizes = Store(tmp_path), []
    for best_samples in (trained.curve.samples[-1], trained.curve.samples[0]):
        run = record(best_samples)
        store.put_weights(run, pack_weights(taken.kept(replace(trained, best_samples=best_samples)) or {}))
        sizes.append(store.weights_of(run).stat().st_size)
        found = store.weights(run)
        assert found is not None and all(torch.equal(found["best"][name], value) for name, value in trained.best.items())
    assert sizes[0] < 0.7 * sizes[1]


def test_large_models_keep_fewer_snapshots_and_the_largest_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    one = training("mlp", "xor", [0])
    taken = Snapshots(one, datasets.task("xor"), None)
    trained = one.run(lambda share: taken.take())[0]
    whole = taken.kept(trained)
    assert whole is not None
    size = sum(value.nbytes for value in whole["snapshots"][0].values())
    monkeypatch.setattr(snapshots, "ON_THE_WAY", size * len(whole["snapshots"]) // 2)
    fewer = taken.kept(trained)
    assert fewer is not None
    steps, all_steps = list(fewer["snapshots"]), list(whole["snapshots"])
    assert (steps[0], steps[-1]) == (all_steps[0], all_steps[-1]) and len(steps) < len(all_steps) and steps == sorted(steps)
    monkeypatch.setattr(snapshots, "LARGEST", 1)
    assert taken.kept(trained) is None
    assert (large := taken.kept(trained, large=True)) is not None and large.keys() == whole.keys()


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x04N."])
def test_weights_that_cannot_be_read_are_set_aside(tmp_path: Path, content: bytes) -> None:
    store, run = Store(tmp_path), record(0)
    assert store.weights(run) is None
    store.put_weights(run, pack_weights({"last": {"w": torch.ones(2)}, "snapshots": {}}))  # as older versions kept it
    found = store.weights(run)
    assert found is not None and torch.equal(found["last"]["w"], torch.ones(2)) and found["best"] == {}
    store.put_weights(run, pack_weights({"best": {"w": torch.ones(3)}}))
    found = store.weights(run)
    assert found is not None and torch.equal(found["best"]["w"], torch.ones(3)) and found["last"] == found["snapshots"] == {}
    path = store.weights_of(run)
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=r"smoke-r-s0.pt cannot be used .* set aside as smoke-r-s0.pt.broken"):
        assert store.weights(run) is None
    assert path.with_name(path.name + ".broken").read_bytes() == content


def test_weights_that_would_run_code_are_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    store, run = Store(tmp_path), record(0)
    store.put_weights(run, pack_weights({"last": {"w": Evil()}, "snapshots": {}}))
    with pytest.warns(UserWarning, match="set aside"):
        assert store.weights(run) is None
    assert not (tmp_path / "ran").exists()


def test_an_interruption_changes_no_snapshot(tmp_path: Path) -> None:
    """Checkpoints after every evaluation; stopped in the middle and started again, it keeps what an undisturbed run keeps."""
    cell = grid.cell("backbone_none", "plane", "smoke", 2)
    cell = replace(cell, budget=replace(cell.budget, evaluations=8))

    def stop(share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cell(cell, tmp_path / "stopped", stop, checkpoint_every=0.0)
    (checkpoint,) = (tmp_path / "stopped" / "checkpoints").glob("*.pt")
    assert 1 < len(torch.load(checkpoint, weights_only=True)["snapshots"]) < 9
    assert not list((tmp_path / "stopped" / "weights").glob("*/*/*.pt"))
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    (checkpoint.parent / f".{checkpoint.name}.{gone.pid}").write_bytes(b"half of one, by a process that was killed")
    found = []
    for name in ("stopped", "whole"):
        Store(tmp_path / name).writable()  # as every session begins
        outcome = run_cell(cell, tmp_path / name, checkpoint_every=0.0)
        assert outcome.status == "ok"
        found.append(Store(tmp_path / name).weights(outcome.runs[0]))
    assert not list(checkpoint.parent.iterdir())
    a, b = found
    assert a is not None and b is not None
    assert list(a["snapshots"]) == list(b["snapshots"]) and len(a["snapshots"]) == 9
    for samples, weights in b["snapshots"].items():
        assert all(torch.equal(a["snapshots"][samples][name], value) for name, value in weights.items())
    assert all(torch.equal(a["last"][name], value) for name, value in b["last"].items())
