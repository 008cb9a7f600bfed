"""The store, the ledger and the pictures -> everything the page says: plain facts and drawings, the same for the same files."""

from __future__ import annotations

import csv
import tomllib
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from bench.claims import ledger as claims
from bench.core import machine
from bench.page import cells, details, draw, pictures
from bench.page.svg import element, sample
from bench.page.words import WORDS, strong
from bench.plan.grid import RequestError
from bench.report import readme, studied, studies
from bench.report.routes import figure
from bench.store.records import Record, Store
from bench.tables import checks, headline, lengths, routes
from bench.tables.columns import columns
from bench.tables.family import OTHERS, SETS
from bench.tables.formatting import between, number
from bench.tables.look import COLOURS, NAMES, SHAPES, Look, looks
from bench.tables.made import commit, day
from bench.tables.rows import Row, everything, newest_facts, tabulated
from bench.tables.sections import shown
from bench.tables.verdict import Verdict, family


def answer(name: str, own: Sequence[Row], compared: Sequence[Verdict]) -> dict[str, Any]:
    """A line of the table that answers the question."""
    said = [strong(headline.told(one)) for one in compared]
    return {"dataset": name, "said": said, "n": between(one.n for one in compared), "costs": readme.cost_line(name, own)}


def forests(compared: Sequence[Verdict]) -> list[Markup]:
    """A drawing for each mixer, of the data sets on which anything was compared."""
    sets = [name for name in SETS if any(one.dataset == name and one.low == one.low for one in compared)]
    drawn = []
    for other, name in OTHERS.items() if sets else ():
        own = [one for one in compared if one.other == other and one.dataset in sets]
        drawn.append(element("figure", element("figcaption", f"attention minus {name}"), draw.compared(own, name)))
    return drawn


def routed(sections: dict[str, list[Row]]) -> dict[str, Any]:
    """The map of routes as a table, a line a route that was run, and what it says in a sentence; {} without any."""
    found = routes.reached(sections)
    run = [route for route in routes.ROUTES if any(place[1] == route for place in found)]
    lines = [
        {
            "route": route,
            "how": routes.ROUTES[route],
            "task": sections[route][0].summary,
            "places": [placed(found.get((model, route)), model, route) for model in routes.NAMES],
        }
        for route in run
    ]
    said = [strong(sentence) for sentence in routes.sentences(found)]
    return {"lines": lines, "mixers": list(routes.NAMES.values()), "said": said, "halfway": f"{routes.HALFWAY:g}"} if lines else {}


def placed(one: routes.Reached | None, model: str, route: str) -> dict[str, Any]:
    """What a mixer reaches on a route, in words: {} where it was not run."""
    if one is None:
        return {}
    interval = f" [{figure(one.value.low)}, {figure(one.value.high)}]" if one.seeds > 1 else ", one seed"
    return {
        "solved": one.value.mean >= routes.SOLVED,
        "value": f"R² {figure(one.value.mean)}{interval}",
        "samples": "" if one.samples is None else f"{one.samples:,.0f} samples",
        "failed": one.fails(model, route),
    }


def priced(record: Record) -> dict[str, Any]:
    """What attention costs as inputs grow, on one machine: a line for each other mixer, a place for each kind of work."""
    found = lengths.medians(record["rows"])
    works = [work for work in lengths.WORKS if any(tuple(rest) == work for _, _, *rest in found)]
    others = [model for model in record["settings"]["models"] if model != lengths.REFERENCE]
    lines = [(studies.named(other), [studies.brief(lengths.log_ratios(found, other, *work)) for work in works]) for other in others]
    return {"machine": record["machine"]["slug"], "works": [studies.doing(*work) for work in works], "lines": lines}


