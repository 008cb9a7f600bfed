"""Files from anywhere that register models, data sets or metrics: the option --plugin."""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.core import opened
from bench.core.apart import restored
from bench.plan.request import RequestError, located
from datasets.registry import describe

PLUGIN: dict[str, Any] = {
    "action": "append",
    "default": [],
    "metavar": "FILE",
    "help": "Python files that register models or data sets, comma-separated, or a folder of them; repeatable",
}
ASIDE = ("_", "test_", "conftest.py")  # how files of a folder begin that are no plugins


def plugin_option(parser: argparse.ArgumentParser, what: str = "") -> None:
    parser.add_argument("--plugin", **PLUGIN | {"help": ", ".join(filter(None, [PLUGIN["help"], what]))})


PLUGGED: list[str] = []  # files of plugins that were imported


def plugin_files(texts: Iterable[str]) -> list[str]:
    """The files that --plugin names, absolute, each once. RequestError for one that is not there, and for a folder without any."""
    found: list[Path] = []
    for text in texts:
        for name in [text] if located(text).exists() else text.split(","):
            path = located(name.strip())
            inside = [file for file in sorted(path.glob("*.py")) if not file.name.startswith(ASIDE)]
            if path.is_dir() and not inside:
                raise RequestError(f"plugin {name}: a folder without a Python file (those named _… and test_… do not count)")
            if not path.is_dir() and not path.is_file():
                raise RequestError(f"plugin {name}: no such file or folder")
            found += inside or [path]
    return [str(path) for path in dict.fromkeys(found)]


def plugin(text: str) -> None:
    """Import what --plugin names. RequestError if it does not import."""
    for file in plugin_files([text]):
        import_file(Path(file))


def import_file(path: Path) -> None:
    name = f"plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RequestError(f"plugin {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with restored(), opened.importing(path):
            spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # it may leave, or skip itself as a test
        del sys.modules[name]
        raise RequestError(f"plugin {path} does not import: {describe(error)}") from error
    if str(path) not in PLUGGED:
        PLUGGED.append(str(path))
