"""What needs no network, as a bar for those that do: ridge regression, nearest neighbours, and boosted trees of scikit-learn.

They are fitted whole (models.Fits), each choosing its one setting by val, and see an input as a list of numbers without places.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor, nn

from datasets.task import Task
from models import NUMBERS, Samples, Unsupported, register

PENALTIES = tuple(10.0**power for power in range(-4, 5))  # times the number of samples
NEIGHBOURS = (1, 3, 5, 10, 20)
ROUNDS = 100  # of boosting
WIDEST = 256  # numbers in an input of boosted trees: with ten classes and more of them a fit takes minutes


def wanted(task: Task, y: Tensor) -> Tensor:
    """Targets as rows of numbers, (n, outputs): classes as one-hot, labels as -1 and 1, so that 0 lies between them as in logits."""
    if task.output.kind == "labels":
        return 2 * y - 1
    if task.output.kind == "classes":
        return nn.functional.one_hot(y, task.output.size).to(torch.get_default_dtype())
    return y.flatten(1)


def chosen(fits: dict[Any, Any], answer: Any, val: Samples, task: Task) -> Any:
    """The setting whose answers to val have the best metric (ties: the first)."""

    def worth(setting: Any) -> float:
        found = task.scores(answer(fits[setting], val.x), val.y, None)[task.metric.name]
        return task.metric.sign * task.mean(task.metric.name, found.cpu())

    return max(fits, key=worth)


class Ridge(nn.Module):
    """(batch, *input) -> (batch, *output): a linear map, least squares with a penalty on all weights but the bias; of classes, scores."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.shape = task.output.shape
        outputs = torch.Size(self.shape).numel()
        self.weight = nn.Parameter(torch.zeros(outputs, task.input.size))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x.flatten(1), self.weight, self.bias).unflatten(1, self.shape)

    def fit(self, train: Samples, val: Samples, task: Task, generator: Generator) -> None:
        x, y = train.x.flatten(1).double(), wanted(task, train.y).double()
        x_mean, y_mean = x.mean(0), y.mean(0)
        values, vectors = torch.linalg.eigh((x - x_mean).T @ (x - x_mean) / len(x))  # once for all penalties
        toward = vectors.T @ ((x - x_mean).T @ (y - y_mean)) / len(x)
        fits = {penalty: (vectors @ (toward / (values.clamp_min(0) + penalty)[:, None])).T for penalty in PENALTIES}

        def answer(weight: Tensor, x: Tensor) -> Tensor:
            return ((x.flatten(1).double() - x_mean) @ weight.T + y_mean).to(x.dtype).unflatten(1, self.shape)

        best = fits[chosen(fits, answer, val, task)]
        self.weight.copy_(best)
        self.bias.copy_(y_mean - best @ x_mean)


class Remembering(nn.Module):
    """Keeps what it was fitted to as its weights, and the setting that val chose."""

    x: Tensor
    y: Tensor
    setting: Tensor

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.classes = task.output.size if task.output.kind == "classes" else 0
        self.shape = task.output.shape
        self.register_buffer("x", torch.zeros(0, task.input.size))
        self.register_buffer("y", torch.zeros(0, torch.Size(self.shape).numel()))
        self.register_buffer("setting", torch.zeros((), dtype=torch.int64))

    def remember(self, train: Samples, task: Task) -> None:
        self.x, self.y = train.x.flatten(1).clone(), wanted(task, train.y).clone()

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        self.x, self.y = (torch.empty_like(state_dict[prefix + name]) for name in ("x", "y"))  # as many samples as were kept
        super()._load_from_state_dict(state_dict, prefix, *args)


class NearestNeighbours(Remembering):
    """(batch, *input) -> (batch, *output): the mean target of the nearest samples; of classes, the logarithm of their shares."""

    def answer(self, k: int, x: Tensor) -> Tensor:
        nearest = torch.cdist(x.flatten(1), self.x).topk(k, largest=False).indices
        found = self.y[nearest].mean(1)
        # a class that no neighbour has is rare, and not impossible
        return ((found + 1e-2).log() if self.classes else found).unflatten(1, self.shape)

    def forward(self, x: Tensor) -> Tensor:
        return self.answer(int(self.setting), x)

    def fit(self, train: Samples, val: Samples, task: Task, generator: Generator) -> None:
        self.remember(train, task)
        fits = {k: k for k in NEIGHBOURS if k <= len(self.x)}
        self.setting.fill_(chosen(fits, self.answer, val, task))


class Boosting(Remembering):
    """(batch, *input) -> (batch, classes) logarithms of probabilities, or (batch, 1). Its trees are made again where it is loaded."""

    def trees(self) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        make = HistGradientBoostingClassifier if self.classes else HistGradientBoostingRegressor
        found = make(max_iter=int(self.setting), early_stopping=False, random_state=0)
        target = self.y.argmax(1) if self.classes else self.y[:, 0]
        return found.fit(self.x.cpu().numpy(), target.cpu().numpy())

    def answer(self, found: Any, x: Tensor) -> Tensor:
        rows = x.flatten(1).cpu().numpy()
        if not self.classes:
            return torch.from_numpy(found.predict(rows)).to(x)[:, None]
        out = x.new_full((len(x), self.classes), 1e-9)
        out[:, torch.from_numpy(found.classes_)] = torch.from_numpy(found.predict_proba(rows)).to(x)
        return out.clamp_min(1e-9).log()

    def forward(self, x: Tensor) -> Tensor:
        if getattr(self, "made", None) is None:
            self.made = self.trees()
        return self.answer(self.made, x)

    def fit(self, train: Samples, val: Samples, task: Task, generator: Generator) -> None:
        self.remember(train, task)
        self.setting.fill_(ROUNDS)
        self.made = self.trees()


@register(family="other", takes=NUMBERS)
def ridge(task: Task) -> Ridge:
    return Ridge(task)


@register(family="other", takes=NUMBERS)
def nearest_neighbours(task: Task) -> NearestNeighbours:
    return NearestNeighbours(task)


@register(family="other", takes=NUMBERS)
def boosting(task: Task) -> Boosting:
    if task.output.kind != "classes" and torch.Size(task.output.shape).numel() > 1:
        raise Unsupported("a forest answers with one number; this task asks for more")
    if task.input.size > WIDEST:
        raise Unsupported(f"boosted trees of {task.input.size} numbers take minutes")
    return Boosting(task)
