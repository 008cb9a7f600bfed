"""The options of python -m bench compare. What compares is imported when it is asked for."""

from __future__ import annotations

import argparse
from typing import Any

from bench.core import machine
from bench.plan import grid

HOW = "MODEL, MODEL:BUDGET or DIR::MODEL[:BUDGET]"


def add(commands: Any) -> None:
    """The command's options."""
    compare = commands.add_parser("compare", help="two models, variants, budgets or folders, data set by data set; never trains")
    compare.add_argument("a", metavar="A", help=HOW)
    compare.add_argument("b", metavar="B", help="likewise; how much better A is than B")
    compare.add_argument("--datasets", help="names or patterns, comma-separated; default: all that both were run on")
    compare.add_argument("--budget", help="of a side that names none; default: the one that both have, with most seeds")
    compare.add_argument("--results", default=str(machine.LOCAL), metavar="DIR", help="the store to read (default: results/local)")
    compare.add_argument("--machine", metavar="NAME", help="whose latencies to compare (default: the one with most of both)")
    how = compare.add_mutually_exclusive_group()
    how.add_argument("--latex", action="store_true", help="print a table for LaTeX with booktabs")
    how.add_argument("--csv", action="store_true", help="print every figure, a line a data set")
    how.add_argument("--json", action="store_true", help="print every figure, each seed's and which test samples they differ on, too")
    grid.plugin_option(compare)
    compare.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from bench.compare import command

    return command.run(options)
