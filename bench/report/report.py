"""Tables, plots and the page that answers the question, from the store alone: rebuilt byte for byte, offline, untrained.

DIR/README.md  comparison.md  latency.md  columns.md  datapackage.json  forest.png  routes.png
DIR/comparison.csv  runs.csv  latency.csv  verdicts.csv  curves/<dataset>.png  pareto/<dataset>.png
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.core.apart import answers
from bench.core.machine import cores
from bench.core.silicon import described
from bench.report.beside import elsewhere, variants
from bench.store.records import Store
from bench.tables import checks, dictionary, headline, latency_page, latency_table, routes, runs
from bench.tables.column import as_csv, as_lines, filled
from bench.tables.columns import DOUBTED, columns, scores, timed, written
from bench.tables.dictionary import Table
from bench.tables.family import ATTENTION, OTHERS, SETS
from bench.tables.formatting import amount, between, escape, markdown, number, quality
from bench.tables.rows import LATENCY, Row, newest_facts, rows
from bench.tables.rows import sources as sources_of
from bench.tables.sections import repeated, shown
from bench.tables.verdict import Verdict, family, on, ranked
from models.naming import changed

FOREST, MAP = "forest.png", "routes.png"
Sections = dict[str, list[Row]]
TERMS = ("model", "dataset", "budget", "dtype", "arithmetic")  # what names a line of comparison.csv
OUTSIDE = "Other sizes, routes built for one kind of mixing, and shuffled twins: 95 % intervals, each on its own; no verdicts."
MARKED = f"{DOUBTED} says that something was wrong with a timing: [latency.md](latency.md) has what, with quantiles and their intervals"


def write(store: Store, say: Callable[[str], None] = lambda text: None, draw: bool = True, machine: str | None = None) -> Path:
    """Make everything from what is in the store, or all but the pictures; returns the path of the page. Times are of `machine`."""
    table = rows(store, machine)
    sections = shown(table)
    compared = family(sections)
    timings = store.latencies()
    sources: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in table:
        sources[row.model, row.dataset] |= sources_of(row) if row.runs else set()
    write_data(store, table, latency_table.lines(timings, sources), compared)
    store.write(store.folder / "comparison.md", comparison(table).encode())
    store.write(store.folder / "latency.md", latency_page.page(timings, sources).encode())
    pictured = {name for name, own in sections.items() if any(row.runs for row in own)}
    if draw:
        draw_pictures(store, {name: sections[name] for name in sorted(pictured)}, repeated(table, sections), compared, say)
    else:
        pictured = {name for name in pictured if (store.folder / "pareto" / f"{name}.png").is_file()}
    page = store.folder / "README.md"
    there = {name for name in (FOREST, MAP) if (store.folder / name).is_file()}
    store.write(page, readme(table, sections, compared, pictured, there).encode())
    return page


def write_data(store: Store, table: list[Row], timings: list[latency_table.Flat], compared: list[Verdict]) -> None:
    """The CSV files, and what their columns are."""
    seeds = runs.seeds(table)
    of_seeds = filled(runs.columns(scores(table)), seeds) or runs.COLUMNS
    of_timings = filled(latency_table.COLUMNS, timings) or latency_table.COLUMNS
    data: list[tuple[Table, Sequence[Any]]] = [
        (Table("comparison", "A line for each model, data set, budget and arithmetic.", written(table), TERMS), table),
        (Table("runs", "A line for each trained seed behind comparison.csv.", of_seeds, (*TERMS, "seed")), seeds),
        (Table("latency", "A line for each timing of a forward pass.", of_timings, latency_table.KEY), timings),
        (Table("verdicts", headline.ABOUT, headline.COLUMNS, ("dataset", "model", "against")), compared),
    ]
    for one, lines in data:
        store.write(store.folder / f"{one.name}.csv", as_csv(one.columns, lines).encode())
    described = [one for one, _ in data]
    store.write(store.folder / "columns.md", dictionary.pages(described).encode())
    store.write(store.folder / "datapackage.json", dictionary.package(described).encode())


def draw_pictures(store: Store, sections: Sections, only: Sections, compared: Sequence[Verdict], say: Callable[[str], None]) -> None:
    """The family's forest and the map of routes, if there are any; curves and costs of data sets, of `only` curves."""
    from bench.report import forest  # and matplotlib, which tables can do without
    from bench.report import routes as routes_map
    from bench.report.plots import small

    wholes = {FOREST: forest.picture(compared), MAP: routes_map.picture(routes.reached(sections))}
    made = {name: small(figure) for name, figure in wholes.items() if figure is not None}
    jobs = [(name, rows, name in sections) for name, rows in sorted((sections | only).items())]
    for (name, _, _), pictures in zip(jobs, answers(drawing, jobs, cores()), strict=True):
        say(f"drawing {name}")
        made |= pictures
    for name, content in made.items():
        store.write(store.folder / name, content)
    for path in [store.folder / FOREST, store.folder / MAP, *store.folder.glob("curves/*.png"), *store.folder.glob("pareto/*.png")]:
        if path.relative_to(store.folder).as_posix() not in made:  # of other records
            path.unlink(missing_ok=True)


