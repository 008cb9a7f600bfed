"""Models that others wrote, as models of this suite: `wrap("mine", "timm:resnet10t")`, `"torchvision:resnet18"`, or a class or function.

What is built gets the task's sizes under the names that its parameters have, of those in `SIZES`; a first convolution that reads another
number of channels is made anew. Then two samples are tried, in training and in evaluation: what does not answer with the shape that the
task asks for is Unsupported, with the library's own reason. Weights are always fresh, and the library is imported when a model is built.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

import models
from datasets.registry import did_you_mean
from datasets.task import Task

LIBRARIES = ("timm", "torchvision")
SIZES = {
    "task": ("task",),
    "channels": ("in_chans", "in_channels", "channels", "num_channels"),
    "outputs": ("num_classes", "classes", "n_classes", "num_outputs", "outputs"),
    "features": ("in_features", "inputs", "features"),
    "side": ("img_size", "image_size", "input_size"),
}


def version(library: str) -> str:
    """'timm 1.0.31'; '' for what is not installed from a package."""
    try:
        return f"{library} {metadata.version(library)}"
    except metadata.PackageNotFoundError:
        return ""


def attempts(what: str, task: Task, more: dict[str, Any]) -> Iterator[Callable[[], nn.Module]]:
    """Ways to build a library's model for a task: without the size of the image, which few ask for, and with it."""
    library, name = what.split(":")
    try:
        package = importlib.import_module(library)
    except ImportError as error:
        raise models.Unsupported(f"needs {library}, which is not installed: pip install {library}") from error
    known = package.list_models() if library == "timm" else package.models.list_models()
    if name.split(".")[0] not in known:
        raise LookupError(f"unknown model {name!r} of {library}{did_you_mean(name, known)}")
    if library == "timm":
        build = partial(package.create_model, name, pretrained=False, in_chans=task.input.shape[0], num_classes=task.output.size)
    else:
        build = partial(package.models.get_model, name, weights=None, num_classes=task.output.size)
    yield partial(build, **more)
    _, height, width = task.input.shape
    side = (height, width) if library == "timm" else height
    if library == "timm" or height == width:
        yield partial(build, **{"img_size" if library == "timm" else "image_size": side}, **more)


def called(what: Callable[..., nn.Module], task: Task, more: dict[str, Any]) -> Callable[[], nn.Module]:
    """A class or function, given what its parameters ask for."""
    shape = task.input.shape
    side = shape[1] if len(set(shape[1:])) == 1 else shape[1:]
    known = {"task": task, "channels": shape[0], "outputs": task.output.size, "features": task.input.size, "side": side}
    asked = inspect.signature(what).parameters
    return partial(what, **{p: known[size] for size, names in SIZES.items() for p in names if p in asked} | more)


def with_channels(module: nn.Module, channels: int) -> nn.Module:
    """The module with a first convolution that reads that many channels."""
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d):
            if layer.in_channels != channels and layer.groups == 1:
                sizes: dict[str, Any] = {
                    key: getattr(layer, key) for key in ("out_channels", "kernel_size", "stride", "padding", "dilation", "padding_mode")
                }
                parent, _, last = name.rpartition(".")
                setattr(module.get_submodule(parent), last, type(layer)(channels, bias=layer.bias is not None, **sizes))
            break
    return module


def tried(module: nn.Module, task: Task) -> None:
    """ValueError, or whatever the module raises, if it does not answer as the task asks."""
    x, _ = task.sample(2, torch.Generator().manual_seed(0))
    module = copy.deepcopy(module).to(x.dtype)
    for one in (module.train(), module.eval()):
        with torch.no_grad():
            out = one(x)
        found = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
        if found != (2, *task.output.shape):
            raise ValueError(f"answers two samples with {found}, not {(2, *task.output.shape)}")


def wrap(
    name: str,
    what: str | Callable[..., nn.Module],
    *,
    family: str = "other",
    recipe: dict[str, Any] | None = None,
    why: str = "",
    takes: models.Takes | None = None,
    **more: Any,
) -> None:
    """Register as model `name` what others wrote: "timm:NAME", "torchvision:NAME", or a class or function that builds a module.

    `family`, `recipe`, `why`, `takes` are those of `models.register`; `more` is handed to what builds. ValueError for another library.
    """
    if isinstance(what, str) and (what.count(":") != 1 or what.split(":")[0] not in LIBRARIES):
        raise ValueError(f"model {name!r}: {what!r} is no library and model; write {' or '.join(f'{one}:NAME' for one in LIBRARIES)}")
    ways: dict[Task, int] = {}  # the way that was found to work

    def build(task: Task) -> nn.Module:
        found = list(attempts(what, task, more)) if isinstance(what, str) else [called(what, task, more)]
        reasons: list[Exception] = []
        state = torch.get_rng_state()  # the weights depend on the seed alone, not on what was tried before
        for way, make in enumerate(found):
            if way < ways.get(task, 0):
                continue
            torch.set_rng_state(state)
            try:
                module = with_channels(make(), task.input.shape[0]) if task.input.kind in ("signal", "image") else make()
                if task not in ways:
                    tried(module, task)
                ways[task] = way
                return module
            except Exception as error:  # a library may refuse in any way
                reasons.append(error)
        said = what if isinstance(what, str) else getattr(what, "__name__", name)
        reason = next((one for one in reversed(reasons) if not isinstance(one, TypeError)), reasons[0])  # TypeError: knows no size
        told = " ".join(str(reason).split())[:200] or type(reason).__name__
        shape = "×".join(map(str, task.input.shape))
        raise models.Unsupported(f"{said} cannot serve {task.input.kind}s of {shape}: {told}") from reason

    build.__name__ = name
    library = what.split(":")[0] if isinstance(what, str) else str(getattr(getattr(what, "func", what), "__module__", "")).split(".")[0]
    images = models.Takes("image", ("value", "classes"), "reads an image", "answers with one vector per image")
    models.register(
        family=family,
        recipe=recipe,
        why=why,
        takes=takes or (images if isinstance(what, str) else None),
        uses=version(library),
        place=Path(sys._getframe(1).f_code.co_filename),
    )(build)
