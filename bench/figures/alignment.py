"""Sentences to sentences: which source word a model looked at as it said each word."""

from __future__ import annotations

import math
from typing import Any

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

import datasets
from bench.figures.kinds import of_cell
from bench.figures.subject import NoPicture, Subject
from bench.report.plots import STYLE, headed
from datasets import translation
from datasets.task import Task
from datasets.vocabulary import END, PAD, Vocabulary
from models.attention import watch
from models.decode import Translator
from models.seq2seq import Bahdanau
from models.transformer_seq2seq import TransformerSeq2Seq

COUNTED, SENTENCES, HEADS = 200, 2, 4  # first test sentences read; how many are drawn; heads drawn
DICTIONARY = "#D55E00"


def of_sentences(task: Task) -> bool:
    return task.input.kind == task.output.kind == "tokens"


def looking(module: nn.Module) -> nn.Module:
    """The layer by which words said look at source words. NoPicture if the model has none."""
    if isinstance(module, Bahdanau):
        return module.attention
    if isinstance(module, TransformerSeq2Seq):
        last: nn.Module = module.decoder[-1].cross
        return last
    if isinstance(module, Translator):
        raise NoPicture("it has no attention to the source words")
    raise NoPicture("it answers all words at once, so that no word said looks at the source words")


def alignments(module: Any, x: Tensor, said: Tensor) -> Tensor:
    """Weights (n, heads, T, S) of the source words x (n, S) for each word of the answers `said` (n, T), PAD after END.

    From one pass along what was said; rows after END mean nothing.
    """
    layer = looking(module)
    with watch() as seen:
        module.teach(x, said)
    return torch.cat([one.weights for one in seen if one.layer is layer], 2)


def dictionary(source: Vocabulary, target: Vocabulary) -> Tensor:
    """Which words of the toy language translate which, (target words, source words): nouns, adjectives, verbs, places."""
    pairs = [*translation.VERBS.items(), *translation.PLACES.items()]
    pairs += [(noun + plural, root + plural) for noun, root in translation.NOUNS.items() for plural in ("", "s")]
    pairs += [(word, root + ending) for word, root in translation.ADJECTIVES.items() for ending in translation.ENDINGS]
    translates = torch.zeros(len(target.words), len(source.words), dtype=torch.bool)
    places = [{word: i for i, word in enumerate(vocabulary.words)} for vocabulary in (target, source)]
    for own, foreign in pairs:
        translates[places[0][foreign], places[1][own]] = True
    return translates


def found(weights: Tensor, x: Tensor, said: Tensor, translates: Tensor) -> float:
    """Share of the content words said whose largest weight (n, T, S) is on a source word they translate.

    A content word is one that `translates` something. One said though its source word is not there is a miss. NaN if there is none.
    """
    content = translates.any(1)[said]
    looked = x.gather(1, weights.argmax(2))
    return float(translates[said, looked][content].double().mean())


def peak(weights: Tensor, x: Tensor, said: Tensor) -> tuple[float, float]:
    """The largest of each word's weights (n, T, S), and what an even share would be: means over the words said."""
    spoken = (said != PAD) & (said != END)
    even = 1 / (x != PAD).sum(1, keepdim=True).expand_as(said)
    return float(weights.amax(2)[spoken].double().mean()), float(even[spoken].double().mean())


def chosen(x: Tensor, y: Tensor, said: Tensor) -> list[int]:
    """The longest sentences that were said right, then the longest others; the first of equals. NoPicture if no word was said."""
    right, length = (said == y).all(1), (x != PAD).sum(1) + (y != PAD).sum(1)
    spoken = [i for i in range(len(x)) if int(said[i, 0]) not in (PAD, END)]
    if not spoken:
        raise NoPicture("it says no word")
    return sorted(spoken, key=lambda i: (not right[i], -int(length[i])))[:SENTENCES]


