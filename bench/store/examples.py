"""What a run keeps of every test sample, and the metrics that are computed of it later, without training and without data.

    kind         of output: how the rest is read
    loss         (n,) half precision
    prediction   classes and tokens as ids in as few bytes as hold them, numbers in half precision
    target       likewise
    scores       (n, classes) half precision: what the classes were scored with, before softmax
    left_out     names of parts that are too long to keep
    derived      metrics computed when the run was scored, because a part they need was left out; null where one is not defined

All but the first and the last two are packed arrays (see store.pack). Predicted classes are always kept, of other answers the losses;
the rest together up to 20 kB of text. Older records have a loss and a prediction only: nothing is derived from them.
"""

from __future__ import annotations

import math
import warnings
from functools import cache

import torch
from torch import Tensor

from bench.store.encoding import pack, unpack
from bench.store.schema import Record
from datasets import metrics
from datasets.kinds import OUTPUTS
from datasets.metrics import Answers, Metric
from datasets.registry import describe
from datasets.task import Task
from datasets.tensors import half

MOST = 20_000  # characters
PARTS = ("loss", "prediction", "target", "scores")
NEEDS = {"loss": {"loss"}, "prediction": {"prediction", "target"}, "scores": {"scores", "prediction", "target"}}


def figure(metric: Metric, answers: Answers) -> float:
    """nan where the metric raises, with a warning: a plugin's may be made for other splits, and no task of these answers asked for it."""
    assert metric.score is not None  # it is registered
    try:
        return float(metric.reduce(metric.score(answers)))
    except Exception as error:
        complain(f"metric {metric.name} is not defined here: {describe(error)}")
        return math.nan


@cache
def complain(text: str) -> None:
    """Once: a store has thousands of records."""
    warnings.warn(text, stacklevel=3)


def keep(losses: Tensor, predicted: Tensor, scores: Tensor | None, y: Tensor, task: Task) -> Record:
    """The examples of one seed, from each test sample's loss (n,), prediction (n, …), class scores (n, classes) and target (n, …)."""
    kind = task.output.kind
    said: dict[str, Tensor] = {"prediction": kind.packed(predicted, task.output), "target": kind.packed(y, task.output)}
    loss = {"loss": half(losses)}
    parts = (said | loss if kind.scored else loss | said) | ({} if scores is None else {"scores": half(scores)})
    examples: Record = {"kind": str(kind)}
    room, left_out = MOST, []
    for name, values in parts.items():
        text = pack(values.numpy())
        if len(examples) == 1:  # the first part, whatever its length
            examples[name] = text
        elif len(text) <= room:
            examples[name] = text
            room -= len(text)
        else:
            left_out.append(name)
    if left_out:
        out = predicted if scores is None else scores
        answers = Answers(out, predicted, out, losses, y.cpu())
        lost = [m for m in metrics.of(kind) if NEEDS[m.needs] & {*left_out} and NEEDS[m.needs] <= parts.keys()]
        numbers = {m.name: figure(m, answers) for m in lost if m not in task.metrics}
        examples |= {"left_out": left_out, "derived": {name: x if math.isfinite(x) else None for name, x in numbers.items()}}
    return examples


def opened(examples: Record) -> dict[str, Tensor]:
    """The arrays of a run's examples as they were before packing: ids int64, numbers float32, the samples in front."""
    kind = OUTPUTS[examples["kind"]]
    arrays = {name: torch.from_numpy(unpack(examples[name]).copy()) for name in PARTS if name in examples}
    n = len(arrays["prediction" if kind.scored else "loss"])
    number = {"loss": lambda flat: flat.float(), "scores": lambda flat: flat.float().view(n, -1)}
    return {name: number[name](flat) if name in number else kind.unpacked(flat, n) for name, flat in arrays.items()}


def derived(record: Record) -> dict[str, float]:
    """Every metric of a run's kind of output that the run did not measure itself and what it keeps suffices for; {} if it keeps
    too little. nan where a metric is not defined on this split."""
    examples = record.get("examples", {})
    if examples.get("kind") not in OUTPUTS:
        return {}
    kept = opened(examples)
    measured = {name for scores in record.get("test", {}).values() for name in scores}
    found = {name: math.nan if value is None else value for name, value in examples.get("derived", {}).items()}
    if "prediction" in kept and "target" in kept:
        out = kept.get("scores", kept["prediction"])
        answers = Answers(out, kept["prediction"], out, kept.get("loss", torch.empty(0)), kept["target"])
        asked = [m for m in metrics.of(examples["kind"]) if m.name not in measured and NEEDS[m.needs] <= kept.keys()]
        found |= {m.name: figure(m, answers) for m in asked}
    return {name: value for name, value in found.items() if name not in measured}


def scores(record: Record) -> dict[str, float]:
    """Every figure of a run's test split: what it measured, what was derived when it was stored, and metrics that are newer than that."""
    best = dict(record["test"]["best"])
    stored = record.get("derived", {})
    kind = record.get("examples", {}).get("kind", "")
    if kind in OUTPUTS and not {m.name for m in metrics.of(OUTPUTS[kind])} <= {*best, *stored}:
        stored = derived(record) | stored
    return best | {name: value for name, value in stored.items() if value is not None}


def storable(record: Record) -> dict[str, float | None]:
    """Every metric of the run's kind of output that it did not measure, null where it cannot be told: strict JSON knows no nan."""
    figures = derived(record)
    names = {m.name for m in metrics.of(OUTPUTS[record["examples"]["kind"]])} - record["test"]["best"].keys()
    return {name: figures[name] if math.isfinite(figures.get(name, math.nan)) else None for name in sorted(names)}
