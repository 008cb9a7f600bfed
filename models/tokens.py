"""Any kind of input as a sequence of tokens, and any kind of answer from it.

    points (2,)            2 tokens of 1 number             table (f,)            f tokens of 1 number
    signal (c, length)     length tokens of c numbers       image (c, h, w)       a grid of p×p patches, p·p·c numbers each

    value, classes         mean over the tokens, a linear layer
    signal                 a linear layer at every token
"""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn

from datasets.task import Task
from models import Unsupported


def patch_side(height: int, width: int) -> int:
    """Pixels along a patch that divides both sides: 2 up to 8 pixels, 4 beyond (digits: 16 tokens, MNIST: 49)."""
    wanted = 2 if min(height, width) <= 8 else 4
    return max(side for side in range(1, wanted + 1) if height % side == 0 and width % side == 0)


class Tokens(nn.Module):
    """Cuts an input, (batch, *input.shape), into tokens and projects each, (batch, tokens, dim).

    `grid` is (rows, columns) for images, else (tokens,).
    """

    def __init__(self, task: Task, dim: int) -> None:
        super().__init__()
        kind, shape = task.input.kind, task.input.shape
        self.kind = kind
        self.grid: tuple[int, ...] = (shape[-1],)
        width = shape[0] if kind == "signal" else 1
        if kind == "image":
            self.patch = patch_side(shape[1], shape[2])
            self.grid = (shape[1] // self.patch, shape[2] // self.patch)
            width = shape[0] * self.patch**2
        self.project = nn.Linear(width, dim)

    @property
    def count(self) -> int:
        """Tokens per sample."""
        return self.grid[0] * (self.grid[1] if len(self.grid) > 1 else 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "image":
            x = rearrange(x, "b c (h p) (w q) -> b (h w) (p q c)", p=self.patch, q=self.patch)
        elif self.kind == "signal":
            x = x.transpose(1, 2)
        else:
            x = x.unsqueeze(-1)
        return self.project(x)


class Answer(nn.Module):
    """(batch, tokens, dim) -> (batch, *output.shape)."""

    def __init__(self, task: Task, tokens: int, dim: int) -> None:
        super().__init__()
        self.signal = task.output.kind == "signal"
        if self.signal and tokens != task.output.size:
            raise Unsupported(f"{tokens} tokens cannot answer with a signal of {task.output.size} samples")
        self.linear = nn.Linear(dim, 1 if self.signal else task.output.size)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).transpose(1, 2) if self.signal else self.linear(x.mean(1))
