"""--models, --set and --samples -> names of models and their variants, and what a variant's recipe makes of a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import combinations as combinations_of
from typing import Any

import models
from bench.plan.request import RequestError
from datasets.task import Budget
from models.naming import plain
from models.variants import combinations, recipe_of, settings, terms

OPTIONS: dict[str, dict[str, Any]] = {
    "--set": {"action": "append", "default": [], "metavar": "NAME=VALUE", "help": "change the recipe of all cells: lr=1e-3; repeatable"},
    "--samples": {"metavar": "N", "help": "change the training samples of all cells: a number, or 4x, so many times the budget's"},
}
SERVES = {"momentum": ("optimizer", "sgd"), "warmup": ("schedule", "cosine"), "decay": ("schedule", "decay")}  # with what alone it does
Select = Callable[[str], list[str]]


def recipe(sets: Sequence[str] = (), samples: str | None = None) -> dict[str, str]:
    """What --set and --samples change, as it was written. RequestError for what no recipe has."""
    said: dict[str, str] = {}
    try:
        for text in sets:
            for name, (first, *more) in settings(text, "--set").items():
                if more or name in said:
                    raise RequestError(f"--set {name} is given more than one value; a sweep is --models 'vit@[{name}={first},…]'")
                if name == "samples":
                    raise RequestError(f"--set {text}: say --samples {first}")
                said[name] = first
        said |= {"samples": samples} if samples is not None else {}
        recipe_of(said)
    except RequestError:
        raise
    except ValueError as error:
        raise RequestError(f"--set or --samples: {error}") from error
    return said


def chosen(patterns: str | None, default: Sequence[str], everything: Sequence[str], select: Select, changes: dict[str, str]) -> list[str]:
    """Names of models and variants, in the order of `everything`; `select` finds the models of a pattern, `changes` are of all recipes.

    RequestError for what cannot be read, for sizes that a model does not take, and for two variants that are the same model.
    """
    if patterns is None:
        return [named(model, {}, changes) for model in default]
    found: dict[str, list[str]] = {}
    try:
        for term in terms(patterns) or [""]:
            pattern, combined = combinations(term) if term else (term, [({}, {})])
            for sizes, own in combined:
                if twice := own.keys() & changes.keys():
                    raise ValueError(f"{term}: {', '.join(sorted(twice))} is said by --set or --samples, too")
                for model in select(pattern):
                    name = named(model, sizes, own | changes)
                    if name not in found.get(model, []) or (name != model and (sizes or own)):  # several patterns may name a model
                        found.setdefault(model, []).append(name)
        names = [name for model in everything for name in found.get(model, [])]
        distinct(names)
    except RequestError:
        raise
    except ValueError as error:
        raise RequestError(f"--models {error}") from error
    return names


def named(model: str, sizes: dict[str, str], recipe: dict[str, str]) -> str:
    """The name of a variant; of a model whose file does not import nothing is known but its own."""
    said = str(models.Variant(model, tuple(sizes.items()), tuple(recipe.items())))
    return said if said == model or model in models.errors else str(models.variant(said))


def spelled(patterns: str | None) -> str | None:
    """The same patterns with every variant by the name of its row. RequestError for what cannot be read, or a model does not take."""
    if patterns is None:
        return None
    try:
        every = [(pattern, one) for pattern, combined in map(combinations, terms(patterns)) for one in combined]
        return ",".join(named(pattern, *one) if pattern in models.names(published=True) else pattern for pattern, one in every)
    except ValueError as error:
        raise RequestError(f"--models {error}") from error


def distinct(names: Sequence[str]) -> None:
    """ValueError where two of them are the same: the same values, or one's are what the other has by default."""
    first: dict[Any, str] = {}
    for name in names:
        if plain(name) in models.errors:
            continue
        other = first.setdefault(models.essence(name), name)
        if other is not name:
            same = f"{name} is named twice" if other == name else f"{other} and {name} are the same: sizes that it has anyway"
            raise ValueError(f"{same}; leave one of them out ({models.takes(name)})")


def trained_apart(cells: Iterable[tuple[str, str, Budget]], alike: Callable[[str, str, str], bool]) -> None:
    """RequestError where two models are built alike and get the same budget on every data set: a recipe that one of them has anyway,
    or sizes that the data set gives it, as `alike` finds them."""
    budgets: dict[str, dict[str, Budget]] = {}
    for model, dataset, budget in cells:
        budgets.setdefault(model, {})[dataset] = budget
    first: dict[Any, str] = {}
    for name, own in budgets.items():
        other = first.setdefault((models.essence(name)[:2], *own.items()), name)
        if other is not name:
            raise RequestError(f"--models {other} and {name} are the same: a recipe that it has anyway; leave one of them out")
    for one, other in combinations_of(budgets, 2):
        if plain(one) == plain(other) and budgets[one] == budgets[other] and all(alike(one, other, name) for name in budgets[one]):
            where = ", ".join(budgets[one])
            raise RequestError(f"--models {one} and {other} are the same on {where}: sizes that it has there anyway; leave one of them out")


def altered(budget: Budget, name: str) -> Budget:
    """A budget with what a variant changes in it. RequestError for what no budget can be."""
    changes: dict[str, Any] = dict(models.variant(name).recipe)
    samples = changes.get("samples")
    if isinstance(samples, str):
        changes["samples"] = max(1, round(float(samples.removesuffix("x")) * budget.samples))
    try:
        found = replace(budget, **changes)
    except ValueError as error:
        raise RequestError(f"{name}: {error}") from error
    if found.warmup > 1:
        raise RequestError(f"{name}: warmup is a share of the steps, not {found.warmup:g}")
    for part, (of, needed) in SERVES.items():
        if part in changes and getattr(found, of) != needed:
            raise RequestError(f"{name}: {part} changes nothing with {of} {getattr(found, of)}; say {of}={needed}, too, or leave it out")
    return found
