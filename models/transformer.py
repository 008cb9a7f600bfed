"""The encoder of "Attention on Iris" (S3): every feature, sample or patch is a token.

    tokens -> 64 -> + sinusoidal positions -> [post-norm: attention of 4 heads, MLP of 256] × 2 -> mean -> answer

100,291 parameters on Iris (the source says 14,851, which no reading of its dimensions gives). Post-norm as in 1706.03762.

transformer_published is the other reading, all features as one token: 100,483 parameters on Iris. Such a token attends to
nothing but itself, with weight 1, and so the 16,640 parameters of queries and keys never learn.

transformer_head_published has the head of an article with the same figures, 64 -> 32, ReLU, dropout -> 3, on that one token: 102,467.
Its rate of dropout is not known; 0.1 is 1706.03762's.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from datasets.task import Input, Task
from models import Takes, register
from models.attention import SelfAttention, sinusoids
from models.dropout import Dropout
from models.tokens import Answer, Tokens


class EncoderBlock(nn.Module):
    """norm(x + attention(x)), then norm(x + mlp(x)); (batch, tokens, dim) -> the same."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attention, self.norm1 = SelfAttention(dim, heads), nn.LayerNorm(dim)
        self.mlp, self.norm2 = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim)), nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(x + self.attention(x))
        return self.norm2(x + self.mlp(x))


class Transformer(nn.Module):
    """(batch, *input.shape) -> (batch, *output.shape)."""

    positions: Tensor

    def __init__(self, task: Task, dim: int, depth: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.tokens = Tokens(task, dim)
        self.register_buffer("positions", sinusoids(self.tokens.count, dim), persistent=False)
        self.blocks = nn.Sequential(*(EncoderBlock(dim, heads, hidden) for _ in range(depth)))
        self.answer = Answer(task, self.tokens.count, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.answer(self.blocks(self.tokens(x) + self.positions))


@register(family="attention")
def transformer(task: Task, *, dim: int = 64, depth: int = 2, heads: int = 4, hidden: int = 256) -> Transformer:
    return Transformer(task, dim, depth, heads, hidden)


ONE = "makes one token of a table's features"


def one_token(task: Task, *sizes: int) -> Transformer:
    """For inputs (batch, features, 1): a signal of one sample is one token."""
    return Transformer(replace(task, input=Input("signal", (task.input.shape[0], 1))), *sizes)


@register(family="attention", takes=Takes("table", reads=ONE))
def transformer_published(task: Task, *, dim: int = 64, depth: int = 2, heads: int = 4, hidden: int = 256) -> nn.Sequential:
    return nn.Sequential(nn.Unflatten(1, (task.input.shape[0], 1)), one_token(task, dim, depth, heads, hidden))


@register(family="attention", takes=Takes("table", ("value", "classes"), ONE, "answers with one vector"))
def transformer_head_published(
    task: Task, *, dim: int = 64, depth: int = 2, heads: int = 4, hidden: int = 256, narrow: int = 32, dropout: float = 0.1
) -> nn.Sequential:
    encoder = one_token(task, dim, depth, heads, hidden)
    head = nn.Sequential(nn.Linear(dim, narrow), nn.ReLU(), Dropout(dropout), nn.Linear(narrow, task.output.size))
    encoder.answer.add_module("linear", head)
    return nn.Sequential(nn.Unflatten(1, (task.input.shape[0], 1)), encoder)
