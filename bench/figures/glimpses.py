"""The path of an eye over an image, and what it saw there."""

from __future__ import annotations

import itertools
import math
from operator import itemgetter
from typing import NamedTuple

import matplotlib
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from bench.figures.kinds import of_cell
from bench.figures.samples import BLUE, HALO, IMAGE, ORANGE, answered, first_images, fits, limits, put
from bench.figures.subject import NoPicture, Subject
from bench.report.plots import PLAIN, headline

PATHS = 4  # images in a picture


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
@matplotlib.rc_context(PLAIN)
def glimpses(subject: Subject) -> Figure:
    """The path of an eye over an image, and what it saw."""
    module = subject.module
    if not hasattr(module, "sensor"):
        raise NoPicture("it sees the whole image at once")
    many = subject.data.test.x[:512]
    x, y, _ = first_images(subject, PATHS)
    told = "one path, from the model's first fixed start, and what it answers; "
    told += f"{subject.weights}; average over {len(many)} test samples"
    title = f"{subject.title} {glimpses_finding(many, path(module, many).places)}"
    return glimpses_drawn(x, y, path(module, x), title, told)
