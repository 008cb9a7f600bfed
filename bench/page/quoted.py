"""What README.md and docs/ quote of the reference results, written anew by `python -m bench reference`.

<!-- computed: beside vit cnn -->   the name of a function of QUOTES, and its words
…                                   what it says, replaced
<!-- end -->
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from bench.page.view import ledger
from bench.page.words import WORDS
from bench.plan.request import RequestError
from bench.plan.tuned import FOLDER, read
from bench.report import reference, studied, studies, tuning
from bench.store.records import Store
from bench.tables import checks, lengths, routes
from bench.tables.family import MIXERS
from bench.tables.formatting import between, markdown, number, quality
from bench.tables.rows import LATENCY, Row
from bench.tables.scales import called, scale
from bench.tables.sections import shown

MARK = re.compile(r"(<!-- computed: ([\w ]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
AT_64 = LATENCY.replace("_b1_", "_b64_")
QUOTES: dict[str, Callable[..., str]] = {}


class Results:
    """The results below a folder, each file read once, and only if a page quotes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stores: list[Store] = reference.stores(folder)

    @cached_property
    def rows(self) -> dict[str, list[Row]]:
        return reference.every(self.folder)

    @cached_property
    def sections(self) -> dict[str, dict[str, list[Row]]]:
        return {name: shown(table) for name, table in self.rows.items()}


def quote(function: Callable[..., str]) -> Callable[..., str]:
    QUOTES[function.__name__] = function
    return function


@quote
def answer(results: Results) -> str:
    """Where attention wins and loses, and what it costs; results/README.md begins with the whole."""
    quality = reference.findings(results.folder, results.rows)[0].split("\n\n")[0]
    return "\n\n".join([quality, *(said for store in results.stores for said in studied.sentences(store, "length"))])


@quote
def checked(results: Results) -> str:
    """Which verdicts stand where the same comparison is made otherwise."""
    return checks.sentence(checks.check(*reference.decisive(results.rows))) or "Nothing was checked yet."


def alike(row: Row) -> tuple[str, ...]:
    """What two models must share for their scores to stand side by side."""
    return (row.dataset, *row.terms, row.conditions, row.tuned)


@quote
def beside(results: Results, a: str, b: str) -> str:
    """Two models wherever both were trained alike, smoke runs left out."""
    lines, ahead = [], 0
    for name, table in results.rows.items():
        scored = {(row.model, *alike(row)): row for row in table if row.values and row.budget != "smoke"}
        for first in (row for (model, *_), row in scored.items() if model == a):
            second = scored.get((b, *alike(first)))
            if second is None or first.value is None or second.value is None:
                continue
            more = first.value.mean - second.value.mean
            ahead += (more > 0) if first.metric.better == "higher" else (more < 0)
            section = f"[{first.dataset}](../results/{name}/README.md#{first.dataset})"
            values = {f"`{row.model}`": quality(row.value, row.metric) for row in (first, second)}
            seeds = between([len(first.values), len(second.values)])
            lines.append({"data set": section, "budget": first.budget, "metric": called(first.metric), **values, "seeds": seeds})
    if not lines:
        return f"`{a}` and `{b}` have not been trained alike on any data set yet."
    cells = f"{len(lines)} cell{'s' * (len(lines) != 1)}"
    said = f"The mean of `{a}` is better than that of `{b}` in {ahead} of {cells} that both were trained on alike; no verdicts:"
    return f"{said}\n\n{markdown(lines)}"


@quote
def cost(results: Results, a: str, b: str, dataset: str) -> str:
    """What one model computes and takes, over another."""
    for table in results.rows.values():
        timed = {row.model: row for row in table if row.dataset == dataset and LATENCY in row.latency and row.costs.get("flops")}
        if a in timed and b in timed:
            own, its = timed[a], timed[b]
            flops = number((own.costs["flops"] or 0) / (its.costs["flops"] or 1))
            once, many = (number(own.latency[at] / its.latency[at]) for at in (LATENCY, AT_64))
            mine, theirs = (f"{row.latency[LATENCY.replace('p50_ms', 'operators')]:.0f}" for row in (own, its))
            return (
                f"On `{dataset}` `{a}` computes {flops} × the FLOPs of `{b}`. A forward pass takes {once} × its time at batch 1, and"
                f" {many} × at batch 64 (one thread of {own.machine}); it dispatches {mine} operators, `{b}` {theirs}."
            )
    return f"`{a}` and `{b}` have not both been timed on `{dataset}` yet."


@quote
def length(results: Results) -> str:
    """From how many tokens on attention costs more than convolution, for each kind of work, and its FLOPs there."""
    said = []
    for record in (record for store in results.stores for record in lengths.read(store)):
        found = lengths.medians(record["rows"])
        for work in lengths.WORKS:
            ratios = lengths.log_ratios(found, studies.CONV, *work)
            if len(ratios) > 1:
                last = studies.line(record, found, work, max(ratios), [])["FLOPs × convolution"]
                clause = f"{studies.said(lengths.crossing(ratios), studies.CONV, ratios)}; {studies.ends(ratios)} for {last} the FLOPs"
                said.append(f"- {studies.doing(*work)}: {clause}")
    return "\n".join(said) or "Nothing has been timed yet."


