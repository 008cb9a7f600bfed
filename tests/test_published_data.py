"""Data sets as their sources split, normalise, cut and draw them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import affine as theirs

import datasets
from datasets import distort, images_published
from datasets.data import Split, generator
from datasets.task import Task

PLAIN = ("mnist", "cifar10", "cifar100")
DRAWN = ("mnist_affine", "mnist_translated")


@pytest.fixture
def official(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pixels of 4×4 in place of an image: which it is, twice."""

    def read(name: str, task: Task, root: Path, download: bool) -> tuple[Split, Split]:
        channels, many = task.input.shape[0], sum(task.sizes[:2]) if task.name.startswith(DRAWN) else task.sizes[0]
        parts = []
        for n in (many, 10_000):
            x = torch.zeros(n, channels, 4, 4)
            x[:, :, 2, 2:4] = torch.arange(n, dtype=torch.float32)[:, None, None]
            parts.append(Split(x, torch.arange(n) % 10))
        return parts[0], parts[1]

    monkeypatch.setattr(images_published, "official", read)


@pytest.mark.parametrize("name", PLAIN)
def test_s4_trains_on_every_image_normalised_by_mnists_numbers(name: str, official: None, tmp_path: Path) -> None:
    task, data = datasets.task(f"{name}_published"), datasets.load(f"{name}_published", tmp_path)
    whole = 60_000 if name == "mnist" else 50_000
    which = (data.train.x[:, 0, 2, 2] * 0.3081 + 0.1307).double().round().long()
    assert torch.equal(which, torch.arange(whole)) and data.augment is None
    assert torch.allclose(data.train.x[:, -1, 0, 0], torch.tensor(-0.1307 / 0.3081))
    assert [len(split) for split in (data.train, data.val, data.test)] == list(task.sizes) == [whole, 5_000, 10_000]
    val = (data.val.x[:, 0, 2, 2] * 0.3081 + 0.1307).double().round().long()
    assert len(set(val.tolist())) == 5_000 and bool((torch.bincount(data.val.y) == 500).all())
    budgets = {budget.name: budget for budget in task.budgets}
    epochs = {other: budget.samples / whole for other, budget in budgets.items() if other.startswith("published")}
    assert epochs == {"published": 15, "published_1": 1} | ({"published_14": 14, "published_adadelta": 14} if name == "mnist" else {})
    assert all(budgets[other].choose == "test" and budgets[other].decay == 0.7 for other in epochs)
    if name != "mnist":
        return
    assert (budgets["published_adadelta"].optimizer, budgets["published_adadelta"].lr) == ("adadelta", 1.0)
    assert (budgets["published_14"].optimizer, budgets["published_14"].lr) == ("adam", 1e-4)


def test_s2_trains_on_four_fifths_and_draws_the_rest_afresh(official: None, tmp_path: Path) -> None:
    """A translation keeps the sum of an image, which says which it is."""
    data, other = (datasets.load("mnist_translated_published", tmp_path, seed) for seed in (0, 1))
    assert data.train.x.shape == (48_000, 1, 36, 36) and data.val.x.shape == (12_000, 1, 36, 36) and len(data.test) == 10_000
    train, val, test = ((split.x.sum((1, 2, 3)) / 2).long() for split in (data.train, data.val, data.test))
    assert torch.equal(torch.cat([train, val]).sort().values, torch.arange(60_000))
    assert torch.equal(test, torch.arange(10_000))
    assert not torch.equal(val, (other.val.x.sum((1, 2, 3)) / 2).long())
    assert bool((data.train.x[:, 0, 18, 18] == train).all()), "what is distorted for every batch lies in the middle"
    assert data.augment is not None
    x, y = data.augment(data.train.x[:500], data.train.y[:500], torch.Generator().manual_seed(0))
    assert torch.equal(y, data.train.y[:500]) and torch.equal((x.sum((1, 2, 3)) / 2).long(), train[:500])
    first = x[:, 0].flatten(1).argmax(1)  # of the two equal pixels the left one
    down, across = first // 36 - 2, first % 36 - 2
    assert (int(down.min()), int(down.max())) == (int(across.min()), int(across.max())) == (0, 32)


def test_s2s_budgets_are_its_own() -> None:
    stn, ram = (datasets.task(f"{name}_published").budget("published") for name in DRAWN)
    assert (stn.samples, stn.batch, stn.optimizer, stn.lr, stn.momentum, stn.schedule) == (960_000, 2048, "sgd", 0.01, 0.9, "constant")
    assert (ram.samples, ram.batch, ram.optimizer, ram.lr, ram.schedule) == (4_800_000, 2048, "adam", 1e-3, "constant")
    assert stn.choose == ram.choose == "val" and stn.evaluations == 20 and ram.evaluations == 100


def test_s2_distorts_as_torchvision_does_by_whole_pixels() -> None:
    """The same angles, sizes and shifts given to both; inside, where torchvision's own border does not reach."""
    n, side = 40, 28
    x = torch.zeros(n, 1, side, side)
    x[..., 6:22, 6:22] = torch.rand(n, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    drawn = torch.rand(4, n, generator=generator("t", 0))
    ours = distort.affine(x, generator("t", 0), whole=True)
    shifts = ((2 * drawn[2:] - 1) * 0.3 * side).round().long().T.tolist()
    assert {shift for both in shifts for shift in both} >= {-8, 8} and len({tuple(both) for both in shifts}) > 30
    for i in range(n):
        angle, scale = float(2 * drawn[0, i] - 1) * 60, 0.4 + 0.6 * float(drawn[1, i])
        expected = theirs(x[i], angle, shifts[i], scale, [0.0, 0.0], InterpolationMode.BILINEAR)
        assert (ours[i] - expected).abs().max() < 1e-4


@pytest.mark.parametrize("name", [*PLAIN, *DRAWN])
def test_what_is_as_published_is_no_part_of_the_default_grid(name: str) -> None:
    assert f"{name}_published" not in datasets.names() and f"{name}_published" in datasets.names(published=True)
    with pytest.raises(datasets.Missing, match=f"{name}_published is not in the data root"):
        datasets.load(f"{name}_published", "nowhere")
