"""Functions over the plane: colours, hidden units and frames against slow computations of their own."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageSequence
from torch import Tensor, nn

import datasets
import models
from bench.figures import kinds, plane, plane_training
from bench.figures.subject import NoPicture, Subject
from bench.store import fingerprint
from bench.store.records import Store, pack_weights
from bench.tables.rows import Row
from datasets.data import Data, Split, derive
from datasets.metrics import named
from datasets.task import Output


def trained(folder: Path, model: str, dataset: str, steps: int = 60, every: int = 20) -> Subject:
    """A cell trained for a moment, whose weights and snapshots are kept as a run keeps them."""
    task, data = datasets.task(dataset), datasets.load(dataset, None, 0)
    torch.manual_seed(derive("init", 0))
    module = models.build(model, task)
    optimiser = torch.optim.Adam(module.parameters(), 3e-2)
    snapshots, curve = {}, {"samples": [], "train_loss": []}
    for step in range(steps + 1):
        loss = task.loss(module(data.train.x), data.train.y)
        if step % every == 0:
            snapshots[step * 64] = {name: value.detach().half() for name, value in module.state_dict().items()}
            if step:
                curve["samples"].append(step * 64)
                curve["train_loss"].append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()  # at the end too: weights of the last step are not those of the last snapshot
    run = {"model": model, "dataset": dataset, "budget": {"name": "default"}, "recipe": "r", "seed": 0, "curve": curve}
    run["source"] = fingerprint.source(model)
    store = Store(folder)
    store.put_weights(run, pack_weights({"last": module.state_dict(), "snapshots": snapshots}))
    row = Row(model, dataset, "default", "float32", "machine", "ok", "", runs=[run])
    return Subject(row, run, task, store, lambda name: datasets.load(name, None, 0))


@pytest.fixture(scope="module", params=["circle", "gaussian"])
def mlp(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return trained(tmp_path_factory.mktemp("store"), "mlp", request.param)


@pytest.fixture(scope="module")
def figure(mlp: Subject) -> Figure:
    return plane.still(mlp)


def with_module(subject: Subject, module: nn.Module) -> Subject:
    """The same cell with another model, as if a plug-in had brought it."""
    other = replace(subject)
    other.__dict__["module"] = module.eval()
    return other


def said(module: nn.Module, task: Any, x: float, y: float) -> float:
    """What is to be drawn at one place, computed alone, in double precision, by the definition of softmax."""
    with torch.no_grad():
        out = module(torch.tensor([[x, y]]))[0].double().tolist()
    return out[0] if task.output.kind == "value" else math.exp(out[1]) / (math.exp(out[0]) + math.exp(out[1]))


def band(value: float, low: float, high: float) -> int:
    return min(max(math.floor((value - low) / (high - low) * plane.LEVELS), 0), plane.LEVELS - 1)


def colour(of: int) -> tuple[int, ...]:
    return tuple(round(255 * part) for part in plane.COLOURS.colors[of][:3])


def limits(subject: Subject) -> tuple[float, float]:
    if subject.task.output.kind == "classes":
        return 0.0, 1.0
    largest = max(abs(float(y)) for split in (subject.data.train, subject.data.test) for y in split.y)
    return -largest, largest


def free(subject: Subject, distance: float) -> list[tuple[float, float]]:
    """Places of the drawn grid that are further than this from every point of the data."""
    points = torch.cat([subject.data.train.x, subject.data.test.x])
    xs, ys = (torch.linspace(float(low), float(high), plane.SIDE) for low, high in zip(*corners(points), strict=True))
    places = [(float(x), float(y)) for x in xs[1:-1:3] for y in ys[1:-1:3]]
    return [place for place in places if (points - torch.tensor(place)).abs().amax(1).min() > distance]


def corners(points: Tensor) -> tuple[list[float], list[float]]:
    low, high = points.amin(0), points.amax(0)
    return (low - 0.03 * (high - low)).tolist(), (high + 0.03 * (high - low)).tolist()


def test_the_map_gets_lighter_all_the_way() -> None:
    rgb = np.asarray(plane.COLOURS.colors)[:, :3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    assert (np.diff(linear @ (0.2126, 0.7152, 0.0722)) > 0).all()
    assert len({colour(i) for i in range(plane.LEVELS)}) == plane.LEVELS


def test_the_still_shows_the_model_and_the_data(mlp: Subject, figure: Figure) -> None:
    axes = figure.axes[0]
    image, (low, high) = axes.images[0], limits(mlp)
    assert (image.norm.vmin, image.norm.vmax) == pytest.approx((low, high))
    heights = np.asarray(image.get_array())
    start, end = corners(torch.cat([mlp.data.train.x, mlp.data.test.x]))
    for row, column in ((0, 0), (0, 60), (60, 0), (17, 42), (30, 30)):
        x = start[0] + column / 60 * (end[0] - start[0])
        y = start[1] + row / 60 * (end[1] - start[1])
        assert heights[row, column] == pytest.approx(said(mlp.module, mlp.task, x, y), abs=1e-4)
    test, train = axes.collections[-2:]
    for drawn, split in ((test, mlp.data.test), (train, mlp.data.train)):
        assert np.allclose(drawn.get_offsets(), split.x)
        assert np.allclose(drawn.get_array(), split.y.flatten())
        assert (drawn.norm.vmin, drawn.norm.vmax) == pytest.approx((low, high))
    assert not np.array_equal(test.get_paths()[0].vertices, train.get_paths()[0].vertices)
    assert not np.array_equal(test.get_edgecolors(), train.get_edgecolors())


def test_the_pixels_of_the_still_are_the_models_values(mlp: Subject, figure: Figure) -> None:
    pixels = np.asarray(Image.open(io.BytesIO(plane.compact(figure))).convert("RGB"))
    low, high = limits(mlp)
    near = 0
    for x, y in free(mlp, 0.25):
        column, row = figure.axes[0].transData.transform((x, y))
        value = said(mlp.module, mlp.task, x, y)
        if min(abs(value - line) for line in plane.scale(mlp.task, mlp.data).lines) > 0.06:  # no line there
            at = band(value, low, high)
            beside = [colour(i) for i in range(max(at - 1, 0), min(at + 2, plane.LEVELS))]  # a pixel is not quite at its place
            drawn = pixels[len(pixels) - 1 - int(row), int(column)].astype(int)
            assert min(np.abs(drawn - other).max() for other in beside) <= 1
            near += 1
    assert near > 30


def test_kinds_and_bytes(mlp: Subject, figure: Figure) -> None:
    assert plane.plane(mlp) == plane.compact(figure)
    assert [kinds.cells["plane"].fits(datasets.task(name)) for name in ("xor", "gaussian", "iris", "digits")] == [True, True, False, False]


def test_the_line_is_where_the_decision_changes(tmp_path: Path) -> None:
    subject = trained(tmp_path, "linear", "two_gaussians")
    line = plane.still(subject).axes[0].collections[0].get_paths()[0].vertices
    out = subject.module(torch.tensor(line, dtype=torch.float32))
    assert len(line) > 10 and torch.allclose(out[:, 0], out[:, 1], atol=0.05)


def test_the_title_is_what_the_last_weights_score(mlp: Subject, figure: Figure) -> None:
    test, train = mlp.data.test, mlp.data.train
    out = mlp.module(test.x)
    title, below = (text.get_text() for text in figure.texts[:2])
    if mlp.task.output.kind == "classes":
        right = sum(int(a[1] > a[0]) == int(y) for a, y in zip(out, test.y, strict=True)) / len(test)
        most = int(sum(train.y.tolist()) * 2 > len(train))
        blind = sum(int(y) == most for y in test.y) / len(test)
        assert title == f"mlp on circle: {100 * right:.1f} % of the test points right"
        assert below == f"weights of the last step, seed 0; always the same class: {100 * blind:.1f} %"
    else:
        squares = [(float(a) - float(y)) ** 2 for a, y in zip(out, test.y, strict=True)]
        mean = sum(train.y.flatten().tolist()) / len(train)
        blind = sum((float(y) - mean) ** 2 for y in test.y) / len(test)
        assert title == f"mlp on gaussian: mean squared error {sum(squares) / len(test):.3g} on test"
        assert below == f"weights of the last step, seed 0; always the mean: {blind:.3g}"


def test_hidden_units_of_an_mlp_are_its_last_layer_but_one(mlp: Subject, figure: Figure) -> None:
    module = mlp.module
    assert isinstance(module, nn.Sequential)
    points = torch.cat([mlp.data.train.x, mlp.data.test.x])
    start, end = corners(points)
    last = module[-1].weight
    weights = (last[1] - last[0] if len(last) == 2 else last[0]).tolist()
    y, x = torch.meshgrid(torch.linspace(start[1], end[1], 61), torch.linspace(start[0], end[0], 61), indexing="ij")
    units = module[:-1](torch.stack([x, y], 2)).numpy()  # (61, 61, 8)
    order = sorted(range(8), key=lambda unit: -abs(weights[unit]) * units[..., unit].std())
    panels = figure.axes[3:]
    assert len(panels) == 8 and "All 8 hidden units" in figure.texts[-1].get_text()
    for panel, unit in zip(panels, order, strict=True):
        assert np.allclose(panel.images[0].get_array(), units[..., unit], atol=1e-5)
        assert panel.images[0].norm.vmax == pytest.approx(np.abs(units[..., unit]).max(), rel=1e-4)
        assert panel.get_title("left").replace("−", "-") == f"{weights[unit]:+.2g}"


def test_of_many_hidden_units_those_that_count_are_shown(mlp: Subject) -> None:
    draw = np.random.default_rng(0)
    units, weights = draw.normal(size=(50, 40)) * draw.uniform(0.1, 3, 40), draw.normal(size=40)
    counts = [abs(weights[i]) * math.sqrt(sum((u - sum(units[:, i]) / 50) ** 2 for u in units[:, i]) / 50) for i in range(40)]
    assert plane.ranked(units, weights) == sorted(range(40), key=lambda i: -counts[i])[:16]
    wide = nn.Sequential(nn.Linear(2, 24), nn.ReLU(), nn.Linear(24, mlp.task.output.size)).requires_grad_(False)
    drawn = plane.still(with_module(mlp, wide))
    assert len(drawn.axes[3:]) == 16 and "The 16 of 24 hidden units" in drawn.texts[-1].get_text()


def test_hidden_units_of_tokens_are_means_over_them() -> None:
    task = datasets.task("circle")
    each = nn.Sequential(nn.Unflatten(1, (2, 1)), nn.Linear(1, 5), nn.Tanh())
    module = nn.Sequential(*each, nn.Linear(5, 2), nn.AvgPool2d((2, 1)), nn.Flatten())
    x = torch.randn(9, 2)
    found = plane.hidden(module, task, x)
    tokens = each(x).detach()
    assert found is not None
    assert np.allclose(found[0], sum(tokens[:, i] for i in range(tokens.shape[1])) / tokens.shape[1], atol=1e-5)


class Own(nn.Module):
    """Not a stack: it calls one layer twice, hands another its input by name, and its answer is no layer's."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.twice, self.out = nn.Linear(2, 2), nn.Linear(2, size)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(input=self.twice(self.twice(x).sin())).tanh()


