"""Test images in a picture: which are chosen, how they are put, and what is said above and about them."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from torch import Tensor

from bench.figures.subject import Subject
from datasets.data import Split
from datasets.task import Task

ORANGE, BLUE = "#D55E00", "#0072B2"
HALO = [withStroke(linewidth=1.5, foreground="white")]
IMAGE = "the image, its class → the model's answer"


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


def first_images(subject: Subject, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Images, classes and answers of `one_of_each` of the test split."""
    test = subject.data.test
    chosen = one_of_each(test, n)
    return test.x[chosen], test.y[chosen], subject.predicted(test.x[chosen])
