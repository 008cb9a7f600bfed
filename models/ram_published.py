"""Recurrent visual attention as S2 computes and trains it: 490,764 parameters on 60×60 MNIST.

Layers and memory are those of models/ram.py. What differs from `ram`:

    sensor     squares of 8, 16 and 32 pixels, outside of the image 0 (its darkest value, where images are standardised); those of 16 and
               32 are brought to 8×8 by antialiased bilinear resizing: a pixel of the small square is a weighted mean of 4 or 8 pixels
               along each side, 1 3 3 1 and 1 3 5 7 7 5 3 1, cut off at the square's edge. `ram` takes means of 2 and 4.
    place      what the location head says, as it says it. The sensor rounds it to a pixel, so nothing flows back from what was seen; the
               place is also told to the network, and the gradient of this message is all that its location head ever gets. It says
               nothing about what would have been seen elsewhere.
    loss       cross-entropy of the last glimpse, one rollout per image, no REINFORCE
    answer     one rollout, from a place of each image's own. S2 draws it anew; here it follows from the pixels, so that an image is
               answered alike in every batch.
    weights    the recurrence starts from N(0, 2 / 768) with a bias of 0, everything else from torch's own
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.task import Task
from models import register
from models.ram import IMAGES, SCALES, Glimpses, Sensor


def shrinking(small: int, times: int, widest: int) -> Tensor:
    """What antialiased bilinear resizing of the middle `small` · `times` pixels of a line to `small` multiplies by, (small, widest)."""
    pixel, middle = torch.arange(widest) + 0.5 - widest / 2, (torch.arange(small)[:, None] + 0.5 - small / 2) * times
    weights = (1 - (pixel - middle).abs() / times).clamp_min(0) * (pixel.abs() < small * times / 2)
    return weights / weights.sum(1, keepdim=True)


class Resized(Sensor):
    """A sensor as models/ram.py has it, that resizes. Its survey is the image with a border."""

    square: Tensor
    shrink: Tensor

    def __init__(self, patch: int, height: int, width: int) -> None:
        super().__init__(patch, height, width)
        self.widest = patch * 2 ** (SCALES - 1)
        self.stride = width + self.widest
        along = torch.arange(self.widest)
        self.register_buffer("square", (along[:, None] * self.stride + along).flatten(), persistent=False)
        shrink = torch.stack([shrinking(patch, 2**scale, self.widest) for scale in range(SCALES)])
        self.register_buffer("shrink", shrink, persistent=False)

    def survey(self, images: Tensor) -> list[Tensor]:
        dark = images.amin((2, 3), keepdim=True)
        return [(F.pad(images - dark, (self.widest // 2,) * 4) + dark).flatten(2)]

    def forward(self, survey: list[Tensor], places: Tensor) -> Tensor:
        (image,) = survey
        x, y = self.pixels(places)
        index = (self.square + x + y * self.stride).flatten(1)[:, None].expand(-1, image.shape[1], -1)
        widest = image.gather(2, index).unflatten(2, (places.shape[1], 1, self.widest, self.widest))
        seen = self.shrink @ widest @ self.shrink.mT  # (batch, c, rollouts, scales, patch, patch)
        return seen.permute(0, 2, 3, 1, 4, 5).flatten(2)


class Published(Glimpses):
    """(batch, c, h, w) -> (batch, classes)."""

    def __init__(self, task: Task, glimpses: int) -> None:
        super().__init__(task, glimpses, 1, Resized)
        for weight in (self.see.weight, self.keep.weight):
            nn.init.normal_(weight, std=(2 / (self.see.in_features + self.keep.in_features)) ** 0.5)
        nn.init.zeros_(self.see.bias)

    def start(self, x: Tensor) -> Tensor:
        """Where the eye first looks in each image, (batch, 1, 2): anywhere, evenly, by a number that is made of its pixels."""
        pixels, prime = (255 * x.flatten(1)).round().long(), 65_521
        square = torch.arange(1, pixels.shape[1] + 1, device=x.device).square() % prime
        mixed = (pixels[:, None] * torch.stack([square, square * square % prime])).sum(2) % prime
        return (mixed.to(x.dtype) / prime * 2 - 1)[:, None]

    def forward(self, x: Tensor) -> Tensor:
        return self.rollouts(x, self.start(x))[:, 0]

    def predict(self, x: Tensor, task: Task) -> Tensor:
        return self(x).to(x.dtype)


@register(family="attention", takes=IMAGES)
def ram_published(task: Task, *, glimpses: int = 6) -> Published:
    return Published(task, glimpses)
