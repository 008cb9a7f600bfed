"""The spatial transformer as S2 computes it: `stn`'s layers and 40,880 parameters, the grid and the sampling with aligned corners.

-1 and 1 are the centres of the outermost pixels; in `stn` they are the image's edges. Outside lies 0, S2's black: made for
`mnist_affine_published`, whose pixels run from 0 to 1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from datasets.task import Task
from models import register
from models.stn import IMAGES, SpatialTransformer


class Published(SpatialTransformer):
    """(batch, c, h, w) -> (batch, classes)."""

    def straighten(self, x: Tensor) -> Tensor:
        affine = self.localise(x).view(-1, 2, 3)
        with torch.autocast(x.device.type, enabled=False):  # as in models/stn.py
            grid = F.affine_grid(affine.to(x.dtype), list(x.shape), align_corners=True)
            return F.grid_sample(x, grid, align_corners=True)


@register(family="attention", takes=IMAGES)
def stn_published(task: Task, *, channels: int = 8, width: int = 64) -> Published:
    return Published(task, channels, width)
