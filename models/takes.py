"""The kinds of tasks that a model is made for, as it says when it is registered."""

from __future__ import annotations

from dataclasses import dataclass

from datasets.kinds import InputKind, Kind, OutputKind
from datasets.task import Task

Kinds = str | tuple[str, ...]


@dataclass(frozen=True)
class Takes:
    """The kinds of input and of output that a model is made for, one or several; () for any. ValueError for a kind there is not.

    `reads` and `answers` are what it does with them, in words that begin a reason: "cuts an image into patches".
    """

    inputs: Kinds = ()
    outputs: Kinds = ()
    reads: str = ""
    answers: str = ""

    def __post_init__(self) -> None:
        for name, kind in (("inputs", InputKind), ("outputs", OutputKind)):
            given: Kinds = getattr(self, name)
            object.__setattr__(self, name, tuple(kind.named(one) for one in ([given] if isinstance(given, str) else given)))

    def unfit(self, task: Task) -> str | None:
        """Why the task is none for the model, or None if it is one."""

        def reason(kind: Kind, taken: Kinds, does: str, verb: str, what: str) -> str | None:
            does = does or f"{verb} {' or '.join(taken)}"
            vector = kind == "labels" and {"value", "classes"} <= {*taken}  # what answers with any numbers answers with a logit a label
            return f"{does}; this task {what} {kind}" if taken and kind not in taken and not vector else None

        given, asked = task.input.kind, task.output.kind
        return reason(given, self.inputs, self.reads, "reads", "gives") or reason(
            asked, self.outputs, self.answers, "answers with", "asks for"
        )


NUMBERS = Takes(("points", "table", "signal", "image"), ("value", "classes", "signal"), "reads numbers", "answers with numbers")
