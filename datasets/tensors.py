"""Tensors of samples: random ones, what may be wrong with them, and as few bytes as hold them."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from datasets.vocabulary import PAD, UNKNOWN


def sentences(batch: int, length: int, vocabulary: int, generator: Generator | None) -> Tensor:
    """Random ids (batch, length), at least one word and lengths of their own."""
    tokens = torch.randint(UNKNOWN + 1, vocabulary, (batch, length), generator=generator)
    lengths = torch.randint(1, length + 1, (batch, 1), generator=generator)
    return tokens.masked_fill(torch.arange(length) >= lengths, PAD)


def check_shape(values: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """ValueError if samples (n, *shape) are shaped or typed otherwise."""
    if not isinstance(values, Tensor) or values.shape[1:] != shape:
        found = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(f"has shape {found}, not {('n', *shape)}".replace("'n'", "n"))
    if values.dtype != dtype:
        raise ValueError(f"is {values.dtype}, not {dtype}".replace("torch.", ""))


def check_numbers(values: Tensor, shape: tuple[int, ...]) -> None:
    """ValueError if they are no finite float32 numbers of that shape."""
    check_shape(values, shape, torch.float32)
    finite = values.isfinite()
    if not bool(finite.all()):
        first = tuple((~finite).nonzero()[0].tolist())
        raise ValueError(f"has {int((~finite).sum())} values that are no finite numbers, the first {float(values[first])} at {first}")


def check_ids(values: Tensor, shape: tuple[int, ...], below: int, noun: str) -> None:
    """ValueError if they are no int64 numbers from 0 to `below` - 1 of that shape."""
    check_shape(values, shape, torch.int64)
    wrong = (values < 0) | (values >= below)
    if bool(wrong.any()):
        first = tuple(wrong.nonzero()[0].tolist())
        raise ValueError(f"holds {int(values[first])} at {first}; {noun} are 0 … {below - 1}")


def half(values: Tensor) -> Tensor:
    """Half precision, clipped to what it can hold."""
    return values.clamp(-6e4, 6e4).cpu().half()


def small(values: Tensor, largest: int) -> Tensor:
    """Ids up to `largest` in as few bytes as hold them."""
    return values.cpu().to(torch.uint8 if largest < 256 else torch.uint16 if largest < 2**16 else torch.int32)
