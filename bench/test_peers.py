"""Our models against their peers, in turns: pytest bench -m peers --benchmark-only. Writes peers.md and peers.csv.

No time is asserted, as on a shared machine any limit would lie; outputs are, where weights can be carried over.
"""

from __future__ import annotations

import copy
import importlib.metadata
import importlib.util
import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn
from torch.utils.data import DataLoader

import datasets
import models
from bench.conftest import SESSION
from bench.core import machine
from bench.measure import latency
from bench.peers import comparison, peer_models
from bench.peers.comparison import ROUNDS, Call, Row, in_turns, ratio, transplant
from bench.peers.pairs import DEFAULT, FORWARD, PAIRS, Pair
from bench.peers.peer_models import IMAGES, MultiHead, by_hand, example
from bench.run.progress import Progress
from bench.run.session import Session
from bench.store.records import StoreError
from bench.train.loop import Training
from bench.train.optimiser import optimizer
from datasets.shapes import signals
from models.attention import SelfAttention

pytestmark = [pytest.mark.peers, pytest.mark.benchmark(disable_gc=True)]


def built(pair: Pair) -> tuple[nn.Module, nn.Module, Tensor, bool]:
    """Ours, theirs, an input, and whether the weights were carried over."""
    torch.manual_seed(0)
    if pair.model == "SelfAttention":
        theirs: nn.Module = MultiHead(nn.MultiheadAttention(128, 4, dropout=0.1, batch_first=True))
        ours: nn.Module = SelfAttention(128, 4, dropout=0.1)
        transplant(theirs.layer, ours)  # type: ignore[arg-type]
        return ours, theirs, torch.randn(pair.batch, int(pair.input.split()[0]), 128), True
    channels, side, patch = IMAGES[pair.input]
    theirs = peer_models.vision(pair.peer, channels, side, patch)
    same = pair.peer.startswith("vit_pytorch")
    task = datasets.task("mnist" if channels == 1 else "cifar10")
    ours = models.build(pair.model, task, patch=patch, head_dim=64 if same else 32)  # timm's heads share out the width
    if same:
        transplant(theirs, ours)
    return ours, theirs, torch.randn(pair.batch, channels, side, side), same


def forward(module: nn.Module, x: Tensor) -> Call:
    module.eval()

    def call() -> None:
        with torch.inference_mode():
            module(x)

    return call


def step(module: nn.Module, x: Tensor, fused: bool) -> Call:
    """A training step: gradients dropped, forward, backward, Adam."""
    module.train()
    weights: list[Tensor] = list(module.parameters())
    adam = optimizer(datasets.task("mnist").budget("paper"), weights) if fused else torch.optim.Adam(weights, lr=1e-4)
    y = torch.randint(10, (len(x),))

    def call() -> None:
        adam.zero_grad()
        out = module(x)
        (F.cross_entropy(out, y) if out.ndim == 2 else out.square().mean()).backward()
        adam.step()

    return call


@pytest.fixture
def one_thread() -> Iterator[None]:
    with latency.threads(1):
        yield


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[list[Row]]:
    """The rows measured in this session; written in the end, whatever stops it, over earlier ones of the same."""
    rows: list[Row] = []
    yield rows
    known = machine.facts()
    facts: dict[str, object] = {name: known[name] for name in ("cpu", "cores", "torch", "python", "commit")}
    facts |= {
        name: importlib.metadata.version(name) for name in ("vit-pytorch", "timm") if importlib.util.find_spec(name.replace("-", "_"))
    }
    try:
        told = "; ".join(f"{name} {value}" for name, value in facts.items())
        comparison.write(request.config.stash[SESSION].store, [replace(row, facts=told) for row in rows])
    except StoreError as error:
        pytest.exit(f"attention-bench: {error}", returncode=1)


def measure(table: list[Row], progress: Progress, benchmark: BenchmarkFixture, row: Row, round_: Callable[[], tuple[float, float]]) -> None:
    """Run the rounds and put the row into the table."""
    kept: list[tuple[float, float]] = []

    def one() -> None:
        kept.append(round_())
        progress.advance(1 / ROUNDS)

    benchmark.pedantic(one, rounds=ROUNDS)
    mean = ratio(kept)
    ours, theirs = (1e3 * min(times) for times in zip(*kept, strict=True))
    row = replace(row, ours_ms=ours, peer_ms=theirs, ratio=mean.mean, low=mean.low, high=mean.high, rounds=mean.n)
    table.append(row)
    progress.line(row.line())


