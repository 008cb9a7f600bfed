"""Where models look in an image: attention rollout, and what a spatial transformer cuts out."""

from __future__ import annotations

import matplotlib
import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from torch import Tensor

from bench.figures.attended import SAMPLES, Field, field, looked_at
from bench.figures.kinds import of_cell
from bench.figures.samples import BLUE, HALO, IMAGE, ORANGE, answered, first_images, fits, limits, put
from bench.figures.subject import NoPicture, Subject
from bench.report.plots import PLAIN, headline

SHOWN = 8  # images in a picture
HEAT = LinearSegmentedColormap.from_list("heat", ["#ffffff", "#f5c29a", ORANGE])


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


def rollout_finding(heat: Tensor) -> str:
    """How uneven rollouts (n, rows, columns) are."""
    most, even = float(heat.flatten(1).amax(1).mean()), 1 / heat[0].numel()
    how = "looks nearly alike at all patches" if most < 1.2 * even else "looks at some patches more"
    return f"{how}: the strongest gets {100 * most:.0f} % of the rollout on average, an even share is {100 * even:.0f} %"


@of_cell(fits)
@matplotlib.rc_context(PLAIN)
def rollout(subject: Subject) -> Figure:
    """Attention rollout over test images, class by class."""
    many, _ = looked_at(subject.module, subject.data.test.x[:SAMPLES])
    x, y, predicted = first_images(subject, SHOWN)
    heat, plain = looked_at(subject.module, x)
    where = field(subject.module, *x.shape[2:])
    told = "attention rollout: the layers multiplied, half of each the residual path; "
    told += f"{subject.weights}; average over {len(many)} test samples"
    told += "; re-attention's weights are signed: their sizes, rows made to sum to one" * (not plain)
    told += f"; the patches are of a map: each sees {where.reach:.0f} pixels more on every side" * (where.reach > 0)
    return rollout_drawn(x, y, predicted, heat, where, f"{subject.title} {rollout_finding(many)}", told)


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
    """What the transformations (n, 2, 3) do to images: by how much frames are turned, and the area that is cut out."""
    square, shares = affine[:, :, :2].double(), torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    low, half, high = (100 * torch.quantile(torch.linalg.det(square).abs(), shares)).tolist()
    left, _, right = torch.quantile(torch.rad2deg(torch.atan2(square[:, 1, 0], square[:, 0, 0])), shares).tolist()
    if low < 90 and high > 110:
        what = "enlarges some of what it sees and shrinks the rest"
    else:
        what = "enlarges what it sees" if half < 90 else "shrinks what it sees" if half > 110 else "keeps the size, on the whole"
    turned = f"8 of 10 frames are turned by {round(left)} to {round(right)}°".replace("-", "−")
    return f"{what}: {turned} and have {low:.0f} to {high:.0f} % of the image's area (median {half:.0f} %)"


@of_cell(fits)
@matplotlib.rc_context(PLAIN)
def stn(subject: Subject) -> Figure:
    """Before and after of a spatial transformer."""
    module = subject.module
    straighten = getattr(module, "straighten", None)
    if straighten is None or not hasattr(module, "localise"):
        raise NoPicture("it straightens nothing before it looks")
    x, y, predicted = first_images(subject, SHOWN)
    with torch.no_grad():
        straight, localise = straighten(x), module.get_submodule("localise")
        affine, many = (localise(images).view(-1, 2, 3) for images in (x, subject.data.test.x[:512]))
    told = f"the first test images, class by class; {subject.weights}; the angles and areas are of {len(many)} test samples"
    return stn_drawn(x, y, predicted, straight, corners(affine, *x.shape[2:]), f"{subject.title} {stn_finding(many)}", told)
