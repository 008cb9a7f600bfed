"""Models are built in a process of their own before anything is run: what cannot be built is a row with its reason."""

from __future__ import annotations

from dataclasses import dataclass

import torch

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


class Builder:
    """Builds models in a process of its own: whatever a model does to its process, its cell alone gets the reason. A context."""

    def __init__(self) -> None:
        self.apart = Apart(build)
        self.known: dict[tuple[str, str], Built] = {}

    def __enter__(self) -> Builder:
        return self

    def __exit__(self, *_: object) -> None:
        self.apart.close()

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
