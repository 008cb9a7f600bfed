"""Samples that take long to make are made by the first of the processes that share a folder, and read by the others."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

folder: Path | None = None  # set by what starts several processes for one request, for as long as that takes


def once(name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """`make()`, or what another process has made under this name. Where nothing can be written, everyone makes its own."""
    if folder is None:
        return make()
    file = folder / f"{name}.pt"
    if file.exists():
        made: dict[str, Tensor] = torch.load(file, weights_only=True)
        return made
    made = make()
    with contextlib.suppress(OSError, RuntimeError):  # a full disk, a folder that is gone: torch raises RuntimeError for both
        unfinished = file.with_suffix(f".{os.getpid()}")
        torch.save(made, unfinished)
        unfinished.replace(file)
    return made
