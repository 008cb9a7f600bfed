"""Records of other results folders -> one folder. Nothing there is ever changed: what says something else is refused and named.

    DIR/probes/…  DIR/runs/…  DIR/latency/…  DIR/trials/…   ->   OUT, under the same names
Weights, checkpoints and pages are not copied: they are made again.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.store.brief import brief
from bench.store.curves import short, short_scores, short_times
from bench.store.encoding import as_record, as_text, finite
from bench.store.machines import joined
from bench.store.places import TOPS, place
from bench.store.records import Record, Store
from bench.store.schema import SCHEMA, check

FOLDERS = tuple(dict.fromkeys(TOPS.values()))
LARGEST = 2**26  # bytes of a record
# What may differ between two records of one name that are of the same numbers: when and where they were made, how long it took, how many
# seeds were asked for and trained at once, and what is known of the code. Of all the rest, each field must be equal.
CIRCUMSTANCES = {"schema", "created", "machine", "train_seconds", "together", "continued_from", "alone", "notes", "passing", "summary"}
CIRCUMSTANCES |= {
    "code",
    "source",
    "sources",
    "trained_by",
    "conditions",
    "counted_by",
    "probe",
    "own_recipe",
    "tuned",
    "family",
    "packages",
}
SINCE = {"files", "examples", "derived", "curve"}  # fields that older or brief records lack, all or parts of: compared where both have them


@dataclass
class Merged:
    """What became of the records, by the paths of their files."""

    copied: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)  # there already, with the same numbers
    refused: dict[str, str] = field(default_factory=dict)  # why


class Refused(ValueError):
    """A record that is not taken, and why."""


def is_results(folder: Path) -> bool:
    return any((folder / top).is_dir() for top in FOLDERS)


def read(path: Path, known: bool) -> Record:
    """A record as it lies in a folder that is not ours: it is never renamed. `known`: it must be of a kind that tables know.

    Refused if it cannot be used.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
            raise Refused("no regular file, or larger than any record")
        record = as_record(path.read_text(encoding="utf-8-sig"))
        if not isinstance(record["schema"], int) or record["schema"] > SCHEMA:
            raise Refused("written by a later version")
        if record["kind"] in TOPS:
            check(record)
        elif known:
            raise Refused(f"is of a kind that nobody knows here: {record['kind']!r}")
        return record
    except Refused:
        raise
    except Exception as error:  # an altered record may be wrong in any way
        raise Refused(f"cannot be used: {type(error).__name__}: {error}") from error


def said(record: Record) -> dict[str, Any]:
    """What a record says, without its circumstances, comparable."""
    found = {name: finite(value) for name, value in record.items() if name not in CIRCUMSTANCES}
    if found.get("kind") == "latency":
        return short_times(found)
    if isinstance(budget := found.get("budget"), dict):
        found["budget"] = {name: value for name, value in budget.items() if name != "seeds"}
    if found.get("kind") == "run":
        found = short_scores(found)
    if isinstance(curve := found.get("curve"), dict):
        found["curve"] = {name: values for name, values in short(curve).items() if name != "seconds"}
    return found


def difference(ours: Record, theirs: Record) -> str:
    """The fields in which two records of one name do not say the same; '' if they do.

    What came of a cell for a passing reason, such as data that were not there, says nothing against another outcome.
    """
    if ours.get("kind") == "cell" and theirs.get("kind") == "cell" and (ours.get("passing") or theirs.get("passing")):
        return ""
    a, b = said(ours), said(theirs)
    for name in SINCE:
        one, other = a.pop(name, {}), b.pop(name, {})
        both = (one.keys() & other.keys()) - {"left_out", "derived"}
        a[name], b[name] = ({part: side[part] for part in both} for side in (one, other))
    return ", ".join(sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name)))


def later(record: Record, ours: Record) -> bool:
    """Whether a cell that is the same was asked for later than ours: whether it was tuned, say, is known of the newest request."""
    return record["kind"] == "cell" and not record.get("passing") and not ours.get("passing") and record["created"] > ours["created"]


def files(folder: Path) -> Iterator[Path]:
    """Records of a results folder, by the folder's layout."""
    for top in FOLDERS:
        yield from (path for path in sorted((folder / top).glob("*/*/*.json")) if not path.name.startswith("."))


def first_seed(path: Path) -> Record | None:
    """The record of the first seed beside a run's. Refused if it cannot be used."""
    beside = path.with_name(f"{path.stem.rpartition('-')[0]}-s0.json")
    try:
        return read(beside, known=True) if beside.is_file() else None
    except Refused as why:
        raise Refused(f"{beside.name} beside it {why}") from why


def merge(folders: list[Path], out: Store, shorten: bool = False) -> Merged:
    """Copy what is new; `shorten`: as briefly as we publish it. StoreError where nothing can be written."""
    merged = Merged()
    for folder in folders:
        machines: dict[str, Record] = {}
        for path in files(folder):
            name = path.relative_to(folder)
            try:
                record = read(path, known := name.parts[0] in TOPS.values())
                if record["kind"] in TOPS and place(record) != name:
                    raise Refused(f"says of itself that it is {place(record).as_posix()}")
                if record["kind"] == "machine":
                    machines[path.stem] = record["machine"]  # copied with the first record that is, of those that name it
                    continue
                if "machine" in record and record["machine"].get("facts") in machines:
                    record["machine"] = joined(record["machine"], machines[record["machine"]["facts"]])
                target = out.folder / name
                if not target.exists():
                    if shorten and record["kind"] == "run":
                        record = brief(record, first_seed(out.folder / name))
                    if record["kind"] in ("run", "trial"):
                        out.put_run(record, record["kind"])
                    elif record["kind"] == "cell":
                        out.put_cell(record)
                    elif record["kind"] == "latency":
                        out.put_latency(record)
                    else:
                        out.write(target, as_text(record).encode())
                    merged.copied.append(name.as_posix())
                elif different := difference(ours := read(target, known), record):
                    raise Refused(f"there already, and not the same: {different}")
                elif later(record, ours):
                    out.write(target, as_text(record).encode())
                    merged.copied.append(name.as_posix())
                else:
                    merged.kept.append(name.as_posix())
            except Refused as why:
                merged.refused[path.as_posix()] = str(why)
    return merged
