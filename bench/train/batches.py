"""Training batches on the device: by index from whole splits, every seed in an order of its own, or drawn from an endless stream."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from datasets.data import Draw, Split, generator

GATHER = 2**21  # bytes


def together(splits: list[Split], device: torch.device) -> Split:
    """Splits of equal size as one with the seeds in front, on the device."""
    if len(splits) == 1:
        return Split(splits[0].x.to(device)[None], splits[0].y.to(device)[None])
    return Split(torch.stack([s.x for s in splits]).to(device), torch.stack([s.y for s in splits]).to(device))


class Batches:
    """Training batches by index from splits (S, n, …) held on the device; each seed has its own endless shuffled order.

    A batch may cross the border between two epochs, so that all batches are equally large.
    """

    def __init__(self, split: Split, seeds: list[int], batch: int, stacked: bool) -> None:
        self.n, self.seeds, self.batch, self.stacked = split.y.shape[1], seeds, batch, stacked
        self.x, self.y = split.x.flatten(0, 1), split.y.flatten(0, 1)

    def epoch(self, step: int) -> int:
        """The epoch in which step `step` begins."""
        return step * self.batch // self.n

    def order(self, seed: int, epoch: int) -> Tensor:
        return torch.randperm(self.n, generator=generator(f"order/{epoch}", seed))

    def indices(self, first: int, steps: int) -> Tensor:
        """(steps, S × batch) rows of the flattened splits for the steps from `first` on."""
        start, stop = first * self.batch, (first + steps) * self.batch
        epochs = range(start // self.n, -(-stop // self.n))
        offset = start - epochs.start * self.n
        rows = [torch.cat([self.order(seed, e) for e in epochs])[offset : offset + stop - start] for seed in self.seeds]
        placed = [(row + i * self.n).view(steps, self.batch) for i, row in enumerate(rows)]
        return torch.stack(placed, 1).flatten(1).to(self.y.device)

    def from_step(self, first: int, last: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of steps first … last - 1: x (S, batch, …) if stacked, else (batch, …)."""
        shuffled = max(64, -(-self.n // self.batch))  # steps whose order is drawn at once
        shape = (len(self.seeds), self.batch) if self.stacked else (self.batch,)
        bytes_ = self.batch * len(self.seeds) * self.x[0].numel() * self.x.element_size()
        gathered = max(1, GATHER // bytes_)  # steps whose samples are gathered at once: one call costs as much as a small batch
        while first < last:
            steps = min(shuffled, last - first)
            for rows in self.indices(first, steps).split(gathered):
                x, y = (part.index_select(0, rows.flatten()).unflatten(0, (len(rows), *shape)) for part in (self.x, self.y))
                yield from zip(x.unbind(0), y.unbind(0), strict=True)
            first += steps


class Stream:
    """New training samples for every batch, each seed's from its own `draw` and generator. There are no epochs.

    Nothing is drawn ahead: between two steps the generators' states are all there is to continue from.
    """

    def __init__(self, draws: list[Draw], noise: list[torch.Generator], batch: int, stacked: bool) -> None:
        self.draws, self.noise, self.batch, self.stacked = draws, noise, batch, stacked

    def epoch(self, step: int) -> int:
        return 0

    def from_step(self, first: int, last: int) -> Iterator[tuple[Tensor, Tensor]]:
        """As many batches as there are steps: x (S, batch, …) if stacked, else (batch, …)."""
        for _ in range(first, last):
            drawn = [draw(self.batch, g) for draw, g in zip(self.draws, self.noise, strict=True)]
            if wrong := {len(part) for parts in drawn for part in parts} - {self.batch}:
                raise ValueError(f"draw({self.batch}, generator) gave {wrong.pop():,} samples")
            xs, ys = ([part.to(g.device) for part, g in zip(parts, self.noise, strict=True)] for parts in zip(*drawn, strict=True))
            yield (torch.stack(xs), torch.stack(ys)) if self.stacked else (xs[0], ys[0])
