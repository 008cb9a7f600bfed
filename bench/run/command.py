"""python -m bench run: what `pytest bench/test_training.py --benchmark-only` does, without pytest. Latencies are timed by pytest alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from bench.plan import expected
from bench.plan.grid import Cell
from bench.run.driver import Outcome
from bench.run.interrupt import Interrupts
from bench.run.progress import Progress
from bench.run.session import asked
from bench.store.records import Store, StoreError


def run(
    options: argparse.Namespace,
    line: Callable[[Cell, Outcome], str],
    grow: Callable[[Store, Callable[[str], None]], Callable[[], None]],
    write: Callable[[Store], list[str]],
) -> int:
    """Train what is missing, then `write` tables, also of an interrupted run; `line` tells of a cell, `write` where its tables are;
    `grow` makes what is called on the way, whenever a cell is done.

    0: every cell is ok or skipped; 1: some failed, or results could not be written; 130: interrupted. RequestError before anything is run.
    """
    session = asked(lambda name: getattr(options, name))
    session.store.writable()
    for warning in session.warnings:
        print(f"attention-bench: {warning}", file=sys.stderr)
    interrupts, code = Interrupts(), 0
    with interrupts.hold(True):
        bar = Progress(sum(map(expected.seconds, session.cells)), lambda: interrupts.hold(True))
        driver = session.driver(session.cells, bar.part)
        driver.grown = grow(session.store, bar.line)
        try:
            for cell in session.cells:
                bar.show(cell.id)
                with interrupts.hold(False):
                    outcome = driver.outcome(cell)
                if not outcome.trained:
                    bar.part(cell, 1.0)
                if cell.status != "skipped":  # known beforehand: not worth a line
                    bar.line(line(cell, outcome))
                code = max(code, int(outcome.status not in ("ok", "skipped")))
        except KeyboardInterrupt:
            code = 130
        except StoreError as error:
            print(f"attention-bench: {error}", file=sys.stderr)
            code = 1
        finally:
            driver.close()
            bar.close()
    try:
        with interrupts.hold(False):  # one that is lost on the way, in a callback, is answered at the end
            written = write(session.store)
        print("\n".join(written))
    except StoreError as error:
        print(f"attention-bench: {error}", file=sys.stderr)
        return code or 1
    return code
