"""Seeds that are trained together equal the same seeds alone, or are trained alone: what a stack would not see is found beforehand."""

from __future__ import annotations

import functools
import random
import types
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

import datasets
import models
from bench.run.worker import AT_ONCE
from bench.train import shared
from bench.train.faithful import stays_alone
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


class Skipping(Net):
    """A layer is left out now and then, by Python's random numbers: what is traced once would be left out always, or never."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) if random.random() < 0.999 else self.answer(torch.relu(self.first(x.flatten(1))))


class Warming(Net):
    """Something begins after a number of steps that only the module knows."""

    _steps = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self._steps += 1
        return super().forward(x) * (1.0 if self._steps < 100 else 2.0)


class Schedule:
    """A plain object that counts, wherever a module keeps it."""

    def __init__(self) -> None:
        self.n = 0

    def step(self) -> None:
        self.n += 1


class Scheduled(Net):
    """Something begins after a number of passes that an object of the module knows."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.schedule = Schedule()
        self.step = self.schedule.step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.step()
        return super().forward(x) * (1.0 if self.schedule.n < 20 else 0.1)


class Nested(Scheduled):
    """The same, reached by a list in an object that knows its module; both go round in circles."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.plan = types.SimpleNamespace(parts=[{"deep": self.schedule}], owner=self)
        self.plan.parts.append(self.plan)
        del self.schedule, self.step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.plan.parts[0]["deep"].step()
        return Net.forward(self, x) * (1.0 if self.plan.parts[0]["deep"].n < 20 else 0.1)


class Closed(Net):
    """The same in a function's closure."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        n = 0

        def factor() -> float:
            nonlocal n
            n += 1
            return 1.0 if n < 20 else 0.1

        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * self.factor()


class Drawing(Net):
    """Random numbers of an own generator of Python's are drawn, though not used yet."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.draw = random.Random(1).random

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * (1.0 if self.draw() < 0.999 else 0.1)


class Sealed(Net):
    """An object that does not let itself be compared."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.sealed = Seal()


class Seal:
    def __deepcopy__(self, memo: object) -> Seal:
        return self

    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError("not to be written")


class Holding(Net):
    """What holds no state: functions, a layer's method, types, dtypes, settings in an object, an operator, what knows itself."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.functions = [torch.relu, nn.functional.gelu, torch.Tensor.relu, lambda x: x * self.scale, functools.partial(torch.sum, dim=0)]
        self.own, self.operator, self.scale = self.first.forward, torch.ops.aten.relu.default, 1.0
        self.kinds = {torch.float32: nn.Linear, "device": torch.device("cpu"), "order": torch.strided, "rows": np.arange(3)}
        self.schedule, self.generator = Schedule(), torch.Generator()
        self.schedule.back = self.schedule


class Remembering(Net):
    """A tensor that is no buffer follows the activations, and is used only later."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.seen = torch.zeros(12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += torch.relu(self.first(x.flatten(1))).detach().mean(0)
        return super().forward(x)


class Tiring(Net):
    """A class counts the calls of all its models, and they answer less and less, though not at once."""

    calls = 0
    noted: ClassVar[list[int]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        Tiring.calls += 1
        self.noted.append(Tiring.calls)
        return super().forward(x) * min(1.0, 5 / len(self.noted))


def normalised(task: Task) -> Net:
    """Spectral normalisation goes on with its power iteration at every pass."""
    net = Net(task)
    nn.utils.parametrizations.spectral_norm(net.second)
    return net


def weighted(task: Task, norm: Callable[..., nn.Module] = nn.utils.parametrizations.weight_norm) -> Net:
    net = Net(task)
    norm(net.second)
    return net


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
    "skipping": (Skipping, "random numbers or a state"),
    "warming": (Warming, "state of its own"),
    "scheduled": (Scheduled, "state of its own"),
    "nested": (Nested, "state of its own"),
    "closed": (Closed, "state of its own"),
    "drawing": (Drawing, "state of its own"),
    "sealed": (Sealed, "cannot be told: TypeError"),
    "remembering": (Remembering, "state of its own"),
    "tiring": (Tiring, "state of its own"),
    "normalised": (normalised, "buffers change"),
    "weight_norm of before": (lambda task: weighted(task, nn.utils.weight_norm), "hooks"),
}


