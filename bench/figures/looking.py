"""Where models look in an image: attention rollout, what a spatial transformer cuts out, the path of an eye."""

from __future__ import annotations

import itertools
import math
from operator import itemgetter
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from matplotlib.patheffects import withStroke
from torch import Tensor, nn

from bench.figures.attention import PLAIN, SAMPLES, Field, field, headline, looked_at
from bench.figures.kinds import of_cell
from bench.figures.subject import NoPicture, Subject, answer
from bench.report.plots import png
from datasets.data import Split
from datasets.task import Task

SHOWN, PATHS = 8, 4  # images in a picture
ORANGE, BLUE = "#D55E00", "#0072B2"
HALO = [withStroke(linewidth=1.5, foreground="white")]
IMAGE = "the image, its class → the model's answer"
HEAT = LinearSegmentedColormap.from_list("heat", ["#ffffff", "#f5c29a", ORANGE])


def fits(task: Task) -> bool:
    return task.input.kind == "image" and task.output.kind == "classes" and task.input.shape[0] in (1, 3)


def one_of_each(split: Split, n: int) -> Tensor:
    """Indices of the first sample of each class, by class, then of the second of each, …; n of them if there are as many."""
    before = torch.zeros(int(split.y.max()) + 1, dtype=torch.long)
    order = []
    for i, y in enumerate(split.y.tolist()):
        order.append((int(before[y]), y, i))
        before[y] += 1
    return torch.tensor([i for _, _, i in sorted(order)[:n]])


def put(axes: Axes, image: Tensor, low: Tensor, high: Tensor) -> None:
    """An image (channels, height, width) with pixels as its unit; `low` and `high`, by channel, are black and white.

    One channel is drawn as ink on paper, its numbers as they are; colours are stretched between the two.
    """
    _, height, width = image.shape
    extent = (0, width, height, 0)
    axes.set_facecolor("#d4d4d4")  # of what is no number
    if len(image) == 1:
        axes.imshow(image[0].numpy(), cmap="gray_r", vmin=float(low), vmax=float(high), extent=extent, interpolation="nearest")
    else:
        stretched = ((image - low) / (high - low)).clamp(0, 1).nan_to_num(0.83)
        axes.imshow(stretched.permute(1, 2, 0).numpy(), extent=extent, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(visible=True, color="#bbbbbb", linewidth=0.6)


def limits(images: Tensor) -> tuple[Tensor, Tensor]:
    """The lowest and the highest number of each channel, (channels, 1, 1) each."""
    return images.amin((0, 2, 3))[:, None, None], images.amax((0, 2, 3))[:, None, None]


def answered(axes: Axes, true: int, predicted: int) -> None:
    """Above an image: its class and what the model answers, bold and orange where that is wrong."""
    colour, weight = ("black", "normal") if true == predicted else (ORANGE, "bold")
    axes.set_title(f"{true} → {predicted}", fontsize=8.5, pad=3, loc="center", color=colour, fontweight=weight)


def rollout_drawn(x: Tensor, y: Tensor, predicted: Tensor, heat: Tensor, where: Field, title: str, told: str) -> Figure:
    """The images, and below each the rollout over it, heat (n, rows, columns)."""
    figure = Figure(figsize=(11, 3.85))
    headline(figure, title, told)
    grey, (rows, columns) = x.mean(1, keepdim=True), heat.shape[1:]
    for i in range(len(x)):
        above, below = (figure.add_axes(((0.1 + 1.27 * i) / 11, bottom / 3.85, 1.18 / 11, 1.18 / 3.85)) for bottom in (1.67, 0.4))
        put(above, x[i], *limits(x))
        answered(above, int(y[i]), int(predicted[i]))
        put(below, grey[i], *limits(grey))
        extent = (where.start, where.start + where.width, where.start + where.height, where.start)
        shown = below.imshow(heat[i].numpy(), cmap=HEAT, vmin=0, vmax=float(heat.max()), extent=extent, alpha=0.65, interpolation="nearest")
        below.set(xlim=(0, x.shape[3]), ylim=(x.shape[2], 0))
        for (row, column), share in np.ndenumerate(heat[i].numpy()) if columns <= 4 else ():
            place = (where.start + (column + 0.5) * where.width / columns, where.start + (row + 0.5) * where.height / rows)
            below.text(*place, f"{100 * share:.0f}", ha="center", va="center", fontsize=10 - columns, path_effects=HALO)
    bar = figure.colorbar(shown, cax=figure.add_axes((10.32 / 11, 0.4 / 3.85, 0.1 / 11, 1.18 / 3.85)))
    bar.set_label("share of the rollout (%)", fontsize=7.5)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}")
    bar.ax.tick_params(labelsize=7)
    bar.outline.set_visible(False)
    figure.text(0.1 / 11, 0.14 / 3.85, f"above: {IMAGE}; below: how much of each patch reaches the answer, in %", fontsize=8)
    return figure


