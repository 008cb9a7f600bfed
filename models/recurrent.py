"""Gated recurrent units (GRU, 1406.1078) that take one step at a time, their products with the input already made.

    gates = W x + b                        for all steps at once, (batch, 3 hidden): reset, update, new
    r, z  = σ(gates + U h)                 z keeps the old state, as in 1406.1078 and in torch
    n     = tanh(gates + r ∘ (U h + c))    `Cell`: torch's, 3 · hidden · (inputs + hidden + 2) parameters
    n     = tanh(gates + U (r ∘ h))        `ResetFirst`: the paper's, 3 · hidden · (inputs + hidden + 1)
    h'    = z ∘ h + (1 - z) ∘ n

Both have `weight_ih` (3 hidden, inputs), `bias_ih`, `weight_hh` and `step`. What is fed from several places can be multiplied by
its columns of `weight_ih` where that is cheapest, and added.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GRU(nn.GRU):
    """torch.nn.GRU with the batch in front, in training mode for good.

    It has no dropout, so that the mode changes no answer, but cuDNN gives no gradients in evaluation mode.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden, batch_first=True)

    def train(self, mode: bool = True) -> GRU:
        return super().train()


class Cell(nn.GRUCell):
    """torch.nn.GRUCell, parameters and all, with the input's product left to the caller."""

    def step(self, gates: Tensor, state: Tensor) -> Tensor:
        """(batch, 3 hidden) and (batch, hidden) -> the next state, (batch, hidden)."""
        sizes = [2 * self.hidden_size, self.hidden_size]
        given, fresh = gates.split(sizes, 1)
        recalled, reset = F.linear(state, self.weight_hh, self.bias_hh).split(sizes, 1)
        r, z = (given + recalled).sigmoid().chunk(2, 1)
        n = torch.tanh(fresh + r * reset)
        return n + z * (state - n)


class ResetFirst(nn.Module):
    """A layer like `GRU`, (batch, length, inputs) -> the states (batch, length, hidden) and the last one.

    The reset comes before the recurrent product, with one bias per gate: no library has a fast kernel for it.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden_size = hidden
        bound = hidden**-0.5
        self.weight_ih = nn.Parameter(torch.empty(3 * hidden, inputs).uniform_(-bound, bound))
        self.weight_hh = nn.Parameter(torch.empty(3 * hidden, hidden).uniform_(-bound, bound))
        self.bias_ih = nn.Parameter(torch.empty(3 * hidden).uniform_(-bound, bound))

    def step(self, gates: Tensor, state: Tensor) -> Tensor:
        """(batch, 3 hidden) and (batch, hidden) -> the next state, (batch, hidden)."""
        sizes = [2 * self.hidden_size, self.hidden_size]
        given, fresh = gates.split(sizes, 1)
        early, late = self.weight_hh.split(sizes)
        r, z = (given + F.linear(state, early)).sigmoid().chunk(2, 1)
        n = torch.tanh(fresh + F.linear(r * state, late))
        return n + z * (state - n)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        state = x.new_zeros(len(x), self.hidden_size)
        states = []
        for gates in F.linear(x.transpose(0, 1), self.weight_ih, self.bias_ih).unbind():
            state = self.step(gates, state)
            states.append(state)
        return torch.stack(states, 1), state[None]
