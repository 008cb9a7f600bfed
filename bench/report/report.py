"""Tables, plots and the page that answers the question, from the store alone: rebuilt byte for byte, offline, untrained.

DIR/README.md  comparison.md  latency.md  columns.md  datapackage.json  forest.png  routes.png
DIR/comparison.csv  runs.csv  latency.csv  verdicts.csv  curves/<dataset>.png  pareto/<dataset>.png
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.core.apart import answers
from bench.core.machine import cores
from bench.report import tuning
from bench.report.readme import FOREST, MAP, MARKED, Sections, readme
from bench.store import json_schema
from bench.store.records import Store
from bench.tables import dictionary, headline, latency_page, latency_table, routes, runs
from bench.tables.column import as_csv, as_lines, filled
from bench.tables.columns import columns, scores, written
from bench.tables.dictionary import Table
from bench.tables.formatting import markdown
from bench.tables.rows import Row, everything, rows, tabulated
from bench.tables.rows import sources as sources_of
from bench.tables.sections import curved, repeated, shown
from bench.tables.verdict import Verdict, family

TERMS = ("model", "dataset", "budget", "dtype", "arithmetic")  # what names a line of comparison.csv


def write(store: Store, say: Callable[[str], None] = lambda text: None, draw: bool = True, machine: str | None = None) -> Path:
    """Make everything from what is in the store, or all but the pictures; returns the path of the page. Times are of `machine`."""
    trained, timings = everything(store)
    table = tabulated(trained, timings, machine)
    sections = shown(table)
    compared = family(sections)
    sources: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in table:
        sources[row.model, row.dataset] |= sources_of(row) if row.runs else set()
    write_data(store, table, latency_table.lines(timings, sources), compared)
    store.write(store.folder / "comparison.md", comparison(table).encode())
    tuning.write(store, blank=False)
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
    store.write(store.folder / "records.schema.json", json_schema.text().encode())


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
    """Curves of a data set, where there are any, and costs where it is ranked, by their files' names."""
    from bench.report import costs, curves
    from bench.report.plots import small

    name, rows, ranked = job
    drawn = [("curves", curves)] * curved(rows) + [("pareto", costs)] * ranked
    return {f"{folder}/{name}.png": small(kind.picture(name, rows)) for folder, kind in drawn}


def facts(store: Store, machine: str | None = None) -> list[dict[str, Any]]:
    """The rows of comparison.csv, unrounded; what was not measured is None."""
    table = rows(store, machine)
    own = written(table)
    return [{column.name: column.of(row) for column in own} for row in table]


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
        "It has no CUDA device: what other machines timed stands in [latency.md](latency.md)." if untimed and machine else "",
        f"{skipped} cells were skipped: comparison.csv says why." if (skipped := len(table) - len(shown)) else "",
    ]
    return f"# All cells\n\n{' '.join(filter(None, told))}\n\n{markdown(lines)}\n"
