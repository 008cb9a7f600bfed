"""The page of a results folder made for people, DIR/README.md: the answer first, then a section for each data set, then the machine."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from bench.core.silicon import described
from bench.report.beside import elsewhere, variants
from bench.tables import checks, cuts, headline, routes
from bench.tables.columns import DOUBTED, timed
from bench.tables.converged import count
from bench.tables.family import ATTENTION, OTHERS, SETS
from bench.tables.formatting import amount, between, escape, markdown, number, quality
from bench.tables.rows import LATENCY, Row, newest_facts
from bench.tables.scales import called
from bench.tables.sections import curved
from bench.tables.verdict import Verdict, on, ranked
from models.naming import changed

FOREST, MAP = "forest.png", "routes.png"
Sections = dict[str, list[Row]]
OUTSIDE = "Other sizes, routes built for one kind of mixing, and shuffled twins: 95 % intervals, each on its own; no verdicts."
MARKED = f"{DOUBTED} says that something was wrong with a timing: [latency.md](latency.md) has what, with intervals"


def cost_line(dataset: str, own: Sequence[Row]) -> str:
    """What attention cost against convolution in the same backbone, as ratios; of the rows that verdicts are read off."""
    rows = cuts.compared(dataset, own)
    a, b = rows.get(ATTENTION), rows.get("backbone_conv")
    if a is None or b is None:
        return ""
    pairs = [
        (a.costs.get("params_active"), b.costs.get("params_active"), "parameters"),
        (a.costs.get("flops"), b.costs.get("flops"), "FLOPs"),
        (a.latency.get(LATENCY), b.latency.get(LATENCY), "CPU latency"),
    ]
    return ", ".join(f"{x / y:.2f} × {name}" for x, y, name in pairs if x and y)


def section(dataset: str, own: list[Row], others: list[Row], pictured: bool) -> str:
    """One data set: its table best first, its pictures, what other budgets gave, and the cells without a number."""
    first = next((row for row in own if row.values), own[0])
    metric = first.metric
    lines = [f"## {dataset}", ""]
    if first.summary:
        lines += [escape(f"{first.summary[0].upper()}{first.summary[1:]}."), ""]
    if metric.name:
        lines += [f"Test {called(metric)}, {metric.better} is better. Budget `{first.budget}`: {first.samples:,} samples seen.", ""]
    if first.scored_by:
        by = escape(first.scored_by).replace("`", "'")
        lines += [f"Of the whole corpus, on lower-cased words split from punctuation, by sacrebleu: `{by}`.", ""]
    body = [
        {
            "model": row.model,
            called(metric): quality(row.value, metric),
            "on val": quality(row.on_val, metric),
            "seeds": f"{len(row.values)}{f', {still} still improving' if (still := count(row.runs)) else ''}",
            "rates": "tuned" if row.tuned == "yes" else "as given",
            "parameters (active)": f"{number(row.costs.get('params'))} ({number(row.costs.get('params_active'))})",
            "FLOPs": amount(row.costs.get("flops")),
            "train s": number(row.train_seconds),
            "ms, batch 1": timed(row, LATENCY),
            "samples/s, batch 64": timed(row, "throughput_cpu_b64_per_s"),
        }
        for row in ranked(own)
    ]
    if body:
        untuned = len({line["rates"] for line in body}) > 1
        lines += [markdown(body), "", *["Rates that nobody tuned say less of a model: its place in the list is no rank.", ""] * untuned]
    if pictured:
        lines += [f"![training curves of {dataset}](curves/{dataset}.png)", ""] if curved(own) else []
        lines += [f"![cost of {dataset}](pareto/{dataset}.png)", ""]
    lines += elsewhere(others)
    noted = [row for row in own if row.values and row.reason]
    if noted:
        lines += [*(f"- {row.model}: {escape(row.reason)}" for row in noted), ""]
    failed = [row for row in own if not row.values and row.status != "skipped"]
    if failed:
        lines += ["Without a number:", "", *(f"- {row.model}: {escape(row.status)}, {escape(row.reason)}" for row in failed), ""]
    if skipped := sum(row.status == "skipped" for row in own):
        lines += [f"Skipped: {skipped} model{'s' * (skipped > 1)}, [comparison.csv](comparison.csv) says why.", ""]
    return "\n".join(lines)


def line(dataset: str, own: Sequence[Row], compared: Sequence[Verdict]) -> dict[str, str]:
    """Attention against each other mixer on one data set."""
    said = {f"against {OTHERS[one.other]}": escape(headline.told(one)) for one in compared}
    n = between(one.n for one in compared)
    return {"data set": f"[{dataset}](#{dataset})", **said, "n": n, "attention costs, × convolution": cost_line(dataset, own)}


def compared_on(sections: Sections, compared: Sequence[Verdict], outside: bool = False) -> list[tuple[str, list[Row], list[Verdict]]]:
    """Data sets of the family, or those outside it, on which attention and another mixer were run: name, rows, differences."""
    within = {name: [one for one in compared if one.dataset == name] for name in SETS}
    found = {name: on(name, own) for name, own in sections.items() if name not in SETS} if outside else within
    return [(name, sections[name], own) for name, own in found.items() if any(one.n for one in own)]


def answer(sections: dict[str, list[Row]], compared: Sequence[Verdict], outside: bool = False) -> str:
    """The table that answers the question, a line a data set; outside the family there are no verdicts."""
    return markdown([line(*one) for one in compared_on(sections, compared, outside)])


def machines(table: Sequence[Row]) -> str:
    """What everything was measured on."""
    lines = []
    for slug, known in newest_facts(table).items():
        facts = defaultdict(lambda: "?", {name: escape(str(value)) for name, value in known.items()})
        gpu = f", {facts['gpu']} (driver {facts['driver']}, CUDA {facts['cuda']})" if known.get("gpu") else ", no CUDA device"
        dirty = " with local changes" if known.get("dirty") else ""
        lines.append(
            f"- `{slug}`: {facts['cpu']}{described(known)}, {facts['cores']} cores, {facts['memory_gib']} GiB{gpu};"
            f" threads: {facts['threads']}; torch {facts['torch']}, Python {facts['python']}, {facts['system']};"
            f" commit {facts['commit']}{dirty}"
        )
    return "\n".join(lines)


def readme(table: list[Row], sections: dict[str, list[Row]], compared: Sequence[Verdict], pictured: set[str], there: set[str]) -> str:
    """The page made for people: the answer first, then a section per data set, then the machine."""

    def rest(dataset: str, own: list[Row]) -> list[Row]:
        ranked_ = {row.terms for row in own}
        own = [row for row in table if row.dataset == dataset and not changed(row.model)]
        return [row for row in own if row.terms not in ranked_]

    unranked = sorted({row.dataset for row in table if row.values} - set(sections))
    checked = checks.check(table, compared)
    counts = Counter(row.status for row in table)
    trainer = next((row.trainer for row in table if row.trainer), "")
    seconds = (
        f" Training seconds are per seed, by the clock of `{trainer}`, which others may have used too; seeds trained together"
        " share the time."
        if trainer
        else ""
    )
    cells_ = ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
    parts = [
        f"# {headline.title(table)}",
        *checks.answer(table, compared, checked),
        f"![attention minus each other mixer, a row for each data set]({FOREST})" if FOREST in there else "",
        " ".join(routes.sentences(routes.reached(sections))),
        f"![R² of each mixer on each route]({MAP})" if MAP in there else "",
        *([answer(sections, compared), headline.RULE] if headline.asks(table) else []),
        *(["## The same, made otherwise", checks.page(checked)] if checked else []),
        *(["## Outside the family", OUTSIDE, outside] if (outside := answer(sections, compared, True)) else []),
        *("\n".join([section(name, own, rest(name, own), name in pictured), *variants(name, table)]) for name, own in sections.items()),
        *("\n".join([f"## {name}", "", *elsewhere(rest(name, [])), *variants(name, table)]) for name in unranked),
        "## How to read this",
        "Every value is scored on the test split, opened after training, with the weights that were best on val (a `published`"
        " budget may choose on test, as its source did, and then says so): the mean over seeds ± half its 95 % Student interval."
        " Parameters in brackets are those that can learn. FLOPs are of one forward pass of one sample."
        f"{seconds} Latency is the median of one forward pass on one CPU thread; " + MARKED + ", other threads and arithmetics."
        " [comparison.csv](comparison.csv) and [comparison.md](comparison.md) have every figure and every cell"
        f" ({cells_}).",
        "## Machine",
        machines(table),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
