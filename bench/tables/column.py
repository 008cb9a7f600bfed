"""What a column is: defined once, and every table, plot, page and dictionary is made of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")
Kind = Literal["text", "count", "figure"]
FORMULA = ("=", "+", "-", "@")  # how what a spreadsheet computes begins


@dataclass(frozen=True)
class OnPage:
    """How the page shows a column. Without a label it does not: bounds and remarks stand in the cell of what they belong to.

    cell    how a figure is written: quality, latency, whole, amount, else with three digits; of a text: long, if it breaks into lines
    scale   what the page multiplies the figure by: a latency of a batch becomes one of a sample
    blank   a figure that says no more than an empty cell
    place   where a timing was made; such a column is shown when the reader asks for that place
    choice  shown only when the reader asks for all scores
    late    stands after the columns that are not
    """

    label: str = ""
    unit: str = ""
    cell: str = ""
    scale: float = 1
    blank: float | None = None
    place: str = ""
    choice: bool = False
    late: bool = False


@dataclass(frozen=True)
class Column(Generic[T]):
    """One figure or text of a row `T`.

    kind    text as it is, counts as whole numbers, figures with so many `digits`; `of` gives None for what was not measured
    better  lower or higher; '' where neither is; `metric` where the row's metric says it
    about   what it is, one sentence, for the dictionary
    head    its title in the Markdown table, '' if it is not there, and `say` how people read it; `late` as on the page
    axis    its words at an axis of a plot
    """

    name: str
    kind: Kind
    of: Callable[[T], Any]
    about: str
    unit: str = ""
    better: Literal["", "lower", "higher", "metric"] = ""
    head: str = ""
    say: Callable[[T], str] | None = None
    late: bool = False
    axis: str = ""
    page: OnPage | None = None
    digits: int = 6

    def field(self, row: T) -> str:
        """The column's field of a CSV file."""
        return self.fields([row])[0]

    def fields(self, rows: Iterable[T]) -> list[str]:
        """The same of many rows."""
        spec, values = f".{self.digits}g", map(self.of, rows)
        if self.kind == "figure":
            return ["" if value is None or value != value else format(value, spec) for value in values]
        return ["" if value is None or value != value else harmless(str(value)) for value in values]

    def said(self, row: T) -> str:
        """The column's cell of a Markdown table."""
        return self.say(row) if self.say is not None else self.field(row)


def harmless(text: str) -> str:
    """Text that a spreadsheet takes for text: what it would take for a formula begins with an apostrophe."""
    return f"'{text}" if text.lstrip()[:1] in FORMULA else text


def filled(columns: Sequence[Column[T]], rows: Sequence[T]) -> list[Column[T]]:
    """The columns that are not empty in every row."""
    return [column for column in columns if any(map(column.field, rows[:1])) or any(column.fields(rows))]


def as_csv(columns: Sequence[Column[T]], rows: Sequence[T]) -> str:
    """A CSV file; what was not measured is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([harmless(column.name) for column in columns])
    writer.writerows(zip(*(column.fields(rows) for column in columns), strict=True))
    return text.getvalue()


def as_lines(columns: Sequence[Column[T]], rows: Sequence[T]) -> list[dict[str, str]]:
    """The rows of a Markdown table, its late columns last."""
    shown = sorted((column for column in columns if column.head), key=lambda column: column.late)
    return [{column.head: column.said(row) for column in shown} for row in rows]
