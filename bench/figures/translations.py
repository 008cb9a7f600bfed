"""Sentences to sentences: what a translator says by beam search of widths 1, 2 and 3, and word by word with the true prefix fed in."""

from __future__ import annotations

import matplotlib
import torch
from matplotlib.figure import Figure
from torch import Tensor

from bench.figures.alignment import of_sentences, vocabularies
from bench.figures.kinds import of_cell
from bench.figures.subject import NoPicture, Subject
from bench.report.plots import STYLE, headed
from datasets.vocabulary import PAD
from models.decode import Translator, beam

WIDTHS, COUNTED, SHOWN = (1, 2, 3), 200, 5
RIGHT = "#0072B2"


def answers(module: Translator, x: Tensor, y: Tensor) -> dict[str, tuple[Tensor, list[str]]]:
    """Tokens (n, T) by the way they were found, and what stands beside each: the score of a beam, nothing of a prefix.

    Given the true prefix, words are those likeliest after each true one, as far as the reference goes, END included.
    """
    found = {}
    for width in WIDTHS:
        tokens, scores = beam(module, x, width, module.length, module.power)
        found[f"beam {width}"] = tokens, [f"{score:.2f}" for score in scores.tolist()]
    found["true prefix"] = module.teach(x, y).argmax(2).where(y != PAD, PAD), [""] * len(x)
    return found


def finding(found: dict[str, tuple[Tensor, list[str]]], y: Tensor) -> str:
    """How many of the sentences wider beams change, and how many words are right once the prefix is."""
    narrow, wide = (found[f"beam {width}"][0] for width in (WIDTHS[0], WIDTHS[-1]))
    changed, said = int((narrow != wide).any(1).sum()), y != PAD
    right = 100 * float((found["true prefix"][0] == y)[said].double().mean())
    what = f"a beam of {WIDTHS[-1]} says something else than one of {WIDTHS[0]} in {changed} of {len(y)}"
    return f"{what}; {right:.1f} % of words right after the true ones"


@of_cell(of_sentences)
@matplotlib.rc_context(STYLE | {"font.size": 8})
def translations(subject: Subject) -> Figure:
    """A block a sentence, the first of the test split, a line an answer: blue where it is the reference."""
    module = subject.module
    if not isinstance(module, Translator):
        raise NoPicture("it answers all words at once: there is no beam and no prefix")
    source, target = vocabularies(subject)
    x, y = subject.data.test.x[:COUNTED], subject.data.test.y[:COUNTED]
    with torch.no_grad():
        found = answers(module, x, y)
    lines: list[tuple[str, str, str, str]] = []
    for i in range(min(SHOWN, len(x))):
        lines += [("source", "", " ".join(source.decode(x[i])), "black"), ("reference", "", " ".join(target.decode(y[i])), "black")]
        for name, (tokens, beside) in found.items():
            colour = RIGHT if torch.equal(tokens[i], y[i]) else "black"
            lines.append((name, beside[i], " ".join(target.decode(tokens[i])), colour))
        lines.append(("", "", "", "black"))
    longest = max(len(words) for _, _, words, _ in lines)
    told = "score: log-probability" + (f" / words^{module.power:g}" if module.power is not None else "")
    title = f"{subject.title}: {finding(found, y)}"
    told += f"; blue: as the reference. First sentences of test, {subject.weights}"
    width = max(1.6 + 0.066 * longest, 8)
    figure, head = headed(width, 0.15 + 0.17 * len(lines), title, told)
    for row, (name, score, words, colour) in enumerate(lines):
        for left, text, align in ((0.1, name, "left"), (1.35, score, "right"), (1.45, words, "left")):
            place = (left / width, 1 - (head + 0.15 + 0.17 * row) / figure.get_figheight())
            figure.text(*place, text, color=colour if left > 1.4 else "#6b6b6b", ha=align, va="center", parse_math=False)
    return figure
