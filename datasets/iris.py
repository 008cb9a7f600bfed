"""Fisher's Iris: 150 flowers, four lengths in cm, three species. From scikit-learn, which ships it.

    x = [5.1, 3.5, 1.4, 0.2] (standardised by the training flowers)   y = 0 (setosa)

The split is stratified, 90 / 30 / 30, and drawn anew for every seed.
"""

from __future__ import annotations

from pathlib import Path

import torch

from datasets import register
from datasets.data import Data, standardise, three_way
from datasets.task import Budget, Input, Output, Task, budgets

SIZES = (90, 30, 30)
TASK = Task(
    "iris",
    Input("table", (4,)),
    Output("classes", 3),
    SIZES,
    budgets(
        Budget("default", samples=6_400, batch=16, lr=3e-3, schedule="cosine", warmup=0.05, seeds=5),
        Budget("paper", samples=4_500, batch=16, lr=1e-3, evaluations=50, seeds=5),
        smoke_samples=800,
    ),
    source="Fisher 1936, scikit-learn",
    summary="four measurements of a flower, three species",
)


@register(TASK)
def iris(root: Path, seed: int, download: bool) -> Data:
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True)
    data = three_way(torch.from_numpy(x).float(), torch.from_numpy(y), SIZES, "iris", seed)
    return standardise(data, (0,))[0]
