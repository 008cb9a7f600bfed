"""Which of our models are timed beside which of others, and how much faster ours are meant to be."""

from __future__ import annotations

from dataclasses import dataclass

from bench.peers.peer_models import IMAGES

STEP, FORWARD, DEFAULT = "training step", "forward", "training step, default Adam"
AIMS = {("vit", FORWARD, 1): 0.85, ("vit", FORWARD, 64): 0.75, **{("vit", what, b): 0.8 for what in (STEP, DEFAULT) for b in (1, 64)}}


@dataclass(frozen=True)
class Pair:
    """Two things to time. `model`, `peer`, `input`, `what`, `batch` are the table's; `peer` starts with its package."""

    model: str
    peer: str
    input: str
    what: str
    batch: int

    @property
    def id(self) -> str:
        words = f"{self.model} {self.peer} {self.input} {self.what} b{self.batch}"
        return "-".join("".join(c if c.isalnum() else " " for c in words).split())

    @property
    def aim(self) -> float:
        if self.model == "deepvit" and self.what == FORWARD:
            return 0.95
        return AIMS.get((self.model, self.what, self.batch), 1.05) if self.peer.startswith("vit_pytorch") else 1.05


def vision(what: str) -> list[Pair]:
    theirs = [(model, f"vit_pytorch.{peer}", name) for model, peer in (("vit", "ViT"), ("deepvit", "DeepViT")) for name in IMAGES]
    theirs += [("vit", "timm.VisionTransformer", name) for name in IMAGES if name.startswith("28")]
    return [Pair(model, peer, name, what, batch) for model, peer, name in theirs for batch in (1, 64)]


LAYERS = [
    Pair("SelfAttention", "torch.nn.MultiheadAttention", f"{n} tokens of 128, 4 heads", what, b)
    for n in (5, 65)
    for b in (1, 64)
    for what in (FORWARD, STEP)
]
PAIRS = [*vision(FORWARD), *vision(STEP), *LAYERS]
PAIRS += [Pair("vit", "vit_pytorch.ViT", name, DEFAULT, batch) for name in IMAGES for batch in (1, 64)]
