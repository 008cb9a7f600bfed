"""The only reader and writer of runs. One JSON file a record, written whole or not at all, never deleted."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import torch

from bench.store.checkpoints import Checkpoints
from bench.store.claim import Claim, claimed
from bench.store.curves import short, short_times
from bench.store.encoding import as_record, as_text
from bench.store.files import LARGEST_RECORD, StoreError, partial, place_aside, set_aside, sweep, tensors, usable
from bench.store.fingerprint import SHORT, digest
from bench.store.machines import apart, joined
from bench.store.places import TOPS, place
from bench.store.schema import SCHEMA, Record, check, check_names, plain, tame, whole
from models.naming import plain as module

DEVICES, BATCHES = ("cpu", "cuda"), (1, 64)  # what latencies are measured for: batch 1, and 64 for throughput
FINISHED = ("ok", "diverged")
PICTURED = 0  # the seed whose last weights and those on the way are kept, for pictures
AGAIN = "its run is in the store and not trained again by itself, but with --retrain"
LARGEST = 2**26  # bytes; of larger models no weights are kept


def pack_weights(kept: dict[str, Any], run: Record | None = None) -> bytes:
    """What a run keeps, tensors, numbers and text, as a file that loads with weights_only and says whose they are."""
    content = io.BytesIO()
    torch.save(kept | ({"of": named(run)} if run is not None else {}), content)
    return content.getvalue()


def named(run: Record) -> str:
    """A run, as its weights say whose they are."""
    return f"{run['model']} {run['dataset']} {run['recipe']} {run['seed']}"


class Store:
    """Runs under one results folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoints = Checkpoints(folder / "checkpoints")
        self.machines: dict[str, dict[str, Any]] = {}  # what is known of each, by the digest that records name

    def writable(self) -> None:
        """Raise StoreError, before any work is done, if nothing can be written here. Sweeps what killed processes left."""
        probe = partial(self.folder / "probe")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"x" * 4096)
            probe.unlink()
            sweep(self.folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                probe.unlink()
            raise StoreError(
                f"cannot write to the results folder {self.folder} ({error.strerror}); name one that is yours with --results"
            ) from error

    def write(self, path: Path, content: bytes) -> None:
        """Put a file in place, whole. StoreError if the disk is full or the folder is gone."""
        half = partial(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(half, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            half.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                half.unlink(missing_ok=True)
            raise StoreError(
                f"could not write {path.relative_to(self.folder)}: {error.strerror}; what was written before is safe"
            ) from error

    def put(self, kind: str, record: Record) -> None:
        stamp = {"schema": SCHEMA, "kind": kind, "created": datetime.now(UTC).isoformat(timespec="microseconds")}
        record = stamp | whole(record)
        check_names(record)
        named, found = apart(record["machine"])
        self.put_once(found)
        self.write(self.folder / place(record), as_text(record | {"machine": named}).encode())

    def put_once(self, record: Record | None) -> None:
        """What others name, and which is named by what it says: written before the first that names it."""
        if record is not None and not (path := self.folder / place(record)).exists():
            self.write(path, as_text(record).encode())

    def machine_of(self, named: dict[str, Any]) -> dict[str, Any]:
        """All that is known of the machine that a record names; what the record says itself where the facts are lost."""
        if (facts := named.get("facts")) is None:
            return named
        if facts not in self.machines:
            kept = self.read(self.folder / TOPS["machine"] / named["slug"] / named["torch"] / f"{facts}.json")
            self.machines[facts] = kept["machine"] if kept is not None else {}
        return joined(named, self.machines[facts])

    def put_run(self, record: Record, kind: Literal["run", "trial"] = "run") -> None:
        """A run or a trial. Its probe, the same for all seeds, is kept once, and before the first record that names it."""
        probe = record.get("probe")
        if isinstance(probe, dict) and "version" in probe:
            found = {
                "schema": SCHEMA,
                "kind": "probe",
                "dataset": record["dataset"],
                "model": module(record["model"]),
                "probe": probe,
            }
            self.put_once(found)
            record = record | {"probe": digest(probe)}
        self.put(kind, record | {"curve": short(record["curve"])})

    def probe_of(self, run: Record) -> Record:
        """The probe that a run names, or holds itself as those up to 0.6 do; {} if there is none."""
        probe: Record | str = run.get("probe", {})
        if isinstance(probe, str):
            named = self.read(self.folder / TOPS["probe"] / run["dataset"] / module(run["model"]) / f"{probe}.json")
            probe = named["probe"] if named is not None else {}
        return probe if "version" in probe else {}

    def put_cell(self, record: Record) -> None:
        self.put("cell", record)

    def put_latency(self, record: Record) -> None:
        self.put("latency", short_times(record))

    def weights_of(self, run: Record) -> Path:
        return (
            self.folder / "weights" / run["dataset"] / module(run["model"]) / f"{run['budget']['name']}-{run['recipe']}-s{run['seed']}.pt"
        )

    def put_weights(self, run: Record, content: bytes | None) -> None:
        """Beside a run's record, what `pack_weights` made of its weights; of a run that keeps none nothing is missed any more."""
        path = self.weights_of(run)
        if content is not None:
            self.write(path, content)
        else:
            place_aside(path).unlink(missing_ok=True)

    def lost(self, run: Record) -> bool:
        """Whether a run's weights were set aside and nothing has taken their place: then it is trained again."""
        path = self.weights_of(run)
        return not path.exists() and place_aside(path).exists()

    def weights(self, run: Record) -> dict[str, Any] | None:
        """What `put_weights` was given, {} for a part it was not.

        None if there is none, or, with a warning, if it cannot be read (then it is set aside) or is no file at all.
        """
        path = self.weights_of(run)
        if (packed := usable(path, more=f"; move it away; {AGAIN}")) is None:
            return None
        try:
            saved = tensors(packed)
            if not {"best", "last"} & saved.keys():
                raise KeyError("best")
            if saved.get("of", own := named(run)) != own:
                raise ValueError(f"weights of {saved['of']}")
            return {name: dict(saved.get(name, {})) for name in ("best", "last", "snapshots")}
        except Exception as error:  # an altered file may be wrong in any way
            why = str(error) if isinstance(error, ValueError) else type(error).__name__
            told = f"{path.name} cannot be used ({why}); set aside as {set_aside(path)}"
            warnings.warn(f"{told}; its run is trained again at the next start", stacklevel=2)
            return None

    def read(self, path: Path) -> Record | None:
        """One record; None, with a warning, if the file is broken (then it is set aside), no file at all, or from a later version.

        Where a file lies is where its record belongs: one that says something else is broken. StoreError if it cannot be read now.
        """

        def checked(record: Record) -> None:
            check(record, tamed=True)  # load saw to that
            if not str(path).endswith(str(own := place(record))):
                raise ValueError(f"says of itself that it is {own.as_posix()}")

        if (record := self.load(path, SCHEMA, checked)) is None:
            return None
        record |= {"source": record["source"][:SHORT]} if "source" in record else {}
        record |= {"sources": [one[:SHORT] for one in record["sources"]]} if "sources" in record else {}
        return record | {"machine": self.machine_of(record["machine"])} if "machine" in record else record

    def load(self, path: Path, schema: int, checked: Callable[[Record], None]) -> Record | None:
        """What `read` does, for any kind of record: `schema` is the newest known, `checked` raises for what is none."""
        if (text := usable(path, LARGEST_RECORD)) is None:
            return None
        try:
            record = as_record(text.decode("utf-8-sig"))
            if not tame(text):
                plain(record)
            if isinstance(record["schema"], int) and record["schema"] > schema:
                warnings.warn(f"{path.name} was written by a later version and is left out", stacklevel=2)
                return None
            checked(record)
            return record
        except Exception as error:  # an altered record may be wrong in any way
            warnings.warn(f"{path.name} cannot be read ({error}); set aside as {set_aside(path)}", stacklevel=2)
            return None

    def records(self, top: str) -> Iterator[Record]:
        for path in sorted((self.folder / top).glob("*/*/*.json")):
            if not path.name.startswith(".") and (record := self.read(path)) is not None:
                yield record

    def runs(self) -> list[Record]:
        return list(self.records("runs"))  # all trained seeds and all cells without runs, in the order of their paths

    def latencies(self) -> list[Record]:
        return list(self.records("latency"))

    def cells(self) -> list[tuple[str, str, str, int]]:
        """What was trained: model, data set, budget, and the number of seeds up to the highest."""
        seeds: dict[tuple[str, str, str], int] = defaultdict(int)
        for r in (r for r in self.runs() if r["kind"] == "run"):
            cell = r["model"], r["dataset"], r["budget"]["name"]
            seeds[cell] = max(seeds[cell], r["seed"] + 1)
        return [(*cell, count) for cell, count in sorted(seeds.items())]

    def finished(self, model: str, dataset: str, budget: str, recipe: str, seeds: list[int], top: str = "runs") -> dict[int, Record]:
        """Runs, or trials, of these seeds that need no more training: those that ended well, or diverged and would again."""
        folder = self.folder / top / dataset / module(model)
        found = {seed: self.read(folder / f"{budget}-{recipe}-s{seed}.json") for seed in seeds}
        return {seed: record for seed, record in found.items() if record is not None and record["status"] in FINISHED}

    @property
    def unclaimed(self) -> Claim:
        """For work that takes nothing away from others."""
        return Claim(self.folder, None)

    def claim(self, recipe: str) -> Claim | None:
        """The right to train what is missing under a recipe; None while another process has it."""
        try:
            return claimed(self.folder / "checkpoints" / f".{recipe}.claim")
        except OSError as error:
            raise StoreError(f"could not claim a cell in {self.folder}: {error.strerror}; what was written before is safe") from error
