"""MLP-Mixer (2105.01601): an MLP over the places of each channel, then one over the channels of each place.

    (batch, c, h, w) -> patches, linear -> tokens of dim
      -> depth × [ x + mlp over tokens(norm(x)) -> x + mlp over channels(norm(x)) ] -> norm -> mean over the tokens -> classes

The MLPs are Linear, GELU, Linear; the hidden layer of the first is `places` wide, of the second `hidden`. Default sizes are for small
images: dim 128, under 32 pixels 64, depth 4, places dim / 2, hidden 2 dim, patches as tokens.py cuts them. It keeps to one size of
image: its weights know places.
"""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn

from datasets.task import Task
from models import Takes, Unsupported, register, sizes
from models.tokens import patch_size

IMAGES = Takes("image", ("value", "classes"), "cuts an image into patches", "answers with one vector per image")


def two_layers(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


class MixerLayer(nn.Module):
    """(batch, tokens, dim) -> the same."""

    def __init__(self, tokens: int, dim: int, places: int, hidden: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)])
        self.over_places, self.over_channels = two_layers(tokens, places), two_layers(dim, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.over_places(self.norms[0](x).mT).mT
        return x + self.over_channels(self.norms[1](x))


class MLPMixer(nn.Module):
    """(batch, channels, height, width) -> (batch, outputs)."""

    def __init__(self, shape: tuple[int, ...], outputs: int, *, patch: int, dim: int, depth: int, places: int, hidden: int) -> None:
        super().__init__()
        channels, height, width = shape
        self.patch, tokens = patch, (height // patch) * (width // patch)
        self.embed = nn.Linear(channels * patch**2, dim)
        self.layers = nn.Sequential(*(MixerLayer(tokens, dim, places, hidden) for _ in range(depth)))
        self.norm, self.answer = nn.LayerNorm(dim, eps=1e-6), nn.Linear(dim, outputs)

    def forward(self, x: Tensor) -> Tensor:
        patches = rearrange(x, "b c (h p) (w q) -> b (h w) (c p q)", p=self.patch, q=self.patch)
        return self.answer(self.norm(self.layers(self.embed(patches))).mean(1))


@register(family="mlp", takes=IMAGES)
def mlp_mixer(
    task: Task, *, dim: int | None = None, depth: int = 4, places: int | None = None, hidden: int | None = None, patch: int | None = None
) -> MLPMixer:
    _, height, width = task.input.shape
    dim = dim or sizes.width(task)
    places, hidden = places or dim // 2, hidden or 2 * dim
    patch = patch or task.patch or patch_size(height, width)
    if height % patch or width % patch:
        raise Unsupported(f"an image of {height}×{width} pixels has no whole number of patches of {patch}")
    return MLPMixer(task.input.shape, task.output.size, patch=patch, dim=dim, depth=depth, places=places, hidden=hidden)
