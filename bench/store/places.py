"""Where in a results folder each kind of record lies. <model> of vit[depth=3] is vit.

DIR/runs/<dataset>/<model>/<budget>-<recipe>-s<seed>.json     one trained seed
DIR/runs/<dataset>/<model>/<budget>-<recipe>-cell.json        what came of the cell when it was last asked for
DIR/probes/<dataset>/<model>/<digest>.json                    what runs' code did in miniature; each names its probe by the digest
DIR/machines/<machine>/<torch>/<digest>.json                  what is known of a machine; records of all kinds name it by the digest
DIR/trials/<dataset>/<model>/<budget>-<recipe>-s<seed>.json   one seed of a trial: a short run that tuning learned from
DIR/latency/<dataset>/<model>/<machine>-<device>-b<batch>-<dtype>[-<threads>t][-<variant>].json
DIR/weights/<dataset>/<model>/<budget>-<recipe>-s<seed>.pt    the best weights of a run and what its pictures need, tensors and numbers only
DIR/checkpoints/<recipe>-s<first>-<last>-<group>.pt           runs in progress, tensors and numbers only
"""

from __future__ import annotations

import zlib
from pathlib import Path

from bench.store.fingerprint import digest
from bench.store.schema import Record
from models.naming import plain

# Kinds of record, and the folder where each lies. What others name comes first: a copy that is stopped names nothing that is not there.
TOPS = {"machine": "machines", "probe": "probes", "run": "runs", "cell": "runs", "latency": "latency", "trial": "trials"}


def place(record: Record) -> Path:
    """Where in a results folder a record's file lies, by what the record says."""
    if record["kind"] == "machine":
        known = record["machine"]
        return Path(TOPS["machine"], known["slug"], known["torch"], f"{digest(known)}.json")
    if record["kind"] == "probe":
        parts = [digest(record["probe"])]
    elif record["kind"] == "latency":
        parts = [record["machine"]["slug"], record["device"], f"b{record['batch']}", record["dtype"]]
        parts += [f"{more}t"] if (more := record.get("threads", 1)) != 1 else []
        parts += [f"{zlib.crc32(model.encode()):08x}"] if (model := record["model"]) != plain(model) else []
    else:
        parts = [record["budget"]["name"], record["recipe"], "cell" if record["kind"] == "cell" else f"s{record['seed']}"]
    return Path(TOPS[record["kind"]], record["dataset"], plain(record["model"]), f"{'-'.join(parts)}.json")
