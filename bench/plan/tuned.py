"""What tuning found: a committed file for each cell, with all that it was chosen from.

bench/plan/tuned/<dataset>/<model>.json; where model or data set are a plugin's, tuned/<dataset>/<model>.json beside that plugin.
A file is used by every budget with the recipe that it was tuned from (all but `smoke` and `published` ones), whatever its length, and
by variants in other sizes that have no file of their own, see applied.py.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import datasets
import models
from bench.core import machine
from bench.plan.request import RequestError
from bench.store.records import Record
from datasets.registry import did_you_mean
from datasets.task import Budget
from models.naming import changed, plain

FORMAT = 1
FOLDER = machine.ROOT / "bench" / "plan" / "tuned"
LENGTH = ("name", "samples", "evaluations", "seconds", "seeds")  # of a budget: how long, and not how


@dataclass(frozen=True)
class Tried:
    """One trial: mean over its seeds of the best val metric of any evaluation, and of the val loss there; None where one diverged."""

    lr: float
    weight_decay: float
    val: float | None
    loss: float | None


@dataclass(frozen=True)
class Tuned:
    """Trials of a cell, the first with the plain `recipe`, and which of them was chosen. `code` is the source's hash, as runs have it."""

    dataset: str
    model: str
    version: int  # of the task
    budget: str
    samples: int  # that each seed of a trial saw
    seeds: tuple[int, ...]
    recipe: dict[str, Any]
    metric: str
    better: str
    trials: tuple[Tried, ...]
    chosen: int
    device: str
    torch: str
    code: str
    date: str

    @property
    def best(self) -> Tried:
        return self.trials[self.chosen]

    @property
    def rates(self) -> tuple[float, float]:
        """Learning rate and weight decay that were chosen."""
        return self.best.lr, self.best.weight_decay

    @property
    def end(self) -> str:
        """largest or smallest, where the chosen learning rate is that one of those tried; '' where it lies between others."""
        rates = {t.lr for t in self.trials}
        ends = {max(rates): "largest", min(rates): "smallest"} if len(rates) > 1 else {}
        return ends.get(self.best.lr, "")

    def applied_as(self) -> str:
        """What is written of runs with the chosen rates."""
        return f"tuned: the best of {len(self.trials)} trials on val, lr {self.best.lr:g}, weight decay {self.best.weight_decay:g}"

    def recipe_differs(self, budget: Budget) -> str:
        """The first part of the recipe in which a budget is another one than was tuned from, in words, or ''."""
        now = asdict(budget)
        return next((f"{name} is {now[name]}, was {was}" for name, was in self.recipe.items() if now[name] != was), "")


def choose(trials: Iterable[Tried], better: str) -> int | None:
    """The number of the best trial: by val, ties by loss, then the earlier one. None if all diverged."""
    sign = 1 if better == "higher" else -1
    able = [(sign * t.val, -t.loss, -i) for i, t in enumerate(trials) if t.val is not None and t.loss is not None]
    return -max(able)[2] if able else None


def best_val(record: Record) -> tuple[float, float]:
    """The best val metric of a trial's curve, as a run would choose it, and the val loss there."""
    curve, sign = record["curve"], 1 if record["metric"]["better"] == "higher" else -1
    value, loss = max((sign * value, -loss) for value, loss in zip(curve["val_metric"], curve["val_loss"], strict=True))
    return sign * value, -loss


def judged(records: Iterable[Record]) -> Tuned | None:
    """What the trials of one cell say together; None if all diverged."""
    by_number: dict[int, list[Record]] = defaultdict(list)
    for record in records:
        by_number[record["trial"]].append(record)
    tried = []
    for _, seeds in sorted(by_number.items()):
        budget, val, loss = seeds[0]["budget"], None, None
        if all(record["status"] == "ok" for record in seeds):
            # rounded, so that equal means are equal whatever they were summed from
            val, loss = (float(f"{sum(values) / len(seeds):.12g}") for values in zip(*map(best_val, seeds), strict=True))
        tried.append(Tried(budget["lr"], budget["weight_decay"], val, loss))
    every = [record for seeds in by_number.values() for record in seeds]
    first, metric = by_number[0][0], every[0]["metric"]
    chosen = choose(tried, metric["better"])
    if chosen is None:
        return None
    return Tuned(
        first["dataset"],
        first["model"],
        first["version"],
        first["budget"]["name"],
        first["budget"]["samples"],
        tuple(sorted(record["seed"] for record in by_number[0])),
        {name: value for name, value in first["plain"].items() if name not in LENGTH},
        metric["name"],
        metric["better"],
        tuple(tried),
        chosen,
        first["device"],
        first["machine"]["torch"],
        first["code"],
        max(record["created"] for record in every)[:10],
    )