def drawing(job: tuple[str, list[Row], bool]) -> dict[str, bytes]:
    """Curves of a data set, and costs where it is ranked, by their files' names."""
    from bench.report import costs, curves
    from bench.report.plots import small

    name, rows, ranked = job
    drawn = [("curves", curves), ("pareto", costs)][: 1 + ranked]
    return {f"{folder}/{name}.png": small(kind.picture(name, rows)) for folder, kind in drawn}


def facts(store: Store, machine: str | None = None) -> list[dict[str, Any]]:
    """The rows of comparison.csv, unrounded; what was not measured is None."""
    table = rows(store, machine)
    own = written(table)
    return [{column.name: column.of(row) for column in own} for row in table]


def cost_line(own: Sequence[Row]) -> str:
    """What attention cost against convolution in the same backbone, as ratios."""
    by_name = {row.model: row for row in own}
    a, b = by_name.get(ATTENTION), by_name.get("backbone_conv")
    if a is None or b is None:
        return ""
    pairs = [
        (a.costs.get("params_active"), b.costs.get("params_active"), "parameters"),
        (a.costs.get("flops"), b.costs.get("flops"), "FLOPs"),
        (a.latency.get(LATENCY), b.latency.get(LATENCY), "CPU latency"),
    ]
    return ", ".join(f"{x / y:.2f} × {name}" for x, y, name in pairs if x and y)


def comparison(table: list[Row]) -> str:
    """comparison.md: every cell that was run or timed, and what failed; what is the same in all lines is said once."""
    untimed = not any(key.startswith("latency_cuda") for row in table for key in row.latency)
    shown = [row for row in table if row.status != "skipped" or row.latency]
    once = {"machine"} | ({one.head for one in columns(table) if one.head.startswith("CUDA ")} if untimed else set())
    lines = [{head: cell for head, cell in line.items() if head not in once} for line in as_lines(columns(table), shown)]
    told = [
        "The same as [comparison.csv](comparison.csv), rounded: test scores of the weights best on val, unless the reason says otherwise."
        " Mean ± half the 95 % interval over seeds. Latency is on one CPU thread; " + MARKED + ".",
        f"Latencies are of `{machine}`." if (machine := next((row.machine for row in table), "")) else "",
        "There was no CUDA device: nothing was timed on one." if untimed else "",
        f"{skipped} cells were skipped: comparison.csv says why." if (skipped := len(table) - len(shown)) else "",
    ]
    return f"# All cells\n\n{' '.join(filter(None, told))}\n\n{markdown(lines)}\n"


def section(dataset: str, own: list[Row], others: list[Row], pictured: bool) -> str:
    """One data set: its table best first, its pictures, what other budgets gave, and the cells without a number."""
    first = next((row for row in own if row.values), own[0])
    metric = first.metric
    lines = [f"## {dataset}", ""]
    if first.summary:
        lines += [escape(f"{first.summary[0].upper()}{first.summary[1:]}."), ""]
    if metric.name:
        lines += [f"Test {metric.name}, {metric.better} is better. Budget `{first.budget}`: {first.samples:,} samples seen.", ""]
    if first.scored_by:
        lines += [f"Of the whole corpus, on lower-cased words split from punctuation, by sacrebleu: `{first.scored_by}`.", ""]
    body = [
        {
            "model": row.model,
            metric.name: quality(row.value, metric),
            "seeds": len(row.values),
            "parameters (active)": f"{number(row.costs.get('params'))} ({number(row.costs.get('params_active'))})",
            "FLOPs": amount(row.costs.get("flops")),
            "train s": number(row.train_seconds),
            "ms, batch 1": timed(row, LATENCY),
            "samples/s, batch 64": timed(row, "throughput_cpu_b64_per_s"),
        }
        for row in ranked(own)
    ]
    if body:
        lines += [markdown(body), ""]
    if pictured:
        lines += [f"![training curves of {dataset}](curves/{dataset}.png)", "", f"![cost of {dataset}](pareto/{dataset}.png)", ""]
    lines += elsewhere(others)
    noted = [row for row in own if row.values and row.reason]
    if noted:
        lines += [*(f"- {row.model}: {escape(row.reason)}" for row in noted), ""]
    empty = [row for row in own if not row.values]
    if empty:
        lines += ["Without a number:", "", *(f"- {row.model}: {row.status}, {escape(row.reason)}" for row in empty), ""]
    return "\n".join(lines)


def line(dataset: str, own: Sequence[Row], compared: Sequence[Verdict]) -> dict[str, str]:
    """Attention against each other mixer on one data set."""
    said = {f"against {OTHERS[one.other]}": escape(headline.told(one)) for one in compared}
    n = between(one.n for one in compared)
    return {"data set": f"[{dataset}](#{dataset})", **said, "n": n, "attention costs, × convolution": cost_line(own)}


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
        facts = defaultdict(lambda: "?", known)
        gpu = f", {facts['gpu']} (driver {facts['driver']}, CUDA {facts['cuda']})" if facts.get("gpu") else ", no CUDA device"
        dirty = " with local changes" if facts.get("dirty") else ""
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
        *checks.answer(compared, checked),
        f"![attention minus each other mixer, a row for each data set]({FOREST})" if FOREST in there else "",
        " ".join(routes.sentences(routes.reached(sections))),
        f"![R² of each mixer on each route]({MAP})" if MAP in there else "",
        answer(sections, compared) or "On no data set of the family was attention run beside another mixer.",
        headline.RULE,
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
