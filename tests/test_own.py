"""One's own arrays, files and labels as data sets: what is read off them, how they are split, what is refused with place and way out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import metrics as sk

import datasets
from bench.core.paired import resplit
from bench.plan.grid import RequestError, cell
from bench.store import fingerprint
from bench.store.records import Store
from bench.tables.rows import rows
from bench.tables.verdict import difference
from datasets import metrics
from datasets.checks import check
from datasets.metrics import Answers
from datasets.task import Input, Output, Task
from tests.conftest import plugin, run_cell
from tests.test_report import run

G = np.random.default_rng(0)
X, CLASSES = G.normal(3, 2, (100, 4)), np.arange(100) % 3


@pytest.mark.parametrize(
    ("x", "y", "given", "entering", "output"),
    [
        (X, CLASSES, {}, Input("table", (4,)), Output("classes", 3)),
        (X.tolist(), ["ab"[i % 2] for i in range(100)], {}, Input("table", (4,)), Output("classes", 2)),
        (torch.from_numpy(X), X[:, 0] > 3, {}, Input("table", (4,)), Output("classes", 2)),
        (G.normal(size=(100, 3, 20)), X[:, :2], {}, Input("signal", (3, 20)), Output("value", 2)),
        (G.integers(0, 255, (100, 2, 6, 9), dtype=np.uint8), X[:, :3] > 3, {}, Input("image", (2, 6, 9)), Output("labels", 3)),
        (X, np.arange(100) * 7, {"kind": "value"}, Input("table", (4,)), Output("value", 1)),
        (["good, good!"] * 60 + ["bad"] * 40, [1] * 60 + [0] * 40, {}, Input("tokens", (4,), 8), Output("classes", 2)),
    ],
)
def test_kinds_are_read_off_arrays(x: Any, y: Any, given: dict[str, str], entering: Input, output: Output) -> None:
    task = datasets.from_arrays("own", x, y, **given)
    assert (task.input, task.output) == (entering, output)
    for seed in (0, 1):
        check(datasets.load("own", seed=seed), task)
    assert datasets.source("own") == Path(__file__) and datasets.pool("own") == task.sizes[2] / task.sizes[0]


def test_splits_are_stratified_and_standardised_by_training_alone() -> None:
    y = np.repeat([0, 1], [80, 20])
    datasets.from_arrays("own", X, y)
    data = datasets.load("own", seed=3)
    assert [int(split.y.sum()) for split in (data.train, data.val, data.test)] == [12, 4, 4]
    assert data.train.x.mean(0).abs().max() < 1e-5 and (data.train.x.std(0) - 1).abs().max() < 1e-5
    assert data.test.x.mean(0).abs().max() > 1e-3
    seen = torch.cat([split.x for split in (data.train, data.val, data.test)])[:, 0].sort().values
    raw = torch.from_numpy(np.sort(X[:, 0])).float()
    assert torch.allclose((seen - seen[0]) / (seen[-1] - seen[0]), (raw - raw[0]) / (raw[-1] - raw[0]), atol=1e-5)
    other = datasets.load("own", seed=4)
    assert not torch.equal(other.test.x, data.test.x)


def test_numbers_asked_for_are_in_deviations_of_the_training_split_and_ranked_by_r2() -> None:
    task = datasets.from_arrays("own", X, 1e6 + 1e4 * X[:, 0])
    data = datasets.load("own", seed=0)
    assert task.metric.name == "r2"
    assert abs(float(data.train.y.mean())) < 1e-2 and float(data.train.y.std()) == pytest.approx(1, abs=1e-3)


def test_channels_are_standardised_one_by_one() -> None:
    images = G.normal(size=(100, 2, 5, 7)) * np.array([1, 50])[:, None, None] + np.array([0, 300])[:, None, None]
    datasets.from_arrays("own", images, CLASSES)
    train = datasets.load("own").train.x
    assert train.mean((0, 2, 3)).abs().max() < 1e-4 and (train.std((0, 2, 3)) - 1).abs().max() < 1e-3


def test_words_that_training_has_not_are_one_id() -> None:
    texts = [f"word{i} same" for i in range(100)]
    task = datasets.from_arrays("own", texts, CLASSES)
    data = datasets.load("own")
    assert task.input.vocabulary == 105 and len(set(data.train.x[:, 0].tolist())) == 60
    assert set(data.test.x[:, 0].tolist()) == {3} and len(set(data.test.x[:, 1].tolist())) == 1


def test_other_samples_are_another_version_and_the_code_behind_a_line_counts(tmp_path: Path) -> None:
    versions = {datasets.from_arrays(f"own{i}", x, y).version for i, (x, y) in enumerate(
        ((X, CLASSES), (X + 1e-3, CLASSES), (X, 2 - CLASSES), (X.reshape(100, 2, 2), CLASSES))
    )}  # fmt: skip
    assert len(versions) == 4
    assert datasets.from_arrays("again", X, CLASSES).version in versions
    for line in ("import datasets\ndatasets.from_csv\n", "from datasets import from_csv\n"):
        (tmp_path / "plugin.py").write_text(line)
        fingerprint.parsed.cache_clear()
        names = {path.name for path in fingerprint.parsed(tmp_path / "plugin.py")[1]}
        assert "own_files.py" in names


@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        (X, CLASSES[:90], "own: 100 samples and 90 targets"),
        (X, np.zeros(100, int), "own: every sample has the class 0; there is nothing to tell apart"),
        (X, np.arange(100), r"class 0 has 1 sample and needs 5, .* or say kind='value'"),
        (X, np.ones(100), "target 0 is 1 for every sample"),
        (X, [None, *["a"] * 50, *["b"] * 49], "1 samples have no class, the first is 0"),
        (np.where(np.isclose(X, X.max()), np.nan, X), CLASSES, r"x has 1 values that are no finite numbers, the first at \(\d+, \d\)"),
        (np.where(X > 3, "a", "b"), CLASSES, "x cannot be numbers .* encode what is none"),
        (X[:, 0], CLASSES, r"x of shape \(100,\) is none of a table \(n, features\)"),
        (X[:15], CLASSES[:15], "15 samples are too few"),
        (X, X[:, :, None], r"y of shape \(100, 4, 1\) as value"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(x: Any, y: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        datasets.from_arrays("own", x, y)


def csv(folder: Path, change: str = "", to: str = "") -> Path:
    lines = [f"{a:.3f},{b:.3f},{'yes' if a > 3 else 'no'},{a + b:.3f}" for a, b, *_ in X]
    path = folder / "own.csv"
    path.write_text(
        "\n".join(["length,width,kind,total", *lines]).replace(change, to, 1) if change else "\n".join(["length,width,kind,total", *lines])
    )
    return path


def test_a_csv_beside_the_plugin_trains_and_other_bytes_are_another_run(tmp_path: Path) -> None:
    csv(tmp_path)
    file = plugin(tmp_path, "datasets.from_csv('own', 'own.csv', target='kind', metrics=('macro_f1',))")
    assert datasets.task("own").input.shape == (3,) and datasets.source("own") == file
    before = fingerprint.recipe("linear", "own", cell("linear", "own", "smoke", None).budget, "cpu")
    assert run_cell(cell("linear", "own", "smoke", 2), tmp_path / "results").status == "ok"
    (one, two) = Store(tmp_path / "results").runs()[-2:]
    assert one["pool"] == two["pool"] == 20 / 60 and one["metric"]["name"] == "macro_f1"
    csv(tmp_path, "3.", "4.")
    datasets._registry._things.pop("own")
    datasets.from_csv("own", tmp_path / "own.csv", target="kind")
    assert fingerprint.recipe("linear", "own", cell("linear", "own", "smoke", None).budget, "cpu") != before


def test_columns_are_chosen_and_several_can_be_asked_for(tmp_path: Path) -> None:
    csv(tmp_path)
    task = datasets.from_csv("own", tmp_path / "own.csv", target=["length", "total"], columns=["width"])
    assert (task.input.shape, task.output) == ((1,), Output("value", 2))
    task = datasets.from_csv("words", tmp_path / "own.csv", target="total", text="kind")
    assert task.input == Input("tokens", (1,), 6)


@pytest.mark.parametrize(
    ("change", "to", "asked", "reason"),
    [
        ("", "", "target='kimd'", r"own.csv has no column 'kimd'; did you mean 'kind'\?; it has length, width, kind, total"),
        ("", "", "target='kind', columns=['size']", "has no column 'size'; it has length"),
        ("", "", "target='total'", r"'\w+' in column 'kind', line 2 is no number; encode the column .* columns=\[…\]"),
        ("\n", "\n,", "target='kind'", "own.csv"),
        (".", "..", "target='kind'", r"in column 'length', line 2 is no number"),
        ("no", "", "target='kind'", r"column 'kind' has 1 hole, the first in line \d+; fill them"),
        ("", "", "target='kind', columns=['kind']", "kind cannot be asked for and go in as well"),
        ("", "", "target='kind', separator=';'", r"has no column 'kind'"),
    ],
)
def test_a_csv_that_cannot_be_used_is_refused_with_its_place(tmp_path: Path, change: str, to: str, asked: str, reason: str) -> None:
    csv(tmp_path, change, to)
    with pytest.raises(RequestError, match=reason):
        plugin(tmp_path, f"datasets.from_csv('own', 'own.csv', {asked})")
    assert "own" not in datasets.names()


def test_a_file_that_is_not_there_or_is_empty(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"none.csv is not there; a path begins at the folder of plugin\d+.py"):
        plugin(tmp_path, "datasets.from_csv('own', 'none.csv', target='a')")
    (tmp_path / "own.csv").write_text("")
    with pytest.raises(RequestError, match=r"own.csv is no CSV that pandas reads: No columns"):
        plugin(tmp_path, "datasets.from_csv('own', 'own.csv', target='a')")


def pictures(folder: Path, mode: str = "RGB", size: tuple[int, int] = (9, 6), n: int = 10) -> Path:
    """`n` pictures of two classes, 9 wide and 6 high: dark cats and light dogs."""
    for name, level in (("cats", 40), ("dogs", 200)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            shape = (*size[::-1], len(mode)) if len(mode) > 1 else size[::-1]
            Image.fromarray(G.integers(level - 30, level + 30, shape).astype(np.uint8)).save(folder / name / f"{i}.png")
    return folder


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4)])
def test_a_folder_of_pictures_of_any_shape(tmp_path: Path, mode: str, channels: int) -> None:
    pictures(tmp_path / "pets", mode)
    (tmp_path / "pets" / "cats" / "notes.txt").write_text("not a picture")
    task = datasets.from_folder("own", tmp_path / "pets")
    assert (task.input, task.output, task.sizes) == (Input("image", (channels, 6, 9)), Output("classes", 2), (12, 4, 4))
    data = datasets.load("own")
    check(data, task)
    assert (data.test.x.mean((1, 2, 3)) > 0).long().tolist() == data.test.y.tolist()


def alone(folder: Path) -> None:
    shutil.rmtree(folder / "dogs")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (alone, "every sample has the class cats"),
        (lambda folder: [file.unlink() for file in (folder / "dogs").glob("[1-9].png")], "class dogs has 1 sample and needs 5"),
        (lambda folder: (folder / "dogs" / "3.png").write_bytes(b"no picture"), r"dogs/3.png cannot be read .* take it away"),
        (
            lambda folder: (folder / "cats" / "3.png").write_bytes((folder / "cats" / "3.png").read_bytes()[:90]),
            r"cats/3.png cannot be read",
        ),
        (lambda folder: pictures(folder / "dogs" / "..", size=(4, 4), n=1), r"dogs/0.png is 3×4×4|cats/1.png is 3×6×9, 0.png 3×4×4"),
        (lambda folder: Image.new("L", (9, 6)).save(folder / "dogs" / "0.png"), r"dogs/0.png is 1×6×9, 0.png 3×6×9 .* mode='RGB'"),
        (shutil.rmtree, "is not there"),
        (lambda folder: [shutil.rmtree(folder / name) for name in ("cats", "dogs")], "holds no folder with pictures"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_with_its_place(tmp_path: Path, spoil: Any, reason: str) -> None:
    spoil(pictures(tmp_path / "pets"))
    with pytest.raises(RequestError, match=reason):
        plugin(tmp_path, "datasets.from_folder('own', 'pets')")


def test_mixed_pictures_are_brought_to_one_size_and_mode(tmp_path: Path) -> None:
    pictures(tmp_path / "pets")
    Image.new("L", (20, 30)).save(tmp_path / "pets" / "dogs" / "0.png")
    task = datasets.from_folder("own", tmp_path / "pets", size=(5, 8), mode="RGB")
    assert task.input.shape == (3, 5, 8)


def labelled(n: int = 200) -> Answers:
    g = torch.Generator().manual_seed(0)
    y = (torch.rand(n, 4, generator=g) < torch.tensor([0.5, 0.2, 0.8, 0.0])).float()
    out = torch.randn(n, 4, generator=g) + 2 * y - 1
    task = Task("t", Input("table", (3,)), Output("labels", 4), (1, 1, 1), ())
    return Answers(out, task.predicted(out), out, task.losses(out, y), y)


@pytest.mark.filterwarnings("error")
def test_labels_are_scored_as_scikit_learn_does() -> None:
    a = labelled()
    y, said = a.y.numpy(), a.predicted.numpy()
    figures = {name: metrics.named(name).reduce(metrics.named(name).score(a)) for name in ("label_f1", "mean_average_precision")}  # type: ignore[misc]
    assert figures["label_f1"] == pytest.approx(sk.f1_score(y, said, average="macro", zero_division=0))
    present = sk.average_precision_score(y[:, :3], a.out.numpy()[:, :3], average="macro")
    assert figures["mean_average_precision"] == pytest.approx(0.75 * present)  # of the label that nobody has: 0
    by_hand = torch.nn.functional.softplus(a.out) - a.out * a.y
    assert torch.allclose(a.losses, by_hand.mean(1), atol=1e-6)
    with pytest.raises(ValueError, match=r"holds 0.5 at \(3, 1\); a label is 0 or 1"):
        y = a.y.clone()
        y[3, 1] = 0.5
        Output("labels", 4).kind.check(y, Output("labels", 4))


@pytest.mark.parametrize("model", ["linear", "mlp", "ridge", "nearest_neighbours"])
def test_labels_are_learned_stored_and_derived(tmp_path: Path, model: str) -> None:
    x = G.normal(size=(400, 6)).astype(np.float32)
    datasets.from_arrays("own", x, x[:, :3] > 0, metrics=("mean_average_precision",))
    outcome = run_cell(cell(model, "own", "default", 1), tmp_path)
    assert outcome.status == "ok", outcome.reason
    (record,) = outcome.runs
    assert record["test"]["best"]["mean_average_precision"] > 0.8
    assert record["derived"]["label_f1"] > 0.7
    json.dumps(record)


def test_what_answers_with_classes_alone_says_no_to_labels() -> None:
    datasets.from_arrays("own", G.normal(size=(100, 1, 16, 16)), X > 3)
    status = {model: cell(model, "own", "smoke", 1).status for model in ("vit", "cnn", "resnet", "ram", "stn", "backbone_attention")}
    assert {model for model, word in status.items() if word} == {"ram", "stn"}


def test_seeds_that_split_one_pool_are_no_independent_draws(tmp_path: Path) -> None:
    store = Store(tmp_path)
    values = {"a": (0.1, 0.2, 0.25), "b": (0.3, 0.31, 0.5)}
    for model, losses in values.items():
        for seed, value in enumerate(losses):
            scores = {"best": {"r2": value}, "last": {"r2": value}}
            facts = {"metric": {"name": "r2", "better": "higher"}, "test": scores, "pool": 0.25}
            store.put_run(run(model, seed, value, dataset="own") | facts)
    a, b = rows(store)
    found, why = difference(a, b, [0, 1, 2])
    expected = resplit(np.subtract(values["a"], values["b"]), 0.25)
    assert not why and float(found.half(0.95)) == pytest.approx(float(expected.half(0.95)))
