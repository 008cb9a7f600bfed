"""A CSV that cannot be used is refused with its file, column and line, and the way out; what looks odd and can be used is."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

import datasets
from datasets.task import Input, Output


def rows(n: int = 40, **spoiled: str) -> list[str]:
    """Lines of length, kind and price; `spoiled` by their number, as an editor counts where the header is 1: line3="…"."""
    lines = ["length,kind,price", *(f"{i},{'ab'[i % 2]},{i * 1.5}" for i in range(n))]
    for line, text in spoiled.items():
        lines[int(line.removeprefix("line")) - 1] = text
    return lines


def register(folder: Path, lines: list[str], **asked: Any) -> Any:
    (folder / "own.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return datasets.from_csv("own", folder / "own.csv", **asked)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("lines", "asked", "reason"),
    [
        (rows(line4="2,a,cheap"), {"target": "price", "columns": "length"}, "'cheap' in column 'price', line 4 is no number; mend"),
        (rows(line4="2,a,cheap"), {"target": "price", "text": "kind", "kind": "value"}, "own.csv: 'cheap' in column 'price', line 4"),
        (rows(), {"target": "kind", "columns": "length", "kind": "value"}, "own.csv: 'a' in column 'kind', line 2 is no number"),
        (rows(), {"target": ["price", "kind"], "columns": "length"}, "own.csv: 'a' in column 'kind', line 2 is no number"),
        (rows(0), {"target": "kind", "columns": "length"}, r"own.csv: it has a header \(length, kind, price\) and no line below it"),
        (rows(line3="\n\n1,b,"), {"target": "kind"}, "column 'price' has 1 hole, the first in line 5"),
        (rows(line3="  \n1,b,"), {"target": "kind"}, "column 'price' has 1 hole, the first in line 4"),
        (rows(line3='1,"b\nb",2', line5="x,a,2"), {"target": "kind"}, "'x' in column 'length', line 6 is no number"),
        (rows(line3='1,"b\nb",'), {"target": "kind"}, "column 'price' has 1 hole, the first in line 4"),
        (rows(line3="1,b,inf"), {"target": "kind"}, "own.csv: inf in column 'price', line 3 is no finite number in float32"),
        (rows(line3="1,b,1e300"), {"target": "kind"}, r"own.csv: 1e\+300 in column 'price', line 3 is no finite number in float32"),
        (rows(line3="1,b,-inf"), {"target": "price", "columns": "length"}, "own.csv: -inf in column 'price', line 3 is no finite number"),
        (rows(line3="1,b,nan"), {"target": "kind"}, "own.csv: 'nan' in column 'price', line 3 is no number"),
        ([rows()[0], *rows()[1::2]], {"target": "kind"}, "own.csv, target 'kind': every sample has the class a"),
        (rows(line3="1,c,2"), {"target": "kind"}, "own.csv, target 'kind': class c has 1 sample and needs 5"),
        (rows(10), {"target": "kind"}, "own.csv, target 'kind': 10 samples are too few"),
        (rows(), {"target": "price", "text": "kind", "columns": ["length"]}, "own: text='kind' and columns=.*: either texts"),
        (rows(), {"target": [], "columns": "length"}, "own.csv: target names no column"),
        ([rows()[0], *(f"0,{line}" for line in rows()[1:])], {"target": "kind"}, "own.csv: its rows have more cells than its header"),
        ([line.replace(",", ";") for line in rows()], {"target": "kind"}, "its one column looks like several: pass separator=';'"),
        (["length,kind,kind", *rows()[1:]], {"target": "kind"}, "own.csv: its header names 'kind' twice; give each column a name"),
    ],
)  # fmt: skip
def test_a_csv_is_refused_with_file_column_and_line(tmp_path: Path, lines: list[str], asked: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        register(tmp_path, lines, **asked)


def test_another_encoding_says_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_bytes("\n".join(rows(line3="1,Größe,2")).encode("latin-1"))
    with pytest.raises(ValueError, match=r"own.csv is no CSV that pandas reads: .*; save it as UTF-8"):
        datasets.from_csv("own", tmp_path / "own.csv", target="kind")


def test_where_lines_cannot_be_counted_rows_are(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "own.csv.gz", "wt") as file:
        file.write("\n".join(rows(line3="1,b,x")))
    with pytest.raises(ValueError, match="'x' in column 'price', row 2 below the header is no number"):
        datasets.from_csv("own", tmp_path / "own.csv.gz", target="kind")


@pytest.mark.parametrize(
    ("lines", "asked", "entering", "output"),
    [
        (rows(), {"target": "kind", "columns": "length"}, 1, Output("classes", 2)),
        (rows(), {"target": ("length",), "columns": ("price",), "kind": "value"}, 1, Output("value", 1)),
        ([line.replace(",a,", ",NA,") for line in rows()], {"target": "kind"}, 2, Output("classes", 2)),
        ([*rows(), *(f"{i},{i % 3},3" for i in range(60))], {"target": "kind", "kind": "classes"}, 2, Output("classes", 5)),
        (["", "  ", *rows(), "", ""], {"target": "kind"}, 2, Output("classes", 2)),
    ],
)
def test_what_looks_odd_and_can_be_used(tmp_path: Path, lines: list[str], asked: dict[str, Any], entering: int, output: Output) -> None:
    task = register(tmp_path, lines, **asked)
    assert (task.input, task.output) == (Input("table", (entering,)), output)


def test_texts_stay_as_they_are_written(tmp_path: Path) -> None:
    task = register(tmp_path, ["said,kind", *(f"{'007' if i % 2 else 'NA'},{i % 2}" for i in range(40))], target="kind", text="said")
    assert (task.input.kind, task.input.vocabulary) == ("tokens", 6)
