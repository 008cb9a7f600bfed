"""The peers: what one would import, or write by hand, where we have something of our own."""

from __future__ import annotations

import importlib
import random
from typing import Any

from torch import Tensor, nn

from datasets.shapes import LENGTH, NOISE, QUARTER, SCALE, SHAPES

IMAGES = {
    "28×28×1, patch 14": (1, 28, 14),
    "28×28×1, patch 7": (1, 28, 7),
    "32×32×3, patch 16": (3, 32, 16),
    "32×32×3, patch 4": (3, 32, 4),
}
WIDE: dict[str, Any] = {"dim": 128, "depth": 6, "heads": 4, "mlp_dim": 256, "dropout": 0.1, "emb_dropout": 0.1}


def vision(peer: str, channels: int, side: int, patch: int) -> nn.Module:
    """timm.VisionTransformer, vit_pytorch.ViT or vit_pytorch.DeepViT in the sizes of S4. ImportError where the package is missing."""
    if peer.startswith("timm"):
        timm = importlib.import_module("timm.models.vision_transformer")
        sizes: dict[str, Any] = {"embed_dim": 128, "depth": 6, "num_heads": 4, "mlp_ratio": 2.0, "qkv_bias": False, "num_classes": 10}
        drops = {"pos_drop_rate": 0.1, "proj_drop_rate": 0.1, "attn_drop_rate": 0.1}
        made: nn.Module = timm.VisionTransformer(img_size=side, patch_size=patch, in_chans=channels, **sizes, **drops)
        return made
    name = peer.split(".")[1]
    build = getattr(importlib.import_module(f"vit_pytorch.{name.lower()}"), name)
    model: nn.Module = build(image_size=side, patch_size=patch, num_classes=10, channels=channels, **WIDE)
    return model


class MultiHead(nn.Module):
    """torch's layer as self-attention, without the weights that nobody reads."""

    def __init__(self, layer: nn.MultiheadAttention) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x, x, x, need_weights=False)[0]
        return y


def example(model: str) -> nn.Module:
    """What one would write or import for it: PyTorch's MNIST example is that CNN, of torch's own layers."""
    if model == "vit":
        return vision("vit_pytorch.ViT", *IMAGES["28×28×1, patch 14"])
    convolutions = [nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(
        *convolutions, nn.Dropout(0.25), nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)
    )


def by_hand(rng: random.Random) -> tuple[list[float], list[float]]:
    """One signal of datasets/shapes.py and its target, number by number."""
    kinds, widths, heights, centres = [], [], [], []
    for quarter in range(SHAPES):
        width = rng.randint(3, 9)
        kinds.append(rng.random() < 0.5)
        widths.append(width)
        heights.append(rng.uniform(5, 49))
        centres.append(quarter * QUARTER + width / 2 + rng.uniform(0, QUARTER - 1 - width))
    means = []
    for kind in kinds:
        same = [height for other, height in zip(kinds, heights, strict=True) if other == kind]
        means.append(sum(same) / len(same))
    x, y = [0.0] * LENGTH, [0.0] * LENGTH
    for kind, width, height, centre, mean in zip(kinds, widths, heights, centres, means, strict=True):
        for i in range(LENGTH):
            distance = abs(i - centre) / (width / 2)
            if distance <= 1:
                profile = 1 - distance if kind else 1.0
                x[i] += profile * height
                y[i] += profile * mean
    return [(value + rng.gauss(0, NOISE)) / SCALE for value in x], [value / SCALE for value in y]