def test_a_model_without_hidden_units_has_the_large_panel_alone(tmp_path: Path) -> None:
    subject = trained(tmp_path, "linear", "circle")
    assert plane.hidden(subject.module, subject.task, torch.randn(5, 2)) is None
    assert len(plane.still(subject).axes) == 3  # the panel, the names of its colours, the names of its points
    module = Own(2).requires_grad_(False)
    assert plane.hidden(module, subject.task, torch.randn(5, 2)) is None  # no layer of it gives the answer
    assert len(plane.still(with_module(subject, module)).axes) == 3
    assert not any(layer._forward_hooks for layer in module.modules())


def test_what_cannot_be_drawn_says_why(mlp: Subject) -> None:
    with pytest.raises(NoPicture, match="3 \\(classes\\)"):
        plane.plane(replace(mlp, task=replace(mlp.task, output=Output("classes", 3))))
    broken = nn.Linear(2, mlp.task.output.size).requires_grad_(False)
    broken.weight[:] = math.nan
    with pytest.raises(NoPicture, match="not finite"):
        plane.plane(with_module(mlp, broken))
    still_only = replace(mlp)
    still_only.__dict__["kept"] = {"last": mlp.kept["last"], "snapshots": {}}
    with pytest.raises(NoPicture, match="along the way"):
        plane_training.plane_training(still_only)


