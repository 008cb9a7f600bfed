"""Facts, the template, its styles and scripts and the plotting library -> one HTML file that loads nothing from elsewhere."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

from bench.page import view
from bench.plan.grid import RequestError
from bench.store.records import Store

HERE = Path(__file__).parent
SCRIPTS = ("page.js", "sections.js", "table.js", "plots.js")
UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}  # all others that could matter in HTML are escaped by ensure_ascii


def plotly() -> str:
    """The embedded plotting library's code. RequestError if it is not installed."""
    try:
        code = (resources.files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise RequestError("the page needs plotly, which is not installed: pip install plotly") from error
    return code.replace("</script", "<\\/script")


def as_data(facts: dict[str, Any]) -> str:
    """JSON that can stand in a script element whatever its texts say."""
    text = json.dumps(facts, separators=(",", ":"), allow_nan=False)
    return re.sub("[<>&]", lambda found: UNSAFE[found[0]], text)


def html(facts: dict[str, Any]) -> str:
    """The whole page. The same facts give the same text."""
    parts = {
        "style": (HERE / "page.css").read_text(encoding="utf-8"),
        "facts": as_data(facts),
        "script": "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS),
        "plotly": plotly(),
    }
    template = (HERE / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)  # one pass: what is put in is not looked at again


def write(store: Store, clock: str | None = None) -> Path:
    """Make DIR/index.html from the store and what lies beside it, with times of the machine `clock`; returns its path.

    Raises RequestError without plotly or with an unreadable claims.csv, StoreError if the folder cannot be written to.
    """
    path = store.folder / "index.html"
    store.write(path, html(view.facts(store, clock)).encode())
    return path


def told(store: Store) -> str:
    """Write the page if that is possible: a line that says where it is, or why there is none, plotly not being installed say."""
    try:
        return f"page: {write(store)}"
    except RequestError as reason:
        return f"no page: {reason}"
