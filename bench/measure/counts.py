"""What a model costs, counted rather than timed: parameters, parameters that can learn, FLOPs, bytes in a training step."""

from __future__ import annotations

import contextlib
import copy
import re
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.pool import Pool
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from bench.train.optimiser import optimizer
from datasets.data import generator
from datasets.registry import describe
from datasets.task import Budget, Task
from datasets.vocabulary import UNKNOWN

MOST_DRAWS, PATIENCE, DRAW_BATCH, SENTENCES = 64, 6, 16, 64
NEGLIGIBLE = 1e-9  # of the largest gradient in the model; float64 rounding leaves about 1e-16


def loss(module: nn.Module, task: Task, x: Tensor, y: Tensor) -> Tensor:
    """The training loss of a batch, the model's own if it brings one."""
    own: Callable[..., Tensor] | None = getattr(module, "loss", None)
    return own(x, y, task, generator("cost", 0, x.device)) if own is not None else task.loss(module(x), y)


def answer(module: nn.Module, task: Task) -> Callable[[Tensor], Any]:
    """The forward pass as it is used: the model's own `predict` if it brings one."""
    own: Callable[..., Any] | None = getattr(module, "predict", None)
    return module if own is None else lambda x: own(x, task)


def swept(values: Tensor, vocabulary: int, draw: int) -> Tensor:
    """Sentences with other words: draw after draw goes through the whole vocabulary. Other values as they are."""
    if not vocabulary:
        return values
    order = UNKNOWN + (torch.arange(values.numel()) + draw * values.numel()).view(values.shape) % (vocabulary - UNKNOWN)
    return torch.where(values > UNKNOWN, order, values)


def active(module: nn.Module, task: Task) -> int:
    """Elements of parameters that get a gradient for some weights and some batch.

    Draws of weights (random signs, a little noise) and batches in float64, dropout off, until all elements are alive or
    `PATIENCE` draws in a row found no new one. An element is alive once its gradient exceeds `NEGLIGIBLE` × the largest of
    the model: a key's bias, which softmax cancels, has rounding errors only. A ReLU unit that one draw shuts, another opens.
    """
    module = copy.deepcopy(module).double().eval()
    parameters = dict(module.named_parameters())
    start = {name: p.detach().clone() for name, p in parameters.items()}
    alive = {name: torch.zeros_like(p, dtype=torch.bool) for name, p in parameters.items()}
    total, found, waited = sum(p.numel() for p in parameters.values()), 0, 0
    for draw in range(MOST_DRAWS):
        g = generator("active", draw)
        with torch.no_grad():
            for name, p in parameters.items():
                noise = torch.randn(p.shape, generator=g, dtype=torch.float64).to(p.device)
                p.copy_(start[name] * noise.sign() + 0.02 * noise)
        x, y = task.sample(DRAW_BATCH if task.input.kind != "tokens" else SENTENCES, g)
        x, y = swept(x, task.input.vocabulary, draw), swept(y, task.output.vocabulary, draw)
        x, y = (part.to(next(iter(parameters.values())).device) for part in (x, y))
        module.zero_grad()
        loss(module, task, *(part.double() if part.is_floating_point() else part for part in (x, y))).backward()
        gradients = {name: p.grad.abs() for name, p in parameters.items() if p.grad is not None}
        largest = max((float(value.max()) for value in gradients.values()), default=0.0)
        for name, value in gradients.items():
            alive[name] |= value > NEGLIGIBLE * largest
        now = sum(int(mask.sum()) for mask in alive.values())
        waited = 0 if now > found else waited + 1
        found = now
        if found == total or waited == PATIENCE:
            break
    return found


class Uncounted(RuntimeError):
    """FLOPs cannot be told: an operator multiplies and torch's counter does not know it. The message names it."""


# parts of names of operators that multiply matrices, convolve or transform; what is done number by number is not counted anyway
MULTIPLIES = re.compile(
    r"^(?!_?upsample).*(rnn|lstm|gru|attention|conv|matmul|linear|einsum|fft|[cp]dist|linalg|solve|cholesky|svd|eig|geqrf|orgqr|ormqr"
    r"|bmm|(^|_|sp)(mm|addmm|mv|addmv|v?dot|outer|addr)($|_))"
)
# What takes numbers out of torch, and where they go.
LEAVES = {Tensor.numpy: "numpy", Tensor.__array__: "numpy", Tensor.__dlpack__: "another library"}
LEAVES |= {getattr(Tensor, name): "Python" for name in ("tolist", "item", "__float__", "__complex__")}