def home(model: str, dataset: str) -> Path:
    """The file of a cell, whether it is there or not."""
    folder = FOLDER
    for path, own in ((models.source(model), "models"), (datasets.source(dataset), "datasets")):
        if not path.resolve().is_relative_to(machine.ROOT / own):
            folder = path.resolve().parent / "tuned"
            break
    return folder / dataset / f"{model}.json"


def text(tuned: Tuned) -> str:
    """A file's content, a line a trial."""
    facts = {"format": FORMAT, **asdict(tuned)}
    rows = ",\n".join(f"  {json.dumps(asdict(trial))}" for trial in tuned.trials)
    lines = [f' "{name}": {json.dumps(value)}' for name, value in facts.items() if name != "trials"]
    lines.insert(1 + [f.name for f in fields(Tuned)].index("trials"), f' "trials": [\n{rows}\n ]')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def write(tuned: Tuned) -> Path:
    """Put the outcome where the grid finds it. RequestError if that is no place to write."""
    path = home(tuned.model, tuned.dataset)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(tuned), encoding="utf-8")
    except OSError as error:
        raise RequestError(f"cannot write {path} ({error.strerror}); the trials are kept, tune again to write it") from error
    return path


def number(value: Any) -> bool:
    """Whether JSON said a number that there is: Python also reads NaN and Infinity."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def read(path: Path) -> Tuned:
    """A file's content. RequestError with the file and the entry for anything that it should not say."""
    place = path.relative_to(machine.ROOT) if path.is_relative_to(machine.ROOT) else path

    def wrong(entry: str, why: str) -> RequestError:
        return RequestError(f"{place}: {entry}: {why}; remove the file, or make it anew with python -m bench tune")

    try:
        facts = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise wrong("the whole file", f"cannot be read ({error})") from error
    names = ["format", *(f.name for f in fields(Tuned))]
    if not isinstance(facts, dict) or set(facts) != set(names):
        odd = sorted(set(facts) ^ set(names)) if isinstance(facts, dict) else names
        raise wrong(", ".join(odd), "missing, or not known")
    if facts.pop("format") != FORMAT:
        raise wrong("format", f"this code reads {FORMAT}")
    types: dict[str, type | tuple[type, ...]] = {
        "version": int,
        "samples": int,
        "chosen": int,
        "seeds": list,
        "trials": list,
        "recipe": dict,
    }
    for name, value in facts.items():
        if not isinstance(value, types.get(name, str)) or isinstance(value, bool):
            raise wrong(name, f"cannot be {value!r}")
    for noun, name, known, errors in (
        ("model", plain(facts["model"]), models.names(published=True), models.errors),
        ("dataset", facts["dataset"], datasets.names(published=True), datasets.errors),
    ):
        if name not in known and name not in errors and not errors:  # else it may stand in a file that does not import
            raise wrong(noun, f"unknown {noun} {name!r}{did_you_mean(name, known)}")
    if (name := facts["model"]) != plain(name) and plain(name) in models.names(published=True):
        try:
            usual = "" if changed(name) else str(models.variant(name))
        except ValueError as error:
            raise wrong("model", str(error)) from error
        if name != usual:
            raise wrong("model", f"{name!r} is no model in other sizes" + (f"; write {usual}" if usual else ""))
    if (path.parent.name, path.stem) != (facts["dataset"], facts["model"]):
        raise wrong("model", f"{facts['model']} on {facts['dataset']} belongs into {facts['dataset']}/{facts['model']}.json")
    if stray := set(facts["recipe"]) ^ ({f.name for f in fields(Budget)} - set(LENGTH)):
        raise wrong("recipe", f"{', '.join(sorted(stray))} missing, or not known")
    for i, trial in enumerate(facts["trials"]):
        if not isinstance(trial, dict) or set(trial) != {f.name for f in fields(Tried)}:
            raise wrong(f"trials[{i}]", f"is not made of {', '.join(f.name for f in fields(Tried))}")
        numbers = all(number(v) or (v is None and k in ("val", "loss")) for k, v in trial.items())
        if not numbers or not trial["lr"] > 0 or not trial["weight_decay"] >= 0:
            raise wrong(f"trials[{i}]", f"cannot be {trial}")
    facts |= {"trials": tuple(Tried(**trial) for trial in facts["trials"]), "seeds": tuple(facts["seeds"])}
    tuned = Tuned(**facts)
    if tuned.better not in ("higher", "lower"):
        raise wrong("better", f"cannot be {tuned.better!r}")
    if tuned.chosen != choose(tuned.trials, tuned.better):
        raise wrong("chosen", f"{tuned.chosen} is not the best of its trials, which is {choose(tuned.trials, tuned.better)}")
    return tuned


def check() -> None:
    """RequestError for a committed file that says what cannot be."""
    for path in sorted(FOLDER.rglob("*")):
        if path.is_file():
            read(path)
