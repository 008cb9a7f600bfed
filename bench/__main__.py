"""python -m bench list | run | tune | study | compare | report | figures | page | claims | probe | merge | gate | machine | reference.

Exit code 2: the request is wrong.

A command imports what it needs when it runs: `list` takes little longer than torch takes to import.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from bench.claims import ledger
from bench.compare import options as compare
from bench.core import machine, terminal
from bench.figures import options as figures
from bench.gate import options as gate
from bench.plan import grid, settings
from bench.plan.opened import opened
from bench.run import options as training
from bench.store.encoding import finite
from bench.store.records import Store, StoreError
from bench.studies import options as study


def parser() -> argparse.ArgumentParser:
    main = argparse.ArgumentParser(prog="python -m bench", description="When does attention beat convolutions and MLPs?")
    commands = main.add_subparsers(dest="command", required=True)

    listing = commands.add_parser("list", help="the grid: every cell, or why it cannot be")
    training.add(listing, "--models")
    listing.add_argument("--datasets", help="names or patterns, comma-separated; '*' includes those that need a data root or a package")
    listing.add_argument("--budget", default="default", help="smoke, default, paper, … (default: default)")
    training.add(listing, "--untuned", "--set", "--samples")
    listing.add_argument("--learn", metavar="DIR", help="write what cells are expected to take, from the runs in a results folder")
    listing.add_argument("--budgets", action="store_true", help="list budgets and their recipes instead")
    grid.plugin_option(listing)
    listing.add_argument("--json", action="store_true", help="print facts for machines")
    listing.set_defaults(run=list_)

    running = commands.add_parser("run", help="train what is missing and write tables, as pytest bench/test_training.py does; resumes")
    training.add(running)
    running.set_defaults(run=run_)

    tuning = commands.add_parser("tune", help="choose learning rate and weight decay of cells on val, alike for every model; resumes")
    training.add(tuning, "--models", "--datasets", "--data", "--plugin")
    tuning.add_argument("--trials", default="8", metavar="N", help="recipes to try, the plain one first (default: 8)")
    tuning.add_argument("--budget", default="default", help="a trial is a third of it (default: default)")
    tuning.add_argument("--results", default=str(machine.LOCAL), metavar="DIR", help="where trials go (default: results/local)")
    tuning.add_argument("--workers", metavar="N", help="processes (default: as many as cores and memory permit)")
    tuning.set_defaults(run=tune_)

    rebuild = commands.add_parser("report", help="rebuild tables and plots from the store, offline, without training")
    rebuild.add_argument("--results", default=str(machine.LOCAL), metavar="DIR", help="the store to read (default: results/local)")
    grid.plugin_option(rebuild)
    rebuild.add_argument("--tables", action="store_true", help="tables only; pictures stay as they are")
    machine_option(rebuild)
    rebuild.add_argument("--json", action="store_true", help="print the rows of comparison.csv as JSON, and write nothing")
    rebuild.set_defaults(run=report_)

    verdicts = commands.add_parser("claims", help="which published figures hold: counted now, or from the store; never trains")
    verdicts.add_argument("--results", metavar="DIR", help="the store to read and to write claims.md to; default: all reference results")
    verdicts.add_argument("--claims", default=str(ledger.FILE), metavar="FILE", help="another ledger than bench/claims/claims.toml")
    grid.plugin_option(verdicts)
    verdicts.add_argument("--json", action="store_true", help="print the rows of claims.csv as JSON")
    verdicts.set_defaults(run=claims_)

    standing = commands.add_parser("probe", help="which stored runs still stand under today's code; trains nothing")
    standing.add_argument("--results", default=str(machine.LOCAL), metavar="DIR", help="the store (default: results/local)")
    standing.add_argument("--data", metavar="ROOT", help="where real data lie; without them random samples are probed")
    standing.add_argument("--workers", metavar="N", help="processes (default: as many as cores and memory permit)")
    grid.plugin_option(standing)
    standing.set_defaults(run=probe_)

    study.add(commands, study_)
    figures.add(commands)
    compare.add(commands)

    one_page = commands.add_parser("page", help="rebuild DIR/index.html, the page with everything, offline, without training")
    one_page.add_argument("--results", default=str(machine.LOCAL), metavar="DIR", help="the store to read (default: results/local)")
    grid.plugin_option(one_page)
    machine_option(one_page)
    one_page.set_defaults(run=page_)
    gate.add(commands)

    merging = commands.add_parser("merge", help="copy records of other results folders into one; never changes what is there")
    merging.add_argument("folders", nargs="+", metavar="DIR", help="results folders, made anywhere")
    merging.add_argument("--results", required=True, metavar="OUT", help="where to; made if it is not there")
    merging.add_argument("--brief", action="store_true", help="of samples that other seeds do not share only the first seed's answers")
    merging.set_defaults(run=merge_)

    name = commands.add_parser("machine", help="this machine's short name and what a run records about it")
    name.add_argument("--json", action="store_true", help="all that a run records about it")
    name.set_defaults(run=machine_)

    front = commands.add_parser("reference", help="rebuild results/README.md, and what README.md and docs/ quote of the results")
    front.set_defaults(run=reference_)
    settings.give(commands.choices)
    return main


def machine_option(command: argparse.ArgumentParser) -> None:
    command.add_argument("--machine", metavar="NAME", help="whose latencies and training seconds to show (default: the one with most)")


def list_(options: argparse.Namespace) -> int:
    from bench.plan import listing

    return listing.run(options)


def run_(options: argparse.Namespace) -> int:
    from bench.page import build as page
    from bench.page.growing import Growing
    from bench.report import report
    from bench.run import command
    from bench.tables.formatting import cell_line

    return command.run(
        options,
        lambda cell, one: cell_line(cell.model, cell.dataset, one.status, one.reason, one.runs, one.trained, one.seconds),
        Growing,
        lambda store: [f"report: {report.write(store, lambda text: print(text, file=sys.stderr))}", page.told(store)],
    )


def as_json(facts: Any) -> str:
    """For other programs: strict JSON, null for what is not finite."""
    return json.dumps(finite(facts), indent=1, allow_nan=False)


def tune_(options: argparse.Namespace) -> int:
    from bench.report import tuning
    from bench.run import tuner

    return tuner.run(options, tuning.write)


def study_(options: argparse.Namespace) -> int:
    from bench.report import studied
    from bench.studies import command

    return command.run(options, lambda store: f"study: {studied.write(store, options.name)}")


def report_(options: argparse.Namespace) -> int:
    from bench.report import report

    store = opened(options.results)
    if options.json:
        print(as_json(report.facts(store, options.machine)))
        return 0
    path = report.write(store, lambda text: print(text, file=sys.stderr), not options.tables, options.machine)
    print(f"report: {path}")
    return 0


def page_(options: argparse.Namespace) -> int:
    from bench.page import build as page

    print(f"page: {page.write(opened(options.results), options.machine)}")
    return 0


def probe_(options: argparse.Namespace) -> int:
    from bench.run import confirm

    return confirm.run(opened(options.results), options.results, options.data, options.workers, options.plugin)


def claims_(options: argparse.Namespace) -> int:
    from bench.claims import page as claims
    from bench.claims import wording
    from bench.claims.evidence import Evidence
    from bench.report import reference

    whole = ledger.read(grid.located(options.claims))
    folder = machine.ROOT / "results" if options.results is None else grid.located(options.results)
    if not folder.is_dir():  # one without runs will do: parameters are counted on the spot
        raise grid.RequestError(f"no results in {options.results}: it is no folder; leave --results out for those committed")
    evidence = Evidence(reference.stores(folder) if options.results is None else [Store(folder)])
    found = claims.judged(whole, evidence)
    written = claims.write(folder, whole, found, evidence, machine.REFERENCE if options.results is None else folder)
    if options.json:
        print(as_json(claims.facts(found)))
    else:
        print(f"{claims.terminal(whole, found)}\nclaims: {written}")
    surprises = [one for one in found if one.surprising]
    for one in surprises:
        said = f"{wording.subject(one.claim)}: {wording.measured(one.found.value, one.claim)} {one.why}".strip()
        print(f"attention-bench: {whole.name}:{one.claim.line}: {one.verdict}, expected: {one.claim.expect}: {said}", file=sys.stderr)
    return 1 if surprises else 0


def machine_(options: argparse.Namespace) -> int:
    print(json.dumps({"slug": machine.slug(), **machine.facts()}, indent=1) if options.json else machine.slug())
    return 0


def merge_(options: argparse.Namespace) -> int:
    from bench.store import merge

    folders = [grid.located(name) for name in options.folders]
    for name, folder in zip(options.folders, folders, strict=True):
        if not merge.is_results(folder):
            raise grid.RequestError(f"no results in {name}: it has none of the folders {', '.join(merge.FOLDERS)}")
    store = Store(grid.located(options.results))
    store.writable()
    merged = merge.merge(folders, store, options.brief)
    for name, why in merged.refused.items():
        print(f"attention-bench: refused {name}: {why}", file=sys.stderr)
    for name in merged.kept:
        print(f"kept as it is, the same numbers: {name}")
    print(f"{len(merged.copied)} records copied, {len(merged.kept)} there already with the same numbers, {len(merged.refused)} refused")
    return 1 if merged.refused else 0


def reference_(options: argparse.Namespace) -> int:
    from bench.page import quoted

    print(f"reference: {quoted.write(machine.ROOT)}")
    return 0


def main(arguments: list[str] | None = None) -> int:
    terminal.speak()
    try:
        options = parser().parse_args(arguments)
        settings.plug(options)
        for file in getattr(options, "plugin", []) if options.command != "gate" else []:  # the gate imports two of them, apart
            grid.plugin(file)
        code = int(options.run(options))
        sys.stdout.flush()
        return code
    except (grid.RequestError, StoreError) as error:
        print(f"attention-bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader has seen enough: `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
