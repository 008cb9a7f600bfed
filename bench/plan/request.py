"""What is wrong with a request."""

from __future__ import annotations

from pathlib import Path


class RequestError(ValueError):
    """The request cannot be served as it is: exit code 2, nothing lost."""


def whole(option: str, text: str, most: int, more: str = "") -> int:
    """An option's whole number from 1 to `most`. RequestError for anything else; `more` says what else could be done."""
    if not text.strip().isdecimal() or not 1 <= int(text) <= most:
        raise RequestError(f"{option} takes a whole number from 1 to {most}, not {text!r}{more}")
    return int(text)


def located(name: str) -> Path:
    """A path as a user writes it, with ~ for a home, made absolute. RequestError for no name and for the home of nobody."""
    if not name:
        raise RequestError("an empty path was given; name a file or a folder")
    try:
        return Path(name).expanduser().resolve()
    except RuntimeError as error:
        raise RequestError(f"{name}: {error}") from error
