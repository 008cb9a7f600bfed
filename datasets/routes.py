"""Routes: tasks with known answers. Each of 31 tokens answers with another token's value; which one is the task.

    a token      key a (8), query b (8), value v ~ N(0, 1): x (17, 31), in this order      answer y (1, 31)

    copy_near    v of the token before; the first its own                                  near, fixed
    copy_far     v at π(i), one permutation a seed, |π(i) - i| > 8                         far, fixed
    point_near   v of the neighbour, 1 or 2 to either side, that b names by a code         near, by content
    point_far    v of the position, more than 8 away, that b names by sines and cosines    far, by content
    match_far    v of the token, more than 8 away, whose a equals b                        far, by content: associative recall
    mean_all     the mean of all v, times √31                                              everywhere

Keys, and queries that name nothing, point in random directions. Keys, queries and codes are √8 long, so that each of their
numbers, like values and answers, has mean square 1: of length 1 they drown in the positions, and attention reaches R² 0.26 in
the steps in which it now reaches 0.98. Training samples never come twice; val and test are drawn once per seed. These are wins
by construction: they say what a mixer can do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from scipy.linalg import hadamard
from scipy.optimize import linear_sum_assignment
from torch import Generator, Tensor

from datasets import register
from datasets.data import Data, generator, streamed
from datasets.metrics import MSE, R2
from datasets.task import Budget, Input, Output, Task, budgets

LENGTH, NAME, FAR = 31, 8, 8  # tokens; numbers in a key or a query; a far partner is more than this away
OFFSETS = (-2, -1, 1, 2)
SIZES = (0, 512, 1_024)  # training samples are drawn without end
# At 3e-3, the rate of the longer budget, attention needs 1,000 steps for `match_far` and `point_near`.
DEFAULT = Budget(
    "default",
    samples=12_800,
    batch=64,
    lr=6e-3,
    optimizer="adamw",
    schedule="cosine",
    warmup=0.05,
    weight_decay=0.01,
    evaluations=8,
    seeds=1,
)
BUDGETS = budgets(DEFAULT, None, replace(DEFAULT, name="reference", samples=96_000, lr=3e-3, evaluations=30, seeds=10), smoke_samples=640)

Partner = Callable[[Tensor, Generator], tuple[Tensor, Tensor | None]]
"""(keys (n, 31, 8), generator) -> whom each token answers for, (n, 31) or (31,), and the queries (n, 31, 8) that say so."""


def directions(n: int, g: Generator) -> Tensor:
    """Vectors of one length in random directions, (n, 31, 8)."""
    return F.normalize(torch.randn(n, LENGTH, NAME, generator=g, device=g.device), dim=2) * NAME**0.5


def one_of(allowed: Tensor, n: int, g: Generator) -> Tensor:
    """For each of n samples and each row of `allowed` (31, k) the place of one true entry, all equally likely, (n, 31)."""
    chance = torch.rand(n, *allowed.shape, generator=g, device=g.device)
    return chance.masked_fill(~allowed.to(g.device), -1).argmax(2)


def far_apart() -> Tensor:
    """Which pairs of tokens are far from each other, (31, 31)."""
    place = torch.arange(LENGTH)
    return (place[:, None] - place).abs() > FAR


def permutation(seed: int) -> Tensor:
    """π of `copy_far`: the assignment of far partners that costs least where each pair has a random price."""
    price = torch.rand(LENGTH, LENGTH, generator=generator("copy_far/permutation", seed), dtype=torch.float64)
    return torch.from_numpy(linear_sum_assignment(price.masked_fill(~far_apart(), LENGTH + 1).numpy())[1])


def codes() -> Tensor:
    """The names of the four neighbours, (4, 8): rows of a Hadamard matrix, orthogonal, each number 1 or -1."""
    return torch.from_numpy(hadamard(NAME)[1 : 1 + len(OFFSETS)]).float()


def waves() -> Tensor:
    """The names of the positions, (31, 8): sines and cosines of 1, 2, 4 and 8 turns along the tokens, times √2."""
    angle = 2 * math.pi / LENGTH * torch.arange(LENGTH)[:, None] * 2 ** torch.arange(NAME // 2)
    return torch.cat([angle.sin(), angle.cos()], 1) * 2**0.5


def point_near(a: Tensor, g: Generator) -> tuple[Tensor, Tensor]:
    place, offset = torch.arange(LENGTH), torch.tensor(OFFSETS)
    there = place[:, None] + offset
    chosen = one_of((there >= 0) & (there < LENGTH), len(a), g)
    return place.to(g.device) + offset.to(g.device)[chosen], codes().to(g.device)[chosen]


def point_far(a: Tensor, g: Generator) -> tuple[Tensor, Tensor]:
    partner = one_of(far_apart(), len(a), g)
    return partner, waves().to(g.device)[partner]


def match_far(a: Tensor, g: Generator) -> tuple[Tensor, Tensor]:
    partner = one_of(far_apart(), len(a), g)
    return partner, a.gather(1, partner[..., None].expand_as(a))


def fixed(partner: Tensor) -> Partner:
    """The same partners for every sample; nothing names them."""
    return lambda a, g: (partner.to(g.device), None)


def samples(n: int, partner: Partner, g: Generator) -> tuple[Tensor, Tensor]:
    """n inputs (n, 17, 31) and n answers (n, 1, 31), on the device of `g`."""
    a, v = directions(n, g), torch.randn(n, LENGTH, generator=g, device=g.device)
    whom, b = partner(a, g)
    b = directions(n, g) if b is None else b
    return torch.cat([a, b, v[..., None]], 2).mT.contiguous(), v.gather(1, whom.expand(n, -1))[:, None]


def averaged(n: int, g: Generator) -> tuple[Tensor, Tensor]:
    """`samples` that all answer with the mean of the values."""
    x, y = samples(n, fixed(torch.arange(LENGTH)), g)
    return x, y.mean(2, keepdim=True).expand_as(y) * LENGTH**0.5


Draw = Callable[[int, Generator], tuple[Tensor, Tensor]]


def by(partner: Partner) -> Callable[[int], Draw]:
    return lambda seed: lambda n, g: samples(n, partner, g)


def add(name: str, draws: Callable[[int], Draw], summary: str) -> None:
    """Register a route; `draws(seed)` says how a seed's samples are drawn."""

    def load(root: Path, seed: int, download: bool) -> Data:
        return streamed(draws(seed), SIZES, name, seed)

    signal, answer = Input("signal", (2 * NAME + 1, LENGTH)), Output("signal", LENGTH)
    source = "ours; match_far after Zoology, 2312.04927" if name == "match_far" else "ours"
    register(Task(name, signal, answer, SIZES, BUDGETS, source=source, summary=summary, patch=1, role="route", metrics=(R2, MSE)))(load)


add("copy_near", by(fixed(torch.arange(LENGTH).roll(1).index_fill(0, torch.tensor(0), 0))), "the value of the token before")
add("copy_far", lambda seed: by(fixed(permutation(seed)))(seed), "the value at a fixed place more than 8 away")
add("point_near", by(point_near), "the value of the neighbour that the token names")
add("point_far", by(point_far), "the value at the place, more than 8 away, that the token names")
add("match_far", by(match_far), "the value of the token, more than 8 away, whose key is this one's query")
add("mean_all", lambda seed: averaged, "the mean of all values")
