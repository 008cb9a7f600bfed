"""A toy language pair that asks for alignment, reordering and agreement; generated, so it needs no network.

    the old cat sees two big red dogs near a house     subject, verb, object, sometimes a place
    na orvi meli bei un domu do taskos rusu grandu vide     subject, place, object, verb; adjectives turned round behind their noun

    x = [the, old, cat, sees, …, PAD]   (14,)          y = [na, orvi, meli, …, vide, END, PAD]   (15,)

Article and adjectives take the gender of a noun that English says later. So a word's place depends on the whole sentence,
while each word itself depends on one or two words of the source: what attention is made for.

Held-out compositions: one in six pairs of adjective and noun never occurs in training, and every sentence of val and test has
at least one of them, so memorised phrases do not help. Which pairs is drawn with the seed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

from torch import Tensor

from datasets import register
from datasets.data import Data, Split, derive
from datasets.once import once
from datasets.task import Budget, Input, Output, Task, budgets
from datasets.vocabulary import SPECIAL, Vocabulary


def lexicon(text: str) -> dict[str, str]:
    """English words and roots of the other language."""
    return dict(pair.split(":") for pair in text.split())


# nouns at even places are of one gender, the others of the other
NOUNS = lexicon(
    "cat:orvi dog:tasko house:domu tree:lesta bird:pilni horse:konra child:beba river:vodra"
    " ship:navi king:rexo teacher:magist garden:horta mountain:berga book:libro table:mensa wolf:lupo"
)
ADJECTIVES = lexicon("old:mel big:grand small:pic red:rus green:verd quiet:tis brave:brav cold:fri young:jun tall:alt blind:sek happy:feli")
VERBS = lexicon("sees:vide hears:aude follows:sekve finds:trove loves:ame fears:time paints:pinte leaves:lase guards:garde seeks:serke")
PLACES = {"near": "bei", "behind": "hinta", "under": "sub", "with": "kum"}
ARTICLES = {"the": ("na", "no"), "a": ("un", "on"), "two": ("du", "do")}
ENDINGS = ("i", "u")
SOURCE = (*SPECIAL, *ARTICLES, *NOUNS, *(f"{noun}s" for noun in NOUNS), *ADJECTIVES, *VERBS, *PLACES)
TARGET = (
    *SPECIAL,
    *(form for forms in ARTICLES.values() for form in forms),
    *NOUNS.values(),
    *(f"{noun}s" for noun in NOUNS.values()),
    *(adjective + ending for adjective in ADJECTIVES.values() for ending in ENDINGS),
    *VERBS.values(),
    *PLACES.values(),
)
LONGEST, ANSWER = 14, 15  # words of English; words and END
SIZES = (10_000, 500, 1_000)
DEFAULT = Budget("default", samples=25_600, batch=64, lr=3e-3, schedule="cosine", warmup=0.1, clip=1.0, evaluations=5, seeds=1)
TASK = Task(
    "translation",
    Input("tokens", (LONGEST,), len(SOURCE)),
    Output("tokens", ANSWER, len(TARGET)),
    SIZES,
    budgets(
        DEFAULT,
        replace(DEFAULT, name="paper", samples=480_000, evaluations=20, seeds=3),
        replace(DEFAULT, name="reference", samples=128_000, evaluations=20, seeds=10),
        smoke_samples=640,
    ),
    source="generated",
    summary="sentences of a toy language into another that orders words differently; new pairs of adjective and noun",
)

Banned = set[tuple[str, str]]


def phrase(banned: Banned, g: Random) -> tuple[list[str], list[str], bool]:
    """A noun phrase in both languages, and whether one of its pairs of adjective and noun is `banned`."""
    noun, article = g.choice(tuple(NOUNS)), g.choice(tuple(ARTICLES))
    adjectives = g.sample(tuple(ADJECTIVES), g.randrange(3))
    gender, plural = list(NOUNS).index(noun) % 2, "s" * (article == "two")
    target = [ARTICLES[article][gender], NOUNS[noun] + plural, *(ADJECTIVES[word] + ENDINGS[gender] for word in reversed(adjectives))]
    return [article, *adjectives, noun + plural], target, any((word, noun) in banned for word in adjectives)


def sentence(banned: Banned, g: Random) -> tuple[list[str], list[str], bool]:
    """A sentence in both languages, at most 14 words each, and whether it holds a banned pair."""
    subject, object_, place = (phrase(banned, g) for _ in range(3))
    verb, where = g.choice(tuple(VERBS)), g.choice(tuple(PLACES))
    if g.random() < 0.6:
        source, target = (
            [*subject[0], verb, *object_[0], where, *place[0]],
            [*subject[1], PLACES[where], *place[1], *object_[1], VERBS[verb]],
        )
        return source, target, subject[2] or object_[2] or place[2]
    return [*subject[0], verb, *object_[0]], [*subject[1], *object_[1], VERBS[verb]], subject[2] or object_[2]


def split(n: int, held_out: bool, banned: Banned, said: set[str], g: Random) -> Split:
    """n sentences nobody has `said` yet, all with a banned pair or all without."""
    pairs: list[tuple[list[str], list[str]]] = []
    while len(pairs) < n:
        source, target, has = sentence(banned, g)
        if has == held_out and " ".join(source) not in said:
            said.add(" ".join(source))
            pairs.append((source, target))
    x = Vocabulary(SOURCE).encode([source for source, _ in pairs], LONGEST, end=False)
    return Split(x, Vocabulary(TARGET).encode([target for _, target in pairs], ANSWER, end=True))


def vocabularies(root: Path, seed: int) -> tuple[Vocabulary, Vocabulary]:
    return Vocabulary(SOURCE), Vocabulary(TARGET)


def generated(seed: int) -> dict[str, Tensor]:
    every = [(adjective, noun) for adjective in ADJECTIVES for noun in NOUNS]
    banned = set(Random(derive("translation/banned", seed)).sample(every, len(every) // 6))
    parts = zip(("train", "val", "test"), SIZES, strict=True)
    said: set[str] = set()
    made = {part: split(n, part != "train", banned, said, Random(derive(f"translation/{part}", seed))) for part, n in parts}
    return {f"{part}_{name}": value for part, split_ in made.items() for name, value in (("x", split_.x), ("y", split_.y))}


@register(TASK, vocabularies=vocabularies)
def translation(root: Path, seed: int, download: bool) -> Data:
    made = once(f"translation-{seed}", lambda: generated(seed))
    train, val, test = (Split(made[f"{part}_x"], made[f"{part}_y"]) for part in ("train", "val", "test"))
    return Data(train, val, test)
