"""`python -m bench study NAME`: asks for what is missing, and writes as it goes, so that a killed study goes on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from bench.plan import grid
from bench.plan.request import RequestError
from bench.store.encoding import as_text
from bench.store.records import Store
from bench.studies import data, distance, timed
from bench.studies.options import COMMON, STUDIES
from bench.studies.study import Study
from bench.tables.studies import folder
from datasets.registry import did_you_mean

ASKED: dict[str, Callable[[argparse.Namespace], Study]] = {"length": timed.asked, "data": data.asked, "distance": distance.asked}


def asked(options: argparse.Namespace) -> Study:
    """The study that options ask for. RequestError for one that there is not, for an option of another one, and for what cannot be."""
    if options.name not in STUDIES:
        raise RequestError(f"unknown study {options.name!r}{did_you_mean(options.name, [*STUDIES])}; there are {', '.join(STUDIES)}")
    _, own = STUDIES[options.name]
    for option in dict.fromkeys(name for _, names in STUDIES.values() for name in names):
        if option not in (*COMMON, *own) and getattr(options, option) is not None:
            raise RequestError(f"--{option} is no option of the study of {options.name}, which takes {', '.join(f'--{o}' for o in own)}")
    return ASKED[options.name](options)


def run(options: argparse.Namespace, told: Callable[[Store], str]) -> int:
    """Measure what is missing; `told` writes what is to be read and says where. Exit code 1 if something could not be measured."""
    study = asked(options)
    store = Store(grid.located(options.results))
    store.writable()
    record = next(filter(study.continues, study.stored(store)), study.record)
    path = folder(store, options.name) / f"{record['machine']['slug']}.json"
    study.measure(store, record, lambda: store.write(path, as_text(record).encode()))
    failed = study.failed(record)
    for said in failed:
        print(f"attention-bench: {said}", file=sys.stderr)
    print(told(store))
    return int(bool(failed))
