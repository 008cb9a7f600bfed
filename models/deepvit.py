"""DeepViT (2103.11886) as configured by S4: the ViT of vit.py with re-attention, which mixes the heads' attention maps.

    [ x + re-attention(norm(x)) -> x + mlp(norm(x)) ] × 6;   re-attention: softmax -> dropout -> 4×4 matrix -> LayerNorm(4)

    parameters             MNIST       CIFAR-10    CIFAR-100
    deepvit                1,214,114   1,288,474   1,300,084   those of vit and 6 × (4² + 2 · 4) = 144 more
    deepvit_published      1,615,010   1,812,250   1,823,860   400,896 of them dead on MNIST, 523,776 on CIFAR, as in vit.py

The authors' code normalises the mixed maps by statistics of the batch; S4 does it over the heads, sample by sample.
"""

from __future__ import annotations

from torch import nn

from datasets.task import Task
from models import register
from models.attention import ReAttention
from models.vit import IMAGES, pixels, vit


@register(family="attention", takes=IMAGES)
def deepvit(
    task: Task,
    *,
    patch: int | None = None,
    dim: int | None = None,
    depth: int | None = None,
    heads: int = 4,
    head_dim: int | None = None,
    dropout: float = 0.1,
) -> nn.Module:
    return vit(task, patch=patch, dim=dim, depth=depth, heads=heads, head_dim=head_dim, dropout=dropout, attention=ReAttention)


@register(family="attention", takes=IMAGES)
def deepvit_published(task: Task, *, depth: int | None = None) -> nn.Module:
    return vit(task, depth=depth, side=pixels(task), attention=ReAttention)
