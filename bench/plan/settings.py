"""bench.toml in the working directory: what would be said again with every command. Options of the command line win.

plugins = ["models.py", "data.py"]     results = "results"     models = ["mine", "backbone_*"]     budget = "smoke"
                                       data = "data"           datasets = "flowers,digits"         seeds = 3
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import Any

from bench.plan.request import RequestError
from datasets.registry import did_you_mean

FILE = "bench.toml"
OPTIONS = {"plugins": "plugin", **{name: name for name in ("data", "results", "models", "datasets", "budget", "seeds")}}
SEVERAL = ("plugins", "models", "datasets")


def settings() -> dict[str, Any]:
    """Values of options by their names, {} where there is no file. RequestError, with the key, for what it should not say."""
    path = Path(FILE)
    if not path.is_file():
        return {}
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise RequestError(f"{FILE} cannot be read: {error}") from error
    found: dict[str, Any] = {}
    for key, value in said.items():
        if key not in OPTIONS:
            raise RequestError(f"{FILE}: unknown key {key!r}{did_you_mean(key, [*OPTIONS])}; it may say {', '.join(OPTIONS)}")
        texts = value if isinstance(value, list) and key in SEVERAL else [str(value) if key == "seeds" and type(value) is int else value]
        if not all(isinstance(text, str) for text in texts):
            raise RequestError(f"{FILE}: {key} cannot be {value!r}; it takes {'a text or a list of texts' if key in SEVERAL else 'a text'}")
        found[OPTIONS[key]] = texts if key == "plugins" else ",".join(texts)
    return found


def give(commands: dict[str, argparse.ArgumentParser]) -> None:
    """The commands' defaults are what the file says; `run` asks itself, as pytest does."""
    said = {name: value for name, value in settings().items() if name != "plugin"}  # see plug: argparse would append to it
    for command in ("list", "tune", "report", "probe", "figures", "page"):
        commands[command].set_defaults(**said)
    for command in ("compare", "study", "claims") if "results" in said else ():
        commands[command].set_defaults(results=said["results"])


def plug(options: argparse.Namespace) -> None:
    """Where a command takes plugins and was given none, they are those of the file."""
    if getattr(options, "plugin", None) == [] and options.command != "run" and not getattr(options, "self_test", False):
        options.plugin = settings().get("plugin", [])
