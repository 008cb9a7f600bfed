"""The words that a newcomer does not know, each defined once: explained where the page first says it, and all together at its end."""

from __future__ import annotations

import re

from markupsafe import Markup

from bench.page.svg import element, slug
from bench.tables.family import SIZE

WORDS = {  # in the order of the page
    "token": "one place of an input: a word of a sentence, a patch of an image, a piece of a signal",
    "mixer": "what lets one token learn from others: attention, convolution, an MLP over places, recurrence, or nothing",
    "backbone": "a network of which only one part, the mixer, is swapped; rates are tuned for each, all else is alike",
    "verdict": "beats, loses, equal (within the margin), or cannot tell; read off an interval, never off a mean",
    "margin": "the difference that is too small to matter, stated before anything was measured",
    "family": "of comparisons: those fixed in advance, off which verdicts are read; of models: what they mix by, which is their colour",
    "interval": "where the true mean lies in 95 of 100 cases, as seeds tell (Student's)",
    "simultaneous": f"of intervals: each of the {SIZE} is so wide that in 95 of 100 cases all of them hold at once",
    "Bonferroni": f"the way they are widened: each errs {SIZE} times less often. Holm's method is sharper, but gives no intervals",
    "point": "of accuracy: 93 % is 2 points more than 91 %",
    "BLEU": "how much of the reference's wording a translation has, from 0 to 100",
    "R²": "the share of the variance that is explained: 1 is perfect, 0 no better than always answering with the mean",
    "AUROC": "how often a sample that has the label gets a higher score than one that has not: 100 % is perfect, 50 % guessing",
    "route": "a made task: each token answers with the value of another one, near or far, found by its place or by its content",
    "cell": "one model on one data set under one budget: a number, or why there is none; all of them are the grid",
    "budget": "how many samples a run may see, and the recipe, the same for every model of a data set but for tuned rates",
    "default": "the budget that takes minutes on two cores; a shorter one, smoke, only shows that everything works",
    "reference": "the budget that takes hours, and is what we publish",
    "published_1": "one epoch of a source's own protocol (published: all of it), which may choose on test; no verdict is read off it",
    "seed": "a number that draws data, split, order and first weights; a result is the mean over several, and n says how many",
    "val": "samples held back from training, by which the weights are chosen; test is looked at once, afterwards",
    "FLOPs": "floating-point operations of one forward pass of one sample, counted by torch, attention as plain matrix products",
    "latency": "time of one forward pass, the median; † opens what was wrong with a timing, which is then drawn hollow",
    "twin": "the same data with their places shuffled, alike everywhere: what it is worth that neighbours are neighbours",
    "chance": "what guessing gives; the ceiling is the best there can be",
}
FOUND = re.compile(rf"\b({'|'.join(WORDS)})s?\b")


def link(word: str, said: str = "") -> Markup:
    """A word that explains itself when it is pointed at, and leads to its definition. KeyError for one that has none."""
    return element("a", said or word, class_="word", href=f"#word-{slug(word)}", title=WORDS[word])


def explained(text: str, seen: set[str]) -> Markup:
    """A text in which each word that is not yet in `seen`, and will be afterwards, explains itself."""
    parts, end = [], 0
    for found in FOUND.finditer(text):
        if found[1] not in seen:
            seen.add(found[1])
            parts += [text[end : found.start()], link(found[1], found[0])]
            end = found.end()
    return Markup("").join([*parts, text[end:]])


def strong(text: str, seen: set[str] | None = None) -> Markup:
    """A line with *findings*, which the page prints bold; with `seen`, its words are explained."""
    parts = [part if seen is None else explained(part, seen) for part in re.split(r"\*+", text)]
    return Markup("").join(element("strong", part) if place % 2 else part for place, part in enumerate(parts))
