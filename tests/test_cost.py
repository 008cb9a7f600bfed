"""Costs by hand, on models small enough to count."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import datasets
import models
from bench.measure import counts

TASK = datasets.task("gaussian")


class Partly(nn.Module):
    """One layer that learns, one that nobody calls, a table of which 3 rows of 10 are read, a unit that cannot fire."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused, self.table = nn.Linear(2, 1), nn.Linear(5, 5), nn.Parameter(torch.randn(10))

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x) + self.table[:3].sum()


def test_dead_elements_are_counted_inside_tensors() -> None:
    assert counts.active(Partly(), TASK) == 3 + 3


def test_elements_behind_relu_are_found_alive() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 300), nn.ReLU(), nn.Linear(300, 1))
    assert counts.active(net, TASK) == 300 * 3 + 301


def test_weights_that_start_at_zero_are_alive() -> None:
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    for p in net.parameters():
        nn.init.zeros_(p)
    assert counts.active(net, TASK) == 17


def test_a_position_table_with_rows_nobody_reads() -> None:
    """The S4 mistake: the table of the ViT has rows for pixels instead of patches."""
    task = datasets.task("mnist")
    net = models.build("vit", task, depth=1)
    rows = net.positions.shape[0]
    whole = sum(p.numel() for p in net.parameters())
    table = nn.Parameter(torch.randn(3137, 128))
    net.positions = nn.Parameter(torch.empty(0))
    del net.positions
    net.table = table
    type(net).positions = property(lambda self: self.table[:rows])
    try:
        assert sum(p.numel() for p in net.parameters()) - counts.active(net, task) == 400_896
    finally:
        del type(net).positions
    assert whole == counts.active(models.build("vit", task, depth=1), task)


def test_measuring_leaves_the_model_alone() -> None:
    net = models.build("mlp", TASK)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    found, notes = counts.measure(net, TASK, TASK.budget("default"))
    assert (found["params"], found["params_active"], found["flops"], notes) == (105, 105, 176, "")
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    assert net.training


def test_flops_by_hand() -> None:
    assert counts.flops(models.build("mlp", TASK), TASK) == 2 * (2 * 8 + 8 * 8 + 8)
    shapes = datasets.task("shapes")
    layers = [1 * 64, 64 * 64, 64 * 64, 64 * 64, 64 * 1]
    assert counts.flops(models.build("conv1d", shapes), shapes) == 2 * 5 * 100 * sum(layers)
    # three 1×1 projections instead of one convolution, and two products of 100 × 64 by 64 × 100
    layers[2:3] = []
    attention = 2 * 100 * 3 * 64 * 64 + 2 * 2 * 100 * 100 * 64
    assert counts.flops(models.build("conv1d_attention", shapes), shapes) == 2 * 5 * 100 * sum(layers) + attention


def test_peak_bytes_grow_by_what_is_added() -> None:
    """Weights, gradients and Adam's two moments: a layer that is never called costs its weights alone."""
    budget = TASK.budget("default")
    plain, wide = nn.Linear(2, 1), nn.Sequential(nn.Linear(2, 50_000), nn.Linear(50_000, 1))
    small, big = (counts.peak_bytes(net, TASK, budget) for net in (plain, wide))
    parameters = 4 * (3 * 50_000 + 50_000 + 1)
    activations = 4 * 64 * 50_000
    assert small < 20_000
    assert 4 * parameters + activations <= big <= 4 * parameters + 3 * activations
    partly = counts.peak_bytes(Partly(), TASK, budget)
    assert 0 < partly - small - 4 * (30 + 10) < 4 * 64 * 8


def test_peak_bytes_are_the_same_every_time() -> None:
    task = datasets.task("digits")
    found = {counts.peak_bytes(models.build("backbone_attention", task), task, task.budget("smoke")) for _ in range(3)}
    assert len(found) == 1


def test_dropout_does_not_hide_parameters() -> None:
    net = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.99), nn.Linear(8, 1))
    assert counts.active(net, TASK) == pytest.approx(33)


def test_torchs_own_attention_is_counted_too() -> None:
    """In evaluation torch.nn.TransformerEncoderLayer takes a fused path that the counter does not know."""
    shapes = datasets.task("shapes")
    layer = nn.TransformerEncoderLayer(100, 2, 64, batch_first=True)
    by_hand = 2 * (4 * 100 * 100 + 2 * 100 * 64) + 2 * 2 * 1 * 1 * 100
    assert counts.flops(layer, shapes) == by_hand


