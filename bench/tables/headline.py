"""Verdicts in words: a table's cell, the two sentences on quality that results begin with, DIR/verdicts.csv."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from bench.core.stats import share
from bench.tables import column
from bench.tables.column import Column
from bench.tables.family import ATTENTION, FEWEST, LEVEL, OTHERS, SETS, SIZE
from bench.tables.formatting import number
from bench.tables.rows import Row
from bench.tables.scales import called, scale
from bench.tables.verdict import BEATS, EQUAL, LOSES, OPEN, OUTSIDE, UNMIXED, Verdict

QUESTION = "When does attention beat convolutions and MLPs, and what does it cost?"
SMOKE = "A smoke run shows that everything works, and decides nothing"
LONGER = "A longer budget answers the question, with intervals: `default` in minutes, `reference` in hours."
RANKED = "Models by their test score on each data set, the best first. [comparison.csv](comparison.csv) has every figure."
VERBS = {BEATS: "beats", LOSES: "loses to", EQUAL: "equals", OPEN: "cannot be told from"}
PLACES = {  # by whether attention beats a mixer on a data set, and whether it loses to one
    (True, False): "ahead",
    (False, True): "behind",
    (True, True): "between others",
    (False, False): "neither ahead nor behind",
}
ENOUGH = 3  # data sets with a verdict, for a word on others
NAMED = 3  # as many are named, of more it is said how many

RULE = (
    "One backbone, everything but the mixer, its tuned rates and the size of its tokens equal, paired by seed; that size is the one"
    " that val prefers of two where all were tuned and run at both. Verdicts are read off intervals that hold together in 95 of 100"
    f" cases, over one committed family of {SIZE} comparisons ({len(SETS)} data sets of 8 to 64 tokens,"
    f" {len(OTHERS)} mixers; Bonferroni: each at {100 * LEVEL:.2f} %), whatever else was run. *Equal*: within 1 point, 0.02 R², 1 BLEU,"
    f" or 10 % of an error. *Cannot tell*: a difference as large as ± is found every second time. Fewer than {FEWEST} seeds, rates that"
    " nobody tuned, smoke runs, sets where every mixer is at its ceiling and sets where no mixer is certainly better than none get no"
    " verdict. Where seeds share one real pool, test samples are counted as well as seeds."
)


def smoke(table: Sequence[Row]) -> bool:
    """Whether all that there is are smoke runs."""
    return {row.budget for row in table if row.values} == {"smoke"}


def asks(table: Sequence[Row]) -> bool:
    """Whether the question of this project is asked: attention beside another mixer on a set of the family, or nothing yet."""
    beside: dict[str, set[str]] = defaultdict(set)
    for row in table:
        if row.values:
            beside[row.dataset].add(row.model)
    return not beside or any(ATTENTION in beside[name] and beside[name] & OTHERS.keys() for name in SETS)


def title(table: Sequence[Row]) -> str:
    """The question; of one's own study what is in it; with a warning where all that there is are smoke runs."""

    def named(names: Sequence[str], what: str) -> str:
        own = list(dict.fromkeys(names))
        return listed(own) if len(own) <= NAMED else f"{len(own)} {what}"

    found = [row for row in table if row.values]
    own = f"{named([row.model for row in found], 'models')} on {named([row.dataset for row in found], 'data sets')}"
    text = QUESTION if asks(table) else own
    return f"{SMOKE}: {text[0].lower()}{text[1:]}" if smoke(table) else text


def amount(verdict: Verdict, value: float) -> str:
    """A difference without its sign, in points, in the metric's unit, or as a factor."""
    if scale(verdict.metric).ratio:
        return f"a factor {number(math.exp(abs(value)), 3)}"
    figure = number(abs(value) * (100 if verdict.metric.percent else 1), 2) or "0"
    return "1 point" if verdict.metric.percent and figure == "1" else f"{figure}{unit(verdict)}"


def unit(verdict: Verdict) -> str:
    return " points" if verdict.metric.percent else f" {called(verdict.metric)}"