def test_an_animation_is_the_snapshots_in_order_in_one_scale(mlp: Subject) -> None:
    content = plane_training.plane_training(mlp)
    image = Image.open(io.BytesIO(content))
    frames = [(np.asarray(frame.convert("RGB")), frame.info["duration"]) for frame in ImageSequence.Iterator(image)]
    snapshots = mlp.kept["snapshots"]
    assert [time for _, time in frames] == [83] * 9 + [2000] and len(snapshots) == 4  # twelve a second
    assert len(content) < 1_000_000 and image.info["loop"] == 0
    assert plane_training.plane_training(mlp) == content
    start, end = corners(torch.cat([mlp.data.train.x, mlp.data.test.x]))
    low, high = limits(mlp)
    places = free(mlp, 0.12)
    modules = [mlp.at(snapshots[samples]) for samples in sorted(snapshots)[:-1]] + [mlp.module]
    found = np.zeros((len(modules), len(modules)))
    for i, (pixels, _) in enumerate(frames[:: plane_training.BETWEEN]):
        panel = pixels[plane_training.TOP :, plane_training.LEFT :]
        for j, module in enumerate(modules):
            right, probed = 0, 0
            for x, y in places:
                column = round((x - start[0]) / (end[0] - start[0]) * 360)
                row = 360 - round((y - start[1]) / (end[1] - start[1]) * 360)
                share = (said(module, mlp.task, x, y) - low) / (high - low) * plane.LEVELS
                if panel[row, column].any() and abs(share - round(share)) > 0.01:  # neither a line nor between two colours
                    right += tuple(panel[row, column].tolist()) == colour(band(share, 0, plane.LEVELS))
                    probed += 1
            assert probed > 50
            found[i, j] = right / probed
    assert (found.diagonal() == 1).all() and (found.argmax(1) == np.arange(4)).all() and (found.argmax(0) == np.arange(4)).all()
    bars = [pixels[plane_training.TOP : plane_training.TOP + 361, plane_training.LEFT + 361 :] for pixels, _ in frames]
    assert all(np.array_equal(bar, bars[0]) for bar in bars)


