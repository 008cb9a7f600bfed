"""What training brings forth: the curve of each seed, its weights, and where a run in progress stands."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Curve:
    """What a run looked like at each evaluation. Seconds are training seconds, divided by the seeds trained together."""

    samples: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)  # mean over the samples since the last evaluation
    val_loss: list[float] = field(default_factory=list)
    val_metric: list[float] = field(default_factory=list)
    test_metric: list[float] = field(default_factory=list)  # only under a budget that chooses on test
    train_metric: list[float] = field(default_factory=list)  # on the last training batch, of the weights that val is scored with
    last_loss: list[float] = field(default_factory=list)  # of the last training batch, as it was trained on
    val_scores: dict[str, list[float]] = field(default_factory=dict)  # every metric of the task


@dataclass
class Trained:
    """One seed's training. `best` and `last` are state dicts on the training device."""

    seed: int
    status: str
    reason: str
    curve: Curve
    best_samples: int
    best: dict[str, Tensor]
    last: dict[str, Tensor]
    seconds: float
    together: int


@dataclass
class Position:
    """Everything a run in progress needs to continue: a checkpoint is this, with the weights."""

    step: int
    seconds: float
    curves: list[Curve]
    best_samples: list[int]
    diverged: list[int]  # samples seen when a loss stopped being finite, 0 while all is well
    stopped: bool = False  # before the end of the budget, and not to be continued
