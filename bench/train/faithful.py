"""Whether seeds of a model are trained together: only where a stack trains them as each would be alone, and where that pays."""

from __future__ import annotations

import copy
import hashlib
import io
import pickle
import random
import weakref
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._ops import OpOverload, OpOverloadPacket

from bench.train import shared
from datasets.data import generator
from datasets.task import Budget, Task

# Above these FLOPs of a forward pass over one batch, seeds trained together are no faster than one after another
# (measured on two CPU cores: 4 × faster at 4 MFLOP, 2 × at 26, slower at 100; a GPU is kept busy only later).
PAYS = {"cpu": 3e7, "cuda": 3e9}
REASONS = {
    nn.modules.dropout._DropoutNd: "dropout draws from one stream",
    nn.modules.batchnorm._NormBase: "batch statistics are state",
    nn.RNNBase: "torch has no batching rule for it",
}
CODE = (type, ModuleType, OpOverload, OpOverloadPacket, weakref.ref)  # what holds no state of a model's own


def stays_alone(module: nn.Module, flops: float | None, task: Task, budget: Budget, device: torch.device) -> str | None:
    """Why seeds of this model are trained one after another, or None if stacking them is faithful and pays. `flops`: None if not known."""
    if hasattr(module, "loss") or hasattr(module, "predict"):
        return "the model brings its own loss or prediction"
    for layer in module.modules():
        for kind, reason in REASONS.items():
            if isinstance(layer, kind) and getattr(layer, "p", 1.0) > 0:
                return f"{type(layer).__name__}: {reason}"
    if flops is None:
        return "its FLOPs are not known, and so not whether stacking pays"
    if flops * budget.batch > PAYS.get(device.type, 0.0):
        return "one seed keeps the device busy"
    return unfaithful(module, task, device)


def unfaithful(module: nn.Module, task: Task, device: torch.device) -> str | None:
    """Why stacked weights would not be trained as the module's own are, or None.

    The module is asked twice, in training, from the same random state: what changes in it, or in its answer, a stack would not see.
    """
    if any(not p.requires_grad for p in module.parameters()):
        return "some of its parameters are not to be trained"
    if len(list(module.parameters())) < len(list(module.named_parameters(remove_duplicate=False))):
        return "some of its parameters are shared"
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks")
    if any(getattr(layer, kind, None) for layer in module.modules() for kind in hooks):
        return "it has hooks"
    if any(p._post_accumulate_grad_hooks or p._backward_hooks for p in module.parameters()):
        return "its parameters have hooks"
    tried = copy.deepcopy(module).train()
    x = task.sample(4, generator("stack", 0))[0].to(device)
    before = [buffer.clone() for buffer in tried.buffers()]
    answers, held = [], []
    for _ in range(2):
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.no_grad():
            torch.manual_seed(0)
            answers.append(tried(x))
        try:
            held.append(own_state(tried))
        except Exception as error:  # what is among its attributes may raise anything
            return f"whether it has a state of its own cannot be told: {type(error).__name__}"
    if not all(torch.equal(old, new) for old, new in zip(before, tried.buffers(), strict=True)):
        return "its buffers change while it is trained"
    same = torch.equal(*answers) and held[0] == held[1]  # between two passes: what the first has made, as a mask, may stay
    return None if same else "it has random numbers or a state of its own"


def own_state(module: nn.Module) -> list[Any]:
    """What a pass may change beside parameters and buffers: attributes, of classes too, and where the random numbers of Python and
    numpy stand."""
    usual = vars(nn.Module()).keys()
    held = io.BytesIO()
    layers = list(module.modules())
    own = [(name, value) for layer in layers for name, value in vars(layer).items() if name not in usual]
    Said(held, layers).dump([own, list(shared.held(module).values())])
    return [held.getvalue(), random.getstate(), repr(np.random.get_state())]


class Said(pickle.Pickler):
    """Writes what objects hold, however deep, to be compared and never read: tensors by what is in them, code by where it is.

    The layers of the module are left out, as their attributes are written one by one. What a function holds is in its closure.
    """

    def __init__(self, file: io.BytesIO, layers: list[nn.Module]) -> None:
        super().__init__(file)
        self.known = {id(layer) for layer in layers}

    def persistent_id(self, value: Any) -> Any:
        if isinstance(value, Tensor):  # by what is in it: those that pickling makes, of a generator say, are others every time
            flat = value.detach().cpu().contiguous().reshape(-1)
            return value.shape, str(value.dtype), hashlib.sha256(flat.view(torch.uint8).numpy().tobytes()).digest()
        if isinstance(value, FunctionType) and id(value) not in self.known:
            self.known.add(id(value))  # it may hold itself
            return id(value), vars(value), [cell.cell_contents for cell in value.__closure__ or ()]
        builtin = isinstance(value, BuiltinFunctionType) and isinstance(value.__self__, type | ModuleType | None)
        return id(value) if builtin or id(value) in self.known or isinstance(value, CODE) else None
