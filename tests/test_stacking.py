"""Seeds that are trained together equal the same seeds alone, or are trained alone: what a stack would not see is found beforehand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import datasets
import models
from bench.run.worker import AT_ONCE
from bench.train.learners import stays_alone
from bench.train.loop import Training
from datasets.task import Budget, Task

CPU = torch.device("cpu")
SHORT = Budget("short", samples=120, batch=10, lr=1e-2, optimizer="adamw", schedule="cosine", warmup=0.1, evaluations=3)


class Net(nn.Module):
    """Two layers and an answer; what is unusual about it is done to it from outside."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(task.input.size, 12), nn.Linear(12, 12)
        self.answer = nn.Linear(12, task.output.size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.answer(torch.tanh(self.second(torch.relu(self.first(x.flatten(1))))))


class Averaging(Net):
    """A buffer follows the activations."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.register_buffer("mean", torch.zeros(12))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.first(x.flatten(1)))
        if self.training:
            self.mean.mul_(0.9).add_(0.1 * hidden.detach().mean(0))
        return self.answer(torch.tanh(self.second(hidden - self.mean)))


class Counting(Net):
    """A number that is no buffer changes with every call."""

    calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().forward(x) * (1 + 0.1 * self.calls)


class Shaking(Net):
    """Random numbers from a generator of its own."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.shakes = torch.Generator().manual_seed(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + 0.1 * torch.randn(1, generator=self.shakes)


def frozen(task: Task) -> Net:
    net = Net(task)
    net.first.requires_grad_(False)
    return net


def tied(task: Task) -> Net:
    net = Net(task)
    net.second.weight = nn.Parameter(torch.eye(12))
    net.more = nn.Linear(12, 12)  # type: ignore[assignment]
    net.more.weight = net.second.weight  # type: ignore[union-attr]
    return net


def hooked(task: Task) -> Net:
    net = Net(task)
    net.first.register_forward_hook(lambda module, x, out: 2 * out)
    return net


def pulled(task: Task) -> Net:
    net = Net(task)
    net.first.weight.register_hook(lambda gradient: 0.5 * gradient)
    return net


ALONE: dict[str, tuple[Callable[[Task], nn.Module], str]] = {
    "frozen": (frozen, "not to be trained"),
    "tied": (tied, "shared"),
    "hooked": (hooked, "hooks"),
    "pulled": (pulled, "hooks"),
    "averaging": (Averaging, "buffers change"),
    "counting": (Counting, "state of its own"),
    "shaking": (Shaking, "random numbers or a state"),
}


@pytest.mark.parametrize("name", ALONE)
def test_what_a_stack_would_not_see_is_trained_alone(name: str) -> None:
    build, reason = ALONE[name]
    task = datasets.task("digits")
    found = stays_alone(build(task), 1e3, task, SHORT, CPU)
    assert found is not None and reason in found


def test_asking_a_module_changes_nothing_in_it() -> None:
    task = datasets.task("digits")
    net = Counting(task)
    state, noise = {k: v.clone() for k, v in net.state_dict().items()}, torch.get_rng_state()
    stays_alone(net, 1e3, task, SHORT, CPU)
    assert net.calls == 0 and net.training
    assert all(torch.equal(state[k], v) for k, v in net.state_dict().items())
    assert torch.equal(noise, torch.get_rng_state())


STACKING = [
    (model, dataset)
    for dataset in ("digits", "xor", "iris")
    for model in models.names()
    if model not in ("ridge", "nearest_neighbours", "boosting")
]


@pytest.mark.parametrize(("model", "dataset"), STACKING)
def test_stacked_seeds_equal_the_same_seeds_alone(model: str, dataset: str) -> None:
    """In float64, so that what is left between them is the order of sums, and not a thousand roundings."""
    task = datasets.task(dataset)
    try:
        module = models.build(model, task)
    except models.Unsupported as reason:
        pytest.skip(str(reason))
    if (why := stays_alone(module, 1.0, task, SHORT, CPU)) is not None:
        pytest.skip(why)
    assert AT_ONCE > 2
    torch.set_default_dtype(torch.float64)
    try:
        data = [datasets.load(dataset, seed=seed).for_training for seed in (0, 1)]
        wide = [
            type(d)(*(type(s)(s.x.double(), s.y.double() if s.y.is_floating_point() else s.y) for s in (d.train, d.val)), d.augment)
            for d in data
        ]

        def build() -> nn.Module:
            return models.build(model, task).double()

        together = Training(build, task, SHORT, [0, 1], wide, CPU).run()
        for one, own in zip(together, wide, strict=True):
            (alone,) = Training(build, task, SHORT, [one.seed], [own], CPU).run()
            assert one.curve.train_loss == pytest.approx(alone.curve.train_loss, rel=1e-6)
            for name, value in alone.last.items():
                torch.testing.assert_close(one.last[name], value, rtol=1e-6, atol=1e-8, msg=f"{name} of seed {one.seed}")
    finally:
        torch.set_default_dtype(torch.float32)
