"""records.schema.json says of a record what the code that reads it says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bench.core.machine import REFERENCE
from bench.store.encoding import as_record, as_text
from bench.store.json_schema import record_schema
from bench.store.merge import files
from bench.store.schema import FIELDS, REQUIRED, check
from tests.test_store import record

VALIDATOR = Draft202012Validator(record_schema())
RUN = {"schema": 1, "kind": "run", "created": "now", **record()}


def test_committed_records_are_what_it_says() -> None:
    paths = list(files(REFERENCE))[::11]
    assert {path.relative_to(REFERENCE).parts[0] for path in paths} >= {"runs", "latency", "probes"}
    wrong = {path.name: error.message for path in paths for error in VALIDATOR.iter_errors(json.loads(path.read_text()))}
    assert wrong == {}


def test_numbers_that_were_not_finite_may_be_null() -> None:
    lost = json.loads(as_text(RUN | {"curve": RUN["curve"] | {"val_loss": [float("nan"), 1.0]}}))
    assert lost["curve"]["val_loss"] == [None, 1.0] and VALIDATOR.is_valid(lost)
    check(as_record(json.dumps(lost)))
    assert not VALIDATOR.is_valid(json.loads(as_text(RUN)) | {"train_seconds": "1"})


@pytest.mark.parametrize("name", sorted({*FIELDS, "notes"} - {"schema"}))
@pytest.mark.parametrize("value", [3, 2.5, "text", None, ["text"], [[1]], {"a": {"b": "c"}}, {"a": 1.5}, True], ids=repr)
def test_it_refuses_what_the_code_refuses(name: str, value: Any) -> None:
    """Where the code says TypeError; what it asks beyond types, as that arrays unpack, a schema cannot say."""
    altered = RUN | {name: value}
    try:
        check(as_record(json.dumps(altered)))
        refused = False
    except TypeError:
        refused = True
    except (ValueError, KeyError, AttributeError):
        return
    assert VALIDATOR.is_valid(altered) != refused


@pytest.mark.parametrize("name", REQUIRED["run"])
def test_it_asks_for_what_the_code_asks_for(name: str) -> None:
    without = {field: value for field, value in RUN.items() if field != name}
    with pytest.raises(KeyError):
        check(without)
    assert VALIDATOR.is_valid(RUN) and not VALIDATOR.is_valid(without)
