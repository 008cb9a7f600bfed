"""results/README.md: what the committed reference results say, from their store alone."""

from __future__ import annotations

from pathlib import Path

from bench.core import machine
from bench.report import readme, studied
from bench.store.records import Store
from bench.tables import checks, headline, routes
from bench.tables.rows import Row, rows
from bench.tables.sections import shown
from bench.tables.verdict import Verdict, family

PAGES = {
    "studies/length.md": "what attention costs as inputs grow",
    "studies/data.md": "who is ahead with how much data",
    "studies/distance.md": "at what distance mixers recall",
    "latency.md": "every timing with its certificate",
    "peers.md": "our models beside their peers",
    "gate.md": "what the latency gate catches here",
    "gate-grid.md": "a gate over the whole embedded grid",
}

PICTURES = (  # those that carry the story, where they were made
    "forest.png",
    "routes.png",
    *(f"studies/{study}.png" for study in studied.STUDIES),
    "figures/quality_params.png",
    "figures/shapes_pairs/conv1d_attention_positions-signal_attention.png",
    "figures/eng_fra/bahdanau-alignment.png",
    "figures/spiral/heads-plane_training.webp",
)


def pictures(folder: Path) -> list[str]:
    """The pictures there are, to be looked at before reading; what they find is written in them."""
    return [f"![{picture.split('/', 1)[-1]}]({folder.name}/{picture})" for picture in PICTURES if (folder / picture).is_file()]


def more(folder: Path) -> list[str]:
    """Links to the other pages of a store, those there are."""
    links = [f"[{what}]({folder.name}/{page})" for page, what in PAGES.items() if (folder / page).is_file()]
    sources = [f"[{path.stem.upper()}]({folder.name}/sources/{path.name})" for path in sorted((folder / "sources").glob("*.md"))]
    beside = ["What each source showed beside what we measure, with pictures: " + ", ".join(sources) + "."] if sources else []
    return beside + (["More: " + ", ".join(links) + "."] if links else [])


def stores(results: Path) -> list[Store]:
    """The committed results, one store an arithmetic; `local` is nobody's."""
    return [Store(path.parent) for path in sorted(results.glob("*/runs")) if path.parent.name != machine.LOCAL.name]


def decisive(whole: dict[str, list[Row]]) -> tuple[list[Row], list[Verdict]]:
    """The rows of the store with most verdicts, and its family of comparisons."""
    compared = {name: family(shown(table)) for name, table in whole.items()}
    best = max(compared, key=lambda name: (sum(bool(one.word) for one in compared[name]), sum(one.n for one in compared[name])), default="")
    return whole.get(best, []), compared.get(best, [])


def findings(results: Path, whole: dict[str, list[Row]]) -> list[str]:
    """The answer, a paragraph each on quality (of the store with most verdicts), on routes and of studies; '' where there is nothing.

    `whole` has every row of each store below results/, by its name.
    """
    table, compared = decisive(whole)
    solved = [" ".join(routes.sentences(routes.reached(shown(rows_)))) for rows_ in whole.values()]
    return [
        "\n\n".join(checks.answer(table, compared, checks.check(table, compared))),
        max(solved, key=len, default=""),
        " ".join(dict.fromkeys(sentence for store in stores(results) for sentence in studied.sentences(store))),
    ]


def every(results: Path) -> dict[str, list[Row]]:
    """Every row of each store below results/, by its name."""
    return {store.folder.name: rows(store) for store in stores(results)}


def write(results: Path, whole: dict[str, list[Row]] | None = None) -> Path:
    """Rebuild the page from the stores below results/, or from their rows if somebody has read them. It begins with the answer."""
    whole = every(results) if whole is None else whole
    parts = [
        "# Reference results",
        *findings(results, whole),
        "The embedded grid by `make reference`, and what was run on request, see CONTRIBUTING.md. Quality is of one arithmetic (kind of"
        " device, torch's minor version) and merged from wherever it was trained (`python -m bench merge`); latencies and training seconds"
        " stand under the name of the machine that took them. `results/local/` is where your own runs go and is not committed.",
        headline.RULE if whole else "There are none yet.",
    ]
    for name, table in whole.items():
        sections = shown(table)
        page = f"{name}/README.md"
        answer = readme.answer(sections, family(sections)).replace("](#", f"]({page}#")
        parts += [f"## [{name}]({page})", answer, *pictures(results / name), *more(results / name)]
    Store(results).write(results / "README.md", ("\n\n".join(part for part in parts if part) + "\n").encode())
    return results / "README.md"
