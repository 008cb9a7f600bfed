"""Fair training, honest measuring: the harness of attention-bench."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

if sys.path[0] != (ROOT := str(Path(__file__).resolve().parents[1])):
    sys.path.insert(0, ROOT)  # `python -m bench` in a folder that has a models.py of its own: `models` is the package beside this one

INTERFACE = 1  # of models.build, datasets.task and Task.sample: trees with another one cannot be compared (bench/gate)


def load_run(results: str | os.PathLike[str], model: str, dataset: str, *, budget: str | None = None, seed: int | None = None) -> nn.Module:
    """A trained model from a results folder, with the weights that its reported `value` is from: those best on val.

    In evaluation mode, without gradients, float32 on the CPU; inputs and outputs are those of `datasets.task(dataset)`.
    `budget`: where it was trained under several (default: never smoke if there is another, then the longest); `seed`: default the first
    whose weights are there. `bench.plan.request.RequestError` names what is missing and the way out. Files are read as tensors alone.
    """
    from bench.compare.loaded import load

    return load(os.fspath(results), model, dataset, budget, seed)
