"""Records as we publish them: of what the samples of a test split got, only what cannot be told from less.

Every figure of a run stays, for what a metric needs is scored before it goes.
"""

from __future__ import annotations

from bench.store.examples import storable
from bench.store.schema import Record
from datasets.kinds import OUTPUTS
from models.naming import plain


def brief(record: Record, first: Record | None) -> Record:
    """A run without its examples where seeds answer other samples than the cell's `first` one; a variant's without class scores.

    Runs that answer the same samples are compared sample by sample, whatever the seed; of others that is shown for one.
    """
    if record["kind"] != "run" or record.get("examples", {}).get("kind") not in OUTPUTS:
        return record
    examples = record["examples"]
    scored = record | {"derived": storable(record) | record.get("derived", {})}
    if record["seed"] > 0 and (first is None or not same(examples, first.get("examples", {}))):
        return {name: value for name, value in scored.items() if name != "examples"}
    if record["model"] != plain(record["model"]) and "scores" in examples:
        less = {name: value for name, value in examples.items() if name != "scores"}
        return scored | {"examples": less | {"left_out": [*examples.get("left_out", []), "scores"], "derived": examples.get("derived", {})}}
    return record


def same(a: Record, b: Record) -> bool:
    """Whether two runs answered the same samples, as far as they tell."""
    return "target" in a and a["target"] == b.get("target")