def measured(verdict: Verdict) -> str:
    """'3.1 points better [1.2, 5.0]', or attention's error as a multiple of the other's, '0.43 × the cross-entropy [0.40, 0.46]'; ''
    without two seeds."""
    if math.isnan(verdict.low):
        return ""
    if scale(verdict.metric).ratio:
        times, *ends = (number(math.exp(min(-value, 700)), 3) or "0" for value in (verdict.mean, verdict.high, verdict.low))
        return f"{times} × the{unit(verdict)} [{ends[0]}, {ends[1]}]"
    times_ = 100 if verdict.metric.percent else 1
    ends = [(number(times_ * end, 3) or "0").replace("-", "−") for end in (verdict.low, verdict.high)]
    way = "better" if verdict.mean > 0 else "worse" if verdict.mean < 0 else "apart"
    return f"{amount(verdict, verdict.mean)} {way} [{ends[0]}, {ends[1]}]"


def told(verdict: Verdict) -> str:
    """A table's cell: the verdict and what was measured, or why there is none."""
    figure = measured(verdict)
    if not verdict.word:
        return figure if figure and verdict.why == OUTSIDE else ": ".join(filter(None, [verdict.why, figure.split(" [")[0]]))
    cut = "; tokens of {} against {}".format(*verdict.sizes) if verdict.sizes else ""
    if verdict.word == OPEN:
        return f"{OPEN}: {figure}, ± {amount(verdict, verdict.half)}{cut}"
    word = f"*{EQUAL}*" if verdict.word == EQUAL else f"**{verdict.word}**"
    return f"{word}: {figure}{cut}"


def listed(parts: Sequence[str]) -> str:
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else "".join(parts)


def decided(family: Sequence[Verdict], other: str) -> list[Verdict]:
    """The comparisons with a mixer that got a word."""
    return [verdict for verdict in family if verdict.other == other and verdict.word]


def sizes(verdicts: Sequence[Verdict]) -> str:
    """' (by 2.5 to 32 points)', ' (0.18 × its error, by 44 BLEU)': how large differences are, '' where none was found."""
    if not all(one.word in (BEATS, LOSES) for one in verdicts):
        return ""
    found: dict[str, list[str]] = defaultdict(list)
    for one in sorted(verdicts, key=lambda one: abs(one.mean)):
        if scale(one.metric).ratio:
            found[" × its error"].append(number(math.exp(-one.mean), 2))
        else:
            found[unit(one)].append(amount(one, one.mean).removesuffix(unit(one)).removesuffix(" point"))
    ranges = {of: " to ".join(dict.fromkeys([those[0], those[-1]])) for of, those in found.items()}
    return f" ({', '.join('by ' * (not of.startswith(' ×')) + ends + of for of, ends in ranges.items())})"


def standing(family: Sequence[Verdict]) -> str:
    """Where attention beats some mixers and loses to none, and where the other way round: the answer in ten seconds."""
    words: dict[str, set[str]] = defaultdict(set)
    for one in family:
        if one.word:
            words[one.dataset].add(one.word)
    places: dict[str, list[str]] = defaultdict(list)
    for dataset, own in words.items():
        places[PLACES[BEATS in own, LOSES in own]].append(dataset)
    said = [f"{place} on {listed(places[place])}" for place in PLACES.values() if place in places]
    return f"is {listed(said)}"