@pytest.mark.parametrize("name", ALONE)
def test_what_a_stack_would_not_see_is_trained_alone(name: str) -> None:
    build, reason = ALONE[name]
    task = datasets.task("digits")
    found = stays_alone(build(task), 1e3, task, SHORT, CPU)
    assert found is not None and reason in found


def test_no_seed_goes_on_from_what_another_left_in_a_class() -> None:
    task, data = datasets.task("digits"), [datasets.load("digits", seed=1).for_training]

    def losses(build: Callable[[], nn.Module]) -> list[float]:
        return Training(build, task, SHORT, [1], data, CPU).run()[0].curve.train_loss

    build = shared.alike(lambda: Tiring(task), Tiring(task))
    first = losses(build)
    Tiring.late = 1  # type: ignore[attr-defined]
    assert losses(build) == first and not hasattr(Tiring, "late")
    assert losses(lambda: Tiring(task)) != first


def test_only_data_are_what_models_hold_in_common() -> None:
    ring: list[Any] = []
    ring.append(ring)
    assert shared.data({"a": [1, (2.0, "b")], 3: {None, b"c"}}) and shared.data(torch.ones(2)) and shared.data(deque([np.ones(2)]))
    assert not any(map(shared.data, (ring, len, nn.Linear, [print], torch.ones(2, requires_grad=True) * 2)))


def test_asking_a_module_changes_nothing_in_it() -> None:
    task = datasets.task("digits")
    net = Counting(task)
    state, noise = {k: v.clone() for k, v in net.state_dict().items()}, torch.get_rng_state()
    stays_alone(net, 1e3, task, SHORT, CPU)
    assert net.calls == 0 and net.training
    assert all(torch.equal(state[k], v) for k, v in net.state_dict().items())
    assert torch.equal(noise, torch.get_rng_state())


class Fourier(Net):
    """Random features of the seed's own that are neither parameter nor buffer."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.features = torch.randn(12, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.answer(torch.cos(self.first(x.flatten(1)) @ self.features))


class Ordered(Net):
    """An order of places that is drawn when it is built."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.order = torch.randperm(12).tolist()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.answer(torch.tanh(self.second(self.first(x.flatten(1))[:, self.order])))


@pytest.mark.parametrize("made", [Fourier, Ordered])
def test_seeds_that_differ_in_more_than_parameters_do_not_stack(made: type[Net]) -> None:
    task = datasets.task("digits")
    data = [datasets.load("digits", seed=seed).for_training for seed in (0, 1)]
    with pytest.raises(RuntimeError, match="answer otherwise in a stack than alone"):
        Training(lambda: made(task), task, SHORT, [0, 1], data, CPU)
    Training(lambda: made(task), task, SHORT, [1], data[1:], CPU)


@pytest.mark.parametrize("made", [weighted, Net, Holding])
def test_what_stacks_faithfully_is_stacked(made: Callable[[Task], nn.Module]) -> None:
    """A weight that is computed from two others is one, too."""
    task = datasets.task("digits")
    assert stays_alone(made(task), 1e3, task, SHORT, CPU) is None
    data = [datasets.load("digits", seed=seed).for_training for seed in (0, 1)]
    together = Training(lambda: made(task), task, SHORT, [0, 1], data, CPU).run()
    for one, own in zip(together, data, strict=True):
        (alone,) = Training(lambda: made(task), task, SHORT, [one.seed], [own], CPU).run()
        assert one.curve.train_loss == pytest.approx(alone.curve.train_loss, rel=1e-4)


BACKBONES = ("conv", "local", "mlp", "none", "recurrent")
PLAIN = ("mlp", "linear", "mlp_mixer", "transformer", *(f"backbone_{name}" for name in BACKBONES))  # quick elsewhere
STACKING = [
    pytest.param(model, dataset, marks=[pytest.mark.slow] * (model in PLAIN and dataset != "iris"))
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
