"""The control for `ram`: the same eyes, memory and classification, but places drawn at random, so that looking is not learned.

    image, 6 random places -> glimpses as in models/ram.py -> state 512 -> classes, judged after every glimpse as `ram` is

489,738 parameters on 60×60 MNIST: `ram` without its 1,026 for the location and its 513 for the baseline. What `ram` gains over it is
what it gains by choosing where to look; `ram_published` differs from `ram` in sensor and loss as well.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from datasets.task import Task
from models import register
from models.ram import IMAGES, Glimpses


class Wanderer(Glimpses):
    """(batch, c, h, w) -> (batch, classes), from `glimpses` places anywhere; in answers they are the same for every image."""

    def __init__(self, task: Task, glimpses: int, samples: int) -> None:
        super().__init__(task, glimpses, samples)
        del self.location
        anywhere = 2 * torch.rand(samples, 2 * glimpses, generator=torch.Generator().manual_seed(0)) - 1
        self.register_buffer("starts", anywhere, persistent=False)

    def states(self, x: Tensor, places: Tensor) -> Tensor:
        """States after every glimpse at `places` (batch, rollouts, 2 · glimpses), (batch, rollouts, glimpses, 512)."""
        survey, state, states = self.sensor.survey(x), None, []
        for place in places.unflatten(2, (self.glimpses, 2)).unbind(2):
            state = self.glimpse(survey, place, state)
            states.append(state)
        return torch.stack(states, 2)

    def rollouts(self, x: Tensor, places: Tensor) -> Tensor:
        return self.classes(self.states(x, places)[:, :, -1])

    def loss(self, x: Tensor, y: Tensor, task: Task, generator: Generator) -> Tensor:
        """Cross-entropy after every glimpse, half the weight on the last, as `ram` with `reward="gain"`."""
        places = 2 * torch.rand(len(x), 1, 2 * self.glimpses, generator=generator, dtype=x.dtype, device=x.device) - 1
        logits = self.classes(self.states(x, places))[:, 0].to(x.dtype)
        each = F.cross_entropy(logits.flatten(0, 1), y.repeat_interleave(self.glimpses), reduction="none").view(logits.shape[:2])
        return (each.mean() + each[:, -1].mean()) / 2


@register(family="attention", takes=IMAGES)
def ram_random(task: Task, *, glimpses: int = 6, samples: int = 8) -> Wanderer:
    return Wanderer(task, glimpses, samples)
