"""In an arm: a plugin of another repository is imported as it was at one revision, with everything that lies beside it there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import datasets
import models
from bench.core import machine
from bench.plan.plugins import import_file
from bench.plan.request import RequestError


class Plugged:
    """The files of a plugin, imported; `laid` is its repository as it was, `origin` that repository's checkout.

    `models` and `datasets` are the names that it registers, `error` says why a file did not import.
    """

    def __init__(self, files: Sequence[str], laid: str, origin: str) -> None:
        self.laid, self.origin, self.error = laid, origin, ""
        before = {*models.names(published=True), *datasets.names(published=True)}
        beside = dict.fromkeys(str(Path(file).parent) for file in files)
        # what comes first is this checkout: `models` is ours; what is installed from the checkout comes from the revision too
        sys.path[1:] = [*beside, laid, *(str(self.copy(entry) or entry) for entry in sys.path[1:])]
        for file in files:
            try:
                import_file(Path(file))
            except RequestError as error:
                self.error = str(error).replace(f"{laid}/", "")
        self.models, self.datasets = ([n for n in kind.names(published=True) if n not in before] for kind in (models, datasets))

    def copy(self, path: str) -> Path | None:
        """Where the revision has what lies there in the checkout; None if it has not, and for what is no part of the checkout."""
        if self.laid == self.origin or not path.startswith(f"{self.origin}/") or f"{path}/".startswith(f"{machine.ROOT}/"):
            return None
        there = Path(self.laid) / Path(path).relative_to(self.origin)
        return there if there.exists() else None

    def check(self) -> None:
        """ImportError if code came from the checkout that the revision has too: both sides would run the same."""
        for name, module in list(sys.modules.items()):
            if there := self.copy(getattr(module, "__file__", None) or ""):
                raise ImportError(
                    f"{name} comes from {there.relative_to(self.laid)} of the checkout and not of the revision: it is installed from "
                    "there; uninstall it, so that it is found beside the plugin"
                )
