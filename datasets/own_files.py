"""Files that one has as a data set: a CSV, or a folder with a folder of pictures for each class. The rest is own.py's.

They are read when they are registered, so that whatever is wrong with them is said before anything runs. A path that is not absolute
begins at the file that names it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.csv_table import Table
from datasets.once import once
from datasets.own import calling
from datasets.registry import did_you_mean
from datasets.task import Task
from datasets.weighted import from_arrays

MODES = ("1", "L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F")  # pillow's, whose numbers are intensities


def located(name: str, path: str | Path, place: Path) -> Path:
    """ValueError if there is nothing."""
    found = place.parent / Path(path).expanduser()
    if not found.exists():
        raise ValueError(f"{name}: {found} is not there; a path begins at the folder of {place.name}, or is absolute")
    return found


@contextmanager
def read_from(name: str, where: str) -> Iterator[None]:
    """ValueErrors about what a file holds say which file."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{name}: {where}: {str(error).removeprefix(f'{name}: ')}") from error


def listed(asked: str | Sequence[str]) -> list[str]:
    """Names of columns: one alone is no list of its letters."""
    return [asked] if isinstance(asked, str) else list(asked)


def from_csv(
    name: str,
    path: str | Path,
    *,
    target: str | Sequence[str],
    columns: str | Sequence[str] | None = None,
    text: str = "",
    separator: str = ",",
    **more: Any,
) -> Task:
    """Register the rows of a CSV with a header: `target`, one column or several, is asked for; `columns`, all others unless they are
    named, or the column `text`, go in. `more` is from_arrays's. ValueError with file, column and line for a hole, for text where
    numbers should be, and for a column that is not there; with file and column for what cannot be learned or split."""
    place = more.pop("place", None) or calling()
    if text and columns is not None:
        raise ValueError(f"{name}: text={text!r} and columns={columns!r}: either texts go in or numbers; leave one of them out")
    table = Table(name, located(name, path, place), separator, text)
    aims = table.among(listed(target))
    used = table.among([text] if text else [one for one in table.columns if one not in aims] if columns is None else listed(columns))
    if twice := set(aims) & set(used):
        raise ValueError(f"{name}: {', '.join(twice)} cannot be asked for and go in as well; leave it out of columns")
    if not aims:
        raise table.wrong(f"target names no column; it has {', '.join(table.columns)}")
    if not used:
        raise table.wrong(f"it has no column beside {', '.join(aims)}: nothing goes in (is {separator!r} its separator?)")
    table.check_filled([*used, *aims])
    if not text:
        table.check_numbers(used, "encode the column as numbers, or leave it out: columns=[…]")
    if (kind := more.get("kind")) != "classes" and (kind or len(aims) > 1 or table.holds_numbers(aims[0])):
        table.check_numbers(aims, "mend it or drop the row" + "; kind='classes' if these are names" * (len(aims) == 1))
    rows = table.rows
    x = [str(one) for one in rows[text]] if text else rows[used].to_numpy(np.float64)
    with read_from(name, f"{table.file}, target {', '.join(map(repr, aims))}"):
        return from_arrays(name, x, rows[aims[0]] if len(aims) == 1 else rows[aims], place=place, **more)


def from_folder(name: str, path: str | Path, *, size: tuple[int, int] | None = None, mode: str = "", **more: Any) -> Task:
    """Register pictures, each in the folder of its class: path/<class>/<any name>.png, or whatever pillow reads.

    All have one size and one number of channels, or are brought to `size` (height, width) and `mode` (pillow's: "L", "RGB").
    `more` is from_arrays's. ValueError with the file for a picture that is broken or unlike the others.
    """
    from PIL import Image

    place = more.pop("place", None) or calling()
    if mode and mode not in MODES:
        raise ValueError(f"{name}: mode={mode!r}{did_you_mean(mode, MODES)}; pictures are brought to {', '.join(MODES)}")
    if size is not None and not (isinstance(size, tuple | list) and len(size) == 2 and all(isinstance(n, int) and n > 0 for n in size)):
        raise ValueError(f"{name}: size={size!r}; it takes two whole numbers from 1, size=(height, width)")
    folder = located(name, path, place)
    known = Image.registered_extensions()
    files = sorted(file for file in folder.glob("*/*") if file.suffix.lower() in known and not file.name.startswith("."))
    if not files:
        raise ValueError(f"{name}: {folder} holds no folder with pictures; it needs one for each class, with the pictures in it")

    def decoded() -> dict[str, torch.Tensor]:
        pictures: list[np.ndarray] = []
        for file in files:
            try:
                with Image.open(file) as opened:
                    picture = opened.convert(mode or ("RGB" if opened.mode in ("P", "CMYK", "YCbCr") else opened.mode))
            except (
                OSError,
                SyntaxError,
                ValueError,
                Image.DecompressionBombError,
            ) as error:  # what pillow raises for a broken file depends on its format
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
    with read_from(name, str(folder)):
        return from_arrays(name, x, [file.parent.name for file in files], place=place, **more)
