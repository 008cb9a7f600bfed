"""The page and picture of the study of distance: at which lengths and widths mixers learn associative recall, and when."""

from __future__ import annotations

from bench.report.growth import Panel, difference, exactly, named, value
from bench.report.growth import picture as drawn
from bench.store.records import Record
from bench.tables.formatting import markdown, number
from bench.tables.growth import differences, first, means, samples
from bench.tables.headline import listed
from bench.tables.routes import HALFWAY
from datasets.task import Metric


def reached(record: Record) -> dict[str, dict[tuple[int, int], bool]]:
    """Of every model, by width and length, whether most seeds came to HALFWAY."""
    found: dict[str, dict[tuple[int, int], bool]] = {name: {} for name in record["settings"]["models"]}
    for width in record["settings"]["widths"]:
        for model, own in samples(record, width=width).items():
            found[model] |= {(width, length): one is not None for length, one in own.items()}
    return {model: own for model, own in found.items() if own}


def learned(places: dict[tuple[int, int], bool]) -> str:
    """Where a model learned to recall, in words."""
    solved = [place for place, yes in places.items() if yes]
    if len(solved) in (0, len(places)):
        return f"at {'all' if solved else 'none of'} {len(places)}"
    longest = max(length for _, length in solved)
    width = min(width for width, length in solved if length == longest)
    return f"at {len(solved)} of {len(places)}, the longest {longest:,} tokens at width {width}"


def finding(record: Record) -> str:
    """The title: who learns it where; '' before anything is trained."""
    found = [f"{named(model)} {learned(places)}" for model, places in reached(record).items()]
    said = "; ".join(found)
    return f"Associative recall, R² {HALFWAY:g} on val at how many lengths and widths: {said}" if found else ""


def sentence(record: Record) -> str:
    """The answer on distance, in one sentence."""
    found, settings = finding(record), record["settings"]
    lengths = f"{min(settings['lengths']):,} to {max(settings['lengths']):,} tokens"
    return f"{found} ({lengths}, {settings['seeds']} seeds, {settings['steps']:,} steps at most)." if found else ""


def table(record: Record, width: int) -> str:
    """A line a length: each model's R² on test and the samples until val had HALFWAY, and how far the first one is ahead."""
    metric, me = Metric(**record["metric"]), first(record["settings"]["models"])
    values, needed = means(record, width=width), samples(record, width=width)
    lines = []
    for length in record["settings"]["lengths"]:
        line = {"tokens": f"{length:,}"}
        for model, own in values.items():
            line[named(model)] = value(own.get(length), metric)
            told = number(needed[model][length]) or "never" if length in needed[model] else ""
            line[f"{named(model)}, samples"] = told
        for other in values:
            if other != me:
                line[f"{named(me)} minus {named(other)}"] = difference(differences(record, me, other, width=width).get(length), metric)
        lines.append(line)
    return markdown(lines)


def text(record: Record, picture: str) -> str:
    """The page of one machine's study."""
    settings = record["settings"]
    done = {(row["model"], row["width"], row["length"]) for row in record["rows"]}
    places = [(model, width, length) for length in settings["lengths"] for width in settings["widths"] for model in settings["models"]]
    left = [f"{named(model)} {width} wide, {length:,} tokens" for model, width, length in places if (model, width, length) not in done]
    reasons = sorted(
        {
            f"- {named(row['model'])}, {row['width']} wide, {row['length']:,} tokens: {row['reason']}"
            for row in record["rows"]
            if row["reason"]
        }
    )
    parts = [
        "# At what distance mixers recall",
        f"{finding(record) or 'Nothing has been trained yet'}.",
        f"![R² and samples against tokens]({picture})",
        "Each token answers with the value of the token whose key is its query, which is more than a quarter of the length away:"
        f" `match_far` of the routes, at more lengths than one. {settings['steps']:,} steps with the routes' reference recipe,"
        f" {settings['seeds']} seeds; rates were not tuned. *Samples*: seen when val first had R² {HALFWAY:g}, the median over seeds;"
        " never: most seeds did not get there. Mixers of one width are of one size up to 64 tokens only.",
    ]
    for width in settings["widths"]:
        parts += [f"## Width {width}", table(record, width)]
    parts += [
        f"Differences are of test R², paired by seed, with 95 % intervals (Student's, over seeds), each on its own; bold: without 0."
        f" {record['machine']['slug']}, {record['device']}, torch {record['machine']['torch']}, {record['date']}.",
        *([f"Not trained yet: {listed(left)}."] if left else []),
        *(["## Not trained", "\n".join(reasons)] if reasons else []),
    ]
    return "\n\n".join(parts) + "\n"


def picture(record: Record) -> bytes:
    """R² above, samples to HALFWAY below, a panel a width."""
    metric, settings = Metric(**record["metric"]), record["settings"]
    values = [Panel(f"width {width}", "test R²", means(record, width=width), metric) for width in settings["widths"]]
    needed = [
        {
            model: {length: exactly(one) for length, one in own.items() if one is not None}
            for model, own in samples(record, width=width).items()
            if any(one is not None for one in own.values())
        }
        for width in settings["widths"]
    ]
    rows = [values] + ([[Panel("", f"samples to R² {HALFWAY:g}", lines) for lines in needed]] if any(needed) else [])
    told = f"Means of {settings['seeds']} seeds, bands: 95 % intervals; samples: median over seeds, none where most seeds never got there"
    return drawn(finding(record) or "Nothing has been trained yet", told, rows, "tokens")
