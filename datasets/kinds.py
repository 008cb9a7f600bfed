"""Kinds of input and output: one object for each, which decides everything that depends on the kind.

Input   points (2,)      table (features,)      signal (channels, length)      image (channels, height, width)
        tokens (length,): int64 ids below `vocabulary`, words first, PAD after them
Output  value (size,)    classes -> size logits                                signal (1, size)
        tokens -> (size, vocabulary) logits; a target holds words, END, then PAD      labels -> size logits: see labels.py

A kind is a string, its name, with what it decides as methods: `task.input.kind == "image"` and `task.input.kind is IMAGE` both hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from datasets.registry import did_you_mean
from datasets.tensors import check_ids, check_numbers, half, sentences, small
from datasets.vocabulary import END, PAD, UNKNOWN

K = TypeVar("K", bound="Kind")


class Kind(str):
    """A name. Copies and pickles of a kind are the kind itself."""

    known: dict[str, Any]

    def __new__(cls: type[K], name: str, *args: Any, **more: Any) -> K:
        return super().__new__(cls, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).named, (str(self),)

    @classmethod
    def named(cls: type[K], name: str) -> K:
        """The kind of that name. ValueError with those there are and the nearest."""
        if name not in cls.known:
            noun = "output" if cls.known is OUTPUTS else "input"
            raise ValueError(f"unknown kind of {noun} {name!r}; there are {', '.join(cls.known)}{did_you_mean(name, [*cls.known])}")
        found: K = cls.known[name]
        return found


INPUTS: dict[str, InputKind] = {}
OUTPUTS: dict[str, OutputKind] = {}


class InputKind(Kind):
    """What goes in: samples of `rank` dimensions."""

    known = INPUTS

    def __init__(self, name: str, rank: int) -> None:
        self.rank = rank
        INPUTS[name] = self

    def sample(self, input: Input, batch: int, generator: Generator | None) -> Tensor:
        """Random inputs (batch, *input.shape), standard normal."""
        return torch.randn(batch, *input.shape, generator=generator)

    def check(self, x: Tensor, input: Input) -> None:
        """ValueError with what is wrong with a split's inputs."""
        check_numbers(x, input.shape)


class TokensIn(InputKind):
    def sample(self, input: Input, batch: int, generator: Generator | None) -> Tensor:
        return sentences(batch, input.shape[0], input.vocabulary, generator)

    def check(self, x: Tensor, input: Input) -> None:
        check_ids(x, input.shape, input.vocabulary, "ids")


class OutputKind(Kind):
    """What comes out: here numbers, as many as `output.shape` says. `metrics` are a task's unless it names its own.

    scored   whether an answer holds scores of classes, which runs keep beside the prediction
    """

    known = OUTPUTS
    metrics: tuple[str, ...] = ("mse",)
    scored = False

    def __init__(self, name: str) -> None:
        OUTPUTS[name] = self

    def shape(self, output: Output) -> tuple[int, ...]:
        """Of one answer."""
        return (output.size,)

    def sample(self, output: Output, batch: int, generator: Generator | None) -> Tensor:
        """Random targets."""
        return torch.randn(batch, *output.shape, generator=generator)

    def check(self, y: Tensor, output: Output) -> None:
        """ValueError with what is wrong with a split's targets."""
        check_numbers(y, output.shape)

    def losses(self, out: Tensor, y: Tensor) -> Tensor:
        """Training loss of each sample, (batch,)."""
        return F.mse_loss(out, y, reduction="none").flatten(1).mean(1)

    def loss(self, out: Tensor, y: Tensor) -> Tensor:
        """The mean of `losses` with less work, a scalar."""
        return F.mse_loss(out, y)

    def predicted(self, out: Tensor) -> Tensor:
        """What an answer says."""
        return out

    def packed(self, said: Tensor, output: Output) -> Tensor:
        """Targets or predictions (n, …) in as few bytes as a store should spend on them."""
        return half(said)

    def unpacked(self, flat: Tensor, n: int) -> Tensor:
        """Predictions or targets of n samples, (n, …), from what `packed` made of them."""
        return flat.float().view(n, -1)


class Signal(OutputKind):
    def shape(self, output: Output) -> tuple[int, ...]:
        return (1, output.size)


