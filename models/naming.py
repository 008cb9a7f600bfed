"""How names of models are written: `vit`, and of a variant `vit[depth=3]@lr=0.001`. What they mean is in variants.py."""

from __future__ import annotations

import re

LONGEST = 128  # characters
WORD = r"[A-Za-z0-9_.+-]+"
PAIR = rf"{WORD}={WORD}"
NAME = re.compile(rf"(?![_.+-]){WORD}(\[{PAIR}(,{PAIR})*\])?(@{PAIR})*")


def plain(name: str) -> str:
    """The model that a name is a variant of: the name itself where it is none."""
    return re.split(r"[\[@]", name, maxsplit=1)[0]


def changed(name: str) -> bool:
    """Whether a name says another recipe than its budget's."""
    return "@" in name


def readable(name: str) -> bool:
    """Whether this is how the name of a model or of one variant is written."""
    return len(name) <= LONGEST and NAME.fullmatch(name) is not None
