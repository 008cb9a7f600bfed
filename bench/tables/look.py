"""How a model looks, on the page and in every picture: its family's colour, its own dashes and marker; and how a verdict does.

The colours differ by at least 10 in CIELAB lightness, so also in grey, and for every common colour blindness; tests hold that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import models
from bench.tables.rows import Row

COLOURS = {"attention": "#DE6B0C", "convolution": "#092A6B", "mlp": "#00573A", "other": "#676767"}
ON_DARK = {"attention": "#FF9F50", "convolution": "#6D92EE", "mlp": "#A6F0D2", "other": "#757575"}
NAMES = {family: family for family in COLOURS} | {"mlp": "MLP", "other": "others (recurrence, linear, none)"}  # as people write them
VERDICTS = {"beats": ("#B34700", "#FF9F50"), "loses": ("#0B3A8C", "#8FB0FF")}  # attention, on light and on dark; others are grey
DASHES: tuple[tuple[float, ...], ...] = (
    (),
    (5, 1.5),
    (1.5, 1.2),
    (5, 1.5, 1.5, 1.5),
    (8, 2, 1, 2, 1, 2),
    (3, 3),
    (10, 3),
)  # in widths of the line
SHAPES = {
    "attention": "o*ph",
    "convolution": "sPX",
    "mlp": "^v<",
    "other": "Dd>",
}  # by matplotlib's names; the next when dashes are used up


@dataclass(frozen=True)
class Look:
    family: str
    dashes: tuple[float, ...]
    marker: str

    @property
    def colour(self) -> str:
        return COLOURS[self.family]


def looks(rows: Sequence[Row]) -> dict[str, Look]:
    """The look of each model. One of this repository looks the same whichever others are drawn, and whatever its older records say."""
    return of_families({row.model: row.family for row in sorted(rows, key=lambda row: row.model)})


def of_families(asked: Mapping[str, str]) -> dict[str, Look]:
    """The same, of names and what they mix by."""
    own = {name: models.family(name) for name in models.names() if models.source(name).parent == Path(models.__file__).parent}
    families = {**asked, **own}
    taken = dict.fromkeys(COLOURS, 0)
    found = {}
    for name, family in [(name, families[name]) for name in [*own, *(name for name in families if name not in own)]]:
        turn, place = divmod(taken[family], len(DASHES))
        found[name] = Look(family, DASHES[place], SHAPES[family][turn % len(SHAPES[family])])
        taken[family] += 1
    return {name: found[name] for name in asked}
