"""Files from anywhere that register models or data sets, and paths as users write them."""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from bench.core import opened
from bench.core.apart import restored
from bench.plan.request import RequestError
from datasets.registry import describe


def located(name: str) -> Path:
    """A path as a user writes it, with ~ for a home, made absolute. RequestError for no name and for the home of nobody."""
    if not name:
        raise RequestError("an empty path was given; name a file or a folder")
    try:
        return Path(name).expanduser().resolve()
    except RuntimeError as error:
        raise RequestError(f"{name}: {error}") from error


PLUGIN: dict[str, Any] = {
    "action": "append",
    "default": [],
    "metavar": "FILE",
    "help": "a Python file that registers models or data sets",
}  # the option --plugin


def plugin_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plugin", **PLUGIN)


PLUGGED: list[str] = []  # files of plugins that were imported


def plugin(file: str) -> None:
    """Import a file from anywhere that registers models or data sets. RequestError if it does not import."""
    path = located(file)
    if not path.is_file():
        raise RequestError(f"plugin {file}: no such file")
    name = f"plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RequestError(f"plugin {file}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with restored(), opened.importing(path):
            spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # it may leave, or skip itself as a test
        del sys.modules[name]
        raise RequestError(f"plugin {file} does not import: {describe(error)}") from error
    if file not in PLUGGED:
        PLUGGED.append(file)
