"""A CSV with a header, as pandas reads it, that says of a cell in which line of the file it stands.

Only empty cells are holes: NA may be the name of a class, and nan in a column of numbers is a mistake that is told.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from datasets.registry import did_you_mean

ONLY_NUMBERS = 0.5  # of a target whose cells are numbers to a larger share, the others are mistakes rather than names


class Table:
    """`columns` are the header's names, `rows` what stands below. ValueError, with the file, for what is no such file."""

    def __init__(self, name: str, file: Path, separator: str, text: str = "") -> None:
        import pandas as pd

        self.name, self.file, self.separator = name, file, separator
        dtype: dict[Any, type] = {text: str} if text else {}
        try:
            self.rows = pd.read_csv(file, sep=separator, dtype=dtype, keep_default_na=False, na_values=[""], low_memory=False)
            named = pd.read_csv(file, sep=separator, header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0]
        except (OSError, ValueError) as error:  # pandas's own errors are ValueErrors
            way = "; save it as UTF-8" if isinstance(error, UnicodeError) else ""
            raise ValueError(f"{name}: {file} is no CSV that pandas reads: {' '.join(str(error).split())}{way}") from error
        if len(twice := named[named.duplicated() & (named != "")]):
            raise self.wrong(f"its header names {twice.iloc[0]!r} twice; give each column a name of its own")
        self.columns = [str(column) for column in self.rows.columns]
        self.rows.columns = pd.Index(self.columns)
        if not isinstance(self.rows.index, pd.RangeIndex):  # pandas takes what is too much for names of rows
            raise self.wrong("its rows have more cells than its header; name every column")
        if not len(self.rows):
            raise self.wrong(f"it has a header ({', '.join(self.columns)}) and no line below it; each sample is a line")

    def wrong(self, what: str) -> ValueError:
        return ValueError(f"{self.name}: {self.file}: {what}")

    def among(self, asked: Sequence[object]) -> list[str]:
        """The names asked for. ValueError for one that is no column."""
        found = [str(column) for column in asked]
        for column in found:
            if column not in self.columns:
                near = did_you_mean(column, self.columns)
                if len(self.columns) == 1 and (other := next((mark for mark in ";\t|" if mark in self.columns[0]), "")):
                    near = f"; its one column looks like several: pass separator={other!r}"
                raise ValueError(f"{self.name}: {self.file} has no column {column!r}{near}; it has {', '.join(self.columns)}")
        return found

    def place(self, row: int, column: str) -> str:
        """The line of a cell, counted as editors do: blank lines and lines within quotes count."""
        try:
            with open(self.file, newline="", encoding="utf-8") as opened:
                reader, before, seen = csv.reader(opened, delimiter=self.separator), 0, -1
                for cells in reader:
                    blank = not cells or (len(cells) == 1 and cells[0] != "" and not cells[0].strip())
                    seen += not blank  # pandas passes over blank lines
                    if seen == row + 1:  # the header was 0
                        within = sum(cell.count("\n") for cell in islice(cells, self.columns.index(column)))
                        return f"line {before + 1 + within}"
                    before = reader.line_num
        except (OSError, csv.Error, TypeError, UnicodeError):  # a compressed file, or a separator that only pandas knows
            pass
        return f"row {row + 1} below the header"

    def check_filled(self, columns: Sequence[str]) -> None:
        """ValueError for an empty cell."""
        for column in columns:
            holes = self.rows[column].isna().to_numpy().nonzero()[0]
            if len(holes):
                where = f"column {column!r} has {len(holes)} hole{'s' * (len(holes) > 1)}, the first in {self.place(holes[0], column)}"
                raise self.wrong(f"{where}; fill them, drop these rows, or leave the column out: columns=[…]")

    def check_numbers(self, columns: Sequence[str], way: str) -> None:
        """ValueError for a cell that is no number, or none that float32 has; `way` is what to do about it."""
        for column in columns:
            values = self.parsed(column)
            with np.errstate(over="ignore"):
                wrong = (~np.isfinite(values.astype(np.float32))).nonzero()[0]
            if len(wrong):
                cell = self.rows[column][wrong[0]]
                number = not isinstance(cell, str) or not np.isnan(values[wrong[0]])
                what = "no finite number in float32" if number else "no number"
                shown = repr(cell) if isinstance(cell, str) else str(cell)
                raise self.wrong(f"{shown} in column {column!r}, {self.place(wrong[0], column)} is {what}; {way}")

    def parsed(self, column: str) -> np.ndarray:
        """float64, NaN for what is no number."""
        import pandas as pd

        return pd.to_numeric(self.rows[column], errors="coerce").to_numpy(np.float64)

    def holds_numbers(self, column: str) -> bool:
        """Whether most of its cells are numbers."""
        return bool(np.isnan(self.parsed(column)).mean() < 1 - ONLY_NUMBERS)
