"""Arrays that one has as a data set: what they are is read off them, everything else is a default that can be said otherwise.

x   numbers (n, features)                 table      y   whole numbers, words, True or False (n,)      classes
    (n, channels, length)                 signal         numbers with a point (n,) or (n, several)     value
    (n, channels, height, width)          image          0 and 1, True or False (n, several)           labels
    n texts, of any lengths               tokens         one column (n, 1)                             like (n,)

Every seed splits all samples anew: a fifth is test, a fifth val (each 10,000 at most), in proportion where there are classes. Inputs are
standardised by the training split, a table by features, a signal or an image by channels; so are numbers in y, so that an error of 1
is a deviation. A text is cut into words, lower case, 256 at most; words that the training split has not are one id.

The version of the data is a sum of their bytes: other numbers are other runs, wherever they come from.
"""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import datasets
from datasets.data import Data, Split, standardise, three_way
from datasets.given import array, unnamed
from datasets.given import texts as texts_of
from datasets.kinds import Output, OutputKind
from datasets.metrics import Metric
from datasets.task import Budget, Input, Task
from datasets.task import budgets as all_budgets
from datasets.vocabulary import Vocabulary

SHAPED = {2: "table", 3: "signal", 4: "image"}
FEWEST = 5  # samples of a class: train, val and test each need one
LARGEST = 10_000  # samples in val and in test
WORDS = 20_000  # ids of a vocabulary
LONGEST = 256  # words of a text; what comes after them is cut
AFFORDABLE = 400_000_000  # numbers shown to a model in a run
Metrics = Sequence[str | Metric]


def calling() -> Path:
    """The file that called whoever asks: what it registers is its own."""
    return Path(sys._getframe(2).f_code.co_filename)


def whole(x: np.ndarray) -> bool:
    return x.dtype.kind in "iub"


def numbers(name: str, part: str, given: Any) -> Tensor:
    """float32. ValueError for what is no finite number there, with its place."""
    values = array(name, part, given)
    try:
        with np.errstate(over="ignore"):  # told below, with the place
            found = torch.from_numpy(values.astype(np.float32))
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name}: {part} cannot be numbers ({error}); encode what is none, or leave it out") from error
    if bool((wrong := ~found.isfinite()).any()):
        place, n = tuple(wrong.nonzero()[0].tolist()), int(wrong.sum())
        first = f"the first at {place}: {values[place]}, and float32 goes to 3.4e+38"
        raise ValueError(f"{name}: {part} has {n} values that are no finite numbers, {first}; fill them or drop the samples")
    return found


def words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text.lower())[:LONGEST]


def kind_of(y: np.ndarray) -> str:
    """What is asked for, by the type of the targets."""
    if y.ndim == 2 and y.shape[1] == 1:  # a table of one column
        y = y[:, 0]
    if y.ndim == 1:
        return "classes" if whole(y) or y.dtype.kind in "OUS" else "value"
    return "labels" if whole(y) and np.isin(y, (0, 1)).all() else "value"


def targets(name: str, given: Any, kind: str | None) -> tuple[Tensor, Output]:
    """Targets as their kind has them, and the output. ValueError for those that cannot be learned or split."""
    y = array(name, "y", given)
    kind = OutputKind.named(kind or kind_of(y))
    if kind == "classes" and y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if kind not in ("classes", "value", "labels") or y.ndim not in ((1,) if kind == "classes" else (1, 2)):
        raise ValueError(
            f"{name}: y of shape {y.shape} as {kind}: y holds classes (n,), values (n,) or (n, several), or labels (n, several)"
        )
    if kind == "classes":
        return classes(name, y)
    found = numbers(name, "y", y).view(len(y), -1)
    if bool((lone := (found == found[:1]).all(0)).any()):
        at = int(lone.nonzero()[0])
        raise ValueError(f"{name}: target {at} is {float(found[0, at]):g} for every sample; there is nothing to learn")
    return found, Output(kind, found.shape[1])


