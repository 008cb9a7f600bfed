"""DIR/studies/<study>.md and .png, and its answer in a sentence, for every study, from stored records alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.report import passing, recall, studies
from bench.store.records import Record, Store
from bench.tables import growth, lengths
from bench.tables.studies import folder


@dataclass(frozen=True)
class Pages:
    """How a study's records are read and shown: `text` is given the name of the picture, `sentence` is '' where there is no answer."""

    read: Callable[[Store], list[Record]]
    text: Callable[[Record, str], str]
    picture: Callable[[Record], bytes]
    sentence: Callable[[Record], str]


STUDIES = {
    "length": Pages(lengths.read, studies.text, studies.picture, studies.price),
    "data": Pages(partial(growth.read, study="data"), passing.text, passing.picture, passing.sentence),
    "distance": Pages(partial(growth.read, study="distance"), recall.text, recall.picture, recall.sentence),
}


def write(store: Store, study: str) -> Path:
    """Rebuild the pages of a study, one a machine; the path of the first. The page of the only one is called like the study."""
    pages, found = STUDIES[study], folder(store, study)
    records = pages.read(store)
    names = [study if len(records) == 1 else f"{study}-{record['machine']['slug']}" for record in records]
    for name, record in zip(names, records, strict=True):
        store.write(found.with_name(f"{name}.png"), pages.picture(record))
        store.write(found.with_name(f"{name}.md"), pages.text(record, f"{name}.png").encode())
    return found.with_name(f"{names[0]}.md") if names else found


def sentences(store: Store, *names: str) -> list[str]:
    """What these studies, or all, answered, a sentence a study and machine."""
    asked = [STUDIES[name] for name in names or STUDIES]
    return [said for pages in asked for record in pages.read(store) if (said := pages.sentence(record))]
