"""The spatial transformer and the recurrent attention model: what they sample, what they see, and what teaches them where to look."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torchvision.transforms.functional import InterpolationMode, affine

import datasets
import models
from datasets.task import Input, Output, Task
from models.ram import Glimpses, Ram, Sensor, reinforce
from models.stn import warp


def images(*shape: int, classes: int = 10) -> Task:
    return replace(datasets.task("digits"), name="pictures", input=Input("image", shape), output=Output("classes", classes))


def drawn(task: Task, batch: int = 4, seed: int = 1) -> tuple[Tensor, Tensor]:
    return task.sample(batch, torch.Generator().manual_seed(seed))


def built(name: str, task: Task, **size: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return models.build(name, task, **size)


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


MNIST, CANVAS, SMALL, COLOUR = images(1, 28, 28), images(1, 60, 60), images(1, 16, 16), images(3, 32, 32)
SHAPES = pytest.mark.parametrize("task", [MNIST, CANVAS, SMALL, COLOUR, images(1, 20, 37)], ids=lambda task: str(task.input.shape))


@pytest.mark.parametrize(
    ("name", "task", "wanted"),
    [
        ("stn", MNIST, 40_880),
        ("stn_published", MNIST, 40_880),
        ("stn_cnn", MNIST, 40_919),
        ("ram_published", CANVAS, 490_764),
        ("ram", CANVAS, 491_277),
        ("ram_random", CANVAS, 489_738),
    ],
)
def test_published_counts(name: str, task: Task, wanted: int) -> None:
    assert count(built(name, task)) == wanted


@SHAPES
def test_the_plain_cnn_is_as_large_as_the_transformer_and_no_smaller(task: Task) -> None:
    assert 1 <= count(built("stn_cnn", task)) / count(built("stn", task)) < 1.01


@SHAPES
@pytest.mark.parametrize("name", ["stn", "stn_cnn", "stn_published", "ram", "ram_random", "ram_published"])
def test_every_size_in_every_arithmetic(name: str, task: Task) -> None:
    model, (x, y) = built(name, task), drawn(task)
    loss = getattr(model, "loss", lambda x, y, task, generator: task.loss(model(x), y))
    predict = getattr(model, "predict", lambda x, task: model(x))
    for dtype, autocast in ((torch.float32, True), (torch.float32, False), (torch.float64, False)):
        model = model.to(dtype).train()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            value = loss(x.to(dtype), y, task, torch.Generator().manual_seed(0))
            value.backward()
            out = predict(x.to(dtype), task)
        assert value.isfinite() and value.dtype == dtype
        assert out.shape == (4, 10) and out.isfinite().all()


@pytest.mark.parametrize("name", ["stn", "stn_cnn", "stn_published", "ram", "ram_random", "ram_published"])
def test_unsupported_input_gives_a_reason(name: str) -> None:
    for task, reason in (
        (datasets.task("iris"), "this task gives table"),
        (images(1, 15, 40), "15×40 pixels"),
        (replace(MNIST, output=Output("value", 1)), "this task asks for value"),
    ):
        with pytest.raises(models.Unsupported, match=reason):
            models.build(name, task)
    if "ram" in name:
        with pytest.raises(models.Unsupported, match="4 channels"):
            models.build(name, images(4, 28, 28))


# The spatial transformer


@SHAPES
def test_stn_starts_as_its_body(task: Task) -> None:
    model, x = built("stn", task).double().eval(), drawn(task)[0].double()
    assert torch.allclose(model.straighten(x), x, atol=1e-5)
    assert torch.allclose(model(x), model.body(x), atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_warp_against_torchvision(seed: int) -> None:
    """Both say how to turn, scale and shift a picture; ours is told the way back, from output to input."""
    side, g = 33, torch.Generator().manual_seed(seed)
    picture = torch.rand(2, 3, side, side, generator=g)
    angle, scale, right, down = (2 * torch.rand(4, generator=g) - 1).tolist()
    angle, scale, shift = 60 * angle, 0.7 + 0.3 * (scale + 1), [round(8 * right), round(8 * down)]
    theirs = affine(picture, angle, shift, scale, [0.0, 0.0], InterpolationMode.BILINEAR)
    turn = torch.tensor(
        [[math.cos(math.radians(angle)), math.sin(math.radians(angle))], [-math.sin(math.radians(angle)), math.cos(math.radians(angle))]]
    )
    back = turn / scale
    offset = -back @ torch.tensor(shift, dtype=torch.float32)[:, None] * 2 / side
    ours = warp(picture, torch.cat([back, offset], 1).expand(2, -1, -1))
    inside = affine(torch.ones_like(picture), angle, shift, scale, [0.0, 0.0], InterpolationMode.BILINEAR) == 1
    assert inside.float().mean() > 0.3
    assert (ours - theirs)[inside].abs().max() < 1e-4


def test_warp_brings_in_each_images_own_darkest_value() -> None:
    x = torch.rand(2, 3, 16, 16) + 1
    away = torch.tensor([[1.0, 0, 5], [0, 1, 0]]).expand(2, -1, -1)
    assert torch.allclose(warp(x, away), x.amin((2, 3), keepdim=True).expand_as(x))


# The glimpse sensor


def slowly(image: Tensor, x: float, y: float, patch: int) -> Tensor:
    """The three squares of one image (c, h, w) around one place, pixel by pixel: (3, c, patch, patch)."""
    channels, height, width = image.shape
    column, row = (min(max(round((at + 1) / 2 * side), 0), side) for at, side in ((x, width), (y, height)))
    out = torch.zeros(3, channels, patch, patch)
    for c in range(channels):
        for scale in (0, 1, 2):
            step, half = 2**scale, patch * 2**scale // 2
            for i in range(patch):
                for j in range(patch):
                    total = 0.0
                    for r in range(row - half + i * step, row - half + (i + 1) * step):
                        for k in range(column - half + j * step, column - half + (j + 1) * step):
                            total += float(image[c, r, k] if 0 <= r < height and 0 <= k < width else image[c].min())
                    out[scale, c, i, j] = total / step**2
    return out


@pytest.mark.parametrize(("shape", "patch"), [((1, 60, 60), 8), ((3, 28, 32), 8), ((1, 16, 20), 4)], ids=str)
def test_sensor_against_a_slow_crop(shape: tuple[int, int, int], patch: int) -> None:
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)) + 0.5
    places = 2.2 * torch.rand(2, 3, 2, generator=torch.Generator().manual_seed(1)) - 1.1
    places[0, 0], places[1, 0] = torch.tensor([-1.0, 1.0]), torch.tensor([1.0, -1.0])
    sensor = Sensor(patch, *shape[1:])
    seen = sensor(sensor.survey(x), places)
    for b in range(2):
        for r in range(3):
            assert torch.allclose(seen[b, r], slowly(x[b], *places[b, r].tolist(), patch).flatten(), atol=1e-5)


# What teaches ram where to look


def test_reinforce_is_unbiased_with_any_baseline() -> None:
    """Two choices among three, the second knowing the first: all nine outcomes, weighed by their probability."""
    g = torch.Generator().manual_seed(0)
    first, second, rewards = (torch.randn(*shape, generator=g, dtype=torch.float64) for shape in ((3,), (3, 3), (3, 3)))
    theta = torch.cat([first[None], second]).requires_grad_()

    def log_probabilities(theta: Tensor) -> Tensor:
        choices = theta.log_softmax(-1)
        return torch.stack([choices[0, :, None].expand(3, 3), choices[1:]], -1)

    def expected(theta: Tensor) -> float:
        return float((log_probabilities(theta.detach()).sum(-1).exp() * rewards).sum())

    wanted = torch.zeros_like(theta)
    for index in range(theta.numel()):
        step = torch.zeros_like(theta)
        step.view(-1)[index] = 1e-5
        wanted.view(-1)[index] = (expected(theta + step) - expected(theta - step)) / 2e-5
    weights = log_probabilities(theta).sum(-1).exp().detach()
    spread = []
    for scale in (0.0, 1.0):
        # Known before each choice: nothing before the first, the first before the second.
        baseline = scale * torch.stack([torch.full((3, 3), 0.7), torch.tensor([[0.3], [-2.0], [5.0]]).expand(3, 3)], -1)
        estimates = torch.stack(
            [
                torch.autograd.grad(
                    reinforce(log_probabilities(theta)[a, b][None], rewards[a, b].expand(1, 2), baseline[a, b][None]), theta
                )[0]
                for a in range(3)
                for b in range(3)
            ]
        )
        mean = (weights.flatten()[:, None, None] * estimates).sum(0)
        assert torch.allclose(mean, -wanted, atol=1e-9)
        spread.append(estimates)
    assert not torch.allclose(*spread), "the baseline did nothing"


def fixed(task: Task, **size: object) -> Ram:
    """A ram in float64 that starts every rollout in the middle, so that its first state is known."""
    torch.manual_seed(0)
    model = models.build("ram", task, glimpses=2, **size).double()
    model.begin = lambda x, rollouts, generator: torch.zeros(len(x), rollouts, 2, dtype=x.dtype)
    return model


@pytest.mark.parametrize("reward", ["gain", "right"])
def test_gradient_of_the_location_head_against_quadrature(reward: str) -> None:
    """One choice on one image: the expected reward is an integral over the canvas, its slope a finite difference."""
    model = fixed(SMALL, rollouts=8_000, reward=reward, std=0.3)
    with torch.no_grad():
        model.what.weight.mul_(5)
        model.where.weight.mul_(20)
        model.classes.weight.mul_(20)
        model.location.bias.copy_(torch.tensor([0.2, -0.3]))
    x = drawn(SMALL, batch=1)[0].double()
    steps = torch.linspace(-2, 2, 121, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).view(1, -1, 2)

    def expected(shift: Tensor) -> float:
        off = (grid[0] - (mean + shift).tanh()) / 0.3
        density = (-off.square().sum(-1) / 2).exp() / (2 * math.pi * 0.3**2)
        return float((density * rewards).sum() * (steps[1] - steps[0]) ** 2)

    with torch.no_grad():
        survey = model.sensor.survey(x)
        state = model.glimpse(survey, torch.zeros(1, 1, 2, dtype=torch.float64), None)
        after = model.glimpse(survey, grid.clamp(-1, 1), state)
        model.classes.bias.sub_(model.classes(after).mean((0, 1)))  # so that the answer depends on the place
        y = model.classes(after).argmax(-1)[0].mode().values[None]  # right in most places, not in all
        before, gained = (model.classes(s).log_softmax(-1)[0, :, y[0]] for s in (state, after))
        right = model.classes(after).argmax(-1)[0] == y[0]
        rewards = gained - before if reward == "gain" else right.double()
        mean = model.location(state)[0, 0]
        model.baseline.weight.zero_()
        model.baseline.bias.fill_(expected(torch.zeros(2)))  # less noise, the same mean

    axes = torch.eye(2, dtype=torch.float64) * 1e-4
    wanted = torch.tensor([(expected(axis) - expected(-axis)) / 2e-4 for axis in axes])
    assert wanted.abs().max() > 0.2, "nothing to gain by looking elsewhere: the test shows nothing"
    model.loss(x, y, SMALL, torch.Generator().manual_seed(0)).backward()
    assert torch.allclose(-model.location.bias.grad, wanted.double(), atol=0.1 * float(wanted.abs().max()))


def test_only_reinforce_teaches_the_location_head_of_ram_and_only_the_message_that_of_ram_published() -> None:
    x, y = drawn(MNIST)
    for name, told, taught in (("ram", True, True), ("ram", False, True), ("ram_published", True, True), ("ram_published", False, False)):
        model = built(name, MNIST)
        if not told:  # where it looks is no longer said, only seen
            torch.nn.init.zeros_(model.where.weight)
        model.loss(x, y, MNIST, torch.Generator().manual_seed(0)).backward()
        assert bool((model.location.weight.grad != 0).any()) == taught, (name, told)


def test_the_policy_gradient_stays_out_of_the_core_unless_asked() -> None:
    x, y = drawn(SMALL)
    gradients = []
    for baseline, core in ((0.0, False), (9.0, False), (9.0, True)):
        model = built("ram", SMALL, core=core)
        torch.nn.init.constant_(model.baseline.bias, baseline)  # changes the size of the policy's gradient alone
        model.loss(x, y, SMALL, torch.Generator().manual_seed(0)).backward()
        gradients.append(model.keep.weight.grad)
    assert torch.equal(gradients[0], gradients[1])
    assert not torch.allclose(gradients[1], gradients[2])


@pytest.mark.parametrize("name", ["ram", "ram_random", "ram_published"])
def test_loss_depends_on_the_generator_alone(name: str) -> None:
    model, (x, y) = built(name, CANVAS), drawn(CANVAS)

    def loss(seed: int) -> float:
        return model.loss(x, y, CANVAS, torch.Generator().manual_seed(seed)).item()

    before = torch.get_rng_state()
    first = loss(0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(123)
    assert loss(0) == first != loss(1)


@pytest.mark.parametrize("name", ["ram", "ram_random"])
def test_evaluation_is_fixed_and_knows_no_batch(name: str) -> None:
    model, (x, _) = built(name, CANVAS).eval(), drawn(CANVAS)
    assert isinstance(model, Glimpses)
    out = model.predict(x, CANVAS)
    assert torch.equal(out, model.predict(x, CANVAS))
    assert torch.equal(model.starts, built(name, CANVAS).starts), "another seed must not look from other places"
    assert torch.allclose(model.predict(x[2:3], CANVAS), out[2:3], atol=1e-5)
    assert torch.allclose(out.exp().sum(1), torch.ones(4), atol=1e-5)
    one_by_one = torch.stack([model.rollouts(x, start.expand(4, 1, -1))[:, 0].softmax(-1) for start in model.starts])
    assert torch.allclose(out.exp(), one_by_one.mean(0), atol=1e-5)
    assert torch.allclose(model(x).softmax(-1), one_by_one[0], atol=1e-5)
    assert (one_by_one[0] - one_by_one[1]).abs().max() > 1e-4, "another start must show something else"
