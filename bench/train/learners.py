"""The weights being trained: one module, or the same model of several seeds stacked and trained in one pass.

Both offer the same things, with S = 1 or more seeds in front:

    losses(x, y)    gradients are written, losses of this batch come back, (S,)
    forward(x)      (S, batch, …) -> (S, batch, …), evaluation mode, no gradients
    taught(x, y)    the same given the true prefix, for models that decode; None for the others
    state()         name -> (S, …): every parameter and buffer
    parameters      what the optimiser changes
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch._guards import TracingContext, tracing
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel

from datasets.data import generator
from datasets.task import Budget, Task


def precision(budget: Budget, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """The arithmetic a budget asks for: bfloat16 by autocast, or float32 as it is."""
    if budget.dtype == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


class Single:
    """One seed: a module trained as it is."""

    def __init__(self, module: nn.Module, task: Task, budget: Budget, device: torch.device, noise: torch.Generator) -> None:
        self.module, self.task, self.noise = module.to(device), task, noise
        self.precision = precision(budget, device)
        self.parameters: list[Tensor] = [p for p in module.parameters() if p.requires_grad]
        self.own_loss = getattr(module, "loss", None)
        self.predict = getattr(module, "predict", None)
        self.teach = getattr(module, "teach", None)
        module.train()

    def losses(self, x: Tensor, y: Tensor) -> Tensor:
        with self.precision:
            own = self.own_loss
            loss = own(x, y, self.task, self.noise) if own is not None else self.task.loss(self.module(x), y)
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()
        return loss.detach()

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        self.module.eval()
        with self.precision:
            out = self.predict(x[0], self.task) if self.predict is not None else self.module(x[0])
        self.module.train()
        return (out.float() if out.is_floating_point() else out)[None]

    @torch.no_grad()
    def taught(self, x: Tensor, y: Tensor) -> Tensor | None:
        if self.teach is None:
            return None
        self.module.eval()
        with self.precision:
            out = self.teach(x[0], y[0])
        self.module.train()
        return out.float()[None]

    def state(self) -> dict[str, Tensor]:
        return {name: value.detach()[None] for name, value in self.module.state_dict().items()}


def check_answer(module: torch.nn.Module, task: Task, budget: Budget, device: torch.device) -> None:
    """ValueError if the model's answer is not shaped as the task asks: broadcasting would make a number of it all the same."""
    x, _ = task.sample(2)
    found = tuple(Single(module, task, budget, device, generator("check", 0, device)).forward(x.to(device)[None])[0].shape)
    decoded = task.output.kind == "tokens" and found == (2, task.output.size)
    if decoded and not hasattr(module, "teach"):
        raise ValueError("answers with tokens, which have no loss: bring .teach(x, y), the logits given the true prefix")
    if found != (2, *task.output.shape) and not decoded:
        raise ValueError(f"answers two samples with shape {found}; {task.name} asks for {(2, *task.output.shape)}")
    if not any(hasattr(module, own) for own in ("loss", "predict", "teach")):
        trained = copy.deepcopy(module).train()
        with torch.no_grad(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            found = tuple(trained(x.to(device)).shape)
        if found != (2, *task.output.shape):
            raise ValueError(f"answers two samples with shape {found} in training; {task.name} asks for {(2, *task.output.shape)}")


class Stacked:
    """Several seeds: parameters (S, …), forward by vmap, and a step traced once into a plain list of tensor operations.

    Tracing spares vmap's and autograd's bookkeeping at every step, which costs more than the arithmetic of small models.
    Raises RuntimeError where a layer has no batching rule or draws random numbers.
    """

    def __init__(self, modules: list[nn.Module], task: Task, budget: Budget, device: torch.device) -> None:
        self.template = modules[0].to(device).train()
        params, buffers = stack_module_state([module.to(device) for module in modules])
        self.params: dict[str, Tensor] = params
        self.buffers: dict[str, Tensor] = buffers
        self.parameters = list(params.values())
        self.persistent = set(self.template.state_dict())
        self.precision = precision(budget, device)

        def loss(params: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            return task.loss(functional_call(self.template, (params, buffers), (x,)), y)

        self.gradients = vmap(grad_and_value(loss))
        self.outputs = vmap(lambda params, buffers, x: functional_call(self.template, (params, buffers), (x,)))
        self.traced: GraphModule | None = None

    def trace(self, x: Tensor, y: Tensor) -> GraphModule:
        """The gradients of one batch as a graph, without the steps that change nothing."""

        def flat(*tensors: Tensor) -> list[Tensor]:
            params = dict(zip(self.params, tensors, strict=False))
            gradients, losses = self.gradients(params, self.buffers, *tensors[-2:])
            return [*gradients.values(), losses]

        # The fused attention kernels have no batching rule. One shared fake mode spares making one for every tensor met.
        shared = tracing(TracingContext(FakeTensorMode(allow_fallback_kernels=True)))
        with sdpa_kernel(SDPBackend.MATH), self.precision, shared:
            return without_no_ops(make_fx(flat)(*(p.detach() for p in self.parameters), x, y))

    def losses(self, x: Tensor, y: Tensor) -> Tensor:
        if self.traced is None:
            self.traced = self.trace(x, y)
        with torch.no_grad():
            *gradients, losses = self.traced(*self.parameters, x, y)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        return losses

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        self.template.eval()
        with sdpa_kernel(SDPBackend.MATH), self.precision:
            out = self.outputs(self.params, self.buffers, x)
        self.template.train()
        return out.float()

    def taught(self, x: Tensor, y: Tensor) -> Tensor | None:
        """Models that decode bring a loss of their own, and so are not stacked."""
        return None

    def state(self) -> dict[str, Tensor]:
        stacked = {**self.params, **self.buffers}
        return {name: value.detach() for name, value in stacked.items() if name in self.persistent}


@torch.no_grad()
def unlike(stack: Stacked, modules: list[nn.Module], x: Tensor) -> bool:
    """Whether a module answers otherwise than its place in a stack, to x (S, batch, …): what differs in it is not in the stack."""
    with stack.precision:
        alone = torch.stack([module.eval()(one) for module, one in zip(modules, x, strict=True)]).float()
    for module in modules:
        module.train()
    found = stack.forward(x)
    rounding = 1e-3 if isinstance(stack.precision, contextlib.nullcontext) else 5e-2
    return bool((found - alone).abs().max() > rounding * alone.abs().max())


RESHAPES: tuple[Callable[..., Any], ...] = (
    torch.ops.aten.expand.default,
    torch.ops.aten.view.default,
    torch.ops.aten._unsafe_view.default,
    torch.ops.aten.detach.default,
    torch.ops.aten.alias.default,
)


def without_no_ops(graph: GraphModule) -> GraphModule:
    """Drop reshapes to the same shape, multiplications by the number 1, and whatever nobody reads."""

    def shape(node: Any) -> Any:
        return node.meta["val"].shape if isinstance(node, Node) and "val" in node.meta else None

    for node in graph.graph.nodes:
        same = node.target in RESHAPES and shape(node) == shape(node.args[0])
        one = node.target is torch.ops.aten.mul.Scalar and node.args[1] == 1
        if same or one:
            node.replace_all_uses_with(node.args[0])
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph
