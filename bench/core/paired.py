"""Differences of two models paired by seed: a mean, and the parts of its variance, for each way that test sets come about.

by_seed   every seed has data of its own: seeds are independent
resplit   seeds split one pool anew, so that their training and test samples overlap: Nadeau and Bengio's correction (2003)
crossed   every seed answers the same test samples: seeds and samples are both drawn, and both counted

Differences stand along the last axis (seeds,), for `crossed` the last two (seeds, samples); axes before them are other comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special


@dataclass(frozen=True)
class Estimate:
    """Of a mean difference (…): `parts` are what its variance adds up from, each (…) with its degrees of freedom."""

    mean: np.ndarray
    parts: tuple[tuple[np.ndarray, int], ...]

    def half(self, level: float) -> np.ndarray:
        """Half the width (…) of the two-sided interval: Student's for one part, else Banerjee's (1960), which errs on the safe side.

        Each part counts with its own quantile, the root of the sum of t² × variance. Satterthwaite's degrees of freedom, at the levels
        that many comparisons ask for, leave out four times as much as they should where 5 seeds carry most of the variance.
        """
        squares = [special.stdtrit(freedom, 0.5 + level / 2) ** 2 * variance for variance, freedom in self.parts]
        return np.asarray(np.sqrt(sum(squares)))


def by_seed(differences: np.ndarray) -> Estimate:
    """Of independent seeds (…, seeds)."""
    return resplit(differences, 0.0)


def resplit(differences: np.ndarray, share: float) -> Estimate:
    """Of seeds (…, seeds) that split one pool anew; `share` is test samples / training samples."""
    n = differences.shape[-1]
    return Estimate(differences.mean(-1), ((differences.var(-1, ddof=1) * (1 / n + share), n - 1),))


def crossed(differences: np.ndarray) -> Estimate:
    """Of seeds on the same test samples (…, seeds, samples).

    The variance of seeds' means and that of samples' means add up; what both contain, noise of a single answer, is counted twice.
    """
    seeds, samples = differences.shape[-2:]
    means, each = differences.mean(-1), differences.mean(-2)
    of_seeds, of_samples = means.var(-1, ddof=1) / seeds, each.var(-1, ddof=1) / samples
    return Estimate(means.mean(-1), ((of_seeds, seeds - 1), (of_samples, samples - 1)))
