"""A model other than by default: `vit[depth=3]@lr=0.001`. Its name is all that is passed on, written down and hashed.

MODEL[size=value,…]@recipe=value@…

Sizes are keyword-only arguments of the model's function, the recipe is what a budget says. A request may list values,
`vit[depth=3,6]@[lr=0.001,0.01]`: every combination is a variant.
"""

from __future__ import annotations

import inspect
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from datasets.registry import did_you_mean
from datasets.task import Budget
from models.naming import LONGEST, WORD

Value = int | float | bool | str | None
RECIPE = ("optimizer", "lr", "schedule", "decay", "warmup", "momentum", "weight_decay", "clip")  # what a model may change by itself
CHANGES = (*RECIPE, "batch", "init_std", "samples")  # what a request may change
TERM = re.compile(r"([^\[\]@]+)(?:\[([^\[\]]*)\])?((?:@(?:\[[^\[\]]*\]|[^\[\]@]+))*)")


@dataclass(frozen=True)
class Variant:
    """A registered model, the sizes it is to be built with, and what is changed in its recipe, both in the order of their definition."""

    model: str
    sizes: tuple[tuple[str, Value], ...] = ()
    recipe: tuple[tuple[str, Value], ...] = ()

    def __str__(self) -> str:
        sizes, recipe = ([f"{name}={written(value)}" for name, value in pairs] for pairs in (self.sizes, self.recipe))
        return "".join([self.model, f"[{','.join(sizes)}]" if sizes else "", *(f"@{pair}" for pair in recipe)])


def written(value: Value) -> str:
    return {None: "none", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else str(value)


def terms(text: str) -> list[str]:
    """The parts of a list at commas that stand in no brackets. ValueError where brackets do not pair."""
    parts, depth = [""], 0
    for sign in text:
        depth += {"[": 1, "]": -1}.get(sign, 0)
        if depth not in (0, 1):
            break
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    if depth:
        raise ValueError(f"{text!r}: brackets do not pair; sizes are written vit[depth=3,6]")
    return [part.strip() for part in parts if part.strip()]


def settings(text: str, where: str) -> dict[str, list[str]]:
    """`a=1,2,b=3` -> {"a": ["1", "2"], "b": ["3"]}. ValueError for anything else."""
    found: dict[str, list[str]] = {}
    for part in text.split(","):
        name, equals, value = part.rpartition("=")
        name = name.strip() if equals else next(reversed(found), "")
        if not name or not value.strip() or (equals and name in found):
            raise ValueError(f"{where}: cannot read {part.strip()!r}; write name=value, or name=value,value, each name once")
        found.setdefault(name, []).append(value.strip())
    return found


def combinations(term: str) -> tuple[str, list[tuple[dict[str, str], dict[str, str]]]]:
    """A term's model or pattern, and the sizes and recipes it says, in every combination. ValueError for what cannot be read."""
    found = TERM.fullmatch(term)
    if found is None:
        raise ValueError(f"{term!r} cannot be read; write vit, vit[depth=3,6], vit@lr=1e-3 or vit[depth=3]@lr=1e-3")
    sizes = settings(found[2], term) if found[2] is not None else {}
    recipe: dict[str, list[str]] = {}
    for part in re.findall(r"@(?:\[([^\[\]]*)\]|([^\[\]@]+))", found[3]):
        for name, values in settings("".join(part), term).items():
            if recipe.setdefault(name, values) is not values:
                raise ValueError(f"{term}: {name} is said twice")

    def every(lists: Mapping[str, list[str]]) -> Iterator[dict[str, str]]:
        return (dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values()))

    return found[1].strip(), list(itertools.product(every(sizes), every(recipe)))


def hints(thing: Callable[..., Any]) -> dict[str, Any]:
    """Annotations of a function or class; {} where they name what is not there."""
    try:
        return get_type_hints(thing)
    except NameError:
        return {}


def sizes_of(build: Callable[..., Any]) -> dict[str, tuple[tuple[Any, ...], Any]]:
    """The sizes that can be said from outside: their types, and their defaults. Classes and functions cannot be written down."""
    annotated, found = hints(build), {}
    for size in list(inspect.signature(build).parameters.values())[1:]:
        kinds = types_of(annotated.get(size.name, type(size.default)))
        if {int, float, bool, str} & {*kinds}:
            found[size.name] = kinds, size.default
    return found


def types_of(hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) in (Union, UnionType):
        return tuple(kind for one in get_args(hint) for kind in types_of(one))
    return (str,) if get_origin(hint) is Literal else (hint,)


def value(text: str, kinds: tuple[Any, ...], least: float) -> Value:
    """What a text says, as the first of the types that it can be; numbers are finite and at least `least`. ValueError for anything else."""
    lower = text.lower()
    if type(None) in kinds and lower == "none":
        return None
    if bool in kinds and lower in ("true", "false"):
        return lower == "true"
    number = float(text) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", lower) else math.nan
    if least <= number < 2**31:
        if int in kinds and re.fullmatch(r"\+?\d+", text):
            return int(text)
        if float in kinds:
            return number
    if str in kinds and re.fullmatch(WORD, text):
        return text
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a word", type(None): "none"}
    said = " or ".join(names[kind] for kind in kinds if kind in names)
    raise ValueError(f"cannot be {text!r}: it takes {said}{f' from {least:g}' if {int, float} & {*kinds} else ''}")


def takes(model: str, build: Callable[..., Any]) -> str:
    """The sizes a model takes with their defaults, as the end of a sentence."""
    own = ", ".join(f"{name}={written(default)}" for name, (_, default) in sizes_of(build).items())
    return f"{model} takes {own}" + (" (none: the task decides)" if "=none" in own else "") if own else f"{model} takes no sizes"


def checked(model: str, build: Callable[..., Any], sizes: Mapping[str, str], recipe: Mapping[str, str]) -> Variant:
    """The variant that texts say. ValueError for a size or a part of the recipe that there is not, and for a value that cannot be."""
    own = sizes_of(build)
    found: dict[str, Value] = {}
    for name, text in sizes.items():
        if name not in own:
            raise ValueError(f"{model} has no size {name!r}{did_you_mean(name, [*own])}; {takes(model, build)}")
        kinds, default = own[name]
        try:
            found[name] = value(text, kinds, 1 if int in kinds and default != 0 else 0)
        except ValueError as error:
            raise ValueError(f"{model}: {name} {error}; {takes(model, build)}") from error
    new = recipe_of(recipe)
    variant = Variant(model, tuple((name, found[name]) for name in own if name in found), new)
    if len(str(variant)) > LONGEST:
        raise ValueError(f"{variant}: a name of more than {LONGEST} characters; change less at once")
    return variant


def recipe_of(texts: Mapping[str, str]) -> tuple[tuple[str, Value], ...]:
    """What is changed in a recipe. `samples` is their number, or `4x`, so many times the budget's. ValueError for what cannot be."""
    found: dict[str, Value] = {}
    for name, text in texts.items():
        if name not in CHANGES:
            raise ValueError(f"a recipe has no {name!r}{did_you_mean(name, CHANGES)}; it has {', '.join(CHANGES)}")
        try:
            if name == "samples":
                found[name] = f"{times(text[:-1]):g}x" if text.endswith("x") else value(text, (int,), 1)
            else:
                found[name] = value(text, types_of(hints(Budget)[name]), 1 if name == "batch" else 0)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from error
    return tuple((name, found[name]) for name in CHANGES if name in found)


def times(text: str) -> float:
    number = value(text, (float,), 0)
    assert isinstance(number, float)
    if not number:
        raise ValueError("cannot be 0x")
    return number