def test_a_figure_that_cannot_be_measured_is_none_and_says_why() -> None:
    class Float32Only(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            if x.dtype == torch.float64:
                raise TypeError("float32 only")
            return super().forward(x)

    found, notes = counts.measure(Float32Only(2, 1), TASK, TASK.budget("smoke"))
    assert found["params_active"] is None
    assert found["params"] == 3
    assert "params_active not measured: TypeError: float32 only" in notes


class Rows(nn.Module):
    """A recurrent layer over the rows of an image of 8×8 pixels, whose products are easily counted by hand."""

    def __init__(self, layer: type[nn.RNNBase]) -> None:
        super().__init__()
        self.layer, self.answer = layer(8, 32, batch_first=True), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.answer(self.layer(x.flatten(1, 2))[0][:, -1])


@pytest.mark.parametrize(("layer", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_flops_of_recurrent_layers(layer: type[nn.RNNBase], gates: int) -> None:
    assert counts.flops(Rows(layer), datasets.task("digits")) == 8 * gates * (8 + 32) * 32 * 2 + 32 * 10 * 2


def spectrum(x: torch.Tensor) -> torch.Tensor:
    return torch.fft.rfft(x).real


def distances(x: torch.Tensor) -> torch.Tensor:
    return torch.cdist(x, x[:, :2])


def product(x: torch.Tensor) -> torch.Tensor:
    return torch.mv(x[0], x[0, 0])[None]


def batched(x: torch.Tensor) -> torch.Tensor:
    return torch.addbmm(torch.zeros(8, 8), x, x)[None]


def singular(x: torch.Tensor) -> torch.Tensor:
    return torch.linalg.svdvals(x)


def outside(x: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(x.detach().numpy() @ x[0].detach().numpy())


def copied(x: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(np.array(x.detach()) @ np.ones((8, 2), "f4"))


def listed(x: torch.Tensor) -> torch.Tensor:
    return torch.tensor([[sum(a * b for a, b in zip(row, row, strict=True)) for row in x[0].tolist()]])


def one_by_one(x: torch.Tensor) -> torch.Tensor:
    return torch.tensor([[sum(float(a) * float(b) for a, b in zip(x[0, 0], x[0, 1], strict=True))]])


def items(x: torch.Tensor) -> torch.Tensor:
    return torch.tensor([[sum(a.item() ** 2 for a in x[0, 0])]])


def threaded(x: torch.Tensor) -> torch.Tensor:
    found: list[torch.Tensor] = []
    thread = threading.Thread(target=lambda: found.append(x @ x))
    thread.start()
    thread.join()
    return found[0]


POOL = ThreadPoolExecutor(1)


def pooled(x: torch.Tensor) -> torch.Tensor:
    return POOL.submit(lambda: x @ x).result()


THREADS = ThreadPool(1)


def mapped(x: torch.Tensor) -> torch.Tensor:
    return THREADS.map(lambda y: y @ y, [x])[0]


def applied(x: torch.Tensor) -> torch.Tensor:
    return THREADS.apply(lambda y: y @ y, (x,))


def lazily(x: torch.Tensor) -> torch.Tensor:
    return next(THREADS.imap(lambda y: y @ y, [x]))


def pairs(x: torch.Tensor) -> torch.Tensor:
    return torch.pdist(x[0])[None]


def bags(x: torch.Tensor) -> torch.Tensor:
    places = torch.arange(8).view(2, 4)
    return nn.functional.embedding_bag(places, x[0], per_sample_weights=x[0, :2, :4].contiguous(), mode="sum")[None]


def rows(x: torch.Tensor) -> torch.Tensor:
    return (x[0].to_sparse_csr() @ x[0])[None]


def coordinates(x: torch.Tensor) -> torch.Tensor:
    return torch.sparse.mm(x[0].to_sparse(), x[0])[None]


OUTSIDE = [(outside, "numpy"), (copied, "numpy"), (listed, "Python"), (one_by_one, "Python"), (items, "Python")]
OUTSIDE += [(threaded, "another thread"), (pooled, "another thread"), *((way, "another thread") for way in (mapped, applied, lazily))]
INSIDE = [(spectrum, "fft"), (distances, "cdist"), (product, "mv"), (batched, "addbmm"), (singular, "svd")]
INSIDE += [(pairs, "pdist"), (bags, "embedding_bag"), (rows, "mm"), (coordinates, "mm")]


@pytest.mark.parametrize(("operation", "name"), [*INSIDE, *OUTSIDE])
def test_an_operator_that_nobody_counts_leaves_the_field_empty_and_is_named(operation: Callable, name: str) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.answer = nn.LazyLinear(10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.answer(operation(x[:, 0]).flatten(1))

    task, module = datasets.task("digits"), Odd()
    module(task.sample(2)[0])
    costs, notes = counts.measure(module, task, task.budget("smoke"))
    assert costs["flops"] is None and costs["params"] == sum(p.numel() for p in module.parameters())
    assert "flops not measured" in notes and name in notes


def test_pictures_made_larger_are_counted_as_all_that_is_done_number_by_number() -> None:
    """No product of matrices: torch calls the way it weighs neighbours bilinear."""
    task, linear = datasets.task("digits"), nn.Linear(256, 10)
    module = nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Flatten(), linear)
    assert counts.flops(module, task) == 2 * 256 * 10


def test_what_multiplies_nothing_and_stays_here_is_counted() -> None:
    """A length or a truth asked of a tensor, a bag that only adds, numbers kept sparse for a while."""

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.answer = nn.Linear(8, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            first = torch.arange(8).min().item()
            x = x[:, 0] if bool((x > -1).any().item()) else x[:, first]
            table = x[0].to_sparse().to_dense()
            return self.answer(nn.functional.embedding_bag(torch.arange(8)[None], table, mode="sum"))

    start, submit = threading.Thread.start, ThreadPoolExecutor.submit
    assert counts.flops(Plain(), datasets.task("digits")) == 2 * 8 * 10
    assert (threading.Thread.start, ThreadPoolExecutor.submit) == (start, submit)
