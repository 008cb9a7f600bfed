"""What `python -m bench study` may be asked, and where it goes. Imports nothing that takes long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.core import machine
from bench.plan import grid

COMMON = ("models", "results", "plugin")
TRAINED = ("seeds", "steps", "workers")
STUDIES = {  # what each asks, and the options that it takes beside the common ones
    "length": ("what attention costs as inputs grow", ("lengths", "processes", "seconds")),
    "data": ("where mixers pass each other as training data grow", ("datasets", "sizes", *TRAINED)),
    "distance": ("at what length and width mixers recall", ("lengths", "widths", *TRAINED)),
}


def add(commands: Any, run: Callable[..., int]) -> None:
    asked = "; ".join(f"{name}: {what}" for name, (what, _) in STUDIES.items())
    command = commands.add_parser("study", help="a question with a measurement of its own: " + ", ".join(STUDIES), description=asked)
    command.add_argument("name", metavar="NAME", help=" | ".join(STUDIES))
    command.add_argument("--models", help="names or patterns, comma-separated (default: the six mixers; distance: three of them)")
    command.add_argument("--lengths", metavar="LIST", help="tokens (default: length 16,32,64,…,4096; distance 15,31,63,127)")
    command.add_argument("--processes", metavar="N", help="length: that take turns; intervals are over them (default: 10)")
    command.add_argument("--seconds", metavar="S", help="length: of each timing (default: 0.2)")
    command.add_argument("--datasets", metavar="NAME", help="data: one embedded set of classes (default: digits)")
    command.add_argument("--sizes", metavar="LIST", help="data: training samples (default: 50,100,200,400,800,all)")
    command.add_argument("--widths", metavar="LIST", help="distance: of the backbone (default: 16,32,64)")
    command.add_argument("--seeds", metavar="N", help="data, distance: intervals are over them (default: data 5, distance 3)")
    command.add_argument("--steps", metavar="N", help="data, distance: of each training (default: data 600, distance 1500)")
    command.add_argument("--workers", metavar="N", help="data, distance: processes (default: as many as cores and memory permit)")
    command.add_argument("--results", default=str(machine.LOCAL), metavar="DIR", help="where to (default: results/local)")
    grid.plugin_option(command)
    command.set_defaults(run=run)