@quote
def clock(results: Results) -> str:
    """By how much two timings of the same thing differ."""
    found = [studies.noise(lengths.medians(record["rows"])) for store in results.stores for record in lengths.read(store)]
    told = [f"{number(100 * one[0], 2)} % (median; {number(100 * one[1], 2)} % at most)" for one in found if one]
    return f"In the study of length, attention timed twice differed from itself by {', '.join(told)}." if told else "Not measured yet."


@quote
def grown(results: Results) -> str:
    """What the studies of data and distance found."""
    return "\n".join(f"- {said}" for store in results.stores for said in studied.sentences(store, "data", "distance")) or "Not studied yet."


@quote
def tuned(results: Results, *sets: str) -> str:
    """What tuning gained on val over the plain recipe, and how far tuned mixers lie apart on test, a line for each data set."""
    return "\n".join(f"- {tuned_on(results, dataset)}" for dataset in sets)


def tuned_on(results: Results, dataset: str) -> str:
    found = [read(path) for path in sorted((FOLDER / dataset).glob("*.json"))]
    own = [row for sections in results.sections.values() for row in sections.get(dataset, []) if row.tuned == "yes" and row.value]
    means = [row.value.mean for row in own if row.value and row.model in MIXERS]
    if not found or len(means) < 2:
        return f"`{dataset}` has not been tuned and trained yet."
    near = sum(one.trials[0] in tuning.near(one) for one in found)
    metric, tried = own[0].metric, max(len(one.trials) for one in found)
    if scale(metric).ratio:
        factor = max(one.trials[0].val / one.best.val for one in found if one.trials[0].val and one.best.val)
        gained = f"divided the {called(metric)} on val by up to {number(factor, 2)}, from what the plain recipe gives"
        apart = f"the best one's error is {number(min(means) / max(means), 2)} × that of the worst"
    else:
        gains = max(tuning.lost(one, one.trials[0]) for one in found), float(np.ptp(means))
        most, gap = (f"{number(100 * value, 2)} points" if metric.percent else f"{number(value, 2)} {called(metric)}" for value in gains)
        gained, apart = f"gained at most {most} of val over the plain recipe", f"they lie {gap} apart"
    return (
        f"On `{dataset}` up to {tried} trials {gained}, which was as good as the best for all we know in {near} of {len(found)} models."
        f" On test, tuned, of {len(means)} mixers {apart}."
    )


@quote
def samples(results: Results) -> str:
    """After how many training samples each mixer has learned a route."""
    lines = []
    for sections in results.sections.values():
        found = {place: one for place, one in routes.reached(sections).items() if one.budget != "smoke"}
        for route in dict.fromkeys(route for _, route in found):
            own = {name: found[model, route] for model, name in routes.NAMES.items() if (model, route) in found}
            told = {name: "never" if one.samples is None else f"{one.samples:,.0f}" for name, one in own.items()}
            lines.append({"route": f"`{route}`: {routes.ROUTES[route]}", **told})
    said = f"Samples seen until R² on val reached {routes.HALFWAY:g}, the median over seeds:"
    return f"{said}\n\n{markdown(lines)}" if lines else "No route has been run yet."


@quote
def claims(results: Results) -> str:
    """How many published figures hold."""
    said, held = [], ledger(results.folder)
    for ours, whose in ((False, "published figures"), (True, "counts of our own")):
        counted = Counter(one["verdict"] for one in held if bool(one["ours"]) is ours)
        if counted:
            said.append(f"Of {counted.total()} {whose}: {', '.join(f'{word} {n}' for word, n in counted.most_common())}.")
    return " ".join(said) or "None has been judged yet."


@quote
def words(results: Results) -> str:
    """What the page explains, the words that it and these pages share."""
    return markdown([{"word": f"**{word}**", "meaning": meaning} for word, meaning in WORDS.items()])


def filled(text: str, results: Results, name: str) -> str:
    """A page with all that it quotes written anew. RequestError, with the page's name, for a mark that asks for what there is not."""

    def said(found: re.Match[str]) -> str:
        head, asked, _, end = found.groups()
        function, *words = asked.split()
        try:
            inspect.signature(QUOTES[function]).bind(results, *words)
        except (KeyError, TypeError):
            raise RequestError(f"{name}: nothing computes {asked!r}; bench/page/quoted.py has {', '.join(QUOTES)}") from None
        return f"{head}{QUOTES[function](results, *words)}\n{end}"

    if text.count("<!-- computed:") != len(MARK.findall(text)):
        raise RequestError(f"{name}: a mark <!-- computed: … --> has no <!-- end -->")
    return MARK.sub(said, text)


def pages(root: Path) -> list[Path]:
    """Those that quote."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def write(root: Path) -> Path:
    """Rebuild results/README.md of a checkout, whose path it returns, and what other pages quote of the results."""
    results = Results(root / "results")
    for page in pages(root):
        text = page.read_text(encoding="utf-8")
        page.write_bytes(filled(text, results, page.name).encode())
    return reference.write(results.folder, results.rows)
