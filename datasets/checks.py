"""Whether data are what their task says: checked before anything is trained on them."""

from __future__ import annotations

from datasets.data import Data, Split, generator
from datasets.task import Task

DRAWN = 2  # samples of a stream that are looked at


def check(data: Data, task: Task) -> None:
    """ValueError with the split, the value and what the task says, if sizes, shapes, types or ranges differ or numbers are not finite."""
    splits = {"train": data.train, "val": data.val, "test": data.test}
    sizes = dict(zip(splits, task.sizes, strict=True))
    if data.draw is not None:
        splits["drawn"], sizes["drawn"] = Split(*data.draw(DRAWN, generator("check", 0))), DRAWN
    if data.augment is not None and len(data.train):
        n = min(DRAWN, len(data.train))
        splits["augmented"], sizes["augmented"] = Split(*data.augment(data.train.x[:n], data.train.y[:n], generator("check", 0))), n
    for name, split in splits.items():
        if len(split.x) != len(split.y):
            raise ValueError(f"{task.name}: {name} has {len(split.x)} inputs and {len(split.y)} targets")
        if len(split) != sizes[name]:
            raise ValueError(f"{task.name}: {name} has {len(split):,} samples; the task says {sizes[name]:,}")
        if not sizes[name] and name != "train":
            raise ValueError(f"{task.name}: {name} has no samples; nothing can be scored on it")
        try:
            part = "x"
            task.input.kind.check(split.x, task.input)
            part = "y"
            task.output.kind.check(split.y, task.output)
        except ValueError as error:
            raise ValueError(f"{task.name}: {name}.{part} {error}") from error
    if not sizes["train"] and data.draw is None:
        raise ValueError(f"{task.name}: no training samples; give train some, or bring draw(n, generator)")
