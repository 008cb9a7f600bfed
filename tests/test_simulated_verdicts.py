"""Grids with known truth, seeds and splits as in ours: how often a whole family of verdicts is wrong. Same estimators, vectorised.

A model answers a sample of a real pool rightly if its skill, plus what a seed and a single answer add, exceeds the sample's difficulty,
which is partly the model's own and the same for every seed. So its true accuracy, over seeds and samples, is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from scipy.stats import norm

from bench.core.paired import by_seed, crossed, resplit
from bench.tables.family import FEWEST, LEVEL, OTHERS, SETS, SIZE
from bench.tables.scales import RATIO, SCALES, SHARE
from bench.tables.verdict import BEATS, EQUAL, LOSES, judge

GRIDS, CHUNK, WRONG = 1_000, 50, 0.064  # 5 % and two standard errors of a thousand grids
SEED_NOISE, OWN_NOISE, ANSWER_NOISE = 0.1, 0.5, 0.5  # beside a difficulty with deviation 1
POOLED = {"digits": 350, "digits_affine": 350, "digits_translated": 350, "mnist": 2_000, "mnist1d": 1_000, "mnist_5k": 1_000}
SEEDS = {name: (FEWEST, 10, 20)[i % 3] for i, name in enumerate(SETS)}
TOTAL = float(np.sqrt(1 + SEED_NOISE**2 + OWN_NOISE**2 + ANSWER_NOISE**2))

Grid = tuple[np.ndarray, np.ndarray, np.ndarray, float]  # true difference, low, high, each (grids, others); margin
Truth = Callable[[np.random.Generator, float], np.ndarray]  # how much better attention is than each other, (grids, others), in units


def pooled(g: np.random.Generator, shift: np.ndarray, seeds: int, samples: int) -> Grid:
    """Accuracy on one test set for all seeds; `shift` (grids, others) is what attention's skill is ahead by."""
    skill = g.uniform(1.2, 2.6, (len(shift), 1))  # 82 to 98 % right

    def right(skills: np.ndarray, difficulty: np.ndarray) -> np.ndarray:
        own = difficulty + OWN_NOISE * g.standard_normal(difficulty.shape, np.float32)
        drawn = SEED_NOISE * g.standard_normal((len(skills), seeds, 1), np.float32)
        return skills[:, None, None] + drawn + ANSWER_NOISE * g.standard_normal((len(skills), seeds, samples), np.float32) > own[:, None]

    difficulty = g.standard_normal((len(shift), samples), np.float32)
    attention = right(skill[:, 0] + shift.max(1), difficulty)
    others = skill + shift.max(1, keepdims=True) - shift
    found = [crossed(attention.astype(np.float32) - right(others[:, i], difficulty)) for i in range(shift.shape[1])]
    true = norm.cdf((skill + shift.max(1, keepdims=True)) / TOTAL) - norm.cdf(others / TOTAL)
    mean, half = (np.stack(parts, 1) for parts in ([one.mean for one in found], [one.half(LEVEL) for one in found]))
    return true, mean - half, mean + half, SHARE.margin


def fresh(g: np.random.Generator, true: np.ndarray, seeds: int, margin: float) -> Grid:
    """A metric on data of each seed's own, with what a seed's data do to all models alike, and heavier tails than a normal's."""
    common = g.standard_normal((len(true), 1, seeds))
    noise = g.uniform(0.1, 2, (len(true), 1, 1)) * margin * g.standard_t(6, (len(true), 1 + true.shape[1], seeds))
    values = common + noise
    found = by_seed(values[:, :1] - values[:, 1:] + true[..., None])
    half = found.half(LEVEL)
    return true, found.mean - half, found.mean + half, margin


