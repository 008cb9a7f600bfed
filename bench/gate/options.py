"""The options of python -m bench gate. What measures is imported when it is asked for."""

from __future__ import annotations

import argparse
from typing import Any

from bench.plan.plugins import plugin_option


def add(commands: Any) -> None:
    gate = commands.add_parser("gate", help="is head slower than base? two revisions or folders, side by side on this machine")
    gate.add_argument("--base", metavar="REF", help="a git revision or a folder: what it was before")
    gate.add_argument("--head", metavar="REF", help="a git revision or a folder: what it is now (default: here)")
    plugin_option(gate, "whose repository's revisions are compared; the suite is this checkout's")
    gate.add_argument("--models", help="names or patterns, comma-separated (default: all, with --plugin those that it registers)")
    gate.add_argument("--datasets", help="likewise (default: all that need no network, with --plugin a few small ones)")
    gate.add_argument("--batches", help="batch sizes, comma-separated (default: 1)")
    gate.add_argument("--allow", default="1%", metavar="PERCENT", help="the slowdown that is let pass (default: 1%%)")
    gate.add_argument("--minutes", help="the time it may take (default: 15, in the self-test 3 for each gate); most gates need less")
    gate.add_argument("--accept-costs", action="store_true", help="exact costs that grew are told, and fail nothing")
    gate.add_argument("--json", action="store_true", help="print one object a cell")
    gate.add_argument("--markdown", metavar="FILE", help="also write the table as a comment for a pull request")
    gate.add_argument("--self-test", action="store_true", help="what the gate catches on this machine, and whom it accuses wrongly")
    gate.add_argument("--gates", metavar="N", help="gates of each kind in the self-test (default: 12)")
    gate.add_argument("--results", metavar="DIR", help="where the self-test's report goes (default: results/local)")
    gate.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from bench.gate import command

    return command.run(options)
