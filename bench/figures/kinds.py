"""The kinds of pictures by name, filled as the files of this folder are imported.

@of_cell(lambda task: task.input.kind == "points")           @of_set
def plane(subject: Subject) -> Figure: ...                   def sample(task: Task, data: Data, words: Words) -> Figure: ...

of_suite("costs", draw)  # def draw(sections: dict[str, list[Row]]) -> Figure: ...
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from matplotlib.figure import Figure

from bench.figures.subject import Subject
from bench.report.plots import small
from bench.tables.rows import Row
from datasets.data import Data
from datasets.task import Task
from datasets.vocabulary import Vocabulary

Suffix = Literal["png", "webp"]
Words = tuple[Vocabulary, Vocabulary] | None
OfSet = Callable[[Task, Data, Words], Figure]
OfSuite = Callable[[dict[str, list[Row]]], Figure]
Fits = Callable[[Task], bool]
OfCell = TypeVar("OfCell", bound=Callable[[Subject], Figure | bytes])


@dataclass(frozen=True)
class Kind:
    """`fits`: the tasks it can be drawn of. Drawing raises NoPicture where a model has nothing to show."""

    name: str
    suffix: Suffix
    fits: Fits
    drawn: Callable[[Subject], Figure | bytes]

    def draw(self, subject: Subject) -> bytes:
        """The file. A figure is made a PNG."""
        found = self.drawn(subject)
        return small(found) if isinstance(found, Figure) else found


cells: dict[str, Kind] = {}
sets: dict[str, OfSet] = {}
suites: dict[str, OfSuite] = {}


def free(name: str) -> None:
    """ValueError if a kind of this name is there already."""
    if name in cells or name in sets or name in suites:
        raise ValueError(f"kind of picture {name!r} is already registered")


def of_cell(fits: Fits, suffix: Suffix = "png") -> Callable[[OfCell], OfCell]:
    """Add a kind of picture, one for each cell whose task it fits, under the function's name."""

    def add(draw: OfCell) -> OfCell:
        free(draw.__name__)
        cells[draw.__name__] = Kind(draw.__name__, suffix, fits, draw)
        return draw

    return add


def of_set(draw: OfSet) -> OfSet:
    """Add a picture of a data set, a PNG, under the function's name. It gets the splits of one seed, and what tokens mean."""
    free(draw.__name__)
    sets[draw.__name__] = draw
    return draw


def of_suite(name: str, draw: OfSuite) -> None:
    """Add a picture of the whole suite, a PNG. It gets the ranked rows of every data set."""
    free(name)
    suites[name] = draw


def load() -> None:
    """Import every file of this folder."""
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem not in ("__init__", "command"):
            importlib.import_module(f"{__package__}.{path.stem}")