def classes(name: str, y: np.ndarray) -> tuple[Tensor, Output]:
    """Their numbers in the order of their names. ValueError for one class, for one with too few samples, for samples without."""
    if y.dtype.kind in "fO" and (without := [i for i, one in enumerate(y) if unnamed(one)]):
        raise ValueError(f"{name}: {len(without)} samples have no class, the first is {without[0]}; name it or drop them")
    names, ids, counts = np.unique(y.astype(str) if y.dtype.kind == "O" else y, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise ValueError(f"{name}: every sample has the class {names[0]}; there is nothing to tell apart")
    if counts.min() < FEWEST:
        few = f"class {names[counts.argmin()]} has {counts.min()} sample{'s' * int(counts.min() > 1)}"
        way = "bring more, merge or drop it, or say kind='value' if the target is a number"
        raise ValueError(f"{name}: {few} and needs {FEWEST}, for train, val and test; {way}")
    return torch.from_numpy(ids.astype(np.int64)), Output("classes", len(names))


def parted(x: Tensor, y: Tensor, task: Task, seed: int) -> Data:
    """Splits for a seed, standardised by the training split: inputs that are no words, and targets that are numbers."""
    strata = y if task.output.kind == "classes" else torch.zeros(len(y), dtype=torch.int64)
    rows = three_way(torch.arange(len(y)), strata, task.sizes, task.name, seed)
    train, val, test = (Split(x[part.x], y[part.x]) for part in (rows.train, rows.val, rows.test))
    if task.output.kind == "value":
        mean, deviation = train.y.mean(0), train.y.std(0).clamp_min(1e-6)
        train, val, test = (Split(split.x, (split.y - mean) / deviation) for split in (train, val, test))
    data = Data(train, val, test)
    return data if task.input.kind == "tokens" else standardise(data, (0, *range(2, x.ndim)))[0]


def usual(n: int, size: int) -> tuple[Budget, ...]:
    """Budgets for n training samples of `size` numbers: 60 epochs of few, 2 of many, fewer where samples are large."""
    samples = min(max(60 * n, 6_400), max(64_000, 2 * n), 200_000)
    samples = max(min(samples, AFFORDABLE // size), 640)
    batch, lr, seeds = (16 if n < 500 else 64), (3e-3 if size < 1024 else 1e-3), (5 if n < LARGEST else 3)
    default = Budget("default", samples, batch, lr, "adamw", "cosine", warmup=0.1, weight_decay=0.01, seeds=seeds)
    return all_budgets(default, smoke_samples=min(800, samples))


def from_arrays(
    name: str,
    x: Any,
    y: Any,
    *,
    kind: str | None = None,
    metrics: Sequence[str | Metric] = (),
    budgets: tuple[Budget, ...] = (),
    summary: str = "samples of one's own",
    source: str = "",
    place: Path | None = None,
) -> Task:
    """What weighted.py's offers as `datasets.from_arrays`, without weights. What its words mean is said there."""
    written = texts_of(x)
    x, y = array(name, "x", x) if written is None else written, array(name, "y", y)
    if len(x) != len(y):
        raise ValueError(f"{name}: {len(x)} samples and {len(y)} targets; each sample needs one")
    target, output = targets(name, y, kind)
    n = len(target)
    test = min(-(-n // 5), LARGEST)
    sizes = (n - 2 * test, test, test)
    if n < 4 * FEWEST or (output.kind == "classes" and output.size > test):
        raise ValueError(f"{name}: {n} samples are too few to split into three; bring more")
    texts = None if written is None else [words(text) for text in written]
    samples = numbers(name, "x", x) if texts is None else torch.zeros(0)
    if texts is not None:
        most = min(WORDS, 4 + max(1, len({word for text in texts for word in text})))
        entering, said = Input("tokens", (max(1, *map(len, texts)),), most), repr(texts).encode()
    elif samples.ndim in SHAPED:
        entering, said = Input(SHAPED[samples.ndim], tuple(samples.shape[1:])), samples.numpy().tobytes()
    else:
        known = "a table (n, features), a signal (n, channels, length) or an image (n, channels, height, width)"
        raise ValueError(f"{name}: x of shape {tuple(samples.shape)} is none of {known}")

    asked = f"{entering} {output}".encode()
    ranked = tuple(metrics) or (("r2", "mse", "mae") if output.kind == "value" else ())
    task = Task(
        name,
        entering,
        output,
        sizes,
        budgets or usual(sizes[0], entering.size),
        version=zlib.crc32(asked, zlib.crc32(target.numpy().tobytes(), zlib.crc32(said))),
        source=source,
        summary=summary,
        metrics=ranked,  # type: ignore[arg-type]
    )

    def load(root: Path, seed: int, download: bool) -> Data:
        if texts is None:
            return parted(samples, target, task, seed)
        rows = parted(torch.arange(n), target, task, seed)  # which texts go where
        vocabulary = Vocabulary.of([texts[i] for i in rows.train.x.tolist()], entering.vocabulary)
        ids = vocabulary.encode(texts, entering.shape[0], end=False)
        train, val, test = (Split(ids[part.x], part.y) for part in (rows.train, rows.val, rows.test))
        return Data(train, val, test)

    datasets.register(task, resplit=True, place=place or calling())(load)
    return task