def grids(seed: int, truth: Truth) -> Iterator[list[Grid]]:
    """The family's comparisons in chunks of grids, one entry a data set."""
    g = np.random.default_rng(seed)
    for _ in range(GRIDS // CHUNK):
        made = []
        for name in SETS:
            if name in POOLED:
                made.append(pooled(g, truth(g, 0.15), SEEDS[name], POOLED[name]))
            else:
                margin = SCALES["bleu"].margin if name == "translation" else RATIO.margin
                made.append(fresh(g, truth(g, margin), SEEDS[name], margin))
        yield made


def null(g: np.random.Generator, unit: float) -> np.ndarray:
    return np.zeros((CHUNK, len(OTHERS)))


def effect(g: np.random.Generator, unit: float) -> np.ndarray:
    """Nothing, just beyond the margin either way, and clearly more."""
    return unit * g.choice([-4, -1.5, -1.001, 0, 1.001, 1.5, 4], (CHUNK, len(OTHERS)))


def rates(seed: int, truth: Truth) -> tuple[float, float, float, float]:
    """Shares of grids with a false direction, an *equal* that is wrong, an interval that misses; and of verdicts that decide."""
    false, unequal, missed, decided = [], [], [], []
    for made in grids(seed, truth):
        assert sum(one[0].shape[1] for one in made) == SIZE
        parts: list[list[np.ndarray]] = [[], [], [], []]
        for true, low, high, margin in made:
            word = np.vectorize(judge, otypes=[object])(low, high, margin)
            parts[0].append(((word == BEATS) & (true <= 0)) | ((word == LOSES) & (true >= 0)))
            parts[1].append((word == EQUAL) & (np.abs(true) > margin))
            parts[2].append((true < low) | (true > high))
            parts[3].append((word == BEATS) | (word == LOSES) | (word == EQUAL))
        for kept, part in zip((false, unequal, missed, decided), parts, strict=True):
            every = np.concatenate(part, 1)
            kept.append(every.mean(1) if kept is decided else every.any(1))
    a, b, c, d = (float(np.concatenate(kept).mean()) for kept in (false, unequal, missed, decided))
    return a, b, c, d


@pytest.mark.parametrize(("truth", "least"), [pytest.param(null, 0.02, marks=pytest.mark.slow), (effect, 0.25)])
def test_a_family_is_wrong_in_at_most_one_grid_of_twenty(truth: Truth, least: float) -> None:
    false, unequal, missed, decided = rates(1, truth)
    assert false <= WRONG and unequal <= WRONG and missed <= WRONG, (false, unequal, missed)
    assert decided >= least  # saying nothing is never wrong


def test_seeds_alone_would_be_wrong_where_all_share_one_test_set() -> None:
    """What `crossed` is there for: the same grids with samples not counted miss far more often than they may."""
    g = np.random.default_rng(2)
    missed = []
    for _ in range(20):
        difficulty = g.standard_normal((CHUNK, 2, 1, 350)) * OWN_NOISE + g.standard_normal((CHUNK, 1, 1, 350))
        right = 2 + ANSWER_NOISE * g.standard_normal((CHUNK, 2, 10, 350)) > difficulty
        differences = right[:, 0].astype(float) - right[:, 1]
        missed.append([abs(one.mean) > one.half(0.95) for one in (by_seed(differences.mean(-1)), crossed(differences))])
    alone, both = np.concatenate(missed, 1).mean(1)
    assert alone > 0.3 and both <= 0.05


def test_resplits_of_one_pool_are_no_independent_seeds() -> None:
    """A difference that comes of the pool stays in all of its splits: Nadeau and Bengio's interval counts that, Student's does not."""
    g = np.random.default_rng(3)
    pools = g.standard_normal((2_000, 120))  # differences of two models on each sample of a pool, truly 0 on average
    splits = np.stack([g.permuted(pools, axis=1)[:, :30].mean(1) for _ in range(10)], 1)
    alone, corrected = ((np.abs(one.mean) > one.half(0.95)).mean() for one in (by_seed(splits), resplit(splits, 30 / 90)))
    assert alone > 0.15 and corrected <= 0.07
