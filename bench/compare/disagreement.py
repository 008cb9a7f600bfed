"""Two runs of one seed, sample by sample of the split they are compared on: on which of them one answered better than the other.

Of classes: right or wrong, and the exact test of McNemar (1947). Of all else: which loss is lower, and the exact sign test. Both ask
whether of the samples on which the two differ half fall to each side; they speak of these two runs, not of two models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from bench.store.encoding import unpack
from bench.store.records import Record
from bench.tables.verdict import hits

ANSWERS, LOSSES = "answers", "losses"


@dataclass(frozen=True)
class Seed:
    """`a`, `b`: the samples, by their place, on which the one is better. `by`: answers or losses."""

    seed: int
    by: str
    samples: int
    a: list[int]
    b: list[int]

    @property
    def p(self) -> float:
        """Two-sided and exact; 1 where they differ on none."""
        differ = len(self.a) + len(self.b)
        return float(binomtest(len(self.a), differ).pvalue) if differ else 1.0


def losses(run: Record) -> np.ndarray | None:
    kept = run.get("examples", {})
    return unpack(kept["loss"]).astype(np.float32) if "loss" in kept else None


def differ(a: Record, b: Record) -> Seed | str:
    """Where two runs of one seed differ, or why nobody can tell."""
    own, others = hits([a]), hits([b])
    if own is not None and others is not None:
        if not np.array_equal(own[1], others[1]):
            return "tested on different samples"
        by, better, worse = ANSWERS, own[0][0] & ~others[0][0], others[0][0] & ~own[0][0]
    else:
        x, y = losses(a), losses(b)
        if x is None or y is None:
            untold = [run.get("examples", {}).get("untold", "") for run in (a, b)]
            return next(filter(None, untold), "the runs do not keep what they made of each test sample")
        if x.shape != y.shape or a["examples"].get("target", "") != b["examples"].get("target", ""):
            return "tested on different samples"
        by, better, worse = LOSSES, x < y, y < x
    return Seed(a["seed"], by, better.size, np.flatnonzero(better).tolist(), np.flatnonzero(worse).tolist())
