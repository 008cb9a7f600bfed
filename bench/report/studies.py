"""The page and picture of the study of length: what attention costs as inputs grow, from its record alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from bench.core.stats import Interval
from bench.report import growth
from bench.report.plots import GREY, STYLE, headed, small
from bench.store.records import Record
from bench.tables.formatting import amount, markdown, number
from bench.tables.lengths import (
    CONV,
    PLAIN,
    REFERENCE,
    STEP,
    TWIN,
    WORKS,
    Crossing,
    Medians,
    crossing,
    log_ratios,
    medians,
    missing,
    over_processes,
)
from bench.tables.look import of_families

TIMES = "× its time"
WIDTH, PANEL, FOOT = 11.0, 2.15, 1.0  # inches


def named(model: str) -> str:
    """As people call it."""
    return "attention, again" if model == TWIN else growth.named(model)


def doing(work: str, batch: int) -> str:
    return f"{work}, batch {batch}"


def ratio(value: Interval) -> str:
    return f"{number(value.mean)} × [{number(value.low)}, {number(value.high)}]"


def said(found: Crossing, other: str, ratios: dict[int, np.ndarray]) -> str:
    """From how many tokens on attention costs more than another mixer, as a clause."""
    first, last = min(ratios), max(ratios)
    if found.side == "below":
        return f"attention costs more than {named(other)} from {first} tokens or fewer"
    if found.side == "beyond":
        return f"attention costs no more than {named(other)} up to {last:,} tokens"
    if found.side == "unclear":
        sure = [f"less than {named(other)} up to {found.low:,.0f} tokens"] * (not math.isnan(found.low))
        sure += [f"more than {named(other)} from {found.tokens:,.0f} tokens on"] * (not math.isnan(found.tokens))
        if not sure:
            return f"whether attention costs more than {named(other)} cannot be told within {first} to {last:,} tokens"
        return f"attention costs {' and '.join(sure)} for certain; else it cannot be told"
    inside = f"95 % interval {number(found.low, 2)} to {number(found.high, 2)}"
    return f"attention costs more than {named(other)} from {number(found.tokens, 2)} tokens on ({inside})"


def brief(ratios: dict[int, np.ndarray]) -> str:
    """The same for a table: attention's price at the ends, and from where on it is more than 1; '' if too little was timed."""
    if len(ratios) < 2:
        return ""
    found, places = crossing(ratios), []
    if found.side in ("below", "beyond"):
        places = ["more at every length" if found.side == "below" else "more at no length"]
    elif found.side == "unclear":
        places = [f"less up to {found.low:,.0f} tokens"] * (not math.isnan(found.low))
        places += [f"more from {found.tokens:,.0f} tokens on"] * (not math.isnan(found.tokens))
    else:
        places = [f"more from {number(found.tokens, 2)} tokens on [{number(found.low, 2)}, {number(found.high, 2)}]"]
    return f"{', '.join(places) or 'cannot be told'}: {ends(ratios).replace(TIMES, '×')}"


def ends(ratios: dict[int, np.ndarray]) -> str:
    """What it is at the smallest and the largest length."""
    first, last = (f"{number(over_processes(list(ratios[length])).mean, 2)}" for length in (min(ratios), max(ratios)))
    return f"{first} {TIMES} at {min(ratios):,} and {last} × at {max(ratios):,}"


def clauses(record: Record, work: tuple[str, int]) -> list[str]:
    """From where on attention costs more than each other model at one kind of work, and how much at the largest length."""
    others = [name for name in record["settings"]["models"] if name != REFERENCE]
    found = {other: log_ratios(medians(record["rows"]), other, *work) for other in others}
    return [f"{said(crossing(ratios), other, ratios)}; {ends(ratios)}" for other, ratios in found.items() if len(ratios) > 1]


def finding(record: Record, work: tuple[str, int] = WORKS[0]) -> str:
    """Attention's price against convolution at one kind of work, in a clause; empty if too little was timed."""
    ratios = log_ratios(medians(record["rows"]), CONV, *work)
    return f"{doing(*work).capitalize()}: {said(crossing(ratios), CONV, ratios)}, {ends(ratios)}" if len(ratios) > 1 else ""


def price(record: Record) -> str:
    """The answer on cost, a sentence for each kind of work on signals as they are."""
    found = ". ".join(filter(None, (finding(record, work) for work in WORKS if work[0] in PLAIN)))
    return f"{found} (one thread of {record['machine']['slug']})." if found else ""


def noise(found: Medians) -> tuple[float, float] | None:
    """By how much two models that are the same differ in the clock: median and largest of |ratio - 1| over all rounds."""
    off = [abs(math.exp(float(np.mean(logs))) - 1) for work in WORKS for logs in log_ratios(found, TWIN, *work).values()]
    return (float(np.median(off)), max(off)) if off else None


