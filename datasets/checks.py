"""Whether data are what their task says: checked before anything is trained on them."""

from __future__ import annotations

from datasets.data import Data, Split, generator
from datasets.task import Task

FEW = 2  # samples of a stream, or augmented ones, that are looked at; and a whole batch: some code takes few otherwise than many


def check(data: Data, task: Task) -> None:
    """ValueError with the split, the value and what the task says, if sizes, shapes, types or ranges differ or numbers are not finite."""
    splits = list(zip(("train", "val", "test"), (data.train, data.val, data.test), task.sizes, strict=True))
    for n in (FEW, max((budget.batch for budget in task.budgets), default=FEW)):
        if data.draw is not None:
            splits.append(("drawn", Split(*data.draw(n, generator("check", 0))), n))
        if data.augment is not None and (n := min(n, len(data.train))):
            splits.append(("augmented", Split(*data.augment(data.train.x[:n], data.train.y[:n], generator("check", 0))), n))
    for name, split, size in splits:
        if len(split.x) != len(split.y):
            raise ValueError(f"{task.name}: {name} has {len(split.x)} inputs and {len(split.y)} targets")
        if len(split) != size:
            raise ValueError(f"{task.name}: {name} has {len(split):,} samples; the task says {size:,}")
        if not size and name != "train":
            raise ValueError(f"{task.name}: {name} has no samples; nothing can be scored on it")
        try:
            part = "x"
            task.input.kind.check(split.x, task.input)
            part = "y"
            task.output.kind.check(split.y, task.output)
        except ValueError as error:
            raise ValueError(f"{task.name}: {name}.{part} {error}") from error
    if not task.sizes[0] and data.draw is None:
        raise ValueError(f"{task.name}: no training samples; give train some, or bring draw(n, generator)")
