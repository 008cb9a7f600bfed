"""Compact Convolutional Transformer (2104.05704), CCT-2/3×2: convolutions make the tokens, and what is worth reading weighs them.

    (batch, c, h, w) -> n × [ conv3 64 (128 at last), ReLU, max-pool 3 of every other place ] -> tokens of 128, + positions
      -> 2 × [ x + attention(norm(x)), norm -> x + mlp(x) ] -> norm -> mean weighed by softmax(linear(x)) over the tokens -> classes

2 heads of 64, MLP 128; dropout 0.1 on attention's weights alone; a branch is left out with probability 0 in the first layer and 0.1 in
the last. 283,723 parameters on CIFAR-10 (0.284 M in the paper). n is 2, for images of up to 16 pixels 1;
under 32 pixels tokens have 64 numbers. Dropout draws from one stream, so seeds train one by one.
"""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn, zeros

from datasets.task import Task
from models import Takes, Unsupported, register, sizes
from models.attention import SelfAttention
from models.dropout import Dropout

IMAGES = Takes("image", ("value", "classes"), "starts with convolutions over an image", "answers with one vector per image")


class Layer(nn.Module):
    """(batch, tokens, dim) -> the same. `left_out` is the share of samples that a branch does without, while training."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float, left_out: float) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads, qkv_bias=False, dropout=dropout)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))
        self.path = Dropout(left_out)

    def kept(self, x: Tensor) -> Tensor:
        return x * self.path(x.new_ones(len(x), 1, 1)) if self.training else x

    def forward(self, x: Tensor) -> Tensor:
        attention, (batch, tokens, _) = self.attention, x.shape
        drawn = self.training and attention.dropout.p > 0 and not x.is_cuda  # a GPU's kernel draws by itself
        keep = attention.dropout.factors(x, batch * attention.heads, tokens, tokens) if drawn else None
        x = self.between(x + self.kept(attention.mixed(self.before(x), keep)))
        return x + self.kept(self.mlp(x))


class CCT(nn.Module):
    """(batch, channels, height, width) -> (batch, outputs)."""

    def __init__(
        self, shape: tuple[int, ...], outputs: int, *, convolutions: int, dim: int, depth: int, heads: int, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        channels, *sides = shape
        widths = [channels, *[64] * (convolutions - 1), dim]
        self.convolutions = nn.Sequential()
        for before, after in pairwise(widths):
            self.convolutions.extend([nn.Conv2d(before, after, 3, padding=1, bias=False), nn.ReLU(), nn.MaxPool2d(3, 2, 1)])
            sides = [-(-side // 2) for side in sides]
        self.positions = nn.Parameter(nn.init.trunc_normal_(zeros(sides[0] * sides[1], dim), std=0.2))
        rates = [dropout * i / max(1, depth - 1) for i in range(depth)]
        self.layers = nn.Sequential(*(Layer(dim, heads, hidden, dropout, rate) for rate in rates))
        self.norm, self.worth, self.answer = nn.LayerNorm(dim), nn.Linear(dim, 1), nn.Linear(dim, outputs)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
            elif isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.convolutions(x).flatten(2).mT + self.positions
        x = self.norm(self.layers(x))
        return self.answer((F.softmax(self.worth(x), 1) * x).sum(1))


@register(family="attention", takes=IMAGES)
def cct(
    task: Task,
    *,
    convolutions: int | None = None,
    dim: int | None = None,
    depth: int = 2,
    heads: int = 2,
    hidden: int | None = None,
    dropout: float = 0.1,
) -> CCT:
    _, height, width = task.input.shape
    dim = dim or sizes.width(task)
    n = convolutions or (1 if min(height, width) <= 16 else 2)
    if min(height, width) < 2**n:
        raise Unsupported(f"halves an image {n} times; {height}×{width} pixels are too few")
    return CCT(task.input.shape, task.output.size, convolutions=n, dim=dim, depth=depth, heads=heads, hidden=hidden or dim, dropout=dropout)