def sentences(family: Sequence[Verdict]) -> tuple[str, str]:
    """The answer on quality: where attention beats, loses to or equals each mixer, a line each, and what that says of another set."""
    sets = {verdict.dataset for verdict in family if verdict.word}
    alike: dict[tuple[tuple[str, str], ...], list[str]] = defaultdict(list)  # names by what is said of them, and where
    odds: dict[tuple[int, int], list[str]] = defaultdict(list)
    for other, name in OTHERS.items():
        own = decided(family, other)
        places = {word: [verdict.dataset for verdict in own if verdict.word == word] for word in VERBS}
        said = {word: listed(where) if len(where) <= NAMED else f"{len(where)} data sets" for word, where in places.items() if where}
        if own:
            alike[tuple(said.items())].append(name)
        if len(own) >= ENOUGH:
            odds[sum(verdict.mean > 0 for verdict in own), len(own)].append(name)
    parts = []
    for words, names in alike.items():
        named = [listed(names), *["it" if len(names) == 1 else "them"] * len(words)]
        meant = [one for one in family if OTHERS[one.other] in names]
        clauses = [
            f"{VERBS[word]} {whom} on {where}{sizes([one for one in meant if one.word == word])}"
            for (word, where), whom in zip(words, named, strict=False)
        ]
        parts.append(listed(clauses))
    if not parts:
        return (
            f"No verdict yet on small models trained from scratch; of the family's {SIZE} comparisons: {missing(family)}.",
            f"So far {leaning(family)}, which decides nothing.",
        )
    second = f"From {len(sets)} data set{'s' * (len(sets) != 1)} with a verdict, of the family's {len(SETS)}, nothing follows for another."
    if odds:
        shares = []
        for (ahead, n), names in odds.items():
            low, high = (f"{100 * end:.0f}" for end in share(ahead, n))
            shares.append(f"on {ahead} of {n} against {listed(names)} ({low} to {high} %)")
        second = (
            f"Attention's mean is the better one {listed(shares)}; in brackets the 95 % interval of the probability that it is on a set"
            " not seen, were sets drawn alike."
        )
    first = "Among small models trained from scratch, alike but for how they mix 8 to 64 tokens, and on"
    first += "\n- ".join([f" {len(sets)} of {len(SETS)} data sets so far, attention {standing(family)}. It", *parts])
    if needless := list(dict.fromkeys(verdict.dataset for verdict in family if verdict.why == UNMIXED)):
        second = f"On {listed(needless)} no mixer is certainly better than a network that mixes nothing: nothing is decided there. {second}"
    return first, second


def missing(family: Sequence[Verdict]) -> str:
    """Why comparisons have no verdict, and how many for each reason, the most frequent first: 'not run 24, no verdict from 3 seeds 12'."""
    reasons = Counter(verdict.why for verdict in family if not verdict.word)
    return ", ".join(f"{why} {count}" for why, count in reasons.most_common())


def leaning(family: Sequence[Verdict]) -> str:
    """Which way the means point, where nothing is decided."""
    parts = []
    for other, name in OTHERS.items():
        own = [verdict for verdict in family if verdict.other == other and verdict.budget != "smoke" and not math.isnan(verdict.mean)]
        if own:
            parts.append(f"{name} on {sum(verdict.mean > 0 for verdict in own)} of {len(own)}")
    return f"the mean of attention is better than that of {listed(parts)} data sets" if parts else "nothing was compared"


def figure(of: Callable[[Verdict], float]) -> Callable[[Verdict], float | None]:
    """Blank where nothing was compared."""
    return lambda one: None if math.isnan(one.mean) else of(one)


def compared_by(one: Verdict) -> str:
    """The metric, or its logarithm where differences are of that."""
    return f"log {one.metric.name}" if scale(one.metric).ratio else one.metric.name


ABOUT = f"Attention against each other mixer in one backbone: the committed family of {SIZE} comparisons, a line for each."
COLUMNS: list[Column[Verdict]] = [  # of verdicts.csv
    Column("dataset", "text", lambda one: one.dataset, "The data set's name."),
    Column("model", "text", lambda one: ATTENTION, "The model that is compared."),
    Column("against", "text", lambda one: one.other, "The model it is compared with."),
    Column("metric", "text", compared_by, "What differences are of; `log`: of its logarithm, a ratio of errors."),
    Column("budget", "text", lambda one: one.budget, "What a run may spend, and its recipe."),
    Column("seeds", "count", lambda one: one.n, "n: seeds that both have."),
    Column("better_by", "figure", figure(lambda one: one.mean), "How much better `model` is, the mean; positive is better.", digits=10),
    Column("low", "figure", figure(lambda one: one.low), f"Lower end of its {100 * LEVEL:.2f} % interval.", digits=10),
    Column("high", "figure", figure(lambda one: one.high), "Upper end of that interval.", digits=10),
    Column("margin", "figure", figure(lambda one: scale(one.metric).margin), "A smaller difference is none.", digits=10),
    Column("verdict", "text", lambda one: one.word, "beats, loses, equal or cannot tell."),
    Column("why", "text", lambda one: one.why, "Why there is no verdict."),
    Column(
        "patch", "count", lambda one: one.sizes[0] if one.sizes else None, "Samples or pixels a side of a token of `model`, if val chose."
    ),
    Column("against_patch", "count", lambda one: one.sizes[1] if one.sizes else None, "The same of `against`."),
]


def as_csv(family: Sequence[Verdict]) -> str:
    """Every comparison of the family."""
    return column.as_csv(COLUMNS, family)
