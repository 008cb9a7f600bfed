"""SimpleAttention's smallest model (S1): attention among four heads made of one vector, without projections or activation.

    (batch, inputs) -> Linear -> 8 numbers = X, 4 heads of 2 -> softmax(X Xᵀ / √2) X -> 8 numbers -> Linear -> answer

33 parameters on points with one output, 42 with two classes; width 4 -> 17, 16 -> 65, 32 -> 129, 64 -> 257.
The softmax is the only non-linearity.
"""

from __future__ import annotations

from torch import Tensor, nn

from datasets.task import Task
from models import Takes, register
from models.attention import attend

VECTORS = Takes(("points", "table"), ("value", "classes"), "attends among the hidden numbers of one small vector")


class Heads(nn.Module):
    """(batch, inputs) -> (batch, outputs), `width` numbers split into `heads` heads that attend to each other."""

    def __init__(self, inputs: int, outputs: int, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{width} numbers cannot be split into {heads} heads")
        self.shape = (heads, width // heads)
        self.embed, self.answer = nn.Linear(inputs, width), nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        heads = self.embed(x).unflatten(1, (1, *self.shape))  # what is called heads are the tokens of one head
        return self.answer(attend(self, heads, heads, heads).flatten(1))


@register(family="attention", takes=VECTORS)
def heads(task: Task, *, width: int = 8, heads: int = 4) -> Heads:
    return Heads(task.input.size, task.output.size, width, heads)
