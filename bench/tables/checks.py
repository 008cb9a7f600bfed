"""Whether the family's verdicts stand at half the budget, half the width, twice the depth, at the second best rates that tuning
tried, and with inputs cut alike for all: the same mixers as variants of themselves.

    python -m bench run --models 'backbone_*@samples=0.5x' --datasets SET --budget reference --seeds 5
    python -m bench run --models 'backbone_*[dim=32]' --datasets SET --budget reference --seeds 5
    python -m bench run --models 'backbone_*[depth=4]' --datasets SET --budget reference --seeds 5
    python -m bench run --models 'backbone_*[patch=4]' --datasets SET --budget reference --seeds 5
    python -m bench run --models backbone_mlp@lr=0.0894@weight_decay=0.00012 --datasets SET --budget reference --seeds 5

Where all ran at both cuts, val chose between them for each mixer, see cuts.py; a check is then of what was chosen.
Depth says whether a mixer that reaches near lacked no more than layers. A verdict *stands* where the check says the same word and
*flips* where both are decided and differ; it *falls* where the check cannot tell and the two intervals do not meet, so that the
difference is not the same; else one of them cannot tell. These scores change no verdict and no choice among variants.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import datasets
import models
from bench.plan import applied, tuned
from bench.plan.tuned import Tuned
from bench.tables import cuts
from bench.tables.converged import count
from bench.tables.family import HALF_BUDGET, HALF_WIDTH, MIXERS, OTHERS, TWICE_DEPTH
from bench.tables.formatting import markdown
from bench.tables.headline import LONGER, RANKED, SMOKE, asks, listed, sentences, smoke, told
from bench.tables.rows import Row
from bench.tables.sections import shown
from bench.tables.verdict import OPEN, Verdict, on
from models.naming import plain

NEXT = "the second best rates tried"
STANDS, FLIPS, FALLS, UNSURE = "stands", "flips", "falls", "one of them cannot tell"
WAYS = {
    "half the budget": lambda row: HALF_BUDGET,
    "half the width": lambda row: f"[dim={HALF_WIDTH[row.dataset]}]",
    "twice the depth": lambda row: f"[depth={TWICE_DEPTH[row.dataset]}]",
    NEXT: lambda row: next_rates(row),
}
CUTS = {
    "the task's tokens for all": lambda dataset: "",
    "another size of tokens for all": cuts.otherwise,
}


@dataclass(frozen=True)
class Check:
    """A verdict of the family and the one of the same comparison in one of `WAYS`."""

    way: str
    whole: Verdict
    varied: Verdict

    @property
    def outcome(self) -> str:
        """'' where the variants have no verdict."""
        if not self.varied.word:
            return ""
        if self.varied.word == self.whole.word:
            return STANDS
        if OPEN not in (self.varied.word, self.whole.word):
            return FLIPS
        apart = self.varied.high < self.whole.low or self.whole.high < self.varied.low
        return FALLS if apart and self.whole.word != OPEN else UNSURE


def rates(row: Row) -> set[tuple[float, float]]:
    """Learning rates and weight decays of a row's runs: one of each."""
    return {(run["budget"].get("lr"), run["budget"].get("weight_decay")) for run in row.runs}


def outcome_of_tuning(row: Row) -> Tuned | None:
    """What tuning found for a row's model, or the nearest of its sizes; None where nothing was tuned, or a file does not import."""
    if row.dataset not in datasets.names() or plain(row.model) not in models.names():
        return None
    path = tuned.home(applied.nearest(row.model, row.dataset), row.dataset)
    return tuned.read(path) if path.is_file() else None


def next_rates(row: Row) -> str:
    """The best rates that tuning tried for a row's model and did not choose, as a change of its recipe; '' where nothing else was tried."""
    if (found := outcome_of_tuning(row)) is None:
        return ""
    others = [trial for trial in found.trials if (trial.lr, trial.weight_decay) not in rates(row)]
    best = tuned.choose(others, found.better)
    return "" if best is None else f"@lr={float(others[best].lr)}@weight_decay={float(others[best].weight_decay)}"


def names(way: str, dataset: str, chosen: dict[str, Row]) -> dict[str, str]:
    """Of which rows a verdict is checked in a way, by name: which mixer each stands for. None where those are the verdict's own."""
    if way in CUTS:
        found = {mixer + CUTS[way](dataset): mixer for mixer in chosen}
    else:
        found = {changed(row.model, WAYS[way](row)): mixer for mixer, row in chosen.items()}
    return found if any(chosen[mixer].model != name for name, mixer in found.items()) else {}


def changed(name: str, change: str) -> str:
    """The name of a variant with one more `change`, `[dim=16]` or `@samples=0.5x`, as names are written: width and depth come first."""
    return name.replace("[", f"{change[:-1]},") if name.endswith("]") and change.startswith("[") else name + change


def fair(way: str, row: Row, whole: Row) -> bool:
    """Whether a row has the rates that a check is made at: the verdict's own, since tuning may have changed; a cut those tuned for it."""
    return way == NEXT or rates(row) == rates(whole) or (way in CUTS and row.tuned == whole.tuned == "yes")


def judged(table: Sequence[Row], compared: Sequence[Verdict]) -> dict[str, dict[str, Row]]:
    """The mixers' rows that verdicts rest on, by data set: of those that have one."""
    sections = shown(table)
    return {
        dataset: {name: row for name, row in cuts.compared(dataset, sections[dataset]).items() if name in MIXERS and row.values}
        for dataset in dict.fromkeys(one.dataset for one in compared if one.word)
    }


