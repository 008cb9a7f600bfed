"""Vision Transformer (2010.11929) as configured by S4, with the true image side.

    (batch, c, h, w) -> 4 patches of half the side -> LayerNorm, Linear, LayerNorm -> class token + positions
      -> [ x + attention(norm(x)) -> x + mlp(norm(x)) ] × 6 -> norm -> class token -> classes

dim 128, 4 heads of 64, MLP 256, dropout 0.1. Parameters: 1,213,970 on MNIST, 1,288,330 on CIFAR-10, 1,299,940 on CIFAR-100.
Images of up to 16 pixels get half the width, heads of 16 and depth 3.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from datasets.task import Task
from models import Unsupported, register
from models.attention import SelfAttention
from models.dropout import Dropout


class Layer(nn.Module):
    """One pre-norm encoder layer, (batch, tokens, dim) -> the same; query, key and value without biases."""

    def __init__(self, dim: int, heads: int, head_dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads, head_dim=head_dim, qkv_bias=False, dropout=dropout)
        drop = [Dropout(dropout)] if dropout else []
        self.mlp = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), *drop, nn.Linear(hidden, dim), *drop)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm(x))
        return x + self.mlp(x)


class ViT(nn.Module):
    """(batch, channels, height, width) -> (batch, classes)."""

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int,
        *,
        patch: int,
        dim: int,
        depth: int,
        heads: int,
        head_dim: int,
        hidden: int,
        dropout: float,
    ) -> None:
        super().__init__()
        channels, height, width = shape
        self.patch = patch
        pixels, patches = channels * patch**2, (height // patch) * (width // patch)
        self.embed = nn.Sequential(nn.LayerNorm(pixels), nn.Linear(pixels, dim), nn.LayerNorm(dim))
        self.class_token = nn.Parameter(torch.randn(dim))
        self.positions = nn.Parameter(torch.randn(patches + 1, dim))
        self.drop = Dropout(dropout) if dropout else nn.Identity()
        self.layers = nn.Sequential(*(Layer(dim, heads, head_dim, hidden, dropout) for _ in range(depth)))
        self.norm, self.answer = nn.LayerNorm(dim), nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(rearrange(x, "b c (h p) (w q) -> b (h w) (p q c)", p=self.patch, q=self.patch))
        x = torch.cat([self.class_token.expand(len(x), 1, -1), x], 1) + self.positions
        return self.answer(self.norm(self.layers(self.drop(x))[:, 0]))


@register(family="attention")
def vit(
    task: Task,
    *,
    patch: int | None = None,
    dim: int | None = None,
    depth: int | None = None,
    heads: int = 4,
    head_dim: int | None = None,
    hidden: int | None = None,
    dropout: float = 0.1,
) -> ViT:
    if task.input.kind != "image":
        raise Unsupported(f"cuts an image into patches; this task gives {task.input.kind} (see transformer)")
    if task.output.kind != "classes":
        raise Unsupported(f"classifies images; this task asks for a {task.output.kind}")
    side = min(task.input.shape[1:])
    if side < 2 or any(pixels % (patch or side // 2) for pixels in task.input.shape[1:]):
        raise Unsupported(f"an image of {'×'.join(map(str, task.input.shape[1:]))} pixels has no whole number of half-side patches")
    usual_dim, usual_depth, usual_head = (64, 3, 16) if side <= 16 else (128, 6, 64)
    dim = dim or usual_dim
    return ViT(
        task.input.shape,
        task.output.size,
        patch=patch or side // 2,
        dim=dim,
        depth=depth or usual_depth,
        heads=heads,
        head_dim=head_dim or usual_head,
        hidden=hidden or 2 * dim,
        dropout=dropout,
    )