class Known(TorchDispatchMode):
    """Raises Uncounted at the first operator whose FLOPs would silently be 0, or those of a dense product where it is a sparse one."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        space, name = func.namespace, func.overloadpacket.__name__
        foreign, counted = space not in ("aten", "prim", "prims", "profiler", "debugprims"), func.overloadpacket in flop_registry
        weighted = "embedding_bag" in name and len(args) > 6 and args[6] is not None  # it multiplies by weights; without, it adds
        if not counted and (foreign or weighted or MULTIPLIES.search(name)):
            raise Uncounted(f"torch's counter does not know {space}::{name}")
        if counted and any(isinstance(value, Tensor) and value.layout != torch.strided for value in tree_flatten((args, kwargs))[0]):
            raise Uncounted(f"torch's counter takes {space}::{name} of sparse tensors for that of dense ones")
        return func(*args, **(kwargs or {}))


class Inside(TorchFunctionMode):
    """Raises Uncounted where a tensor's numbers leave torch: what is worked out with them elsewhere, no counter sees."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # a single whole number is a length, an index or a truth, as of a mask, rather than what is multiplied
        if func in LEAVES and not (func is Tensor.item and not args[0].is_floating_point() and not args[0].is_complex()):
            raise Uncounted(f"what is worked out in {LEAVES[func]} is not counted")
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Raises Uncounted where this thread gives work to another, or to a process: torch's modes see nothing of what others do."""
    here, ways = threading.get_ident(), [(threading.Thread, "start"), (BaseProcess, "start")]
    ways += [(kind, "submit") for kind in (ThreadPoolExecutor, ProcessPoolExecutor)]
    ways += [(Pool, name) for name in ("apply_async", "_map_async", "imap", "imap_unordered")]  # ThreadPool's, too

    def refused(real: Callable[..., Any]) -> Callable[..., Any]:
        def start(*args: Any, **options: Any) -> Any:
            if threading.get_ident() == here:
                raise Uncounted("what is worked out in another thread or process is not counted")
            return real(*args, **options)

        return start

    with contextlib.ExitStack() as undone:
        for kind, name in ways:
            undone.callback(setattr, kind, name, real := getattr(kind, name))
            setattr(kind, name, refused(real))
        yield


@contextlib.contextmanager
def plain_kernels() -> Iterator[None]:
    """Fused attention and recurrent kernels off: the plain ones are made of products that torch's counter knows."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of a TF32 setting that this leaves as it is
            with torch.backends.mkldnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH):
                yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def flops(module: nn.Module, task: Task) -> int:
    """FLOPs of one sample's forward pass by torch's counter: matrix products and convolutions, 2 per multiply-add.

    Raises Uncounted where an operator would be counted as nothing.
    """
    x = task.sample(1)[0].to(next(module.parameters()).device)
    counter = FlopCounterMode(display=False)
    training = module.training
    try:
        with torch.no_grad(), plain_kernels(), one_thread(), counter, Known(), Inside():
            answer(module.eval(), task)(x)
    finally:
        module.train(training)
    return int(counter.get_total_flops())


class PeakBytes(TorchDispatchMode):
    """Follows every tensor an operation makes; `peak` is the most bytes alive at once. Scratch space inside kernels is unseen."""

    def __init__(self, *alive: Tensor) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.seen: set[int] = set()
        self.follow(alive)

    def follow(self, values: Any) -> None:
        for value in tree_flatten(values)[0]:
            if isinstance(value, Tensor) and (storage := value.untyped_storage()).data_ptr() not in self.seen:
                key, size = storage.data_ptr(), storage.nbytes()
                self.seen.add(key)
                self.now += size
                weakref.finalize(storage, self.forget, key, size)
        self.peak = max(self.peak, self.now)

    def forget(self, key: int, size: int) -> None:
        self.seen.discard(key)
        self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.follow(out)
        return out


def peak_bytes(module: nn.Module, task: Task, budget: Budget) -> int:
    """Bytes of tensors alive at the worst moment of the second training step: weights, gradients, optimiser, activations."""
    module = copy.deepcopy(module).train()
    parameters = list(module.parameters())
    device = parameters[0].device
    x, y = (part.to(device) for part in task.sample(budget.batch, generator("cost", 0)))
    stepper = optimizer(budget, [p for p in parameters if p.requires_grad])
    with torch.random.fork_rng(), PeakBytes(*parameters, *module.buffers(), x, y) as bytes_:
        for _ in range(2):
            stepper.zero_grad()
            loss(module, task, x, y).backward()
            stepper.step()
    return bytes_.peak


def measure(module: nn.Module, task: Task, budget: Budget) -> tuple[dict[str, int | None], str]:
    """params, params_active, flops (of one sample's forward pass) and peak_bytes (of a training step).

    The module is left as it was. A figure that cannot be measured is None, and the note says why.
    """
    parts: dict[str, Callable[[], int]] = {
        "params": lambda: sum(p.numel() for p in module.parameters()),
        "params_active": lambda: active(module, task),
        "flops": lambda: flops(module, task),
        "peak_bytes": lambda: peak_bytes(module, task, budget),
    }
    costs: dict[str, int | None] = {}
    notes = []
    for name, count in parts.items():
        try:
            costs[name] = count()
        except Exception as error:
            costs[name] = None
            notes.append(f"{name} not measured: {describe(error)}")
    return costs, "; ".join(notes)


def fitted(module: nn.Module) -> tuple[dict[str, int | None], str]:
    """The same of a module that is fitted whole: there is no training step, and what an answer costs depends on what was fitted."""
    blank: dict[str, int | None] = dict.fromkeys(("params_active", "flops", "peak_bytes"))
    return {"params": sum(p.numel() for p in module.parameters())} | blank, "fitted, not trained by gradient: nothing else is counted"