def line(record: Record, found: Medians, work: tuple[str, int], length: int, others: Iterable[str]) -> dict[str, str]:
    """A row of the table: attention at one length, and its price against each other model."""
    counts = {one["model"]: one for one in record["counts"] if (one["work"], one["batch"], one["length"]) == (*work, length)}

    def more(name: str, other: str) -> str:
        own, its = (counts.get(model, {}).get(name) for model in (REFERENCE, other))
        return f"{number(own / its)} ×" if own and its else ""

    own = counts.get(REFERENCE, {})
    told = {"tokens": f"{length:,}", "attention, ms": number(float(np.median(found[REFERENCE, length, *work])))}
    for other in others:
        logs = log_ratios(found, other, *work).get(length)
        told[f"× {named(other)}"] = "" if logs is None else ratio(over_processes(list(logs)))
    told |= {"FLOPs a sample": amount(own.get("flops")), "FLOPs × convolution": more("flops", CONV)}
    if work[0] == STEP:
        told |= {"MB": number(own["peak_bytes"] / 2**20) if own.get("peak_bytes") else "", "MB × convolution": more("peak_bytes", CONV)}
    return told


def text(record: Record, picture: str) -> str:
    """The page of one machine's study."""
    found = medians(record["rows"])
    others = [name for name in record["settings"]["models"] if name != REFERENCE]
    settings = record["settings"]
    parts = [
        f"# What attention costs as inputs grow, on {record['machine']['slug']}",
        price(record),
        f"![attention's time over that of other mixers, against tokens]({picture})",
        "Backbones of the grid's own size on a signal of as many samples as tokens, or an image of as many pixels, one thread."
        f" {settings['processes']} processes took"
        " turns; a ratio is of one process and one moment, brackets are 95 % intervals over processes. *Training step*: forward, loss,"
        " backward and AdamW; MB are tensors alive at its worst moment, counted. *Compiled*: by torch.compile, attention and convolution"
        " alone, without the time to compile.",
    ]
    if off := noise(found):
        parts.append(
            f"The clock's own error: attention timed twice differed from itself by {number(100 * off[0], 2)} % (median of"
            f" {sum(len(log_ratios(found, TWIN, *work)) for work in WORKS)} rounds) and {number(100 * off[1], 2)} % at most."
        )
    for work in WORKS:
        lengths = sorted(length for model, length, *rest in found if model == REFERENCE and tuple(rest) == work)
        if not lengths:
            continue
        beside = [other for other in others if log_ratios(found, other, *work)]
        table = markdown([line(record, found, work, length, beside) for length in lengths])
        parts += [f"## {doing(*work).capitalize()}", "\n".join(f"- {clause}" for clause in clauses(record, work)), table]
    reasons = [
        f"- {named(one['model'])}, {one['length']:,} tokens, {doing(one['work'], one['batch'])}: {one['reason']}"
        for one in record["rows"]
        if one["reason"]
    ]
    if left := missing(record):
        rounds = ", ".join(f"{length:,} tokens, {doing(work, batch)}" for work, batch, length in left)
        parts.append(f"Not timed yet: {rounds}.")
    return "\n\n".join([part for part in parts if part] + (["## Not timed", "\n".join(reasons)] if reasons else [])) + "\n"


def panel(axes: Axes, found: Medians, others: Sequence[str], work: tuple[str, int]) -> None:
    """Attention's time over each other's, against tokens, with bands; where it passes 1 is marked."""
    axes.axhline(1, color="#555555", lw=0.9)
    look = of_families(dict.fromkeys(others, "other"))
    for other in others:
        ratios = log_ratios(found, other, *work)
        if not ratios:
            continue
        lengths = list(ratios)
        bands = [over_processes(list(logs)) for logs in ratios.values()]
        ink, dashes = (GREY, (1, 2)) if other == TWIN else (look[other].colour, look[other].dashes)
        label = "itself, timed again" if other == TWIN else named(other)
        axes.plot(lengths, [one.mean for one in bands], color=ink, ls=(0, dashes) if dashes else "-", lw=1.5, label=label)
        axes.fill_between(lengths, [one.low for one in bands], [one.high for one in bands], color=ink, alpha=0.15, lw=0)
        if other != TWIN and not (cross := crossing(ratios)).side:
            axes.plot(cross.tokens, 1, "o", ms=4.5, color=ink, mec="white", mew=0.6, zorder=4)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.xaxis.set(major_locator=LogLocator(4), major_formatter="{x:,.0f}", minor_locator=NullLocator())
    axes.yaxis.set(major_formatter="{x:g}", minor_locator=NullLocator())
    axes.set_title(doing(*work), fontsize=8.5)
    axes.set_xlabel("tokens")


@matplotlib.rc_context(STYLE)
def picture(record: Record) -> bytes:
    """A panel for each kind of work, titled by what was found at batch 1."""
    found = medians(record["rows"])
    others = [*(name for name in record["settings"]["models"] if name != REFERENCE), TWIN]
    works = [work for work in WORKS if any(tuple(rest) == work for _, _, *rest in found)]
    title = finding(record) or "Too few lengths were timed"
    told = f"On {record['machine']['slug']}, one thread; bands: 95 % intervals over processes; dots, if any: from here attention costs more"
    figure, _ = headed(WIDTH, 0.3 + PANEL + FOOT, title, told)
    panels = figure.subplots(1, max(1, len(works)), sharey=True, squeeze=False)[0]
    for axes, work in zip(panels, works, strict=False):
        panel(axes, found, others, work)
    panels[0].set_ylabel("attention's time, ×\n↑ attention costs more", fontsize=8)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=max(1, len(labels)), frameon=False, fontsize=8, title="over that of")
    height = figure.get_figheight()
    figure.subplots_adjust(left=0.08, right=0.99, top=(PANEL + FOOT) / height, bottom=FOOT / height, wspace=0.08)
    return small(figure)
