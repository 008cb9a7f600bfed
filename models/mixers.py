"""What blocks mix tokens with, each (batch, tokens, dim) -> the same and of one size: 4·dim² + 4·dim weights within 5 %.

    SelfAttention    far, by content     see models/attention.py: query, key, value, out
    LocalAttention   near, by content    the same projections; a token sees the 5 (or 3×3) around it
    ConvMixer        near, fixed         inverted separable convolution, 5 (or 3×3)
    TokenMLP         far, fixed          an MLP across the tokens (MLP-Mixer, 2105.01601)
    MinGRU           far, compressed     minGRU (2410.01201) in both directions

The last three are as wide inside as that size allows. All are made of operations with a batching rule, so that seeds train
stacked. Equal size is kept from 2 to 64 tokens of 32 or 64 numbers; a token MLP of more tokens is larger.
"""

from __future__ import annotations

from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import attention
from models.attention import SelfAttention

LEAST = 32  # hidden units of a token MLP; equal size leaves fewer than that beyond 64 tokens
DENSE = 64  # tokens up to which a window is trained as a mask: gathering and its gradient take 1.6 to 4 times as long


def weights(dim: int) -> int:
    """What self-attention has, and the other mixers come near."""
    return 4 * dim * dim + 4 * dim


def window(grid: tuple[int, ...]) -> int:
    """Tokens along a side of what a near mixer sees."""
    return 3 if len(grid) == 2 else 5


