"""results/README.md: what the committed reference results say, from their store alone."""

from __future__ import annotations

from pathlib import Path

from bench.core import machine
from bench.report import report
from bench.store.records import Store
from bench.tables.rows import rows, shown

PAGES = {
    "latency.md": "every timing with its certificate",
    "peers.md": "our models beside their peers",
    "gate.md": "what the latency gate catches here",
    "gate-grid.md": "a gate over the whole embedded grid",
}

PICTURES = (  # those that carry the story, where they were made
    "figures/map.png",
    "figures/ranks.png",
    "figures/shapes_pairs/conv1d_attention_positions-signal_attention.png",
    "figures/eng_fra/bahdanau-alignment.png",
    "figures/digits_affine/stn-stn.png",
    "figures/spiral/backbone_attention-plane_training.gif",
)


def pictures(folder: Path) -> list[str]:
    """The pictures there are, to be looked at before reading; what they find is written in them."""
    return [f"![{picture.split('/', 1)[1]}]({folder.name}/{picture})" for picture in PICTURES if (folder / picture).is_file()]


def more(folder: Path) -> list[str]:
    """Links to the other pages of a store, those there are."""
    links = [f"[{what}]({folder.name}/{page})" for page, what in PAGES.items() if (folder / page).is_file()]
    return ["More: " + ", ".join(links) + "."] if links else []


def stores(results: Path) -> list[Store]:
    """The committed results, one store an arithmetic; `local` is nobody's."""
    return [Store(path.parent) for path in sorted(results.glob("*/runs")) if path.parent.name != machine.LOCAL.name]


def write(results: Path) -> Path:
    """Rebuild the page from the stores below results/."""
    parts = [
        "# Reference results",
        "The embedded grid by `make reference`, and what was run on request, see CONTRIBUTING.md. Quality is of one arithmetic (kind of"
        " device, torch's minor version) and merged from wherever it was trained (`python -m bench merge`); latencies and training seconds"
        " stand under the name of the machine that took them. `results/local/` is where your own runs go and is not committed.",
    ]
    for store in stores(results):
        folder, sections = store.folder, shown(rows(store))
        page = f"{folder.name}/README.md"
        tables = (report.answer(sections), report.leaders(sections))
        answer, leaders = (table.replace("](#", f"]({page}#") for table in tables)
        parts += [
            f"## [{folder.name}]({page})",
            report.ANSWER,
            answer,
            f"Leaders, bold where they beat every other model; {report.DOUBTED} marks a timing with a complaint in `latency.md`:",
            leaders,
            *pictures(folder),
            *more(folder),
        ]
    if len(parts) == 2:
        parts.append("There are none yet.")
    Store(results).write(results / "README.md", ("\n\n".join(parts) + "\n").encode())
    return results / "README.md"
