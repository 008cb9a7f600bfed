"""Models. One file adds one or more: decorate a function `(task, *, …) -> torch.nn.Module` with `@register`.

Every file of this folder is imported by itself; one that does not import is listed in `errors` and stops nothing else.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, overload

from torch import nn

from datasets.registry import Registry
from datasets.task import Task

__all__ = ["Unsupported", "build", "errors", "family", "names", "recipe", "register", "source"]

Build = Callable[..., nn.Module]
FAMILIES = ("attention", "convolution", "mlp", "other")


class Unsupported(ValueError):
    """The model makes no sense on the task. The message is a reason that a reader of the table accepts."""


RECIPE = ("optimizer", "lr", "schedule", "decay", "warmup", "momentum", "weight_decay", "clip")
Registered = tuple[str, Build, dict[str, Any], str]
_registry: Registry[Registered] = Registry("model", __name__)
errors = _registry.errors


@overload
def register(build: Build) -> Build: ...
@overload
def register(*, family: str = "other", recipe: dict[str, Any] | None = None, why: str = "") -> Callable[[Build], Build]: ...
def register(
    build: Build | None = None, *, family: str = "other", recipe: dict[str, Any] | None = None, why: str = ""
) -> Build | Callable[[Build], Build]:
    """Add a model under its function's name. `family` (attention, convolution, mlp, other) gives its colour in plots.

    Sizes are keyword-only, with defaults. A model that cannot be trained by the task's recipe declares what it needs, never
    more samples, as `recipe={"lr": 1e-4}`, and `why`, which the tables print. A name twice, another family, or a recipe
    without a reason is a ValueError.
    """

    def add(build: Build) -> Build:
        if family not in FAMILIES:
            raise ValueError(f"model {build.__name__!r}: family {family!r} is none of {', '.join(FAMILIES)}")
        sizes = list(inspect.signature(build).parameters.values())[1:]
        if any(size.kind is not size.KEYWORD_ONLY or size.default is size.empty for size in sizes):
            raise ValueError(f"model {build.__name__!r}: all arguments after the task must be keyword-only with a default")
        if recipe and (not why or set(recipe) - set(RECIPE)):
            raise ValueError(f"model {build.__name__!r}: a recipe of its own needs a reason (why=…) and may change {', '.join(RECIPE)}")
        _registry.add(build.__name__, (family, build, recipe or {}, why), build)
        return build

    return add if build is None else add(build)


def names(published: bool = False) -> list[str]:
    """Names of all models; those ending in _published only if asked for."""
    return _registry.names(published)


def source(name: str) -> Path:
    """The file that defines model `name`."""
    return _registry.sources[name]


def family(name: str) -> str:
    """attention, convolution, mlp or other."""
    return _registry[name][0]


def recipe(name: str) -> tuple[dict[str, Any], str]:
    """What model `name` changes in a task's recipe, and why; usually nothing."""
    return _registry[name][2:]


def build(name: str, task: Task, **size: Any) -> nn.Module:
    """A freshly initialised model for `task`, float32 on the CPU. Raises Unsupported with the reason, or KeyError."""
    return _registry[name][1](task, **size)


_registry.import_folder(Path(__file__).parent)