def test_frames_tell_the_samples_and_the_loss(mlp: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda self, xy, words, *more, **others: written.append(words))
    frames = plane_training.frames(mlp)
    losses = mlp.run["curve"]["train_loss"]
    wanted = ["0 of 3,840 samples seen, not trained yet"]
    wanted += [f"{s:,} of 3,840 samples seen, training loss {loss:.3g}" for s, loss in zip((1280, 2560, 3840), losses, strict=True)]
    assert [words for words in written if "samples seen" in words] == [*np.repeat(wanted, plane_training.BETWEEN)[:-2]]
    bottom = [int((np.asarray(frame)[-8] == plane_training.BLACK).sum()) for frame in frames]
    assert bottom == [0, 41, 81, 121, 161, 201, 241, 281, 321, 361]  # the progress line


def test_the_title_has_the_mean_over_seeds_and_fits(mlp: Subject) -> None:
    row = replace(mlp.row, values={0: 0.5, 1: 0.7}, metric=named("accuracy"))
    title = plane_training.over_seeds(replace(mlp, row=row))
    assert title.startswith(f"{mlp.title}: 60.00") and title.endswith("on test, mean of 2 seeds")
    assert plane_training.over_seeds(replace(mlp, row=replace(row, values={3: 0.5}))).endswith("50.00 % on test, one seed")
    for text in ("short", title, "heads[width=16]@lr=0.003 on two_gaussians: 0.001234 ± 0.00012 on test, mean of 10 seeds"):
        assert plane_training.fitting(text).getlength(text) <= plane_training.WIDTH - 8


def test_between_two_evaluations_the_map_fades_evenly(mlp: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    heights: list[torch.Tensor] = []
    monkeypatch.setattr(plane_training, "painted", lambda own, scale: heights.append(own) or np.zeros((361, 361), int))
    plane_training.frames(mlp)
    for start, first, second, end in (heights[i : i + 4] for i in (0, 3, 6)):
        assert torch.allclose(first - start, (end - start) / 3, atol=1e-5) and torch.allclose(end - second, (end - start) / 3, atol=1e-5)
    assert not torch.equal(heights[0], heights[3])


def test_points_are_stamped_where_they_are() -> None:
    ends = Split(torch.tensor([[-1.0, -1.0], [1.0, 1.0]]), torch.tensor([0, 1]))
    inner = Split(torch.tensor([[0.5, 0.0]]), torch.tensor([1]))
    data = Data(ends, ends, inner)
    layer = plane_training.stamped(data, plane.Scale(0, 1, "", False), (-1.0, 1.0, -1.0, 1.0))
    assert (layer[360, 0], layer[0, 360], layer[180, 270]) == (0, plane.LEVELS - 1, plane.LEVELS - 1)
    assert (layer[180, 271], layer[0, 358]) == (plane_training.WHITE, plane_training.BLACK)
