"""Three small tables that scikit-learn ships, real and much used: columns of numbers without an order.

    wine            178 wines of three growers, 13 chemical measurements                     y = 0 … 2
    breast_cancer   569 cells of a breast, 30 measurements of their nuclei                   y = 0 (malignant), 1
    diabetes        442 patients, age, sex, body mass index, blood pressure, six sera        y = progression after a year

All are standardised by the training split, the progression, too: an error of 1 is a deviation. Every seed splits them anew, a fifth
test and a fifth val, with the classes in proportion where there are classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from datasets import register
from datasets.data import Data
from datasets.own import parted
from datasets.task import Budget, Input, Output, Task, budgets


def add(reader: str, task: Task, **how: Any) -> None:
    """Register what scikit-learn's function of that name reads."""

    def load(root: Path, seed: int, download: bool) -> Data:
        import sklearn.datasets

        x, y = getattr(sklearn.datasets, reader)(return_X_y=True, **how)
        y = torch.from_numpy(y)
        return parted(torch.from_numpy(x).float(), y if task.output.kind == "classes" else y.float()[:, None], task, seed)

    register(task, resplit=True)(load)


def recipe(samples: int, batch: int) -> tuple[Budget, ...]:
    return budgets(Budget("default", samples, batch, lr=3e-3, schedule="cosine", warmup=0.05, seeds=2), smoke_samples=800)


add(
    "load_wine",
    Task(
        "wine",
        Input("table", (13,)),
        Output("classes", 3),
        (106, 36, 36),
        recipe(6_400, 16),
        source="Aeberhard and Forina 1991, scikit-learn",
        summary="thirteen measurements of a wine, three growers",
    ),
)
add(
    "load_breast_cancer",
    Task(
        "breast_cancer",
        Input("table", (30,)),
        Output("classes", 2),
        (341, 114, 114),
        recipe(8_000, 32),
        source="Wolberg and others 1995, scikit-learn",
        summary="thirty measurements of cells, malignant or not",
    ),
)
add(
    "load_diabetes",
    Task(
        "diabetes",
        Input("table", (10,)),
        Output("value", 1),
        (264, 89, 89),
        recipe(6_400, 16),
        source="Efron and others 2004, scikit-learn",
        summary="ten measurements of a patient, progression after a year",
        metrics=("r2", "mse", "mae"),  # type: ignore[arg-type]
    ),
    scaled=False,
)