class ConvMixer(nn.Module):
    """Pointwise to about 1.9·dim, SiLU, depthwise over the token grid, pointwise; zeros beyond the border."""

    def __init__(self, dim: int, grid: tuple[int, ...], kernel: int | None = None) -> None:
        super().__init__()
        conv, kernel = nn.Conv2d if len(grid) == 2 else nn.Conv1d, kernel or window(grid)
        width = round((weights(dim) - dim) / (2 * dim + 1 + kernel ** len(grid)))
        self.grid = grid
        self.expand = nn.Linear(dim, width)
        self.depthwise = conv(width, width, kernel, padding=kernel // 2, groups=width, bias=False)
        self.out = nn.Linear(width, dim)

    def forward(self, x: Tensor) -> Tensor:
        y = F.silu(self.expand(x)).transpose(1, 2)
        return self.out(self.depthwise(y.unflatten(2, self.grid)).flatten(2).transpose(1, 2))


class LocalAttention(SelfAttention):
    """Self-attention of every token to those within a window around it; places beyond the border have no weight.

    Keys and values are gathered, not masked: scores are (batch, tokens, heads, 1, window), never tokens × tokens. While it is
    trained on few tokens it weighs them all and masks, which comes to the same and takes less time.
    """

    inside: Tensor
    near: Tensor

    def __init__(self, dim: int, heads: int, grid: tuple[int, ...], kernel: int | None = None) -> None:
        super().__init__(dim, heads)
        self.grid, self.kernel, tokens = grid, kernel or window(grid), prod(grid)
        # The tokens each token sees, counted from 1: what comes in beyond the border is 0.
        seen = self.around(torch.arange(1.0, tokens + 1).view(1, -1, 1)).flatten(0, 2).long()
        near = torch.zeros(tokens, tokens + 1, dtype=torch.bool).scatter_(1, seen, True)[:, 1:]
        self.register_buffer("inside", (seen > 0)[:, None, None], persistent=False)  # (tokens, 1, 1, window)
        self.register_buffer("near", near, persistent=False)  # (tokens, tokens), whether one sees another

    def around(self, x: Tensor) -> Tensor:
        """What lies around every token, (batch, tokens, dim) -> (batch, tokens, dim, window)."""
        reach, y = self.kernel // 2, x.unflatten(1, self.grid)
        for side, length in enumerate(self.grid, 1):  # `unfold` would do, but its gradient has no batching rule
            y = F.pad(y, (0, 0) * (y.ndim - 1 - side) + (reach, reach))
            y = torch.stack([y.narrow(side, shift, length) for shift in range(self.kernel)], -1)
        return y.flatten(1, len(self.grid)).flatten(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.masked(x) if self.training and x.shape[1] <= DENSE else self.gathered(x))

    def masked(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (batch, heads, tokens, head_dim)
        return attention.attend(self, q, k, v, self.near).transpose(1, 2).flatten(2)

    def gathered(self, x: Tensor) -> Tensor:
        if attention.watching is not None:
            self.masked(x)  # which tells what every token weighs, not only its window
        q, around = self.qkv(x).split([self.out.in_features, 2 * self.out.in_features], 2)
        k, v = self.around(around).unflatten(2, (2, self.heads, -1)).unbind(2)  # (batch, tokens, heads, head_dim, window)
        q = q.unflatten(2, (self.heads, 1, -1))
        mix = (q @ k * q.shape[-1] ** -0.5).masked_fill(~self.inside, -torch.inf).softmax(-1)
        return (mix @ v.mT).flatten(2)


class TokenMLP(nn.Module):
    """One hidden layer across the tokens, shared by the channels of a group; as many groups as leave two hidden units a token.

    From 23 tokens of 32 numbers on all channels share one, as in MLP-Mixer. Fewer tokens leave weights for more: one MLP as
    large as the other mixers would have 844 hidden units for 2 tokens, and take 13 times their FLOPs.
    """

    def __init__(self, dim: int, grid: tuple[int, ...], hidden: int | None = None) -> None:
        super().__init__()
        tokens = prod(grid)

        def units(groups: int) -> int:
            return round((weights(dim) / groups - tokens) / (2 * tokens + 1))

        divisors = (n for n in range(dim, 0, -1) if dim % n == 0)
        self.groups = 1 if hidden else next((n for n in divisors if units(n) >= 2 * tokens), 1)
        hidden = hidden or max(units(self.groups), LEAST if self.groups == 1 else 1)
        # The groups' weights one below the other: a linear layer is drawn by its inputs, which are one group's.
        self.up, self.down = nn.Linear(tokens, self.groups * hidden), nn.Linear(hidden, self.groups * tokens)

    def each(self, layer: nn.Linear, x: Tensor) -> Tensor:
        """A layer's own part for every group, (batch, groups, channels, inputs) -> (…, outputs)."""
        weight, bias = layer.weight.unflatten(0, (self.groups, -1)), layer.bias.unflatten(0, (self.groups, 1, -1))
        return x @ weight.mT + bias

    def forward(self, x: Tensor) -> Tensor:
        y = x.transpose(1, 2)
        if self.groups == 1:
            return self.down(F.gelu(self.up(y))).transpose(1, 2)
        y = y.unflatten(1, (self.groups, -1))
        return self.each(self.down, F.gelu(self.each(self.up, y))).flatten(1, 2).transpose(1, 2)


def scan(keep: Tensor, new: Tensor) -> Tensor:
    """All states of h = keep · h + new from h = 0 on, (batch, tokens, width), in ⌈log2 tokens⌉ rounds of doubling reach.

    Products of numbers between 0 and 1 may vanish but never overflow; nothing is divided and no logarithm taken. A round takes
    3 operations for each number, which torch's counter, like a softmax's, does not count: 8 % of the mixer's at 31 tokens.
    """
    step, tokens = 1, new.shape[1]
    while step < tokens:
        new = new + keep * F.pad(new[:, :-step], (0, 0, step, 0))
        keep = keep * F.pad(keep[:, :-step], (0, 0, step, 0))  # 0 comes in: there is nothing before the first token
        step *= 2
    return new


class MinGRU(nn.Module):
    """h = (1 - z) ∘ h + z ∘ n with z = σ(W x + b) and n = V x + c, which do not read h; forwards and backwards, then out.

    Biases b start so that units remember for 1 to as many steps as there are tokens (1804.11188). Started around 0 they all forget
    within two: `copy_far`, R² 0.7 after 600 steps and 0.99 after 1,500, then stays at 0.
    """

    def __init__(self, dim: int, grid: tuple[int, ...], width: int | None = None) -> None:
        super().__init__()
        width = width or round((weights(dim) - dim) / (6 * dim + 4))
        self.gates = nn.Linear(dim, 4 * width)  # z forwards, z backwards, n forwards, n backwards
        self.out = nn.Linear(2 * width, dim)
        with torch.no_grad():
            self.gates.bias[: 2 * width] = -torch.empty(2 * width).uniform_(1, max(2, prod(grid) - 1)).log()

    def forward(self, x: Tensor) -> Tensor:
        z, n = self.gates(x).chunk(2, 2)
        keep, new = (self.mirror(part) for part in ((-z).sigmoid(), z.sigmoid() * n))
        return self.out(self.mirror(scan(keep, new)))

    @staticmethod
    def mirror(x: Tensor) -> Tensor:
        """The backward half of the channels in reverse order of the tokens."""
        there, back = x.chunk(2, 2)
        return torch.cat([there, back.flip(1)], 2)
