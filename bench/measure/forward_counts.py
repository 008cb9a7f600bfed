"""What a forward pass costs exactly: counted, not timed, so that any growth is a finding by itself.

    params        elements of all parameters
    flops         of one sample (bench/measure/counts.py)
    operators     operators that reach the dispatcher in one forward pass, views included; each one costs a CPU its
                  overhead and a GPU, where it computes something, a kernel's launch
    peak_bytes    bytes of tensors alive at the worst moment of that pass, weights and input included; scratch space inside
                  kernels is unseen

Operators and bytes depend on the batch, on the device's choice of attention kernel and on torch, so they are compared only
where those are the same.
"""

from __future__ import annotations

import contextlib
import copy
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from bench.measure.counts import PeakBytes, answer, flops
from datasets.data import generator
from datasets.task import Task


class Operators(TorchDispatchMode):
    """Counts the operators that are dispatched inside it, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen[str(func)] += 1
        return func(*args, **(kwargs or {}))


def sample(task: Task, batch: int, device: torch.device) -> Tensor:
    """The input that is timed and counted, (batch, *input.shape): the same for every model of a data set."""
    return task.sample(batch, generator("latency", 0))[0].to(device)


Arithmetic = Callable[[], AbstractContextManager[Any]]  # entered anew in every pass: float32 as it is, or autocast


def watched(watch: TorchDispatchMode, module: nn.Module, task: Task, x: Tensor, arithmetic: Arithmetic) -> None:
    """One forward pass under `watch`. Not in inference mode, in which what composite operators are made of is not dispatched."""
    forward = answer(module, task)
    with torch.no_grad():
        with arithmetic():
            forward(x)  # what is built once, a cached mask say, is no part of a forward pass
        with watch, arithmetic():
            forward(x)


def operators(module: nn.Module, task: Task, batch: int, arithmetic: Arithmetic = contextlib.nullcontext) -> Counter[str]:
    """Operators of one forward pass in evaluation mode, by name: {"aten.addmm.default": 4, …}."""
    x = sample(task, batch, next(module.parameters()).device)
    counted = Operators()
    watched(counted, module, task, x, arithmetic)
    return counted.seen


def peak_bytes(module: nn.Module, task: Task, batch: int, arithmetic: Arithmetic = contextlib.nullcontext) -> int:
    """Most bytes alive at once in one forward pass: weights, buffers, input and what the pass makes."""
    x = sample(task, batch, next(module.parameters()).device)
    counted = PeakBytes(*module.parameters(), *module.buffers(), x)
    watched(counted, module, task, x, arithmetic)
    return counted.peak


def countable(module: nn.Module) -> nn.Module:
    """The module where its FLOPs can be counted: torch's counter does not know cuDNN's recurrent kernels, a copy on the CPU has others."""
    recurrent = any(isinstance(layer, nn.RNNBase) for layer in module.modules())
    return copy.deepcopy(module).cpu() if recurrent else module


def measure(module: nn.Module, task: Task, batch: int, arithmetic: Arithmetic = contextlib.nullcontext) -> dict[str, int]:
    """The four figures of a module in evaluation mode; raises what the module raises."""
    return {
        "params": sum(p.numel() for p in module.parameters()),
        "flops": flops(countable(module), task),
        "operators": operators(module, task, batch, arithmetic).total(),
        "peak_bytes": peak_bytes(module, task, batch, arithmetic),
    }
