"""Records as we publish them: of what the samples of a test split got, only what cannot be told from less.

Every figure of a run stays, for what a metric needs is scored before it goes.
"""

from __future__ import annotations

from bench.store.curves import short_scores
from bench.store.examples import storable
from bench.store.schema import Record
from datasets.kinds import OUTPUTS
from models.naming import plain

SHARED = ("summary", "alone")  # the first seed says it of all
TRAINED = ("last_loss", "train_metric")  # of a curve: sources tell these of their models, nobody of variants and of the backbones


def brief(record: Record, first: Record | None) -> Record:
    """A run without its examples where seeds answer other samples than the cell's `first` one; of an older format's no more than which
    classes it said; a variant's without class scores; later seeds' and variants' classes without losses; variants and backbones
    without what each last batch got; scores to ten digits.

    Runs that answer the same samples are compared sample by sample, whatever the seed, classes by whether they are right; of others
    that is shown for one.
    """
    if record["kind"] != "run":
        return record
    record, changed = short_scores(record), record["model"] != plain(record["model"])
    if changed or record["model"].startswith("backbone_"):
        record |= {"curve": {name: values for name, values in record["curve"].items() if name not in TRAINED}}
    if record["seed"] > 0 and first is not None:
        record = {name: value for name, value in record.items() if name not in SHARED}
    examples = record.get("examples", {})
    if "loss" in examples and "kind" not in examples:  # an older format's, which does not say what was right: pictures ask what was said
        said = {"examples": {"prediction": examples["prediction"]}} if record["metric"]["name"] == "accuracy" else {}
        return {name: value for name, value in record.items() if name != "examples"} | said
    if examples.get("kind") not in OUTPUTS:
        return record
    scored = short_scores(record | {"derived": storable(record) | record.get("derived", {})})
    if record["seed"] > 0 and (first is None or not same(examples, first.get("examples", {}))):
        return {name: value for name, value in scored.items() if name != "examples"}
    told = {"prediction", "target"} <= examples.keys() and OUTPUTS[examples["kind"]].scored
    goes = {"loss": told and (changed or record["seed"] > 0), "scores": changed}
    needless = [name for name in goes if goes[name] and name in examples]
    if not needless:
        return record
    less = {name: value for name, value in examples.items() if name not in needless}
    left_out = list(dict.fromkeys([*examples.get("left_out", []), *needless]))
    return scored | {"examples": less | {"left_out": left_out, "derived": examples.get("derived", {})}}


def same(a: Record, b: Record) -> bool:
    """Whether two runs answered the same samples, as far as they tell."""
    return "target" in a and a["target"] == b.get("target")
