"""A page per source: what it showed, what is measured here, its pictures and ours, the verdicts. From ledger and verdicts alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from bench.claims.judgement import Judged
from bench.claims.ledger import Ledger, Picture
from bench.claims.sections import heading, lines, noted, parted, remaining, summed
from bench.store.records import Store
from bench.tables.formatting import escape, markdown

FOLDER = "sources"


def address(source: str) -> str:
    """The page's path below the results."""
    return f"{FOLDER}/{source.lower()}.md"


def paged(ledger: Ledger) -> list[str]:
    """The sources that have a page."""
    return [name for name, about in ledger.sources.items() if about.showed]


def gallery(pictures: Sequence[Picture], at: str, home: Path) -> str:
    """Each figure of the source, in words and linked, beside our own: those that lie in the results, else how to make them."""
    body = []
    for picture in pictures:
        found = [path.relative_to(home) for pattern in picture.ours for path in sorted(home.glob(pattern)) if path.is_file()]
        ours = [f"![{escape(', '.join(path.with_suffix('').parts[-2:]).replace('_', ' '))}](../{quote(path.as_posix())})" for path in found]
        its = [f"[{escape('/'.join(Path(path).parts[-2:]))}](https://{at}/blob/HEAD/{quote(path)})" for path in picture.its]
        shows = f"{escape(picture.shows)}{': ' if its else ''}{', '.join(its)}"
        body.append({"the source shows": shows, "here": " ".join(ours) or f"not drawn yet: `{escape(picture.made)}`"})
    return markdown(body)


def page(source: str, ledger: Ledger, verdicts: Sequence[Judged], home: Path, back: str) -> str:
    """One source, with the papers quoted beside it. `back` is the way from the page to claims.md."""
    about = ledger.sources[source]
    theirs, ours = parted(j for j in verdicts if j.claim.source == source)
    notes: dict[str, int] = {}
    parts = [
        f"# {heading(source, ledger)}",
        f"{f'[{about.at}](https://{about.at}). ' if about.at else ''}{escape(about.showed)}",
        f"**What we find:** {summed(theirs)}. [How figures are judged]({back}#how-to-read-this), [all sources]({back}).",
    ]
    if about.pictures:
        parts += ["## Its pictures and ours", gallery(about.pictures, about.at, home)]
    parts += ["## Its figures and ours", lines(theirs, notes)] if theirs else []
    for name, other in ledger.sources.items():
        own = parted(j for j in verdicts if j.claim.source == name)[0]
        if other.beside == source and own:
            parts += [f"### Quoted beside it: {other.title}", lines(own, notes), *other.notes]
    if ours:
        parts += ["## What rebuilding it showed, and it did not print", lines(ours, notes, "recorded")]
    parts += ["## Notes", noted(notes)] if notes else []
    parts += [*about.notes, *remaining(theirs)]
    return "\n\n".join(part for part in parts if part) + "\n"


def write(home: Path, ledger: Ledger, verdicts: Sequence[Judged], back: str) -> None:
    """The pages under home/sources/, rebuilt."""
    for source in paged(ledger):
        Store(home).write(home / address(source), page(source, ledger, verdicts, home, back).encode())
