"""S2's spatial transformer and RAM as published: whole models by their formulas in float64 NumPy, and what the eye sees, pixel by pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import models
from models.ram_published import Resized, shrinking
from tests.test_stn_ram import CANVAS, COLOUR, SMALL, images

Array = Any


def weights(module: torch.nn.Module) -> dict[str, Array]:
    return {name: value.numpy() for name, value in module.state_dict().items()}


# The spatial transformer


def convolved(x: Array, weight: Array, bias: Array) -> Array:
    """(channels, h, w) -> (out, h - 4, w - 4): a sum over shifted images."""
    side = weight.shape[2]
    high, wide = x.shape[1] - side + 1, x.shape[2] - side + 1
    parts = (np.einsum("oc,chw->ohw", weight[:, :, i, j], x[:, i : i + high, j : j + wide]) for i in range(side) for j in range(side))
    return sum(parts) + bias[:, None, None]


def answered(x: Array, w: dict[str, Array], part: str) -> Array:
    """Two stages of convolution, batch norm by its running statistics, ReLU and pooling by 2; then 64 units, ReLU, the answer."""
    for first in (0, 4):
        x = convolved(x, w[f"{part}.{first}.weight"], w[f"{part}.{first}.bias"])
        mean, var, gamma, beta = (w[f"{part}.{first + 1}.{k}"][:, None, None] for k in ("running_mean", "running_var", "weight", "bias"))
        x = np.maximum(gamma * (x - mean) / np.sqrt(var + 1e-5) + beta, 0)
        high, wide = x.shape[1] // 2, x.shape[2] // 2
        x = x[:, : 2 * high, : 2 * wide].reshape(-1, high, 2, wide, 2).max((2, 4))
    hidden = np.maximum(w[f"{part}.9.weight"] @ x.reshape(-1) + w[f"{part}.9.bias"], 0)
    return w[f"{part}.11.weight"] @ hidden + w[f"{part}.11.bias"]


def sampled(x: Array, affine: Array) -> Array:
    """Bilinear, pixel by pixel: -1 and 1 are the first and the last pixel's centre, and outside lies 0."""
    _, height, width = x.shape
    out = np.zeros_like(x)
    for row in range(height):
        for column in range(width):
            there = affine @ np.array([2 * column / (width - 1) - 1, 2 * row / (height - 1) - 1, 1])
            at = (there + 1) / 2 * np.array([width - 1, height - 1])
            for c, r in ((np.floor(at[0]) + i, np.floor(at[1]) + j) for i in (0, 1) for j in (0, 1)):
                if 0 <= c < width and 0 <= r < height:
                    out[:, row, column] += x[:, int(r), int(c)] * (1 - abs(at[0] - c)) * (1 - abs(at[1] - r))
    return out


@pytest.mark.parametrize("task", [images(1, 28, 28), images(2, 20, 23, classes=3)], ids=lambda task: str(task.input.shape))
def test_the_spatial_transformer_is_its_formula(task: Any) -> None:
    torch.manual_seed(1)
    model = models.build("stn_published", task).double()
    for _ in range(3):  # running statistics that are not 0 and 1
        model(torch.rand(8, *task.input.shape, dtype=torch.float64))
    last = model.localise[-1]
    with torch.no_grad():
        last.weight.normal_(0, 0.05)
        last.bias.add_(torch.tensor([-0.3, 0.2, 0.1, -0.25, 0.1, -0.4]))
    x, w = torch.rand(3, *task.input.shape, dtype=torch.float64), weights(model)
    with torch.no_grad():
        ours, straight = model.eval()(x).numpy(), model.straighten(x).numpy()
    for i, image in enumerate(x.numpy()):
        seen = sampled(image, answered(image, w, "localise").reshape(2, 3))
        assert np.abs(straight[i] - seen).max() < 1e-10 and (seen == 0).any(), "nothing of outside is seen"
        assert np.abs(ours[i] - answered(seen, w, "body")).max() < 1e-10


# The glimpse sensor


@pytest.mark.parametrize(("small", "times", "side"), [(8, 2, 32), (8, 4, 32), (4, 2, 8)])
def test_squares_shrink_as_by_pillow(small: int, times: int, side: int) -> None:
    """Pillow's bilinear resizing is the antialiased one. Its own weights have 8 bits in integers; these are floats."""
    picture = np.random.default_rng(0).random((side, side), np.float32)
    border = (side - small * times) // 2
    middle = picture[border : side - border, border : side - border]
    theirs = np.asarray(Image.fromarray(middle).resize((small, small), Image.Resampling.BILINEAR))
    matrix = shrinking(small, times, side).numpy()
    assert np.abs(matrix @ picture @ matrix.T - theirs).max() < 1e-6
    plain = middle.reshape(small, times, small, times).mean((1, 3))
    assert np.abs(plain - theirs).max() > 0.02, "means of squares would do"


