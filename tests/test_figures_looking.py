"""Attention rollout against a slow reference; the spatial transformer's pictures and the eye's paths are what the models do."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import datasets
import models
from bench.figures import attended, glimpses, kinds, looking, samples
from bench.figures.subject import NoPicture, Subject
from bench.store.records import Store
from bench.tables.rows import Row
from datasets.data import Split
from datasets.task import Input, Task

DIGITS = datasets.task("digits")
SMALL, MNIST, COLOUR = (replace(DIGITS, name="pictures", input=Input("image", shape)) for shape in ((1, 16, 16), (1, 28, 28), (3, 32, 32)))
EYES = ["ram", "ram_published", "ram_random"]


def built(name: str, task: Task) -> nn.Module:
    """Random weights; those of the last layer of a spatial transformer too, which start as the identity."""
    torch.manual_seed(5)
    module = models.build(name, task).eval().requires_grad_(False)
    if name == "stn":
        last = module.get_submodule("localise")[-1]  # type: ignore[index]
        last.weight.normal_(0, 0.4)
        last.bias.add_(0.1 * torch.randn(6))
    return module


def drawn(task: Task, batch: int) -> tuple[Tensor, Tensor]:
    return task.sample(batch, torch.Generator().manual_seed(1))


def slow_rollout(layers: list[Tensor], classed: bool) -> Tensor:
    """Of one sample, layers (heads, query, key), in lists of floats: how much of each token there is in each, layer by layer."""
    tokens = layers[0].shape[-1]
    held = [[float(i == j) for j in range(tokens)] for i in range(tokens)]
    for weights in layers:
        new = []
        for query in range(weights.shape[1]):
            row = [sum(abs(float(head[query, key])) for head in weights) for key in range(tokens)]
            row = [0.5 * w / sum(row) + 0.5 * (key == query) for key, w in enumerate(row)]
            new.append([sum(row[k] * held[k][j] for k in range(tokens)) for j in range(tokens)])
        held = new
    answer = held[0][1:] if classed else [sum(row[j] for row in held) / len(held) for j in range(tokens)]
    return torch.tensor([share / sum(answer) for share in answer], dtype=torch.float64)


@pytest.mark.parametrize(
    ("model", "task", "grid", "classed"),
    [
        ("vit", DIGITS, (2, 2), True),
        ("deepvit", DIGITS, (2, 2), True),
        ("hybrid", SMALL, (2, 2), True),
        ("transformer", DIGITS, (4, 4), False),
        ("backbone_attention", MNIST, (7, 7), False),
    ],
)
def test_rollout_against_lists_of_floats(model: str, task: Task, grid: tuple[int, int], classed: bool) -> None:
    module, (x, _) = built(model, task), drawn(task, 2)
    heat, plain = attended.looked_at(module, x)
    assert heat.shape == (2, *grid) and plain == (model != "deepvit")
    layers = attended.maps(module, x)
    assert (layers[-1].shape[2] == 1) == classed
    for i in range(2):
        wanted = slow_rollout([weights[i] for weights in layers], classed)
        assert torch.allclose(heat[i].flatten(), wanted, rtol=1e-10, atol=0)
    assert torch.allclose(heat.sum((1, 2)), torch.ones(2, dtype=torch.float64))


def test_rollout_of_layers_that_look_at_one_token() -> None:
    """Half of what a layer passes on is what it looked at: after two layers a quarter is left of where it started."""
    looks = torch.zeros(1, 2, 4, 4)
    looks[..., 2] = 1
    one = attended.rolled([looks], classed=False)[0]
    assert torch.allclose(one, torch.tensor([0.125, 0.125, 0.625, 0.125], dtype=torch.float64))
    two = attended.rolled([looks, looks], classed=False)[0]
    assert torch.allclose(two, torch.tensor([0.0625, 0.0625, 0.8125, 0.0625], dtype=torch.float64))


def test_rollout_reads_the_class_token_without_its_own_share() -> None:
    looks = torch.tensor([[0.4, 0.3, 0.2, 0.1], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1]])[None, None]
    wanted = torch.tensor([[0.15, 0.1, 0.05]], dtype=torch.float64) / 0.3
    assert torch.allclose(attended.rolled([looks], classed=True), wanted)
    assert torch.allclose(attended.rolled([looks[:, :, :1]], classed=True), wanted)


@pytest.mark.parametrize("task", [DIGITS, SMALL, MNIST, COLOUR], ids=lambda task: str(task.input.shape))
def test_the_hybrids_patches_lie_where_its_map_sees(task: Task) -> None:
    """By the gradient: a cell of the map depends on the pixels of its own square and `reach` around it, on no others."""
    torch.manual_seed(0)
    front = models.build("hybrid", task)
    assert isinstance(front, nn.Sequential)
    height = task.input.shape[1]
    where = attended.field(front, height, height)
    step = where.height // front[:-1](torch.zeros(1, *task.input.shape)).shape[2]
    for cell in range(where.height // step):
        touched = torch.zeros(height, dtype=torch.bool)
        for seed in range(8):
            x = torch.randn(1, *task.input.shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()
            front[:-1](x)[0, :, cell].sum().backward()
            assert x.grad is not None
            touched |= x.grad[0].abs().sum((0, 2)) > 0
        first = where.start + cell * step - where.reach
        last = where.start + (cell + 1) * step + where.reach - 1
        assert touched.nonzero().flatten().tolist() == list(range(int(first), int(last) + 1))
    assert attended.field(built("vit", task), height, height) == (0, height, height, 0)


def test_the_heat_that_is_drawn_is_the_rollout_at_its_place() -> None:
    module, (x, y) = built("hybrid", SMALL), drawn(SMALL, 3)
    heat, _ = attended.looked_at(module, x)
    where = attended.field(module, 16, 16)
    figure = looking.rollout_drawn(x, y, module(x).argmax(1), heat, where, "title", "told")
    below = [axes for axes in figure.axes if len(axes.images) == 2]
    assert len(below) == 3
    for axes, share in zip(below, heat, strict=True):
        assert np.array_equal(axes.images[1].get_array(), share.numpy())
        assert axes.images[1].get_extent() == [2, 14, 14, 2]
        assert [t.get_text() for t in axes.texts] == [f"{100 * s:.0f}" for s in share.flatten()]


@pytest.mark.parametrize("task", [SMALL, MNIST, COLOUR], ids=lambda task: str(task.input.shape))
def test_the_lower_row_is_what_the_spatial_transformer_hands_on(task: Task) -> None:
    module, (x, y) = built("stn", task), drawn(task, 4)
    straight = module.straighten(x)  # type: ignore[operator]
    seen: list[Tensor] = []
    module.get_submodule("body").register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    predicted = module(x).argmax(1)
    assert torch.equal(seen[0], straight)
    figure = looking.stn_drawn(x, y, predicted, straight, torch.zeros(4, 4, 2), "title", "told")
    above, below = figure.axes[::2], figure.axes[1::2]
    for row, images in ((above, x), (below, straight)):
        for axes, image in zip(row, images, strict=True):
            array = torch.as_tensor(np.asarray(axes.images[0].get_array()))
            if len(image) == 1:
                assert torch.equal(array, image[0])
            else:
                low, high = (v.view(-1, 1, 1) for v in (x.amin((0, 2, 3)), x.amax((0, 2, 3))))
                assert torch.allclose(array.permute(2, 0, 1) * (high - low) + low, image, atol=1e-5)
    assert [axes.get_title() for axes in above] == [f"{a} → {b}" for a, b in zip(y.tolist(), predicted.tolist(), strict=True)]


def test_the_frame_is_where_the_samples_come_from() -> None:
    """Of an image whose brightness is the place itself, what is sampled near the corners tells where the corners are."""
    side = 16
    places = torch.arange(side) + 0.5
    ramp = torch.stack([places.expand(side, side), places[:, None].expand(side, side)])[None]
    affine = torch.tensor([[[0.5, 0.1, 0.05], [-0.1, 0.4, -0.1]]])
    sampled = models.stn.warp(ramp, affine)[0]  # type: ignore[attr-defined]
    corners = looking.corners(affine, side, side)[0]
    for corner, (row, column) in zip(corners, ((0, 0), (0, -1), (-1, -1), (-1, 0)), strict=True):
        assert (sampled[:, row, column] - corner).abs().max() < 0.5  # the middle of the pixel in that corner
    centre = sampled[:, side // 2 - 1 : side // 2 + 1, side // 2 - 1 : side // 2 + 1].mean((1, 2))
    assert torch.allclose(corners.mean(0), centre, atol=1e-4)
    assert looking.corners(torch.eye(2, 3)[None], 10, 20).tolist() == [[[0, 0], [20, 0], [20, 10], [0, 10]]]


def test_the_finding_is_by_how_much_frames_are_turned_and_how_large_they_are() -> None:
    angles = torch.deg2rad(torch.linspace(-50, 50, 11))
    turns = torch.stack([torch.stack([angles.cos(), -angles.sin()], 1), torch.stack([angles.sin(), angles.cos()], 1)], 1)
    found = looking.stn_finding(torch.cat([0.5 * turns, torch.zeros(11, 2, 1)], 2))
    assert found == ("enlarges what it sees: 8 of 10 frames are turned by −40 to 40° and have 25 to 25 % of the image's area (median 25 %)")


def test_frames_that_some_images_are_smaller_in_are_not_said_to_enlarge() -> None:
    sides = torch.linspace(0.6, 1.4, 11)  # areas from 36 to 196 %, the median 100 %
    found = looking.stn_finding(0.9 * sides[:, None, None] * torch.eye(2, 3))
    assert found.startswith("enlarges some of what it sees and shrinks the rest: ")


@pytest.mark.parametrize("model", EYES)
@pytest.mark.parametrize("task", [SMALL, MNIST, COLOUR], ids=lambda task: str(task.input.shape))
def test_the_path_is_that_of_forward(model: str, task: Task) -> None:
    module, (x, _) = built(model, task), drawn(task, 3)
    walk = glimpses.path(module, x)
    assert torch.equal(walk.logits, module(x)) and not module.get_submodule("sensor")._forward_hooks
    survey, state = module.sensor.survey(x), None  # type: ignore[union-attr,operator]
    published = model == "ram_published"  # each image has a start of its own
    first = module.start(x)[:, 0] if published else module.starts[:1, :2].expand(3, -1)  # type: ignore[operator,index]
    assert walk.places.shape == (3, 6, 2) and torch.equal(walk.places[:, 0], first)
    for step in range(6):
        place = walk.places[:, step : step + 1]
        if state is not None and model != "ram_random":
            assert torch.allclose(place, module.place(state), atol=1e-6)  # type: ignore[operator]
        seen = module.sensor(survey, place)  # type: ignore[operator]
        assert torch.equal(walk.seen[:, step].flatten(1), seen[:, 0])
        state = module.glimpse(survey, place, state)  # type: ignore[operator]
    assert torch.allclose(module.classes(state)[:, 0], walk.logits, atol=1e-5)  # type: ignore[operator]


def test_what_was_seen_is_cut_from_the_image_at_the_place() -> None:
    module, (x, _) = built("ram", MNIST), drawn(MNIST, 2)
    walk = glimpses.path(module, x)
    corners = glimpses.pixels(walk.places, 28, 28).long()
    dark = x.amin((2, 3), keepdim=True)
    padded = torch.nn.functional.pad(x - dark, (16,) * 4) + dark
    for i, step, scale in np.ndindex(2, 6, 3):
        across, down = (corners[i, step] + 16).tolist()
        half = 4 * 2**scale
        square = padded[i, :, down - half : down + half, across - half : across + half]
        wanted = torch.nn.functional.avg_pool2d(square, 2**scale)
        assert torch.allclose(walk.seen[i, step, scale], wanted, atol=1e-5)


def test_the_path_that_is_drawn() -> None:
    module, (x, y) = built("ram", SMALL), drawn(SMALL, 2)
    places = 2 * torch.rand(2, 6, 2, generator=torch.Generator().manual_seed(0)) - 1  # all of them different
    walk = glimpses.path(module, x)._replace(places=places)
    figure = glimpses.glimpses_drawn(x, y, walk, "title", "told")
    for i, (axes, below) in enumerate(zip(figure.axes[::2], figure.axes[1::2], strict=True)):
        wanted = glimpses.pixels(walk.places[i], 16, 16)
        assert np.array_equal(axes.lines[0].get_xydata(), wanted.numpy())
        labels = [(tuple(t.get_position()), t.get_text()) for t in axes.texts]
        assert labels == [(tuple(place), str(step)) for step, place in enumerate(wanted.tolist(), 1)]
        tiles = np.asarray(below.images[0].get_array())
        for step, scale in np.ndindex(6, 3):
            tile = tiles[5 * scale : 5 * scale + 4, 5 * step : 5 * step + 4]
            assert np.array_equal(tile, walk.seen[i, step, scale, 0].numpy())


def test_an_eye_that_stays_gets_one_label() -> None:
    module, (x, y) = built("ram", SMALL), drawn(SMALL, 1)
    walk = glimpses.path(module, x)
    places = torch.tensor([[[0.0, 0], [0.5, 0], [0.5, 0], [0.5, 0], [0, 0], [0, 0.5]]])
    figure = glimpses.glimpses_drawn(x, y, walk._replace(places=places), "title", "told")
    assert [t.get_text() for t in figure.axes[0].texts] == ["1", "2–4", "5", "6"]


def test_distances_by_hand() -> None:
    x = torch.full((1, 1, 16, 16), -1.0)
    x[0, 0, 3, 10] = 2.0  # its middle is at x 10.5, y 3.5
    places = torch.tensor([[[10.0, 3.0], [10.0, 7.0]]]) / 8 - 1
    assert torch.allclose(glimpses.distances(x, places), torch.tensor([[0.5**0.5, (0.25 + 3.5**2) ** 0.5]]))


def test_one_of_each_class_then_a_second() -> None:
    y = torch.tensor([2, 2, 0, 1, 0, 2])
    split = Split(torch.zeros(6, 1), y)
    assert samples.one_of_each(split, 4).tolist() == [2, 3, 0, 4]
    assert samples.one_of_each(split, 9).tolist() == [2, 3, 0, 4, 1, 5]


def subject(model: str) -> Subject:
    data = datasets.load("digits_affine")
    row = Row(model, "digits_affine", "default", "float32", "here", "ok", "")
    one = Subject(row, {"seed": 0}, datasets.task("digits_affine"), Store(Path("nowhere")), lambda name: data)
    one.__dict__["module"] = built(model, one.task)
    return one


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        pytest.param("vit", "rollout", marks=pytest.mark.slow),
        ("stn", "stn"),
        pytest.param("ram", "glimpses", marks=pytest.mark.slow),
    ],
)
def test_pictures_are_the_same_bytes_every_time_and_small(model: str, kind: str) -> None:
    first, second = (kinds.cells[kind].draw(subject(model)) for _ in range(2))
    assert first == second and len(first) < 100_000
    assert 800 < Image.open(io.BytesIO(first)).width <= 1100


def test_models_that_have_nothing_to_show_say_so() -> None:
    for draw, reason in (
        (looking.rollout, "no layer of it shows attention"),
        (looking.stn, "straightens nothing"),
        (glimpses.glimpses, "sees the whole"),
    ):
        with pytest.raises(NoPicture, match=reason):
            draw(subject("mlp"))
