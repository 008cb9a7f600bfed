"""The page and picture of the study of data: who is ahead with how many training samples, and where one passes another."""

from __future__ import annotations

from collections import defaultdict

from bench.core.stats import Interval
from bench.report.growth import Panel, difference, named, value
from bench.report.growth import picture as drawn
from bench.store.records import Record
from bench.tables.formatting import markdown
from bench.tables.growth import Passing, certain, differences, first, means, passings
from bench.tables.headline import listed
from bench.tables.scales import called
from datasets.task import Metric

AHEAD = {1: "ahead of", -1: "behind"}


def at(one: Passing) -> str:
    return f"at {one.low:,} to {one.high:,}"


def clause(found: list[Passing]) -> tuple[int, str]:
    """What is certain of one model against another, {} in the clause, and how much it tells, the most first."""
    if len(found) > 1:
        return 0, f"passes {{}} and is passed, {listed([at(one) for one in found])}"
    if found:
        return 0, f"{'overtakes' if found[0].ahead > 0 else 'falls behind'} {{}} {at(found[0])}"
    return 3, "cannot be told from {}"


def compared(record: Record) -> dict[str, dict[int, Interval]]:
    """The first model minus each other that shares sizes and seeds with it."""
    models = record["settings"]["models"]
    found = {other: differences(record, first(models), other) for other in models if other != first(models)}
    return {other: along for other, along in found.items() if along}


def clauses(record: Record) -> list[str]:
    """What is certain of the first model, a clause for all others of which the same is; and at how many sizes, where it never changes."""
    grouped: dict[tuple[int, str], list[str]] = defaultdict(list)
    sides: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for other, along in compared(record).items():
        signs = [sign for one in along.values() if (sign := certain(one))]
        if len(set(signs)) == 1:
            sides[AHEAD[signs[0]]].append((len(signs), len(along), named(other)))
        else:
            grouped[clause(passings(along))].append(named(other))
    for side, others in sides.items():
        counts = [f"{name} at {sure} of {sizes}" for sure, sizes, name in sorted(others, key=lambda one: -one[0])]
        grouped[1, f"is {side} {listed([f'{counts[0]} sizes', *counts[1:]])}"] = []
    return [said.format(listed(others)) for (_, said), others in sorted(grouped.items(), key=lambda one: one[0][0])]


def finding(record: Record) -> str:
    """The title: what the first model does as training samples grow; '' if nothing can be compared."""
    found, settings = clauses(record), record["settings"]
    sizes = [size for along in compared(record).values() for size in along]
    if not found:
        return ""
    grown = f"With {min(sizes):,} to {max(sizes):,} training samples of {settings['dataset']}"
    return f"{grown} {named(first(settings['models']))} {'; '.join(found)}"


def sentence(record: Record) -> str:
    """The answer on training data, in one sentence."""
    found, settings = finding(record), record["settings"]
    return f"{found} ({settings['steps']:,} steps each, {settings['seeds']} seeds, each interval on its own: no verdicts)." if found else ""


def text(record: Record, picture: str) -> str:
    """The page of one machine's study."""
    settings, metric = record["settings"], Metric(**record["metric"])
    own, against, me = means(record), compared(record), named(first(record["settings"]["models"]))
    values = [
        {"training samples": f"{size:,}", **{named(model): value(line.get(size), metric) for model, line in own.items()}}
        for size in settings["sizes"]
    ]
    unit = "points" if metric.percent else called(metric)
    apart = [
        {
            "training samples": f"{size:,}",
            **{f"minus {named(other)}": difference(along.get(size), metric) for other, along in against.items()},
        }
        for size in settings["sizes"]
    ]
    tuned = [named(name) for name in settings["tuned"]]
    rates = f"Rates as tuned on all of {settings['dataset']}: {listed(tuned)}." if tuned else "Rates are the recipe's, not tuned."
    reasons = sorted({f"- {named(row['model'])}, {row['size']:,} samples: {row['reason']}" for row in record["rows"] if row["reason"]})
    done = {(row["model"], row["size"]) for row in record["rows"]}
    left = [f"{named(model)} {size:,}" for size in settings["sizes"] for model in settings["models"] if (model, size) not in done]
    parts = [
        f"# Who is ahead with how much data: {settings['dataset']}",
        f"{finding(record) or 'Too little was trained to compare'}.",
        f"![test {called(metric)} against training samples]({picture})",
        "The first samples of each seed's training split, in an order that the seed drew. Val is not cut, nor is test: weights are chosen"
        f" on more samples than the smallest sets train on. {settings['steps']:,} steps each, {settings['seeds']} seeds. {rates}",
        f"## Test {called(metric)}",
        markdown(values),
        f"## {me.capitalize()} minus the others, in {unit}, positive where {me} is better",
        "Paired by seed, with 95 % intervals (Student's, over seeds), each on its own; bold: without 0, and so certain for itself, which is"
        " no verdict. One passes another between two sizes at which it is certain who is ahead. Where seeds share one pool of samples, as"
        " those of digits do, an interval says what other draws from it would give.",
        markdown(apart),
        *([f"Not trained yet: {', '.join(left)}."] if left else []),
        *(["## Not trained", "\n".join(reasons)] if reasons else []),
        f"{record['machine']['slug']}, {record['device']}, torch {record['machine']['torch']}, {record['date']}.",
    ]
    return "\n\n".join(parts) + "\n"


def picture(record: Record) -> bytes:
    """Test quality against training samples, titled by what is certain."""
    metric, settings = Metric(**record["metric"]), record["settings"]
    what = f"test {called(metric)}{', %' if metric.percent else ''}"
    told = (
        f"{settings['steps']:,} steps each; means of {settings['seeds']} seeds, bands: 95 % intervals; who is ahead is read off paired ones"
    )
    title = finding(record) or "Too little was trained to compare"
    return drawn(title, told, [[Panel("", what, means(record), metric)]], f"training samples of {settings['dataset']}")
