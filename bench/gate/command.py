"""The command line of the gate. Exit code 0: nothing is worse; 1: something is; 2: it cannot be compared as asked."""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

from bench.core import machine
from bench.gate import contest, elsewhere, selftest, survey, table, trees
from bench.gate.trio import Died
from bench.plan.grid import RequestError, located, split
from bench.plan.request import whole
from bench.run.progress import Progress

MOST = 100_000  # gates, or samples of a batch


def positive(option: str, text: str, unit: str = "", below: float = math.inf) -> float:
    """A finite number above 0; RequestError names the option. A share of 0 is refused: that nothing was lost no measurement can show."""
    try:
        value = float(text.strip().removesuffix(unit).strip() if unit else text)
    except ValueError:
        value = math.nan
    if not 0 < value < below:
        raise RequestError(f"{option} takes a number above 0{f' and below {below:g}' * math.isfinite(below)}, not {text!r}")
    return value


def run(options: argparse.Namespace) -> int:
    if not sys.platform.startswith("linux"):
        raise RequestError("the gate hands open sockets to forks and binds them to a core, which it knows how to do on Linux only")
    usual = "3" if options.self_test else "15"
    minutes = positive("--minutes", usual if options.minutes is None else options.minutes)
    allow = positive("--allow", options.allow, "%", 100) / 100
    batches = list(dict.fromkeys(whole("--batches", text, MOST) for text in split("1" if options.batches is None else options.batches)))
    if not batches:
        raise RequestError("no batch size named; --batches takes whole numbers, comma-separated")
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was laid out is cleared away
    try:
        return self_test(options, minutes, allow) if options.self_test else gate(options, minutes, allow, batches)
    except (Died, OSError) as error:
        raise RequestError(f"the gate could not be held: {error}") from error
    finally:
        signal.signal(signal.SIGTERM, before)


def self_test(options: argparse.Namespace, minutes: float, allow: float) -> int:
    alone = ("base", "head", "plugin", "models", "datasets", "batches", "json", "markdown", "accept_costs")
    given = [name for name in alone if getattr(options, name) not in (None, False, [])]
    if given:
        raise RequestError(f"--self-test chooses its own cells and prints its own report; leave out --{given[0].replace('_', '-')}")
    plan = selftest.Plan(12 if options.gates is None else whole("--gates", options.gates, MOST), minutes, allow)
    return selftest.run(plan, machine.LOCAL if options.results is None else located(options.results))


def gate(options: argparse.Namespace, minutes: float, allow: float, batches: list[int]) -> int:
    if options.base is None:
        raise RequestError("a gate needs --base REF: a git revision or a folder, 'origin/main' say (or --self-test)")
    for name in ("gates", "results"):
        if getattr(options, name) is not None:
            raise RequestError(f"--{name} belongs to --self-test; a gate prints its table, and --markdown FILE keeps it")
    page = located(options.markdown) if options.markdown else None
    if page and (page.is_dir() or not page.parent.is_dir() or not os.access(page if page.exists() else page.parent, os.W_OK)):
        raise RequestError(f"--markdown {options.markdown} cannot be written: name a file in a folder that exists and is yours")
    with trees.workplace() as place:
        if options.plugin:
            base, head = elsewhere.trees(options.plugin, options.base, options.head, place)
        else:
            named = {"base": options.base, "head": "." if options.head is None else options.head}
            base, head = (trees.resolve(role, name, Path.cwd(), place) for role, name in named.items())
            trees.same_libraries(base, head)
        asked = survey.Contest(base, head, allow, minutes)
        chosen = partial(survey.grid, options.models, options.datasets, batches, bool(options.plugin))
        with closing(Progress(60 * minutes)) as bar:  # over the time that it may take: easy gates end before it is full

            def say(share: float, what: str) -> None:
                bar.show(what)
                bar.advance(max(0.0, 60 * minutes * share - bar.bar.n))

            done = contest.run(asked, chosen, place / "bytecode", say)
    print(json.dumps(table.facts(done), indent=1) if options.json else table.terminal(done), flush=True)
    if page is not None:
        page.write_text(table.markdown(done), encoding="utf-8")
    return int(table.failed(done, options.accept_costs))
