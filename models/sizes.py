"""How large image models are that were published for photographs: as in their papers, or smaller for smaller images."""

from __future__ import annotations

from datasets.task import Task

PHOTOGRAPH = 32  # pixels a side


def photograph(task: Task) -> bool:
    """Whether a task's images are as large as those the papers are about."""
    return min(task.input.shape[1:]) >= PHOTOGRAPH


def width(task: Task) -> int:
    """Numbers in a token or channels in a map."""
    return 128 if photograph(task) else 64
