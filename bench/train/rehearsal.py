"""Whether seeds that are trained together come out as they would alone: tried in miniature, before anything long is trained.

What stacked weights get wrong takes many forms (a tensor that two weights share, a parameter reached by another way, something drawn
when the model is built): this asks none of them. It trains two seeds for a few steps in float64, together and one by one, and compares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from bench.train.loop import Training
from bench.train.probe import CPU, arithmetic, cut, shortened, synthetic
from datasets.registry import describe
from datasets.task import Budget, Task

SEEDS = [0, 1]
CLOSE = 1e-6  # relative; float64 leaves 1e-9, even where a step is made of rounding


def otherwise(build: Callable[[], nn.Module], task: Task, budget: Budget) -> str:
    """Why the seeds of a model should be trained one by one, '' if two of them come out the same together and alone."""
    mini = replace(shortened(budget), choose="val")

    def curves(seeds: list[int]) -> np.ndarray:
        data = [cut(synthetic(task, seed)).for_training for seed in seeds]
        training = Training(lambda: build().double(), task, mini, seeds, data, CPU)
        training.run()
        return np.array([[*one.curve.train_loss, *one.curve.val_loss] for one in training.results()])

    with arithmetic(torch.float64):
        try:
            together, alone = curves(SEEDS), np.concatenate([curves([seed]) for seed in SEEDS])
        except Exception as error:  # a model may raise anything; alone it may still be trained on its own data
            return f"does not stack: {describe(error)}"[:200]
    same = together.shape == alone.shape and np.isclose(together, alone, rtol=CLOSE, atol=0, equal_nan=True).all()
    return "" if same else "two seeds trained together for a few steps came out otherwise than alone"
