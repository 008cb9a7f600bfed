"""The one family of comparisons that verdicts are read off: committed, so that no selection and no plugin changes a verdict.

Attention minus each other mixer of the controlled backbone, on every data set of `SETS`: those with 8 to 64 tokens, where the mixers
are of one size, that belong to the default grid or are MNIST, and are neither routes, which are built to be solved by one mixer, nor
shuffled twins, nor tables, whose columns have no order: there is no near and far in them.

All intervals hold together in 95 of 100 cases (Bonferroni): each has the level `LEVEL`, however many rows are at hand.
"""

from __future__ import annotations

ATTENTION = "backbone_attention"
OTHERS = {
    "backbone_conv": "convolution",
    "backbone_local": "local attention",
    "backbone_mlp": "MLP",
    "backbone_recurrent": "recurrence",
}
MIXERS = (ATTENTION, *OTHERS)
NONE = "backbone_none"
SETS = ("digits", "digits_affine", "digits_translated", "mnist", "mnist1d", "mnist_5k", "shapes", "shapes_pairs", "translation")
SIZE = len(SETS) * len(OTHERS)
LEVEL = 1 - 0.05 / SIZE
FEWEST = 5  # seeds below which nothing is said
HALF_BUDGET = "@samples=0.5x"  # variants in which a verdict is checked, see checks.py
HALF_WIDTH = {name: 32 if name.startswith(("digits", "mnist")) and name != "mnist1d" else 16 for name in SETS}
PATCH = {"digits": 1, "digits_affine": 1, "digits_translated": 1, "mnist": 7, "mnist1d": 4, "mnist_5k": 7, "shapes": 2, "shapes_pairs": 2}
TWICE_DEPTH = {name: 6 if name in ("mnist", "mnist_5k") else 4 for name in SETS}

# Of a limited pool of samples: test / training samples. Runs on later sets tell it themselves; others are drawn afresh for every seed.
POOLS = {
    "digits": 350 / 1_097,
    "digits_affine": 350 / 1_097,
    "digits_shuffled": 350 / 1_097,
    "digits_translated": 350 / 1_097,
    "iris": 30 / 90,
    "mnist": 10_000 / 55_000,
    "mnist1d": 1_000 / 3_500,
    "mnist1d_shuffled": 1_000 / 3_500,
    "mnist_5k": 1_000 / 3_500,
    "mnist_5k_shuffled": 1_000 / 3_500,
}
