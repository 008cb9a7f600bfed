"""In an arm: a plugin of another repository is imported as it was at one revision, with everything that lies beside it there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import datasets
import models
from bench.plan.plugins import import_file
from bench.plan.request import RequestError

HERE = Path(__file__).resolve().parents[2]


class Plugged:
    """The files of a plugin, its repository laid out in `laid`, and that repository's checkout.

    `models` and `datasets` are the names that it registers, `error` says why a file did not import.
    """

    def __init__(self, files: Sequence[str], laid: str, origin: str) -> None:
        self.laid, self.origin, self.error = Path(laid), Path(origin), ""
        before = {*models.names(published=True), *datasets.names(published=True)}
        beside = dict.fromkeys(str(Path(file).parent) for file in files)
        sys.path[1:] = [*beside, laid, *map(self.moved, sys.path[1:])]  # what comes first is this checkout: `models` is ours
        for file in files:
            try:
                import_file(Path(file))
            except RequestError as error:
                self.error = str(error).replace(f"{laid}/", "")
        self.models, self.datasets = ([n for n in kind.names(published=True) if n not in before] for kind in (models, datasets))

    def moved(self, entry: str) -> str:
        """A folder of the checkout that Python looks into, an editable installation's say, as it is in the revision."""
        if Path(entry).is_relative_to(self.origin) and not Path(entry).is_relative_to(HERE):
            copy = self.laid / Path(entry).relative_to(self.origin)
            return str(copy) if copy.is_dir() else entry
        return entry

    def check(self) -> None:
        """ImportError if code came from the checkout that the revision has too: both sides would run the same."""
        if self.laid == self.origin:
            return
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None) or ""
            if file.startswith(f"{self.origin}/") and not Path(file).is_relative_to(HERE):
                inside = Path(file).relative_to(self.origin)
                if (self.laid / inside).is_file():
                    raise ImportError(
                        f"{name} comes from {inside} of the checkout and not of the revision: what imports it is installed there; "
                        "uninstall it, so that it is found beside the plugin"
                    )