def glimpse(image: Array, x: float, y: float, patch: int) -> Array:
    """The three squares of one image (c, h, w) around one place, pixel by pixel, the darkest value outside: (3, c, patch, patch)."""
    channels, height, width = image.shape
    column, row = (min(max(round((at + 1) / 2 * side), 0), side) for at, side in ((x, width), (y, height)))
    out = np.zeros((3, channels, patch, patch))
    border = patch * 4
    padded = np.stack([np.pad(one, border, constant_values=one.min()) for one in image])
    for scale, times in enumerate((1, 2, 4)):
        side = patch * times
        top, left = row - side // 2 + border, column - side // 2 + border
        square = padded[:, top : top + side, left : left + side]
        for i, j in np.ndindex(patch, patch):
            down, across = (np.array([max(0, 1 - abs(a + 0.5 - (k + 0.5) * times) / times) for a in range(side)]) for k in (i, j))
            out[scale, :, i, j] = down @ square @ across / (down.sum() * across.sum())
    return out


PLACES = torch.tensor([[[0.1, -0.3], [-1.0, 1.0]], [[1.7, 0.9], [0.5, -2.0]]], dtype=torch.float64)


@pytest.mark.parametrize(("shape", "patch"), [((1, 60, 60), 8), ((3, 20, 26), 4)], ids=str)
def test_the_eye_sees_what_a_slow_crop_and_resize_shows(shape: tuple[int, int, int], patch: int) -> None:
    x = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sensor = Resized(patch, *shape[1:]).double()
    seen = sensor(sensor.survey(x), PLACES)
    for i, r in np.ndindex(2, 2):
        expected = glimpse(x[i].numpy(), *PLACES[i, r].tolist(), patch)
        assert np.abs(seen[i, r].numpy() - expected.reshape(-1)).max() < 1e-6


# The recurrent model


@pytest.mark.parametrize("task", [CANVAS, COLOUR, SMALL], ids=lambda task: str(task.input.shape))
def test_the_recurrent_model_is_its_formula(task: Any) -> None:
    """A whole rollout in float64: glimpse, memory, the next place as the head says it, the classes after the last glimpse."""
    torch.manual_seed(2)
    model = models.build("ram_published", task, glimpses=4).double().eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.mul_(3 if name.startswith("location") else 1).add_(0.01 * torch.randn_like(value))
    x, w = torch.rand(2, *task.input.shape, dtype=torch.float64), weights(model)
    with torch.no_grad():
        ours, places = model(x).numpy(), model.start(x)[:, 0].numpy()
    patch = 8 if min(task.input.shape[1:]) >= 28 else 4
    for image, place, answer in zip(x.numpy(), places, ours, strict=True):
        state = np.zeros(512)
        for _ in range(4):
            what = np.maximum(w["what.weight"] @ glimpse(image, *place, patch).reshape(-1) + w["what.bias"], 0)
            where = np.maximum(w["where.weight"] @ place + w["where.bias"], 0)
            joined = np.maximum(w["join.weight"] @ np.concatenate([what, where]) + w["join.bias"], 0)
            state = np.maximum(w["see.weight"] @ joined + w["see.bias"] + w["keep.weight"] @ state, 0)
            place = w["location.weight"] @ state + w["location.bias"]
        assert np.abs(answer - (w["classes.weight"] @ state + w["classes.bias"])).max() < 1e-5


def test_every_image_starts_at_a_place_of_its_own_in_every_batch() -> None:
    torch.manual_seed(0)
    model = models.build("ram_published", CANVAS).eval()
    x = torch.rand(2_000, 1, 60, 60, generator=torch.Generator().manual_seed(0))
    places = model.start(x)[:, 0]
    assert torch.equal(model.start(x[7:9])[:, 0], places[7:9])
    assert places.abs().max() <= 1 and places.mean(0).abs().max() < 0.05
    assert (places.std(0) - 3**-0.5).abs().max() < 0.02 and abs(float(torch.corrcoef(places.T)[0, 1])) < 0.06
    assert len({tuple(place) for place in places.tolist()}) > 1_990
    with torch.no_grad():
        assert torch.allclose(model.predict(x[3:4], CANVAS), model(x[:5])[3:4], atol=1e-5)
