"""Runs in progress: what a killed process goes on from. Only the newest of a group of seeds is kept, and none of a run that ended."""

from __future__ import annotations

import contextlib
import re
import warnings
import zlib
from pathlib import Path
from typing import Any

import torch

from bench.store.files import partial, set_aside, tensors, usable


class Checkpoints:
    """Under one folder. <recipe>-s<first>-<last>-<group>.pt, tensors and numbers only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, recipe: str, seeds: list[int]) -> Path:
        group = zlib.crc32(",".join(map(str, seeds)).encode())
        return self.folder / f"{recipe}-s{seeds[0]}-{seeds[-1]}-{group:08x}.pt"

    def read(self, recipe: str) -> list[dict[str, Any]]:
        """Snapshots of runs in progress under this recipe; what cannot be read is set aside, what is no file passed over."""
        found = []
        for path in sorted(self.folder.glob(f"{recipe}-s*.pt")):
            if (packed := usable(path)) is None:  # no file, or another process has just finished it
                continue
            try:
                saved = tensors(packed)
                one = saved | {"seeds": list(map(int, saved["seeds"])), "position": dict(saved["position"])}
                if self.path(recipe, one["seeds"]) != path or saved.get("recipe", recipe) != recipe:
                    raise ValueError("it is another run's")
                found.append(one)
            except Exception as error:  # an altered file may be wrong in any way
                self.set_aside(path, error)
        return found

    def set_aside(self, path: Path, error: Exception) -> None:
        set_aside(path)
        warnings.warn(f"checkpoint {path.name} cannot be used ({type(error).__name__}); set aside, training from the start", stacklevel=3)

    def save(self, recipe: str, snapshot: dict[str, Any]) -> None:
        path = self.path(recipe, snapshot["seeds"])
        half = partial(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(snapshot | {"recipe": recipe}, half)
            half.replace(path)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
            with contextlib.suppress(OSError):
                half.unlink(missing_ok=True)
            warnings.warn(f"no checkpoint could be written ({' '.join(str(error).split())[:120]}); training goes on", stacklevel=2)

    def drop(self, recipe: str, seeds: list[int]) -> None:
        with contextlib.suppress(OSError):  # none, or a folder in its place
            self.path(recipe, seeds).unlink()

    def drop_finished(self, recipe: str, seeds: int) -> None:
        """Checkpoints of a recipe whose first `seeds` seeds are all in the store: a kill came between the last run and this."""
        for path in self.folder.glob(f"{recipe}-s*.pt"):
            if (found := re.fullmatch(r".*-s\d+-(\d+)-[0-9a-f]{8}\.pt", path.name)) and int(found[1]) < seeds:
                with contextlib.suppress(OSError):
                    path.unlink()
