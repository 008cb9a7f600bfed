"""Models are built in a process of their own before anything is run: what cannot be built is a row with its reason."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

import datasets
import models
from bench.core.apart import Apart, Lost, restored
from bench.plan.plugins import PLUGGED, plugin
from datasets.registry import describe, message


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory was not enough, on any device."""
    text = message(error)
    told = any(words in text for words in ("not enough memory", "can't allocate memory", "out of memory"))
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (isinstance(error, RuntimeError) and told)


@dataclass(frozen=True)
class Built:
    """What came of building a model once: whether it brings `.fit`, or why it cannot be built."""

    fits: bool = False
    status: str = ""
    reason: str = ""


def build(asked: tuple[str, str, tuple[str, ...]]) -> Built:
    """Build a model for a data set, where these plugins are known."""
    model, dataset, plugins = asked
    try:
        for file in plugins:
            plugin(file)
        with restored():  # the next model is built in this process, too
            return Built(isinstance(models.build(model, datasets.task(dataset)), models.Fits))
    except models.Unsupported as reason:
        return Built(status="skipped", reason=message(reason))
    except BaseException as error:  # a model may raise anything: SystemExit, what a test framework skips with
        return Built(status="out_of_memory" if out_of_memory(error) else "error", reason=describe(error))


PLAIN = (bool, int, float, str, type(None), torch.dtype, torch.device)
TORCHS = vars(nn.Module()).keys()


def parts(asked: tuple[str, str, tuple[str, ...]]) -> str | None:
    """What a model is made of for a data set, the same for two that are built alike; None where that cannot be told."""
    model, dataset, plugins = asked
    try:
        for file in plugins:
            plugin(file)
        with restored():
            module = models.build(model, datasets.task(dataset))
            own = {name: {key: one for key, one in vars(part).items() if key not in TORCHS} for name, part in module.named_modules()}
            values = [one for fields in own.values() for value in fields.values() for one in (value if type(value) is tuple else [value])]
            weights = {name: (tuple(value.shape), value.dtype) for name, value in module.state_dict().items()}
            return repr((module, own, weights)) if all(isinstance(one, PLAIN) for one in values) else None
    except BaseException:  # `build` says why
        return None


class Builder:
    """Builds models in a process of its own: whatever a model does to its process, its cell alone gets the reason. A context."""

    def __init__(self) -> None:
        self.apart, self.taken_apart = Apart(build), Apart(parts)
        self.known: dict[tuple[str, str], Built] = {}

    def __enter__(self) -> Builder:
        return self

    def __exit__(self, *_: object) -> None:
        self.apart.close()
        self.taken_apart.close()

    def alike(self, one: str, other: str, dataset: str) -> bool:
        """Whether two models come to the same on a data set, as far as one can tell."""
        told = [self.taken_apart.ask((name, dataset, tuple(PLUGGED))) for name in (one, other)]
        return isinstance(told[0], str) and told[0] == told[1]

    def ask(self, model: str, dataset: str) -> Built:
        if (model, dataset) not in self.known:
            fresh = self.apart.asked is None
            told = self.built(model, dataset)
            if told.status == "error" and not fresh:  # what models before it did to the process may be why: asked again in another
                self.apart.close()
                told = self.built(model, dataset)
            self.known[model, dataset] = told
        return self.known[model, dataset]

    def built(self, model: str, dataset: str) -> Built:
        told = self.apart.ask((model, dataset, tuple(PLUGGED)))
        return Built(status="error", reason=told.reason) if isinstance(told, Lost) else told