def ledger(folder: Path) -> list[dict[str, str]]:
    """The rows of the store's claims.csv, or, for reference results, of the one above; RequestError if it cannot be read."""
    places = [folder, folder.parent] if folder.name == machine.REFERENCE.name else [folder]
    path = next((place / "claims.csv" for place in places if (place / "claims.csv").is_file()), None)
    if path is None:
        return []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            found = [defaultdict(str, {name: value or "" for name, value in row.items() if name}) for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RequestError(f"{path.name} cannot be read: {error}; make it again: python -m bench claims") from error
    return [claimed(row) for row in found if row["verdict"]]


def claimed(row: dict[str, str]) -> dict[str, str]:
    """A line of the ledger as people read it."""

    def figure(name: str) -> str:
        try:
            return number(float(row[name]), 4) + (f" {row['unit']}" if row["unit"] else "")
        except ValueError:
            return row[name]

    where = [row["source"], row["claim"], row["model"], f"on {row['dataset']}" if row["dataset"] else "", row["whose"], row["size"]]
    interval = f" [{figure('low')}, {figure('high')}]" if row["low"] else ""
    near = f"nearest: {figure('nearest')} ({row['nearest_budget']})" if row["nearest"] else ""
    return {
        "verdict": row["verdict"],
        "claim": ", ".join(filter(None, where)),
        "published": figure("published"),
        "measured": f"{figure('measured')}{interval}" if row["measured"] else near,
        "why": ". ".join(filter(None, [row["why"].removesuffix("." if row["remark"] else ""), row["remark"]])).replace("`", ""),
        "again": row["command"],
        "ours": "yes" if row["ours"] == "True" else "",
    }


def provenance(runs: Sequence[Record], timings: Sequence[Record]) -> list[dict[str, Any]]:
    """What was made where, by which commit and when, as the records have it: a line a machine, commit and version of torch."""
    made: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for record in [*(r for r in runs if r["kind"] == "run"), *timings]:
        made[machine.name_of(record), commit(record) or "unknown", str(record["machine"].get("torch", ""))].append(record)
    found = []
    for (name, made_by, torch), records in sorted(made.items(), key=lambda one: (one[0][0], min(r["created"] for r in one[1]))):
        days = sorted(map(day, records))
        kinds = Counter(r["kind"] for r in records)
        found.append({"machine": name, "commit": made_by, "torch": torch, "runs": kinds["run"], "timings": kinds["latency"], "days": days})
    return found


def machines(table: Sequence[Row]) -> list[dict[str, Any]]:
    """What each machine is; what differs from run to run stands in `provenance`."""
    left = ("commit", "dirty", "slug", "torch", "silicon")
    return [
        {
            "name": name,
            "facts": {key.replace("_", " "): value for key, value in known.items() if key not in left and value not in ("", None)},
        }
        for name, known in newest_facts(table).items()
    ]


def facts(store: Store, clock: str | None = None) -> dict[str, Any]:
    """Everything the page shows; times are of the machine `clock`, see clock.py. RequestError if a file beside the store cannot be read."""
    runs, timings = everything(store)
    table = tabulated(runs, timings, clock)
    sections, look = shown(table), looks(table)
    compared = family(sections)
    heads = cells.heads(columns(table), table)
    lines = cells.lines(table, heads, sections, look)
    held = ledger(store.folder)
    shown_beside = pictures.found(store.folder)
    samples = {one.group: one for one in shown_beside if one.sample}
    said = checks.answer(table, compared, checks.check(table, compared))
    decided = 1 if any(one.word for one in compared) else len(said)  # how far verdicts reach stands beside them
    return {
        "question": headline.title(table),
        "finished": any(row.values for row in table),
        "headline": [paragraph.split("\n- ") for paragraph in [*said[:decided], *studied.sentences(store)]],
        "reach": [paragraph.split("\n- ") for paragraph in said[decided:]],
        "rule": strong(headline.RULE, set()) if headline.asks(table) else "",
        "words": WORDS,
        "others": list(OTHERS.values()),
        "forests": forests(compared),
        "answers": [answer(*one) for one in readme.compared_on(sections, compared)],
        "outside": [answer(*one) for one in readme.compared_on(sections, compared, True)],
        "routes": routed(sections),
        "prices": [priced(record) for record in lengths.read(store)],
        "families": {NAMES[name]: sample(Look(name, (), SHAPES[name][0])) for name in COLOURS},
        "heads": heads,
        "optional": cells.optional(heads),
        "rows": lines,
        "rest": sum(line["rest"] and line["row"].status != "skipped" for line in lines),
        "counts": Counter(row.status for row in table),
        "choices": {name: sorted({getattr(row, name) for row in table} - {""}) for name in ("dataset", "family", "budget")},
        "clock": next((row.machine for row in table), ""),
        "trainer": next((row.trainer for row in table), ""),
        "sets": [card | {"sample": samples.get(card["name"])} for card in details.set_cards(table, sections, look)],
        "models": details.model_cards(table, sections, look),
        "claims": held,
        "verdicts": Counter(one["verdict"] for one in held),
        "version": tomllib.loads((machine.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"],
        "sources": {name: source.title for name, source in claims.read(claims.FILE).sources.items()},
        "pictures": shown_beside,
        "provenance": provenance(runs, timings),
        "machines": machines(table),
    }
