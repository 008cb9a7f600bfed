"""Files that one has as a data set: a CSV, or a folder with a folder of pictures for each class. The rest is own.py's.

They are read when they are registered, so that whatever is wrong with them is said before anything runs. A path that is not absolute
begins at the file that names it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.once import once
from datasets.own import calling
from datasets.registry import did_you_mean
from datasets.task import Task
from datasets.weighted import from_arrays


def located(name: str, path: str | Path, place: Path) -> Path:
    """ValueError if there is nothing."""
    found = place.parent / Path(path).expanduser()
    if not found.exists():
        raise ValueError(f"{name}: {found} is not there; a path begins at the folder of {place.name}, or is absolute")
    return found


def among(name: str, path: Path, asked: list[str], columns: list[str]) -> list[str]:
    """ValueError for a column that the file has not."""
    for column in asked:
        if column not in columns:
            raise ValueError(f"{name}: {path} has no column {column!r}{did_you_mean(column, columns)}; it has {', '.join(columns)}")
    return asked


def from_csv(
    name: str,
    path: str | Path,
    *,
    target: str | list[str],
    columns: list[str] | None = None,
    text: str = "",
    separator: str = ",",
    **more: Any,
) -> Task:
    """Register the rows of a CSV with a header: `target`, one column or several, is asked for; `columns`, all others unless they are
    named, or the column `text`, go in. `more` is from_arrays's. ValueError with file, column and line for a hole, for text where
    numbers should be, and for a column that is not there."""
    import pandas as pd

    place = more.pop("place", None) or calling()
    file = located(name, path, place)
    try:
        table = pd.read_csv(file, sep=separator)
    except (OSError, ValueError) as error:  # pandas's own errors are ValueErrors
        raise ValueError(f"{name}: {file} is no CSV that pandas reads: {' '.join(str(error).split())}") from error
    has = [str(column) for column in table.columns]
    table.columns = pd.Index(has)
    aims = among(name, file, [target] if isinstance(target, str) else target, has)
    used = among(name, file, [text] if text else columns or [column for column in has if column not in aims], has)
    if twice := set(aims) & set(used):
        raise ValueError(f"{name}: {', '.join(twice)} cannot be asked for and go in as well; leave it out of columns")
    if not used:
        raise ValueError(f"{name}: {file} has no column beside {', '.join(aims)}: nothing goes in (is {separator!r} its separator?)")
    for column in [*used, *aims]:
        holes = table[column].isna().to_numpy().nonzero()[0]
        if len(holes):
            where = f"column {column!r} has {len(holes)} hole{'s' * (len(holes) > 1)}, the first in line {holes[0] + 2}"
            raise ValueError(f"{name}: {file}: {where}; fill them, drop these rows, or leave the column out: columns=[…]")
    for column in [] if text else used:
        read = pd.to_numeric(table[column], errors="coerce").isna().to_numpy().nonzero()[0]
        if len(read):
            where = f"{table[column][read[0]]!r} in column {column!r}, line {read[0] + 2}"
            raise ValueError(f"{name}: {file}: {where} is no number; encode the column as numbers, or leave it out: columns=[…]")
    x = [str(one) for one in table[text]] if text else table[used].to_numpy(np.float64)
    y = table[aims[0]] if len(aims) == 1 else table[aims]
    return from_arrays(name, x, np.asarray(y), place=place, **more)


def from_folder(name: str, path: str | Path, *, size: tuple[int, int] | None = None, mode: str = "", **more: Any) -> Task:
    """Register pictures, each in the folder of its class: path/<class>/<any name>.png, or whatever pillow reads.

    All have one size and one number of channels, or are brought to `size` (height, width) and `mode` (pillow's: "L", "RGB").
    `more` is from_arrays's. ValueError with the file for a picture that is broken or unlike the others.
    """
    from PIL import Image

    place = more.pop("place", None) or calling()
    folder = located(name, path, place)
    known = Image.registered_extensions()
    files = sorted(file for file in folder.glob("*/*") if file.suffix.lower() in known and not file.name.startswith("."))
    if not files:
        raise ValueError(f"{name}: {folder} holds no folder with pictures; it needs one for each class")

    def decoded() -> dict[str, torch.Tensor]:
        pictures: list[np.ndarray] = []
        for file in files:
            try:
                with Image.open(file) as opened:
                    picture = opened.convert(mode or ("RGB" if opened.mode in ("P", "CMYK", "YCbCr") else opened.mode))
            except (OSError, SyntaxError, ValueError) as error:  # what pillow raises for a broken file depends on its format
                raise ValueError(f"{name}: {file} cannot be read ({error}); mend it or take it away") from error
            numbers = np.asarray(picture.resize(size[::-1]) if size else picture)
            pictures.append(numbers[None] if numbers.ndim == 2 else numbers.transpose(2, 0, 1))
            if pictures[-1].shape != pictures[0].shape:
                one, other = ("×".join(map(str, shape)) for shape in (pictures[-1].shape, pictures[0].shape))
                raise ValueError(
                    f"{name}: {file} is {one}, {files[0].name} {other} (channels, height, width); say size=(…, …) or mode='RGB'"
                )
        return {"x": torch.from_numpy(np.stack(pictures).astype(np.float32))}

    # workers share what the first of them has decoded, as long as no file is another one
    facts = [(str(file), (stat := file.stat()).st_size, stat.st_mtime_ns) for file in files]
    stamp = hashlib.sha256(repr((facts, size, mode)).encode()).hexdigest()[:16]
    x = once(f"{name}-{stamp}", decoded)["x"]
    return from_arrays(name, x, [file.parent.name for file in files], place=place, **more)