def predictions(subject: Subject, x: Tensor) -> Tensor:
    """What the model answers."""
    return subject.task.predicted(answer(subject.module, subject.task, x))


def first_images(subject: Subject, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Images, classes and answers of `one_of_each` of the test split."""
    test = subject.data.test
    chosen = one_of_each(test, n)
    return test.x[chosen], test.y[chosen], predictions(subject, test.x[chosen])


def weights_of(subject: Subject) -> str:
    return f"weights of the last step, seed {subject.run['seed']}"


def rollout_finding(heat: Tensor) -> str:
    """How uneven rollouts (n, rows, columns) are."""
    most, even = float(heat.flatten(1).amax(1).mean()), 1 / heat[0].numel()
    how = "looks nearly alike at all patches" if most < 1.2 * even else "looks at some patches more"
    return f"{how}: the strongest gets {100 * most:.0f} % of the rollout on average, an even share is {100 * even:.0f} %"


@of_cell(fits)
def rollout(subject: Subject) -> bytes:
    """Attention rollout over test images, class by class."""
    many, _ = looked_at(subject.module, subject.data.test.x[:SAMPLES])
    x, y, predicted = first_images(subject, SHOWN)
    heat, plain = looked_at(subject.module, x)
    where = field(subject.module, *x.shape[2:])
    told = "attention rollout: the layers multiplied, half of each the residual path; "
    told += f"{weights_of(subject)}; average over {len(many)} test samples"
    told += "; re-attention's weights are signed: their sizes, rows made to sum to one" * (not plain)
    told += f"; the patches are of a map: each sees {where.reach:.0f} pixels more on every side" * (where.reach > 0)
    with matplotlib.rc_context(PLAIN):
        return png(rollout_drawn(x, y, predicted, heat, where, f"{subject.title} {rollout_finding(many)}", told))


def corners(affine: Tensor, height: int, width: int) -> Tensor:
    """The corners of what a spatial transformer cuts out, affine (batch, 2, 3), in pixels: (batch, 4, x and y), from its top
    left over its top right."""
    square = torch.tensor([[-1.0, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]])
    return (square @ affine.mT + 1) / 2 * torch.tensor([width, height])


def stn_drawn(x: Tensor, y: Tensor, predicted: Tensor, straight: Tensor, frames: Tensor, title: str, told: str) -> Figure:
    """The images with the frame of what is cut out, and below what the body sees."""
    figure = Figure(figsize=(11, 4.15))
    headline(figure, title, told)
    low, high = limits(x)
    relative = frames / torch.tensor([x.shape[3], x.shape[2]])
    out = min(0.5, max(0.02, float(-relative.min()), float(relative.max() - 1)))  # how far frames leave the image
    for i in range(len(x)):
        above, below = (figure.add_axes(((0.1 + 1.36 * i) / 11, bottom / 4.15, 1.27 / 11, 1.27 / 4.15)) for bottom in (1.85, 0.4))
        put(above, x[i], low, high)
        answered(above, int(y[i]), int(predicted[i]))
        frame = frames[i].numpy()
        above.add_patch(Polygon(frame, closed=True, fill=False, edgecolor=BLUE, lw=1.3))
        above.plot(*frame[:2].T, color=BLUE, lw=3, solid_capstyle="butt")
        above.set(xlim=(-out * x.shape[3], (1 + out) * x.shape[3]), ylim=((1 + out) * x.shape[2], -out * x.shape[2]))
        above.set_axis_off()
        above.add_patch(Rectangle((0, 0), x.shape[3], x.shape[2], fill=False, edgecolor="#999999", lw=0.6))
        put(below, straight[i], low, high)
    legend = f"above: {IMAGE}, and the frame that is cut out, its thick side is the top; below: what the body of the model sees"
    figure.text(0.1 / 11, 0.14 / 4.15, legend, fontsize=8)
    return figure


def stn_finding(affine: Tensor) -> str:
    """What the transformations (n, 2, 3) do to the size of images: the area that is cut out, and how much that varies."""
    area = torch.linalg.det(affine[:, :, :2].double()).abs()
    low, half, high = (100 * torch.quantile(area, torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64))).tolist()
    what = "enlarges what it sees" if half < 90 else "shrinks what it sees" if half > 110 else "keeps the size, on the whole"
    return f"{what}: its frame has {half:.0f} % of the image's area (median; 8 of 10 have {low:.0f} to {high:.0f} %)"


@of_cell(fits)
def stn(subject: Subject) -> bytes:
    """Before and after of a spatial transformer."""
    module = subject.module
    straighten = getattr(module, "straighten", None)
    if straighten is None or not hasattr(module, "localise"):
        raise NoPicture("it straightens nothing before it looks")
    x, y, predicted = first_images(subject, SHOWN)
    with torch.no_grad():
        straight, localise = straighten(x), module.get_submodule("localise")
        affine, many = (localise(images).view(-1, 2, 3) for images in (x, subject.data.test.x[:512]))
    told = f"the first test images, class by class; {weights_of(subject)}; the area is of {len(many)} test samples"
    with matplotlib.rc_context(PLAIN):
        return png(stn_drawn(x, y, predicted, straight, corners(affine, *x.shape[2:]), f"{subject.title} {stn_finding(many)}", told))


class Path(NamedTuple):
    """What an eye did in one rollout of every image: places (batch, glimpses, 2), x and y from -1 to 1; what it saw there,
    (batch, glimpses, scales, channels, patch, patch); and the logits that came of it."""

    places: Tensor
    seen: Tensor
    logits: Tensor


def path(module: nn.Module, x: Tensor) -> Path:
    """The rollout from the model's first fixed start, as its own `forward` makes it: its sensor is overheard."""
    places, seen = [], []

    def overhear(sensor: nn.Module, given: tuple[list[Tensor], Tensor], out: Tensor) -> None:
        places.append(given[1][:, 0])
        seen.append(out[:, 0])

    handle = module.get_submodule("sensor").register_forward_hook(overhear)
    try:
        with torch.no_grad():
            logits = module(x)
    finally:
        handle.remove()
    scales, numbers = module.get_submodule("sensor").corners.shape  # type: ignore[misc]
    patch = math.isqrt(int(numbers))
    return Path(torch.stack(places, 1), torch.stack(seen, 1).unflatten(2, (int(scales), x.shape[1], patch, patch)), logits)


def pixels(places: Tensor, height: int, width: int) -> Tensor:
    """Places as the sensor rounds them: the corner between four pixels that is nearest, brought in if outside; x and y."""
    size = torch.tensor([width, height])
    return ((places + 1) / 2 * size).round().clamp(min=0).minimum(size)


def distances(x: Tensor, places: Tensor) -> Tensor:
    """How far each place is from the middle of what is lighter than the darkest pixel, in pixels, (batch, glimpses)."""
    ink = (x - x.amin((2, 3), keepdim=True)).sum(1)
    height, width = ink.shape[1:]
    centre = torch.stack([ink.sum(1) @ (torch.arange(width) + 0.5), ink.sum(2) @ (torch.arange(height) + 0.5)], 1)
    centre = centre / ink.sum((1, 2)).clamp_min(1e-9)[:, None]
    return (pixels(places, height, width) - centre[:, None]).norm(dim=2)


def mosaic(seen: Tensor) -> Tensor:
    """What was seen, (glimpses, scales, channels, patch, patch), scales below each other and glimpses side by side, with a
    pixel of nothing between: (channels, height, width)."""
    padded = torch.nn.functional.pad(seen, (0, 1, 0, 1), value=float("nan"))
    glimpses, scales, channels, side, _ = padded.shape
    return padded.permute(2, 1, 3, 0, 4).reshape(channels, scales * side, glimpses * side)[:, :-1, :-1]


def glimpses_drawn(x: Tensor, y: Tensor, walk: Path, title: str, told: str) -> Figure:
    """The images with the places looked at, in order, and below each what was seen there."""
    figure = Figure(figsize=(11, 4.95))
    headline(figure, title, told)
    low, high = limits(x)
    places = pixels(walk.places, *x.shape[2:]).numpy()
    steps, scales, _, patch, _ = walk.seen.shape[1:]
    for i in range(len(x)):
        left = 0.62 + 2.62 * i
        axes = figure.add_axes((left / 11, 1.75 / 4.95, 2.3 / 11, 2.3 / 4.95))
        put(axes, x[i], low, high)
        answered(axes, int(y[i]), int(walk.logits[i].argmax()))
        for scale in range(scales):
            corner, wide = places[i, -1] - patch * 2**scale / 2, patch * 2**scale
            axes.add_patch(Rectangle(corner, wide, wide, fill=False, edgecolor=BLUE, lw=1.4 - 0.4 * scale))
        axes.plot(*places[i].T, color=ORANGE, lw=1)
        axes.plot(*places[i].T, "o", ms=8, color="white", markeredgecolor=ORANGE, markeredgewidth=1, zorder=3, clip_on=False)
        for (across, down), stays in itertools.groupby(enumerate(places[i].tolist(), 1), key=itemgetter(1)):
            numbers = [step for step, _ in stays]
            text = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}–{numbers[-1]}"
            axes.text(across, down, text, ha="center", va="center", fontsize=6.5, zorder=4, path_effects=HALO)
        axes.set(xlim=(0, x.shape[3]), ylim=(x.shape[2], 0))
        below = figure.add_axes((left / 11, 0.4 / 4.95, 2.3 / 11, 1.15 / 4.95))
        put(below, mosaic(walk.seen[i]), low, high)
        below.spines[:].set_visible(False)
        below.set_xticks([(patch + 1) * step + patch / 2 for step in range(steps)], [str(step + 1) for step in range(steps)])
        below.tick_params(length=0, labelsize=7, labeltop=True, labelbottom=False, pad=1)
        if i == 0:
            below.set_yticks([(patch + 1) * s + patch / 2 for s in range(scales)], [f"{patch * 2**s} pixels" for s in range(scales)])
    legend = f"above: {IMAGE}, the places looked at in order, the squares seen at the last; below: what was seen, by size of square"
    figure.text(0.1 / 11, 0.14 / 4.95, legend, fontsize=8)
    return figure


def glimpses_finding(x: Tensor, places: Tensor) -> str:
    """Whether later glimpses depend on the image: are they nearer to its own ink than to that of another?"""
    own, other = (float(distances(images, places)[:, 1:].mean()) for images in (x, x.roll(1, 0)))
    what = "goes to the ink" if own < 0.6 * other else "leans towards the ink" if own < 0.9 * other else "looks regardless of the ink"
    return f"{what}: later glimpses are {own:.1f} pixels from its centre, {other:.1f} from that of another image"


@of_cell(fits)
def glimpses(subject: Subject) -> bytes:
    """The path of an eye over an image, and what it saw."""
    module = subject.module
    if not hasattr(module, "sensor"):
        raise NoPicture("it sees the whole image at once")
    many = subject.data.test.x[:512]
    x, y, _ = first_images(subject, PATHS)
    told = "one path, from the model's first fixed start, and what it answers; "
    told += f"{weights_of(subject)}; average over {len(many)} test samples"
    title = f"{subject.title} {glimpses_finding(many, path(module, many).places)}"
    with matplotlib.rc_context(PLAIN):
        return png(glimpses_drawn(x, y, path(module, x), title, told))
