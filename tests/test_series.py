"""Series of the UCR archive out of aeon: what is read, how seeds split it, what is refused; on files of our own and the real ones."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import datasets
from bench.__main__ import main
from bench.claims import ledger
from bench.plan import grid
from datasets import series

NAMES = tuple(series.FILES)
HEAD = "#A comment: of two parts\n\n@problemName Gun\n@classLabel true 1 2\n@data\n"
OFFICIAL = {"TRAIN": (24, 26), "TEST": (76, 74)}  # gun_point's, of each class


def lines(part: str) -> str:
    """Series whose first number says which of the 200 it is, the classes by turns as far as they go."""
    first = 0 if part == "TRAIN" else 50
    classes = sorted("1" * OFFICIAL[part][0] + "2" * OFFICIAL[part][1], key=lambda label: hashlib.sha256((part + label).encode()).digest())
    return "".join(f"{first + i}," + ",".join(["0.5", "-1e-1"] * 74) + f",{label}.25:{label}\n" for i, label in enumerate(classes))


@pytest.fixture
def fresh() -> Iterator[None]:
    series.pool.cache_clear()
    yield
    series.pool.cache_clear()


@pytest.fixture
def package(fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """gun_point's files in a package that fails when it is imported, their sums known."""
    aeon = tmp_path / "elsewhere" / "aeon"
    folder = aeon / "datasets" / "data" / "GunPoint"
    folder.mkdir(parents=True)
    (aeon / "__init__.py").write_text("raise AssertionError('nobody imports it')")
    sums = []
    for part in series.PARTS:
        (folder / f"GunPoint_{part}.ts").write_bytes(content := (HEAD + lines(part)).encode())
        sums.append(hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(series.FILES, "gun_point", ("GunPoint", *sums))
    monkeypatch.delitem(sys.modules, "aeon", raising=False)
    monkeypatch.syspath_prepend(aeon.parent)
    return folder


def whose(seed: int) -> tuple[datasets.Data, list[list[int]]]:
    """A seed's splits, and which samples of the pool each has: standardising keeps the order of their first numbers."""
    data = datasets.load("gun_point", seed=seed)
    parts = (data.train, data.val, data.test)
    first = torch.cat([part.x[:, 0, 0] for part in parts])
    assert len(first.unique()) == 200  # no sample twice
    return data, [found.tolist() for found in first.argsort().argsort().split([len(part) for part in parts])]


def test_files_are_read_without_importing_the_package(package: Path) -> None:
    x, y, official = series.pool("gun_point")
    assert x.shape == (200, 1, 150) and x.dtype == torch.float32 and official == 50
    assert torch.equal(x[:, 0, 0], torch.arange(200.0)) and torch.allclose(x[7, 0, 1:3], torch.tensor([0.5, -0.1]))
    assert torch.equal(y, x[:, 0, -1].round().long() - 1)  # each line ends in its class
    assert y[:50].bincount().tolist() == [24, 26] and y[50:].bincount().tolist() == [76, 74]
    assert "aeon" not in sys.modules


def test_seed_0_is_the_official_split_and_others_keep_its_sizes(package: Path) -> None:
    tests = []
    for seed in range(4):
        data, (train, val, test) = whose(seed)
        assert (len(train), len(val), len(test)) == datasets.task("gun_point").sizes == (40, 10, 150)
        assert torch.cat([data.train.y, data.val.y]).bincount().tolist() == [24, 26] and data.test.y.bincount().tolist() == [76, 74]
        assert data.val.y.bincount().tolist() == [5, 5]
        assert abs(float(data.train.x.mean())) < 1e-5 and float(data.train.x.std()) == pytest.approx(1, abs=1e-4)
        assert whose(seed)[1] == [train, val, test]
        tests.append(test)
    assert tests[0] == list(range(50, 200))
    assert len(set(map(tuple, tests))) == 4


@pytest.mark.parametrize("part", series.PARTS)
def test_a_damaged_file_is_named_with_both_sums(package: Path, part: str) -> None:
    file = package / f"GunPoint_{part}.ts"
    file.write_bytes(file.read_bytes().replace(b"0.5", b"0.6", 1))
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(
        datasets.Corrupt, match=rf"gun_point: aeon/.*GunPoint_{part}\.ts is damaged.*expected, {found} found; pip install --f"
    ):
        datasets.load("gun_point")


def test_a_package_without_the_file_and_no_package(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (package / "GunPoint_TEST.ts").unlink()
    with pytest.raises(
        datasets.Missing, match=r"gun_point: the aeon that is installed has no .*GunPoint_TEST\.ts; pip install --no-deps aeon="
    ):
        datasets.load("gun_point")
    monkeypatch.setattr(series, "find_spec", lambda name: None)
    with pytest.raises(
        datasets.Missing, match="gun_point comes with the package aeon, which is not installed; pip install --no-deps aeon="
    ):
        datasets.load("gun_point")


def test_they_are_run_when_they_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    for budget in ("smoke", "default"):
        assert not {cell.dataset for cell in grid.cells("linear", None, budget, None)}.intersection(NAMES)
    cells = grid.cells("linear", ",".join(NAMES), "default", None)
    assert {(cell.dataset, cell.status) for cell in cells} == {(name, "") for name in NAMES}
    assert main(["list", "--models", "linear", "--datasets", "gun_point"]) == 0
    assert "a data root or a package: " in (said := capsys.readouterr().out) and "gun_point" in said.splitlines()[-1]


def real() -> Path:
    """The folder of the aeon that is installed, at the version whose files we know."""
    spec = importlib.util.find_spec("aeon")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"aeon is not installed; {series.WAY_OUT}")
    return Path(spec.submodule_search_locations[0])


@pytest.mark.parametrize("name", NAMES)
def test_the_real_files_are_what_the_task_says(name: str, fresh: None) -> None:
    real()
    task = datasets.task(name)
    x, y, official = series.pool(name)
    assert x.shape == (sum(task.sizes), *task.input.shape) and official == task.sizes[0] + task.sizes[1]
    assert y.unique().tolist() == list(range(task.output.size))
    for seed in (0, 1):
        data = datasets.load(name, seed=seed)
        assert tuple(map(len, (data.train, data.val, data.test))) == task.sizes
        assert torch.equal(data.test.y.bincount(), y[official:].bincount())
    assert "aeon" not in sys.modules


def test_published_means_are_those_of_the_files() -> None:
    folder = real() / "testing" / "example_results_files" / "classification" / "accuracy"

    def means(method: str) -> list[str]:
        with (folder / f"{method}_accuracy.csv").open(newline="", encoding="utf-8") as file:
            rows = {row[0]: [float(value) for value in row[1:]] for row in list(csv.reader(file))[1:]}
        assert all(len(rows[series.FILES[name][0]]) == 30 for name in NAMES)
        return [f"{100 * sum(rows[series.FILES[name][0]]) / 30:.2f}" for name in NAMES]

    whole = ledger.read()
    claims = {claim.dataset: str(claim.published) for claim in whole.claims if claim.source == "ucr_resamples"}
    assert [claims[name] for name in NAMES] == means("InceptionTime")
    (said,) = whole.sources["ucr_resamples"].notes
    *first, last = means("HC2")
    assert f"{', '.join(first)} and {last} %" in said
