"""Models. One file adds one or more: decorate a function `(task, *, …) -> torch.nn.Module` with `@register`.

What a module may bring beside `forward`, (batch, *input.shape) -> (batch, *output.shape):

    .loss(x, y, task, generator)    a scalar to train by, in place of task.loss(self(x), y)
    .predict(x, task)               what is scored, like the task's output; tokens, where it decodes
    .teach(x, y)                    with it: logits given the true prefix, for loss and token accuracy
    .fit(train, val, task, generator)    see Fits: it is then not trained by gradient

Every file of this folder is imported by itself; one that does not import is listed in `errors` and stops nothing else.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, overload, runtime_checkable

import torch
from torch import Tensor, nn

from datasets.registry import Registry
from datasets.task import Task
from models import variants
from models.naming import plain
from models.takes import NUMBERS, Takes
from models.variants import RECIPE, Variant
from models.wrapped import wrap

__all__ = [
    "NUMBERS",
    "Fits",
    "Samples",
    "Takes",
    "Unsupported",
    "Variant",
    "build",
    "errors",
    "essence",
    "family",
    "names",
    "plain",
    "recipe",
    "register",
    "source",
    "takes",
    "threads",
    "unfit",
    "uses",
    "variant",
    "wrap",
]

Build = Callable[..., nn.Module]
FAMILIES = ("attention", "convolution", "mlp", "other")


class Unsupported(ValueError):
    """The model makes no sense on the task. The message is a reason that a reader of the table accepts."""


@runtime_checkable
class Samples(Protocol):
    """Samples `x`, (n, *input.shape), and their targets `y`: a Split."""

    @property
    def x(self) -> Tensor: ...
    @property
    def y(self) -> Tensor: ...


@runtime_checkable
class Fits(Protocol):
    """A module that is not trained by gradient: ridge regression, trees, an oracle. `isinstance(module, Fits)` asks for it.

    `fit` is called once in place of the training loop, with whole splits on the module's device and a generator of the seed's own
    for everything random. It may choose among its settings by val; test it never sees. What it learned it keeps in parameters or
    buffers, under the same names for every fit, so that weights are stored and loaded as any model's (a buffer that grows with the
    data is registered in `fit`, and by `load_state_dict` of its own). Afterwards `forward` or `predict` answers as usual.
    """

    def fit(self, train: Samples, val: Samples, task: Task, generator: torch.Generator) -> None: ...


@dataclass(frozen=True)
class Registered:
    """What was said when a model was registered."""

    build: Build
    family: str
    recipe: dict[str, Any]
    why: str
    takes: Takes
    uses: str = ""  # a library that decides its numbers, and its version
    threads: int = 1  # that it is trained with on a CPU


_registry: Registry[Registered] = Registry("model", __name__)
errors = _registry.errors


@overload
def register(build: Build) -> Build: ...
@overload
def register(
    *,
    family: str = "other",
    recipe: dict[str, Any] | None = None,
    why: str = "",
    takes: Takes | None = None,
    uses: str = "",
    threads: int = 1,
    place: Path | None = None,
) -> Callable[[Build], Build]: ...
def register(
    build: Build | None = None,
    *,
    family: str = "other",
    recipe: dict[str, Any] | None = None,
    why: str = "",
    takes: Takes | None = None,
    uses: str = "",
    threads: int = 1,
    place: Path | None = None,
) -> Build | Callable[[Build], Build]:
    """Add a model under its function's name. `family` (attention, convolution, mlp, other) gives its colour in plots.

    Sizes are keyword-only, with defaults. A model that cannot be trained by the task's recipe declares what it needs, never
    more samples, as `recipe={"lr": 1e-4}`, and `why`, which the tables print. `takes` says which kinds of task it is made for; what
    depends on sizes, too, the function refuses itself by raising Unsupported. `uses` names a library and its version where other code
    than that of this project decides its numbers, `place` the file it belongs to where that is not the function's. `threads` are those
    that its training asks for on a CPU: worth it where single operators take milliseconds. A name twice, another family, no thread, or a
    recipe without a reason is a ValueError.
    """

    def add(build: Build) -> Build:
        if family not in FAMILIES:
            raise ValueError(f"model {build.__name__!r}: family {family!r} is none of {', '.join(FAMILIES)}")
        sizes = list(inspect.signature(build).parameters.values())[1:]
        if any(size.kind is not size.KEYWORD_ONLY or size.default is size.empty for size in sizes):
            raise ValueError(f"model {build.__name__!r}: all arguments after the task must be keyword-only with a default")
        if recipe and (not why or set(recipe) - set(RECIPE)):
            raise ValueError(f"model {build.__name__!r}: a recipe of its own needs a reason (why=…) and may change {', '.join(RECIPE)}")
        if threads < 1:
            raise ValueError(f"model {build.__name__!r}: threads={threads}; it takes a whole number of at least 1")
        _registry.add(build.__name__, Registered(build, family, recipe or {}, why, takes or Takes(), uses, threads), build)
        if place is not None:
            _registry.sources[build.__name__] = place
        return build

    return add if build is None else add(build)


def names(published: bool = False) -> list[str]:
    """Names of all models; those ending in _published only if asked for."""
    return _registry.names(published)


def variant(name: str) -> Variant:
    """What a name says: a model, its sizes, what is changed in its recipe. KeyError for a model that nobody registered, ValueError for
    sizes that it does not take."""
    model, found = variants.combinations(name)
    if len(found) > 1:
        raise ValueError(f"{name} is several variants; list them with --models")
    return variants.checked(model, _registry[model].build, *found[0])


def essence(name: str) -> tuple[Any, ...]:
    """What a name comes to: equal for two names of one model, where sizes are said that it has anyway. Raises what `variant` raises."""
    one = variant(name)
    own = variants.sizes_of(_registry[one.model].build)
    return one.model, tuple(pair for pair in one.sizes if pair[1] != own[pair[0]][1]), one.recipe


def takes(name: str) -> str:
    """The sizes that model `name` takes from outside, with their defaults, in words."""
    return variants.takes(plain(name), _registry[plain(name)].build)


def source(name: str) -> Path:
    """The file that defines model `name`. Here and below, a variant has what its model has."""
    return _registry.sources[plain(name)]


def family(name: str) -> str:
    """attention, convolution, mlp or other."""
    return _registry[plain(name)].family


def uses(name: str) -> str:
    """The library that decides model `name`'s numbers, with its version; '' for this project's own."""
    return _registry[plain(name)].uses


def threads(name: str) -> int:
    """How many threads the training of model `name` asks for on a CPU; usually one."""
    return _registry[plain(name)].threads


def recipe(name: str) -> tuple[dict[str, Any], str]:
    """What model `name` changes in a task's recipe by itself, and why; usually nothing."""
    return _registry[plain(name)].recipe, _registry[plain(name)].why


def unfit(name: str, task: Task) -> str | None:
    """Why model `name` is not made for the task's kinds, or None. Builds nothing: `build` may still find its sizes Unsupported."""
    return _registry[plain(name)].takes.unfit(task)


def build(name: str, task: Task, **size: Any) -> nn.Module:
    """A freshly initialised model for `task`, float32 on the CPU. Raises Unsupported with the reason, or KeyError.

    The sizes of a variant, `vit[depth=3]`, are in its name; ValueError for those that it does not take.
    """
    if reason := unfit(name, task):
        raise Unsupported(reason)
    own = {} if name == plain(name) else dict(variant(name).sizes)
    return _registry[plain(name)].build(task, **own, **size)


_registry.import_folder(Path(__file__).parent)
