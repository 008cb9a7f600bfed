"""Runs of one cell are seeds of one question: those that say they were asked another one are left out."""

from __future__ import annotations

import json
import warnings
from collections import Counter

from bench.store.places import TOPS, place
from bench.store.records import Record

ASKED = ("metric", "budget")


def asked(run: Record, name: str) -> Record:
    """What a run was asked in one respect; how many seeds there were to be is no part of it."""
    return {key: value for key, value in run.get(name, {}).items() if key != "seeds"}


def agreeing(records: list[Record]) -> list[Record]:
    """Those that agree with most on metric and budget, with those of the first seeds where as many disagree.

    A warning names the file of each that is left out, and how to have it again. Nothing is renamed: which of them were altered cannot
    be known.
    """
    for name in ASKED:
        answers = [asked(one, name) for one in records]
        if all(one == answers[0] for one in answers):
            continue
        said = [json.dumps(one, sort_keys=True) for one in answers]
        usual = Counter(said).most_common(1)[0][0]  # the first of equals is the first that was met
        for one, own in zip(records, said, strict=True):
            if own != usual:
                file = place(one).relative_to(TOPS["run"]).as_posix()
                text = f"{file} is left out: its {name} is {own}, that of the cell's other seeds {usual}"
                warnings.warn(f"{text}; train {one['model']} on {one['dataset']} again with --retrain", stacklevel=2)
        records = [one for one, own in zip(records, said, strict=True) if own == usual]
    return records