def check(table: Sequence[Row], compared: Sequence[Verdict]) -> list[Check]:
    """Every verdict that the family has, in each way in which its mixers were also run."""
    found, judged_ = [], judged(table, compared)
    for way in (*WAYS, *CUTS):
        for dataset, chosen in judged_.items():
            whole = {one.other: one for one in compared if one.dataset == dataset and one.word}
            budgets = {one.budget for one in whole.values()}
            here = [row for row in table if row.dataset == dataset and row.budget in budgets]
            asked = names(way, dataset, chosen)
            own = [row for row in here if row.model in asked and fair(way, row, chosen[asked[row.model]])]
            varied = on(dataset, [replace(row, model=asked[row.model], values=cuts.scores(row), tuned="yes") for row in own])  # see fair
            found += [Check(way, whole[one.other], one) for one in varied if one.other in whole and one.n]
    return found


def where(found: Sequence[Check]) -> str:
    """'convolution and MLP on shapes; MLP on digits'."""
    sets: dict[str, list[str]] = defaultdict(list)
    for one in found:
        sets[one.whole.dataset].append(OTHERS[one.whole.other])
    return "; ".join(f"{listed(others)} on {dataset}" for dataset, others in sets.items())


def sentence(found: Sequence[Check]) -> str:
    """What the headline says of it, a line for each way, '' where nothing was checked."""
    lines = []
    for way in (*WAYS, *CUTS):
        said = [one for one in found if one.way == way and one.outcome]
        stand = [one for one in said if one.outcome == STANDS]
        undecided = sum(one.whole.word == OPEN for one in stand)
        parts = [f"{len(stand)} of {len(said)} verdicts stand" + "s" * (len(stand) == 1)]
        if undecided:
            parts[0] += f" ({undecided} of them as *cannot tell*)"
        falls = [one for one in said if one.outcome == FALLS]
        if falls:
            parts.append(f"{len(falls)} fall{'s' * (len(falls) == 1)} ({where(falls)}): another difference, the intervals do not meet")
        for those, word in (
            ([one for one in said if one.outcome == UNSURE and one.varied.word == OPEN], "cannot be told any more"),
            ([one for one in said if one.outcome == UNSURE and one.whole.word == OPEN], "could not be told before"),
            ([one for one in said if one.outcome == FLIPS], "flips" if sum(one.outcome == FLIPS for one in said) == 1 else "flip"),
        ):
            if those or word == "flip":
                parts.append(f"{len(those)} {word}" + (f" ({where(those)})" if those else ""))
        if said:
            lines.append(f"at {way}, on {listed(list(dict.fromkeys(one.whole.dataset for one in said)))}, {listed(parts)}")
    return "\n- ".join(["Checked with fewer seeds:", *lines]) if lines else ""


def ends(mixers: dict[str, dict[str, Row]]) -> str:
    """Which rates of `judged` rows are the last ones that tuning tried, '' if none: a better one may lie beyond."""

    def last(row: Row) -> bool:
        choice = outcome_of_tuning(row)
        return choice is not None and bool(choice.end) and rates(row) == {choice.rates}

    found = {dataset: [OTHERS.get(name, "attention") for name, row in rows.items() if last(row)] for dataset, rows in mixers.items()}
    where_ = "; ".join(f"{listed(those)} on {dataset}" for dataset, those in found.items() if those)
    return f"The best learning rate was the last one that tuning tried for {where_}: a better one may lie beyond." if where_ else ""


def unfinished(mixers: dict[str, dict[str, Row]]) -> str:
    """Which runs of `judged` rows had not converged, '' if all had."""
    found = {
        dataset: [f"{OTHERS.get(name, 'attention')} {n} of {len(row.runs)}" for name, row in rows.items() if (n := count(row.runs))]
        for dataset, rows in mixers.items()
    }
    where_ = "; on ".join(f"{dataset} {listed(those)}" for dataset, those in found.items() if those)
    return f"Still improving when training ended, by more than the margin: of seeds on {where_}." if where_ else ""


def answer(table: Sequence[Row], compared: Sequence[Verdict], found: Sequence[Check]) -> list[str]:
    """The paragraphs on quality that results begin with: the answer, then how far it reaches and what was checked of it. Smoke runs
    and studies of something else answer nothing, and say so."""
    if smoke(table):
        return [f"{SMOKE}.", LONGER]
    if not asks(table):
        return [RANKED]
    first, second = sentences(compared)
    for way in (*WAYS, *CUTS):
        ours = [one for one in found if one.way == way and not (way in CUTS and one.whole.sizes)]  # else val chose
        if those := [one for one in ours if one.outcome in (FALLS, FLIPS)]:
            first += f"\n- fares otherwise at {way}, against {where(those)}: that much hangs on a choice of ours"
    mixers = judged(table, compared)
    return [first, " ".join(filter(None, [second, ends(mixers), unfinished(mixers), sentence(found)]))]


def page(found: Sequence[Check]) -> str:
    """A table, a line for each comparison that was checked."""
    return markdown(
        [
            {
                "data set": one.whole.dataset,
                "attention against": OTHERS[one.whole.other],
                "verdict": told(one.whole),
                "at": one.way,
                "says": told(one.varied),
                "so it": one.outcome or "is not checked",
            }
            for one in found
        ]
    )
