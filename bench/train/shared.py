"""What the models of a process hold in common: plain data in their classes, and in the files where these are written.

Seeds that are trained one after another would go on from what the one before left there. So every model is built on what was there
when the first had been.
"""

from __future__ import annotations

import copy
import random
import sys
from collections import deque
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

SINGLE = (bool, int, float, complex, str, bytes, type(None), Tensor, np.ndarray, torch.Generator, random.Random, np.random.Generator)
Place = tuple[type | ModuleType, str]


def data(value: Any, depth: int = 8) -> bool:
    """Whether a value is numbers, text, random numbers, or a collection of such, no deeper than that."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple | set | frozenset | deque):
        return depth > 0 and all(data(one, depth - 1) for one in value)
    return isinstance(value, SINGLE) and not (isinstance(value, Tensor) and not value.is_leaf)  # which cannot be copied


def held(module: nn.Module) -> dict[Place, Any]:
    """The data by class or file, and by name; of torch's own classes none."""
    kinds = {kind: None for layer in module.modules() for kind in type(layer).__mro__}
    own = [kind for kind in kinds if kind.__module__.partition(".")[0] not in ("torch", "builtins")]
    files = {sys.modules[kind.__module__]: None for kind in own if kind.__module__ in sys.modules}
    owners: list[type | ModuleType] = [*own, *files]
    return {(owner, name): value for owner in owners for name, value in vars(owner).items() if not name.startswith("__") and data(value)}


def alike(build: Callable[[], nn.Module], first: nn.Module) -> Callable[[], nn.Module]:
    """`build`, each time on what the classes and files of the `first` module it made hold now."""
    before = {place: copy.deepcopy(value) for place, value in held(first).items()}

    def again() -> nn.Module:
        for owner, name in held(first).keys() - before.keys():
            delattr(owner, name)
        for (owner, name), value in before.items():
            setattr(owner, name, copy.deepcopy(value))
        return build()

    return again
