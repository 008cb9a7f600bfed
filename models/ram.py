"""Recurrent models of visual attention, 1406.6247, in the sizes of S2: an image seen through a few small glimpses.

    image, place -> the squares of 8, 16 and 32 pixels around the place, each averaged down to 8×8 -> 192
        192 -> 128, ReLU ─┐
        place 2 -> 128, ReLU ─┴─> 256, ReLU ──> state 512 = ReLU(see + keep · state) ─┬─> the next place, 2
                                                                                       ├─> baseline, 1
        6 glimpses, the first anywhere                                                 └─> classes, after the last glimpse

Parameters on 60×60 MNIST: 491,277, those of ram_published.py, 490,764 (24,704 + 384 + 65,792 + 393,728 + 5,130 + 1,026), and the baseline.

The sensor rounds a place to a pixel, so nothing flows back from what was seen to where one looked: that is learned by REINFORCE.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from datasets.task import Task
from models import Takes, Unsupported, register

IMAGES = Takes("image", "classes", "looks around in an image", "answers with a class")
SCALES = 3
SMALLEST = 16  # pixels along a side


class Sensor(nn.Module):
    """What an eye sees of images (batch, c, h, w) around places: `patch`² numbers from each of three squares.

    The squares are `patch`, 2 and 4 `patch` wide, the larger ones averaged down. `survey` averages every image once,
    at every pixel; a glimpse then is one gather for each scale. Outside lies the image's own darkest value, by channel:
    black is not 0 once images are standardised.
    """

    sides: Tensor
    corners: Tensor

    def __init__(self, patch: int, height: int, width: int) -> None:
        super().__init__()
        self.border = patch * 2 ** (SCALES - 2)
        self.widths = [width + 2 * self.border - 2**scale + 1 for scale in range(SCALES)]
        corners = []  # what a glimpse at the top left corner of the image reads
        for scale, wide in enumerate(self.widths):
            along = self.border - patch * 2**scale // 2 + 2**scale * torch.arange(patch)
            corners.append((along[:, None] * wide + along).flatten())
        self.register_buffer("corners", torch.stack(corners), persistent=False)
        self.register_buffer("sides", torch.tensor([width, height]), persistent=False)

    def survey(self, images: Tensor) -> list[Tensor]:
        """The means of all squares of 1, 2 and 4 pixels, each (batch, c, places to put it)."""
        dark = images.amin((2, 3), keepdim=True)
        means = [F.pad(images - dark, (self.border,) * 4) + dark]
        for scale in range(SCALES - 1):
            half, last = 2**scale, means[-1]
            rows = last[:, :, :-half] + last[:, :, half:]
            means.append((rows[..., :-half] + rows[..., half:]).mul_(0.25))
        return [level.flatten(2) for level in means]

    def pixels(self, places: Tensor) -> tuple[Tensor, ...]:
        """Each place (batch, rollouts, 2) as the corner between four pixels that is nearest, brought in if outside: x, y (…, 1)."""
        return ((places.detach() + 1) / 2 * self.sides).round().long().clamp(min=0).minimum(self.sides)[..., None].unbind(-2)

    def forward(self, survey: list[Tensor], places: Tensor) -> Tensor:
        """`survey` of a batch, places (batch, rollouts, 2): x and y from -1 to 1 across the image -> (batch, rollouts, 3·c·patch²)."""
        x, y = self.pixels(places)
        seen = []
        for level, wide, corner in zip(survey, self.widths, self.corners, strict=True):
            index = (corner + x + y * wide).flatten(1)[:, None].expand(-1, level.shape[1], -1)
            seen.append(level.gather(2, index).unflatten(2, (places.shape[1], -1)))
        return torch.cat(seen, 1).transpose(1, 2).flatten(2)


def reinforce(log_probabilities: Tensor, rewards: Tensor, baselines: Tensor) -> Tensor:
    """A loss whose gradient estimates that of minus the expected reward, without bias: -(reward - baseline) · log probability.

    All (…, choices): summed over a rollout's choices, averaged over rollouts. If every choice has a reward of its own, what it had at
    once is all it learns from. A baseline may depend on anything known before the choice; it changes the estimate's variance
    and not its mean, and gets no gradient here.
    """
    return -((rewards - baselines).detach() * log_probabilities).sum(-1).mean()


class Glimpses(nn.Module):
    """(batch, c, h, w) -> (batch, classes). The place looked at next is what the location head says, as it says it."""

    starts: Tensor

    def __init__(self, task: Task, glimpses: int, samples: int, sensor: type[Sensor] = Sensor) -> None:
        super().__init__()
        channels, *sides = task.input.shape
        if channels not in (1, 3):
            raise Unsupported(f"looks at images in grey or colour; this task gives {channels} channels")
        if min(sides) < SMALLEST:
            raise Unsupported(f"there is nowhere to look in an image of {sides[0]}×{sides[1]} pixels; it takes {SMALLEST}×{SMALLEST}")
        patch = 8 if min(sides) >= 28 else 4
        self.glimpses, self.sensor = glimpses, sensor(patch, *sides)
        self.what, self.where = nn.Linear(channels * SCALES * patch**2, 128), nn.Linear(2, 128)
        self.join, self.see, self.keep = nn.Linear(256, 256), nn.Linear(256, 512), nn.Linear(512, 512, bias=False)
        self.classes, self.location = nn.Linear(512, task.output.size), nn.Linear(512, 2)
        starts = 2 * torch.rand(samples, 2, generator=torch.Generator().manual_seed(0)) - 1
        self.register_buffer("starts", starts, persistent=False)

    def glimpse(self, survey: list[Tensor], places: Tensor, state: Tensor | None) -> Tensor:
        """One look: the next state, (batch, rollouts, 512)."""
        seen = torch.cat([self.what(self.sensor(survey, places)), self.where(places)], -1)
        new = self.see(self.join(seen.relu()).relu())
        return (new if state is None else new + self.keep(state)).relu()

    def place(self, state: Tensor) -> Tensor:
        """Where to look next, (batch, rollouts, 2)."""
        return self.location(state).to(self.starts.dtype)

    def rollouts(self, x: Tensor, places: Tensor) -> Tensor:
        """Logits of rollouts that start at `places` (batch, rollouts, 2) and then look where the location head says."""
        survey, state = self.sensor.survey(x), None
        for _ in range(self.glimpses - 1):
            state = self.glimpse(survey, places, state)
            places = self.place(state)
        return self.classes(self.glimpse(survey, places, state))

    def forward(self, x: Tensor) -> Tensor:
        """One rollout, from the first of the fixed starts."""
        return self.rollouts(x, self.starts[:1].expand(len(x), -1, -1))[:, 0]

    def predict(self, x: Tensor, task: Task) -> Tensor:
        """Log of the class probabilities averaged over rollouts from fixed starts, the same for every image."""
        logits = self.rollouts(x, self.starts.expand(len(x), -1, -1)).to(x.dtype)
        return logits.log_softmax(-1).logsumexp(1) - math.log(len(self.starts))

    def begin(self, x: Tensor, rollouts: int, generator: Generator) -> Tensor:
        """Where rollouts start, (batch, rollouts, 2): anywhere."""
        return 2 * torch.rand(len(x), rollouts, 2, generator=generator, dtype=x.dtype, device=x.device) - 1

    def loss(self, x: Tensor, y: Tensor, task: Task, generator: Generator) -> Tensor:
        """Cross-entropy of one rollout per image."""
        return task.loss(self.rollouts(x, self.begin(x, 1, generator))[:, 0], y)


class Ram(Glimpses):
    """The same, trained to look where it pays: the next place is drawn around tanh of what the location head says.

    Trained by cross-entropy, which reaches all that sees and remembers, and by REINFORCE, which reaches the location head.
    Two ways to do both, `reward`:

    right   1406.6247: the last glimpse is classified, and every choice is rewarded with 1 if that was right
    gain    all glimpses are classified, half the weight on the last, and a choice is rewarded with what the next glimpse
            added to the log-probability of the right class: credit goes to the choice that earned it, at every step

    After 115,200 images of 60×60 translated MNIST (one seed, batch 64, a rate of 1e-3 falling to 0, 1,000 images of val):
    89.1 % with `gain`, 65.1 % with `right`, 66.7 % without REINFORCE; with `gain` and `core` 78.8 %.
    """

    def __init__(self, task: Task, glimpses: int, samples: int, std: float, rollouts: int, reward: str, core: bool) -> None:
        super().__init__(task, glimpses, samples)
        if reward not in ("gain", "right"):
            raise ValueError(f"ram: the reward is 'gain' or 'right', not {reward!r}")
        self.baseline = nn.Linear(512, 1)
        self.std, self.repeats, self.reward, self.core = std, rollouts, reward, core

    def place(self, state: Tensor) -> Tensor:
        return super().place(state).tanh()

    def explore(self, x: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """States after every glimpse (batch, rollouts, glimpses, 512), log-probabilities of the choices between them.

        A place is Gaussian and its log-probability that of the draw; what was drawn outside of the image is brought in.
        """
        survey, places = self.sensor.survey(x), self.begin(x, self.repeats, generator)
        states, chances, state = [], [], None
        for _ in range(self.glimpses):
            if state is not None:
                mean = self.place(state if self.core else state.detach())
                noise = torch.randn(mean.shape, generator=generator, dtype=x.dtype, device=x.device)
                drawn = (mean + self.std * noise).detach()
                chances.append(-((drawn - mean) / self.std).square().sum(-1) / 2)
                places = drawn.clamp(-1, 1)
            state = self.glimpse(survey, places, state)
            states.append(state)
        return torch.stack(states, 2), torch.stack(chances, 2)

    def loss(self, x: Tensor, y: Tensor, task: Task, generator: Generator) -> Tensor:
        """Cross-entropy, minus the expected reward by REINFORCE, and the squared error of the baseline, which is learned."""
        states, chances = self.explore(x, generator)
        judged = states if self.reward == "gain" else states[:, :, -1:]
        logits = self.classes(judged).to(x.dtype)
        truth = y[:, None, None].expand(logits.shape[:3])
        each = F.cross_entropy(logits.flatten(0, 2), truth.flatten(), reduction="none").view(truth.shape)
        classify = (each.mean() + each[..., -1].mean()) / 2
        if self.reward == "gain":
            rewards = (each[..., :-1] - each[..., 1:]).detach()
        else:
            rewards = (logits.argmax(-1) == truth).to(x.dtype).expand(chances.shape)
        baselines = self.baseline(states[:, :, :-1].detach())[..., 0].to(x.dtype)
        return classify + reinforce(chances, rewards, baselines) + F.mse_loss(baselines, rewards)


@register(family="attention", takes=IMAGES)
def ram(
    task: Task,
    *,
    glimpses: int = 6,
    samples: int = 8,
    std: float = 0.15,
    rollouts: int = 1,
    reward: str = "gain",
    core: bool = False,
) -> Ram:
    """`samples` rollouts are averaged in evaluation, `rollouts` per image are drawn in training, `std` wide in [-1, 1].
    With `core` the policy's gradient goes on into what sees and remembers: its noise slows the classifier down."""
    return Ram(task, glimpses, samples, std, rollouts, reward, core)
