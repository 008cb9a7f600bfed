"""Files of a results folder as such: how they are read, written whole, set aside, and what killed processes left swept away."""

from __future__ import annotations

import contextlib
import io
import os
import platform
import re
import stat
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import psutil
import torch

from bench.store.claim import claimed

LARGEST_RECORD = 2**26  # bytes; no record is nearly as large
HERE = f"{zlib.crc32(platform.node().encode()):08x}"  # process ids say nothing of processes of another machine on the same folder
# What `partial` makes; without the machine: what versions up to 0.6 made, of records and weights.
LEFT = re.compile(r"\.(?:probe[-.]|.+\.([0-9a-f]{8})-|.+\.(?:json|pt)\.)([0-9]{1,9})")


class StoreError(RuntimeError):
    """Results cannot be read or written. Everything written before is safe."""


class Unusable(ValueError):
    """Not a file that could hold a record: it is not even opened, and stays where it is."""


def place_aside(path: Path) -> Path:
    """Where `set_aside` puts a file."""
    return path.with_name(path.name + ".broken")


def set_aside(path: Path) -> str:
    """Rename a file that cannot be used, so that it is met no more and not lost; its new name."""
    aside = place_aside(path)
    with contextlib.suppress(OSError):
        path.replace(aside)
    return aside.name


def content(path: Path, largest: int | None = None) -> bytes:
    """What is in a file. Whatever hinders reading may pass, and says nothing against the file: StoreError, and nothing is renamed.

    FileNotFoundError if there is none, Unusable for pipes, devices, folders and files of more than `largest` bytes.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Unusable("no regular file")
        if largest is not None and status.st_size > largest:
            raise Unusable(f"{status.st_size} bytes, more than any has")
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"could not read {path}: {error.strerror}; nothing was changed, try again when that is mended") from error


def usable(path: Path, largest: int | None = None, more: str = "") -> bytes | None:
    """`content`; None if there is none, or, with a warning that ends with `more`, where something lies that is no file to be read."""
    try:
        return content(path, largest)
    except FileNotFoundError:
        return None
    except Unusable as why:
        warnings.warn(f"{path.name} is left out: {why}{more}", stacklevel=3)
        return None


def tensors(packed: bytes) -> dict[str, Any]:
    """Tensors, numbers and text that torch.save wrote, on the CPU. torch does not compare the checksum of each tensor: done here.

    Any exception may come of a file that was altered; nothing in it is executed.
    """
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        if (name := archive.testzip()) is not None:
            raise ValueError(f"checksum of {name} differs")
    saved = torch.load(io.BytesIO(packed), map_location="cpu", weights_only=True)
    if not isinstance(saved, dict):
        raise TypeError("no dictionary")
    return saved


def partial(path: Path) -> Path:
    """Where this process writes a file before it gets its name."""
    return path.with_name(f".{path.name}.{HERE}-{os.getpid()}")


def sweep(folder: Path) -> None:
    """Remove what processes of this machine that are no more left half done: partial files, and claims that nobody holds."""
    for path in folder.rglob(".*"):
        with contextlib.suppress(OSError):
            if path.name.endswith(".claim"):
                if claim := claimed(path):
                    claim.release()
            elif (found := LEFT.fullmatch(path.name)) and found[1] in (HERE, None) and not psutil.pid_exists(int(found[2])):
                path.unlink()
