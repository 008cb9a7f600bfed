"""The options of python -m bench figures. What draws is imported when it is asked for: `list` need not wait for matplotlib."""

from __future__ import annotations

import argparse
from typing import Any

from bench.core import machine
from bench.plan import grid


def add(commands: Any) -> None:
    """The command's options."""
    figures = commands.add_parser("figures", help="pictures of what models learned, from the weights that runs kept; never trains")
    figures.add_argument("--results", default=str(machine.LOCAL), metavar="DIR", help="the store to draw from (default: results/local)")
    figures.add_argument("--models", help="names or patterns, comma-separated; default: all in the store")
    figures.add_argument("--datasets", help="names or patterns, comma-separated; default: all in the store")
    figures.add_argument("--budget", help="of the runs drawn; default: the one that the report ranks")
    figures.add_argument("--kinds", help="kinds of pictures, names or patterns, comma-separated; default: all")
    figures.add_argument("--data", metavar="ROOT", help="where real data lie")
    figures.add_argument("--download", action="store_true", help="fetch data that are missing")
    grid.plugin_option(figures)
    figures.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from bench.figures import command

    return command.run(options)
