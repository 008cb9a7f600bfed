"""Facts, the template, its style and script -> one file that loads nothing, says all without JavaScript, and lets no other script run."""

from __future__ import annotations

import base64
import hashlib
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.page import view, words
from bench.page.svg import slug
from bench.plan.grid import RequestError
from bench.store.records import Store
from bench.tables.look import COLOURS, ON_DARK, VERDICTS
from models.naming import plain

HERE = Path(__file__).parent


def allowed(text: str) -> str:
    """What a policy calls the one element that has this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def html(facts: dict[str, Any]) -> str:
    """The whole page. The same facts give the same text."""
    loader = FileSystemLoader(HERE)
    templates = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    templates.filters |= {"slug": slug, "plain": plain, "strong": partial(words.strong, seen=set())}
    templates.globals["w"] = words.link
    colours = {family: (COLOURS[family], ON_DARK[family]) for family in COLOURS}
    style = templates.get_template("page.css").render(colours=colours, verdicts=VERDICTS, optional=facts["optional"])
    script = (HERE / "page.js").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; script-src {allowed(script)}; style-src {allowed(style)}; img-src data:; base-uri 'none'; form-action 'none'"
    )
    return templates.get_template("page.html").render(**facts, style=Markup(style), script=Markup(script), policy=policy)


def write(store: Store, clock: str | None = None) -> Path:
    """Make DIR/index.html from the store and what lies beside it, with times of the machine `clock`; returns its path.

    Raises RequestError with an unreadable claims.csv, StoreError if the folder cannot be written to.
    """
    path = store.folder / "index.html"
    store.write(path, html(view.facts(store, clock)).encode())
    return path


def told(store: Store) -> str:
    """Write the page if that is possible: a line that says where it is, or why there is none, an unreadable ledger say."""
    try:
        return f"page: {write(store)}"
    except RequestError as reason:
        return f"no page: {reason}"
