"""Associative recall at any length: match_far_15, match_far_127. Workers import this file as a plugin.

As in datasets/routes.py each token answers with the value of the token whose key is its query. That one lies more than a quarter of the
length away, so that distances grow with the length; with 31 tokens it is match_far itself.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

import datasets
from datasets.data import Data, streamed
from datasets.routes import NAME, SIZES, one_of
from datasets.task import Input, Output

ROUTE = "match_far"
SHORTEST, LONGEST = 7, 1_023  # tokens: with fewer, one in the middle has nobody far away


def named(length: int) -> str:
    return f"{ROUTE}_{length}"


def samples(n: int, length: int, g: Generator) -> tuple[Tensor, Tensor]:
    """n inputs (n, 17, length) and n answers (n, 1, length), on the device of `g`."""
    keys = F.normalize(torch.randn(n, length, NAME, generator=g, device=g.device), dim=2) * NAME**0.5
    values = torch.randn(n, length, generator=g, device=g.device)
    place = torch.arange(length)
    whom = one_of((place[:, None] - place).abs() > (length + 1) // 4, n, g)
    queries = keys.gather(1, whom[..., None].expand_as(keys))
    return torch.cat([keys, queries, values[..., None]], 2).mT.contiguous(), values.gather(1, whom)[:, None]


@datasets.family(rf"{ROUTE}_(\d+)")
def recall(tokens: str) -> None:
    """Register associative recall with so many tokens."""
    length, name = int(tokens), named(int(tokens))
    route = datasets.task(ROUTE)

    def load(root: Path, seed: int, download: bool) -> Data:
        return streamed(lambda n, g: samples(n, length, g), SIZES, name, seed)

    shape = Input("signal", (route.input.shape[0], length)), Output("signal", length)
    datasets.register(replace(route, name=name, input=shape[0], output=shape[1]))(load)