def panel(axes: Axes, weights: Tensor, words: list[str], said: list[str], boxes: Tensor | None, named: bool) -> Any:
    """One matrix, rows the words said (labelled if `named`), columns the source's; a ring where the dictionary joins them."""
    image = axes.imshow(weights[: len(said), : len(words)].numpy(), cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.set_xticks(range(len(words)), words, rotation=90)
    axes.set_yticks(range(len(said)) if named else [], said if named else None)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    axes.grid(False)
    axes.spines[:].set_visible(True)
    if boxes is not None:
        rows, columns = boxes[: len(said), : len(words)].numpy().nonzero()
        axes.scatter(columns, rows, s=28, facecolors="none", edgecolors=DICTIONARY, linewidths=1.2)
    return image


@of_cell(of_sentences)
@matplotlib.rc_context(STYLE | {"font.size": 8})
def alignment(subject: Subject) -> Figure:
    """Two test sentences, a row each, a panel a head after their mean; the sentence, what was said and the reference below."""
    module: Any = subject.module
    task, test = subject.task, subject.data.test
    looking(module)  # before the work
    source, target = vocabularies(subject)
    x, y = test.x[:COUNTED], test.y[:COUNTED]
    said = module.predict(x, task)
    weights = alignments(module, x, said)
    mean, heads = weights.mean(1), weights.shape[1]
    layers = {"mean of the heads" if heads > 1 else "": mean}
    layers |= {f"head {h + 1}": weights[:, h] for h in range(min(heads, HEADS)) if heads > 1}
    translates = dictionary(source, target) if task.name == translation.TASK.name else None
    shares = {name: found(w, x, said, translates) for name, w in layers.items()} if translates is not None else {}
    rows = chosen(x, y, said)
    sentences = [(source.decode(x[i]), target.decode(said[i]), target.decode(y[i])) for i in rows]
    texts = ["\n".join(f"{who}: {' '.join(w)}" for who, w in zip(("source", "said", "reference"), s, strict=True)) for s in sentences]
    # in inches: a block a sentence, below each other with heads, beside each other without
    room = 0.1 + 0.07 * max(len(word) for words, answer, _ in sentences for word in (*words, *answer))
    wide, high = (1.85, 2.6) if heads > 1 else (3.9, 3.9)
    block = max(0.2 + room + len(layers) * (wide + 0.12), 0.063 * max(len(line) for text in texts for line in text.splitlines()))
    tall, across = 0.2 + room + high + 0.9, 1 if heads > 1 else len(rows)
    width = 0.7 + across * block
    title = f"{subject.title}: {finding(shares, peak(mean, x, said))}"
    what = "cross-attention of the decoder's last layer" if heads > 1 else "attention"
    told = f"The darker, the more {what} a word said (row) has on a source word (column)"
    told += f". Counted: {'the mean over heads, ' * (heads > 1)}{len(x)} test sentences; {subject.weights}"
    told += ". Rings: pairs of the dictionary" * (translates is not None)
    figure, head = headed(width, tall * (len(rows) // across), title, told)
    height = figure.get_figheight()

    def place(left: float, top: float, wide: float, high: float) -> Axes:
        return figure.add_axes((left / width, 1 - (top + high) / height, wide / width, high / height))

    for n, (i, (words, answer, _), text) in enumerate(zip(rows, sentences, texts, strict=True)):
        left, top = n % across * block, head + n // across * tall
        boxes = translates[said[i]][:, x[i]] if translates is not None else None
        for k, (name, w) in enumerate(layers.items()):
            axes = place(left + 0.2 + room + k * (wide + 0.12), top + 0.2 + room, wide, high)
            image = panel(axes, w[i], words, answer, boxes, k == 0)
            axes.set_title(f"{name}: {100 * shares[name]:.1f} %" if name in shares and name else name, fontsize=8.5)
            axes.set_xlabel("source word")
            axes.set_ylabel("word said" if k == 0 else "")
        figure.text((left + 0.1) / width, 1 - (top + room + high + 0.5) / height, text, va="top", fontsize=7.5)
    figure.colorbar(image, cax=place(width - 0.6, head + 0.2 + room, 0.12, min(high, 2.6)), label="attention weight")
    return figure


def finding(shares: dict[str, float], most: tuple[float, float]) -> str:
    """How often a content word looks at the word it translates; where nobody knows that, how narrowly a word looks."""
    if not shares:
        return f"a word said has {100 * most[0]:.0f} % of its attention on one source word, an even share is {100 * most[1]:.0f} %"
    share = next(iter(shares.values()))
    return "no content word is said" if math.isnan(share) else f"{100 * share:.1f} % of content words look at the word they translate"


def vocabularies(subject: Subject) -> tuple[Vocabulary, Vocabulary]:
    """NoPicture where nobody knows the words."""
    known = datasets.vocabularies(subject.row.dataset, subject.root, subject.run["seed"])
    if known is None:
        raise NoPicture("the data set does not tell its words")
    return known
