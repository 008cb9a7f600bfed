"""What `python -m bench study` may be asked, and where it goes. Imports nothing that takes long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.core import machine
from bench.plan import grid


def add(commands: Any, run: Callable[..., int]) -> None:
    command = commands.add_parser("study", help="a question with a measurement of its own: length (what attention costs as inputs grow)")
    command.add_argument("name", metavar="NAME", help="length")
    command.add_argument("--models", default="backbone_*", help="names or patterns, comma-separated (default: the six mixers)")
    command.add_argument("--lengths", metavar="LIST", help="tokens (default: 16,32,64,…,4096)")
    command.add_argument("--processes", default="10", metavar="N", help="that take turns; intervals are over them (default: 10)")
    command.add_argument("--seconds", default="0.2", metavar="S", help="of each timing (default: 0.2)")
    command.add_argument("--results", default=str(machine.LOCAL), metavar="DIR", help="where to (default: results/local)")
    grid.plugin_option(command)
    command.set_defaults(run=run)
