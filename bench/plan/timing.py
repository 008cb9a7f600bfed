"""What is timed: a cell on a device, at a batch size, in an arithmetic, with a number of threads; and which of these are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.plan.grid import Cell, several
from bench.store.records import BATCHES
from datasets.registry import did_you_mean
from datasets.task import Budget, Dtype

DTYPES: dict[str, Dtype] = {"fp32": "float32", "bf16": "bfloat16"}  # as options and test ids spell them: as budgets do


@dataclass(frozen=True)
class Timing:
    """One latency cell. One thread on the CPU and the budget's own arithmetic go without saying in its name."""

    cell: Cell
    device: str
    batch: int
    dtype: Dtype = "float32"
    threads: int = 1

    @property
    def id(self) -> str:
        dtype = {full: short for short, full in DTYPES.items()}[self.dtype]
        parts = [self.cell.id, self.device, f"b{self.batch}"]
        parts += [dtype] if self.dtype != self.cell.budget.dtype else []
        parts += [f"{self.threads}t"] if self.threads != 1 else []
        return "-".join(parts)

    @property
    def budget(self) -> Budget:
        """The cell's budget with the arithmetic that is timed."""
        return replace(self.cell.budget, dtype=self.dtype)


def parse_dtypes(text: str | None) -> list[Dtype] | None:
    """Arithmetics in order; None for each budget's own."""
    if text is None:
        return None
    return [DTYPES[name] for name in several("dtype", text, list(DTYPES), lambda name: did_you_mean(name, list(DTYPES)))]


def timings(cells: Sequence[Cell], devices: Sequence[str], dtypes: Sequence[Dtype] | None, threads: int) -> list[Timing]:
    """Every cell on every device in every arithmetic; on the CPU with one thread and, if that is more, with `threads`.

    Models that are fitted are not timed: what their answer costs depends on what they were fitted to.
    """
    return [
        Timing(cell, device, batch, dtype, count)
        for cell in cells
        if not cell.fits
        for device in devices
        for dtype in dtypes or [cell.budget.dtype]
        for batch in BATCHES
        for count in ([1] if device != "cpu" else sorted({1, threads}))
    ]
