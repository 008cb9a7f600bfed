"""What tuning tries: the recipe itself, then learning rates and weight decays spread evenly around it, the same for every model.

A trial is a third of a budget with two seeds that no run has. All trials share these two, so that they differ in nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from datasets.data import derive
from datasets.task import Budget

SEEDS = (1_000_000, 1_000_001)  # beyond those of any run
SHARE = 3  # of a budget's samples: one part in so many
REACH = 10.0  # times the recipe's learning rate, up and down
STEP, FURTHER = 3.0, 3  # times the best rate where that is the last one tried, and how often
DECAYS = (1e-4, 1e-1)
MOST = 512  # trials
UNTUNED = ("smoke", "published")  # beginnings of names: budgets that say nothing of quality, or repeat a source's recipe


@dataclass(frozen=True)
class Trial:
    """A learning rate and a weight decay, and the seeds to train with them."""

    number: int
    lr: float
    weight_decay: float
    seeds: tuple[int, ...] = SEEDS

    def of(self, budget: Budget) -> Budget:
        """The budget with this trial's rates."""
        return replace(budget, lr=self.lr, weight_decay=self.weight_decay)


def tunable(budget: Budget) -> bool:
    """Whether runs of this budget are to use what tuning found."""
    return not budget.name.startswith(UNTUNED)


def shortened(budget: Budget) -> Budget:
    """What one trial may spend."""
    return replace(budget, samples=max(budget.batch, -(-budget.samples // SHARE)), seeds=len(SEEDS))


def trials(budget: Budget, n: int) -> list[Trial]:
    """`n` trials around a budget's own rates, which are trial 0. More of them begin with the same ones.

    The others are points of a scrambled Sobol sequence (scipy), even on a logarithmic scale.
    """
    found = [Trial(0, budget.lr, budget.weight_decay)]
    if n > 1:
        from scipy.stats import qmc  # half a second to import

        low, high = map(math.log10, DECAYS)
        # a power of two, as the sequence is even only then; its beginning does not depend on the length
        points = qmc.Sobol(2, scramble=True, seed=derive("tune", 0) % 2**32).random_base2(math.ceil(math.log2(max(2, n - 1))))
        for number, (x, y) in enumerate(points[: n - 1].tolist(), 1):
            lr, decay = budget.lr * REACH ** (2 * x - 1), 10 ** (low + y * (high - low))
            found.append(Trial(number, float(f"{lr:.3g}"), float(f"{decay:.3g}")))  # as they are written down
    return found


def drawn(plain: float, lr: float) -> bool:
    """Whether a rate lies where trials are drawn, around the plain one; others went further."""
    return plain / REACH <= lr <= plain * REACH


def further(budget: Budget, tried: Sequence[Trial], best: Trial) -> Trial | None:
    """The next trial where the best rate is the last one before the end of what is drawn, or beyond it: a better one may lie there.

    The same rule for every model. None where the best lies between others, and after `FURTHER` of them.
    """
    rates = [trial.lr for trial in tried]
    for end, step in ((max(rates), STEP), (min(rates), 1 / STEP)):
        lr = float(f"{best.lr * step:.3g}")
        if best.lr == end and not drawn(budget.lr, lr) and sum(not drawn(budget.lr, rate) for rate in rates) < FURTHER:
            return Trial(len(tried), lr, best.weight_decay)
    return None