class Classes(OutputKind):
    metrics = ("accuracy", "cross_entropy")
    scored = True

    def sample(self, output: Output, batch: int, generator: Generator | None) -> Tensor:
        return torch.randint(output.size, (batch,), generator=generator)

    def check(self, y: Tensor, output: Output) -> None:
        check_ids(y, (), output.size, "classes")

    def losses(self, out: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(out, y, reduction="none")

    def loss(self, out: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(out, y)

    def predicted(self, out: Tensor) -> Tensor:
        return out.argmax(-1)

    def packed(self, said: Tensor, output: Output) -> Tensor:
        return small(said, output.size - 1)

    def unpacked(self, flat: Tensor, n: int) -> Tensor:
        return flat.long()


class TokensOut(OutputKind):
    metrics = ("bleu", "exact", "token_accuracy")

    def shape(self, output: Output) -> tuple[int, ...]:
        return (output.size, output.vocabulary)

    def sample(self, output: Output, batch: int, generator: Generator | None) -> Tensor:
        y = F.pad(sentences(batch, output.size - 1, output.vocabulary, generator), (0, 1))
        return y.scatter(1, (y != PAD).sum(1, keepdim=True), END)

    def check(self, y: Tensor, output: Output) -> None:
        check_ids(y, (output.size,), output.vocabulary, "ids")
        if bool((empty := (y == PAD).all(1)).any()):
            raise ValueError(f"holds a sentence without a token, at ({int(empty.nonzero()[0])},); it has no loss")

    def losses(self, out: Tensor, y: Tensor) -> Tensor:
        each = F.cross_entropy(out.flatten(0, 1), y.flatten(), ignore_index=PAD, reduction="none").view(y.shape)
        return each.sum(1) / (y != PAD).sum(1)

    def loss(self, out: Tensor, y: Tensor) -> Tensor:
        return self.losses(out, y).mean()

    def predicted(self, out: Tensor) -> Tensor:
        tokens = out.argmax(-1) if out.is_floating_point() else out
        ended = (tokens == END).long().cumsum(-1) - (tokens == END).long() > 0
        return tokens.masked_fill(ended, PAD)

    def packed(self, said: Tensor, output: Output) -> Tensor:
        return small(said, output.vocabulary - 1)

    def unpacked(self, flat: Tensor, n: int) -> Tensor:
        return flat.long().view(n, -1)


POINTS, TABLE, SIGNAL, IMAGE = (InputKind(name, rank) for name, rank in (("points", 1), ("table", 1), ("signal", 2), ("image", 3)))
TOKENS = TokensIn("tokens", 1)
VALUE, CLASSES, WAVE, WORDS = OutputKind("value"), Classes("classes"), Signal("signal"), TokensOut("tokens")


def made(thing: object, kind: Kind, numbers: tuple[int, ...], vocabulary: int) -> None:
    """ValueError if the sizes of an Input or Output are none, or tokens have no words."""
    if not all(isinstance(size, int) and size > 0 for size in numbers):
        raise ValueError(f"{thing}: sizes are whole numbers above 0, not {numbers}")
    if kind == "tokens" and vocabulary <= UNKNOWN + 1:
        raise ValueError(f"{thing}: tokens need a vocabulary of more than {UNKNOWN + 1} ids, the special ones included, not {vocabulary}")


@dataclass(frozen=True, init=False)
class Input:
    """One sample going in: its kind and its shape, without the batch dimension. ValueError for a kind there is not."""

    kind: InputKind
    shape: tuple[int, ...]
    vocabulary: int = 0

    def __init__(self, kind: str, shape: tuple[int, ...], vocabulary: int = 0) -> None:
        found = InputKind.named(kind)
        for name, value in (("kind", found), ("shape", tuple(shape)), ("vocabulary", vocabulary)):
            object.__setattr__(self, name, value)
        if len(self.shape) != found.rank:
            raise ValueError(f"{self}: {kind} have {found.rank} dimension{'s' * (found.rank > 1)} beside the batch's")
        made(self, found, self.shape, vocabulary)

    @property
    def size(self) -> int:
        """Numbers per sample."""
        return int(torch.Size(self.shape).numel())


@dataclass(frozen=True, init=False)
class Output:
    """One answer: `size` numbers, the logits of `size` classes, a signal of length `size`, or `size` places for tokens."""

    kind: OutputKind
    size: int
    vocabulary: int = 0

    def __init__(self, kind: str, size: int, vocabulary: int = 0) -> None:
        found = OutputKind.named(kind)
        for name, value in (("kind", found), ("size", size), ("vocabulary", vocabulary)):
            object.__setattr__(self, name, value)
        made(self, found, (size,), vocabulary)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a model's output for one sample."""
        return self.kind.shape(self)
