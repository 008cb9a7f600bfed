"""Any kind of input as a sequence of tokens, and any kind of answer from it.

    points (2,)            2 tokens of 1 number             table (f,)            f tokens of 1 number
    signal (c, length)     pieces of p samples, p·c numbers    image (c, h, w)    a grid of p×p patches, p·p·c numbers each
    tokens (length,)       embedded words, padding included, and as many empty places as a longer answer needs

    value, classes         mean over the tokens, a linear layer
    signal                 a linear layer at every token, which answers for the p samples of its piece
    tokens                 a linear layer at every token, which answers for one word: all words at once, none knows the others

p is the model's own `patch`, else the task's, else the largest that divides the length or both sides: up to 4, for images of 8
pixels or less up to 2.
"""

from __future__ import annotations

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from datasets.task import Task
from datasets.vocabulary import PAD
from models import Unsupported


def patch_size(*lengths: int) -> int:
    """Samples or pixels along a patch; signals of 100 get 25 tokens, digits 16, MNIST 49, CIFAR 64."""
    most = 2 if min(lengths) <= 8 else 4
    return max(size for size in range(1, most + 1) if all(length % size == 0 for length in lengths))


class Tokens(nn.Module):
    """Cuts an input, (batch, *input.shape), into tokens and projects each, (batch, tokens, dim).

    `grid` is (rows, columns) for images, else (tokens,). Unsupported if `patch` does not divide the input, or it is not cut.
    """

    def __init__(self, task: Task, dim: int, patch: int | None = None) -> None:
        super().__init__()
        self.kind, shape = task.input.kind, task.input.shape
        if patch is not None and (self.kind not in ("signal", "image") or patch < 1 or any(length % patch for length in shape[1:])):
            raise Unsupported(f"an input of kind {self.kind} and shape {shape} is not cut into whole patches of {patch}")
        self.grid: tuple[int, ...] = shape
        self.patch = width = 1
        if self.kind in ("signal", "image"):
            channels, *lengths = shape
            self.patch = patch or task.patch or patch_size(*lengths)
            self.grid = tuple(length // self.patch for length in lengths)
            width = channels * self.patch ** len(lengths)
        if self.kind == "tokens":
            self.grid = (max(shape[0], task.output.size if task.output.kind == "tokens" else 0),)
            self.embed = nn.Embedding(task.input.vocabulary, dim)
        else:
            self.project = nn.Linear(width, dim)

    @property
    def count(self) -> int:
        """Tokens per sample."""
        return self.grid[0] * (self.grid[1] if len(self.grid) > 1 else 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "tokens":
            return self.embed(F.pad(x, (0, self.count - x.shape[1]), value=PAD))
        if self.kind == "image":
            x = rearrange(x, "b c (h p) (w q) -> b (h w) (p q c)", p=self.patch, q=self.patch)
        elif self.kind == "signal":
            x = rearrange(x, "b c (n p) -> b n (p c)", p=self.patch)
        else:
            x = x.unsqueeze(-1)
        return self.project(x)


class Answer(nn.Module):
    """(batch, tokens, dim) -> (batch, *output.shape). Unsupported if the tokens cannot share out a signal or a sentence."""

    def __init__(self, task: Task, tokens: int, dim: int) -> None:
        super().__init__()
        self.kind, self.size = task.output.kind, task.output.size
        if self.kind == "signal" and self.size % tokens:
            raise Unsupported(f"{tokens} tokens cannot share out a signal of {self.size} samples")
        if self.kind == "tokens" and tokens < self.size:
            raise Unsupported(f"{tokens} tokens cannot answer with {self.size} words")
        self.linear = nn.Linear(dim, {"signal": self.size // tokens, "tokens": task.output.vocabulary}.get(self.kind, self.size))

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "signal":
            return rearrange(self.linear(x), "b n p -> b 1 (n p)")
        return self.linear(x[:, : self.size]) if self.kind == "tokens" else self.linear(x.mean(1))