def skip(table: list[Row], progress: Progress, row: Row, reason: str) -> None:
    table.append(replace(row, reason=reason))
    progress.advance(1.0)
    pytest.skip(reason)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.id)
def test_models(pair: Pair, table: list[Row], progress: Progress, benchmark: BenchmarkFixture, one_thread: None) -> None:
    row = Row(pair.model, pair.peer, pair.input, pair.what, pair.batch, 1, pair.aim)
    package = pair.peer.split(".")[0]
    if importlib.util.find_spec(package) is None:
        skip(table, progress, row, f"{package} is not installed")
    ours, theirs, x, same = built(pair)
    if same:
        with torch.inference_mode():
            difference = float((ours.eval()(x) - theirs.eval()(x)).abs().max())
        assert difference <= 1e-5, f"outputs differ by {difference:g}"

    def round_() -> tuple[float, float]:
        both = copy.deepcopy(ours), copy.deepcopy(theirs)
        if pair.what == FORWARD:
            return in_turns(forward(both[0], x), forward(both[1], x))
        return in_turns(step(both[0], x, fused=True), step(both[1], x, fused=pair.what != DEFAULT))

    measure(table, progress, benchmark, row, round_)


STEPS = 20  # of a training loop in one turn


@pytest.mark.parametrize(("model", "aim"), [("cnn", 1 / 1.3), ("vit", 1 / 1.8)], ids=["cnn", "vit"])
def test_loop(model: str, aim: float, table: list[Row], suite: Session, progress: Progress, benchmark: BenchmarkFixture) -> None:
    """Time of a step of 64 samples: our loop on tensors in memory, and the example's on a DataLoader with transforms of each image."""
    import torchvision.datasets as tv  # every session collects this file, and few come here
    from torchvision import transforms

    peer = "the MNIST example's loop" + (", vit_pytorch.ViT" if model == "vit" else "")
    row = Row(f"{model}, bench.train", peer, "MNIST", "training loop", 64, torch.get_num_threads(), aim)
    root = suite.blank.root
    try:
        data = datasets.load("mnist", root, 0).for_training
        ours_net, theirs_net = (
            sum(p.numel() for p in net.parameters()) for net in (models.build(model, datasets.task("mnist")), example(model))
        )
    except (datasets.Missing, datasets.Corrupt, ImportError) as error:
        skip(table, progress, row, str(error))
    assert ours_net == theirs_net
    task = datasets.task("mnist")
    budget = replace(task.budget("paper"), samples=64 * STEPS, evaluations=1)
    whiten = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    images = tv.MNIST(str(root), train=True, transform=whiten)
    small = replace(data, val=datasets.Split(data.val.x[:64], data.val.y[:64]))

    def ours() -> float:
        training = Training(partial(models.build, model, task), task, budget, [0], [small], torch.device("cpu"))
        training.run()
        return training.position.seconds

    def plain() -> float:
        net = example(model).train()
        adam = torch.optim.Adam(net.parameters(), lr=budget.lr)
        start = time.perf_counter()
        for i, (x, y) in enumerate(DataLoader(images, batch_size=64, shuffle=True)):
            if i == STEPS:
                break
            adam.zero_grad()
            F.cross_entropy(net(x), y).backward()
            adam.step()
        return time.perf_counter() - start

    def round_() -> tuple[float, float]:
        a, b, c, d = ours(), plain(), plain(), ours()
        return (a + d) / 2 / STEPS, (b + c) / 2 / STEPS

    round_()  # warm-up
    measure(table, progress, benchmark, row, round_)


@pytest.mark.parametrize("n", [1000])
def test_signals(n: int, table: list[Row], progress: Progress, benchmark: BenchmarkFixture, one_thread: None) -> None:
    rng, g = random.Random(0), torch.Generator().manual_seed(0)
    row = Row("datasets.shapes", "a loop in Python", f"{n} signals", "drawing", None, 1, 0.1)

    def plain() -> Tensor:
        return torch.tensor([by_hand(rng) for _ in range(n)])

    deviations = signals(n, False, g)[1].std(), plain()[:, 1].std()
    assert math.isclose(*deviations, rel_tol=0.1)
    measure(table, progress, benchmark, row, lambda: in_turns(lambda: signals(n, False, g), plain))
