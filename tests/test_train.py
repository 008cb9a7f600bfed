"""The training loop against a loop written by hand, against itself in other arrangements, and against things going wrong."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import datasets
import models
from bench.train.batches import Batches
from bench.train.evaluation import evaluation_steps
from bench.train.faithful import stays_alone
from bench.train.learners import Single, Stacked
from bench.train.loop import Training, fresh
from bench.train.optimiser import clip, learning_rate
from datasets import points
from datasets.data import Data, Split, TrainingData, derive, generator, streamed
from datasets.task import Budget, Input, Output, Task, budgets

CPU = torch.device("cpu")
SHORT = Budget("short", samples=960, batch=32, lr=1e-2, schedule="cosine", warmup=0.1, evaluations=5)


def training(model: str, dataset: str, seeds: list[int], budget: Budget = SHORT) -> Training:
    task = datasets.task(dataset)
    data = [datasets.load(dataset, seed=seed).for_training for seed in seeds]
    return Training(partial(models.build, model, task), task, budget, seeds, data, CPU)


def test_against_a_loop_written_by_hand() -> None:
    seed, task = 3, datasets.task("gaussian")
    ours = training("mlp", "gaussian", [seed]).run()[0]
    data = datasets.load("gaussian", seed=seed)
    torch.manual_seed(derive("init", seed))
    net = models.build("mlp", task)
    adam = torch.optim.Adam(net.parameters())
    epochs = [torch.randperm(500, generator=generator(f"order/{e}", seed)) for e in range(2)]
    order = torch.cat(epochs)
    losses, curve, val = [], [], []
    for step in range(30):
        rows = order[32 * step : 32 * step + 32]
        adam.param_groups[0]["lr"] = 1e-2 * ((step + 1) / 3 if step < 3 else 0.5 * (1 + math.cos(math.pi * (step - 3) / 27)))
        loss = F.mse_loss(net(data.train.x[rows]), data.train.y[rows])
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
        if (step + 1) % 6 == 0:
            curve.append(sum(losses) / 6)
            losses = []
            val.append(F.mse_loss(net(data.val.x), data.val.y).item())
    assert ours.curve.samples == [192, 384, 576, 768, 960]
    assert ours.curve.train_loss == pytest.approx(curve, rel=1e-4)
    assert ours.curve.val_loss == pytest.approx(val, rel=1e-4)
    assert ours.best_samples == 192 * (1 + val.index(min(val)))
    for name, weight in net.state_dict().items():
        assert torch.allclose(ours.last[name], weight, atol=1e-5)


STACKED = [("mlp", "gaussian"), ("heads", "circle"), ("linear", "digits_affine"), ("transformer", "iris")]  # every model: test_stacking.py
LONG = [("backbone_attention", "iris"), ("backbone_conv", "spiral"), ("backbone_conv", "digits"), ("conv1d_attention", "shapes")]


@pytest.mark.parametrize(("model", "dataset"), [*STACKED, *(pytest.param(*one, marks=pytest.mark.slow) for one in LONG)])
def test_seeds_together_equal_seeds_one_by_one(model: str, dataset: str) -> None:
    """With SGD weight by weight. Adam turns the rounding of a gradient that is nearly 0 into a whole step: there, the curves."""
    adam = replace(SHORT, samples=320, evaluations=2, clip=0.5 if model == "mlp" else 0.0)
    for budget in (adam, replace(adam, optimizer="sgd", momentum=0.9)):
        stacked = training(model, dataset, [0, 4, 1], budget).run()
        for together, seed in zip(stacked, [0, 4, 1], strict=True):
            alone = training(model, dataset, [seed], budget).run()[0]
            assert together.seed == seed
            assert together.together == 3
            assert together.curve.val_loss == pytest.approx(alone.curve.val_loss, rel=2e-3)
            assert together.curve.train_loss == pytest.approx(alone.curve.train_loss, rel=2e-3)
            assert together.best.keys() == alone.best.keys()
            if budget.optimizer == "sgd":
                for name in alone.last:
                    assert torch.allclose(together.last[name], alone.last[name], atol=1e-5), name


@pytest.mark.parametrize(("model", "dataset", "seeds"), [("cnn", "digits_affine", [2]), ("mlp", "gaussian", [0, 1, 2])])
def test_the_same_command_gives_the_same_curves(model: str, dataset: str, seeds: list[int]) -> None:
    first, again = (training(model, dataset, seeds).run() for _ in range(2))
    for a, b in zip(first, again, strict=True):
        assert (a.curve.train_loss, a.curve.val_loss, a.curve.val_metric) == (b.curve.train_loss, b.curve.val_loss, b.curve.val_metric)


@pytest.mark.parametrize(("model", "dataset", "seeds"), [("cnn", "digits_affine", [2]), ("mlp", "gaussian", [0, 1, 2])])
def test_a_run_continued_from_any_checkpoint_ends_the_same(model: str, dataset: str, seeds: list[int]) -> None:
    """Weights, optimiser, dropout, augmentation and position all continue: the rest is equal to the last bit."""
    saved: list[dict[str, object]] = []
    whole = training(model, dataset, seeds).run(save=lambda snapshot: saved.append(deepcopy(snapshot)), every=0)
    assert len(saved) == 4
    for snapshot in saved:
        torch.manual_seed(99)  # whatever happened in between does not matter
        resumed = training(model, dataset, seeds)
        resumed.restore(snapshot)
        for a, b in zip(whole, resumed.run(), strict=True):
            assert a.curve.val_loss == b.curve.val_loss
            assert a.best_samples == b.best_samples
            assert all(torch.equal(a.last[name], b.last[name]) and torch.equal(a.best[name], b.best[name]) for name in a.last)


def test_batches_show_every_sample_once_an_epoch() -> None:
    split = Split(torch.arange(2 * 50).view(2, 50, 1).float(), torch.arange(2 * 50).view(2, 50))
    batches = Batches(split, [0, 7], batch=20, stacked=True)
    seen = torch.cat([y for _, y in batches.from_step(0, 10)], 1)  # 10 × 20 = 4 epochs
    for row, start in zip(seen, (0, 50), strict=True):
        for epoch in row.view(4, 50):
            assert sorted(epoch.tolist()) == list(range(start, start + 50))
    assert not torch.equal(seen[0], seen[1] - 50)
    later = torch.cat([y for _, y in batches.from_step(7, 10)], 1)
    assert torch.equal(later, seen[:, 140:])


def test_order_does_not_depend_on_the_model_and_weights_only_on_the_seed() -> None:
    task = datasets.task("iris")
    a, b, c = (fresh(partial(models.build, "mlp", task), SHORT, seed) for seed in (0, 0, 1))
    torch.manual_seed(5)
    assert torch.equal(a[0].weight, b[0].weight)
    assert not torch.equal(a[0].weight, c[0].weight)


def test_evaluations_are_spread_and_end_with_the_run() -> None:
    steps = evaluation_steps(replace(SHORT, samples=32 * 17, evaluations=4))
    assert sorted(steps) == [5, 9, 13, 17]
    assert evaluation_steps(replace(SHORT, samples=64, evaluations=50)) == {1, 2}


def test_learning_rates() -> None:
    cosine = [learning_rate(SHORT, step, 0) for step in range(30)]
    assert cosine[2] == 1e-2 == max(cosine)
    assert cosine[0] == pytest.approx(1e-2 / 3)
    assert cosine[-1] < 1e-4
    decay = replace(SHORT, schedule="decay", decay=0.7)
    assert learning_rate(decay, 100, 3) == pytest.approx(1e-2 * 0.343)


def test_stacked_gradients_are_clipped_seed_by_seed() -> None:
    a, b = torch.zeros(2, 3, requires_grad=True), torch.zeros(2, 4, requires_grad=True)
    a.grad, b.grad = torch.ones(2, 3), torch.ones(2, 4)
    a.grad[0] *= 100
    clip([a, b], 1.0, stacked=True)
    norms = (a.grad.square().sum(1) + b.grad.square().sum(1)).sqrt()
    assert torch.allclose(norms, torch.ones(2), atol=1e-4)
    assert torch.allclose(a.grad[1], torch.full((3,), 7**-0.5), atol=1e-4)


def test_initial_weights_follow_the_budget() -> None:
    task = datasets.task("digits")
    net = fresh(partial(models.build, "cnn", task), replace(SHORT, init_std=0.02), 0)
    weights = torch.cat([m.weight.detach().flatten() for m in net if hasattr(m, "weight")])
    assert abs(float(weights.std()) - 0.02) < 5e-4
    assert all(float(m.bias.abs().max()) == 0 for m in net if hasattr(m, "bias"))


class Explodes(nn.Module):
    """Fine for a while, then its answer is not a number."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.linear, self.after, self.calls = nn.Linear(2, 1), after, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        return self.linear(x) * (math.nan if self.calls > self.after else 1.0)


def test_divergence_is_a_status_and_the_curve_is_kept() -> None:
    task = datasets.task("gaussian")
    data = [datasets.load("gaussian", seed=0).for_training]
    run = Training(lambda: Explodes(13), task, SHORT, [0], data, CPU).run()[0]
    assert run.status == "diverged"
    assert run.reason == "the loss stopped being finite within 576 samples"
    assert run.curve.samples == [192, 384, 576]
    assert all(map(math.isfinite, run.curve.val_loss[:2]))
    assert not math.isfinite(run.curve.train_loss[2])


def test_one_diverging_seed_leaves_the_others_of_its_stack_alone() -> None:
    seeds = [0, 1, 2]
    good = [datasets.load("gaussian", seed=seed).for_training for seed in seeds]
    bad = [good[0], replace(good[1], train=Split(good[1].train.x * math.inf, good[1].train.y)), good[2]]
    task = datasets.task("gaussian")
    runs, reference = (Training(partial(models.build, "mlp", task), task, SHORT, seeds, data, CPU).run() for data in (bad, good))
    assert [run.status for run in runs] == ["ok", "diverged", "ok"]
    for i in (0, 2):
        assert runs[i].curve.val_loss == reference[i].curve.val_loss


def test_seconds_are_a_stop_that_says_so() -> None:
    run = training("mlp", "gaussian", [0], replace(SHORT, seconds=1e-9)).run()[0]
    assert run.status == "ok"
    assert run.reason == "safety stop after 1e-09 s, 192 of 960 samples"


def test_the_clock_stands_still_during_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    from bench.train import loop

    def slow(*args: object) -> list[dict[str, float]]:
        time.sleep(0.2)
        return [{"loss": 1.0, "mse": 1.0}]

    monkeypatch.setattr(loop, "means", slow)
    run = training("mlp", "gaussian", [0]).run()[0]
    assert run.seconds < 0.2 * 5


def test_bfloat16_is_used_and_weights_stay_float32() -> None:
    seen = []
    budget = replace(SHORT, samples=64, dtype="bfloat16")
    job = training("mlp", "gaussian", [0], budget)
    assert isinstance(job.learner, Single)
    job.learner.module[0].register_forward_hook(lambda module, x, out: seen.append(out.dtype))
    run = job.run()[0]
    assert set(seen) == {torch.bfloat16}
    assert all(weight.dtype == torch.float32 for weight in run.last.values())
    full = training("mlp", "gaussian", [0], replace(budget, dtype="float32")).run()[0]
    assert run.curve.val_loss == pytest.approx(full.curve.val_loss, rel=0.05)
    assert run.curve.val_loss != full.curve.val_loss


def test_what_stays_alone_and_why() -> None:
    task, budget = datasets.task("digits"), SHORT
    assert stays_alone(models.build("cnn", task), 1.0, task, budget, CPU) == "Dropout: dropout draws from one stream"
    assert stays_alone(models.build("mlp", task), 1e4, task, budget, CPU) is None
    assert stays_alone(models.build("mlp", task), 1e9, task, budget, CPU) == "one seed keeps the device busy"
    assert "batching rule" in str(stays_alone(nn.GRU(2, 2), 1.0, task, budget, CPU))
    assert "state" in str(stays_alone(nn.BatchNorm1d(2), 1.0, task, budget, CPU))


def test_random_layers_do_not_stack() -> None:
    class Noisy(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) + torch.randn(1)

    task = datasets.task("gaussian")
    stack = Stacked([Noisy(2, 1) for _ in range(2)], task, SHORT, CPU)
    with pytest.raises(RuntimeError, match="random"):
        stack.losses(torch.randn(2, 4, 2), torch.randn(2, 4, 1))


class OwnLoss(nn.Linear):
    """A model that brings its own loss and its own way to answer."""

    def loss(self, x: torch.Tensor, y: torch.Tensor, task: Task, g: torch.Generator) -> torch.Tensor:
        return (self(x + 0.1 * torch.randn(x.shape, generator=g)) - y).abs().mean()

    def predict(self, x: torch.Tensor, task: Task) -> torch.Tensor:
        return self(x) + 100


def test_a_models_own_loss_and_prediction_are_used() -> None:
    task = datasets.task("plane")
    data = [datasets.load("plane", seed=0).for_training]
    run = Training(lambda: OwnLoss(2, 1), task, SHORT, [0], data, CPU).run()[0]
    assert stays_alone(OwnLoss(2, 1), 1.0, task, SHORT, CPU) == "the model brings its own loss or prediction"
    assert run.curve.val_loss[-1] == pytest.approx(100**2, rel=0.02)
    assert run.curve.train_loss[-1] < run.curve.train_loss[0] < 10


def stream(seed: int) -> Data:
    return streamed(points.xor, (0, 64, 64), "xor", seed)


XOR = Task("stream", Input("points", (2,)), Output("classes", 2), (0, 64, 64), (SHORT,))


@pytest.mark.parametrize("seeds", [[3], [3, 0]])
def test_a_stream_shows_every_step_new_samples_of_the_seeds_own(seeds: list[int]) -> None:
    build = partial(models.build, "mlp", XOR)
    shown: list[torch.Tensor] = []

    def seen(data: TrainingData) -> TrainingData:
        def draw(n: int, g: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
            x, y = points.xor(n, g)
            shown.append(x)
            return x, y

        return replace(data, draw=draw)

    data = [stream(seed).for_training for seed in seeds]
    job = Training(build, XOR, SHORT, seeds, [seen(data[0]), *data[1:]], CPU)
    shown.clear()  # of tracing
    job.run()
    g = generator("augment", 3)
    assert len(shown) == SHORT.steps
    assert all(torch.equal(x, points.xor(32, g)[0]) for x in shown)


@pytest.mark.parametrize("seeds", [[3], [3, 0]])
def test_a_stream_continues_where_a_checkpoint_was_taken(seeds: list[int]) -> None:
    def job() -> Training:
        return Training(partial(models.build, "mlp", XOR), XOR, SHORT, seeds, [stream(seed).for_training for seed in seeds], CPU)

    saved: list[dict[str, object]] = []
    whole = job().run(save=lambda snapshot: saved.append(deepcopy(snapshot)), every=0)
    assert len(saved) == 4
    for snapshot in saved:
        resumed = job()
        resumed.restore(snapshot)
        for a, b in zip(whole, resumed.run(), strict=True):
            assert (a.curve.train_loss, a.curve.val_loss) == (b.curve.train_loss, b.curve.val_loss)


def test_a_stream_has_no_epochs_to_decay_by() -> None:
    with pytest.raises(ValueError, match="'short': the schedule decay counts epochs, and an endless stream has none"):
        Training(partial(models.build, "mlp", XOR), XOR, replace(SHORT, schedule="decay"), [0], [stream(0).for_training], CPU)


@pytest.mark.parametrize("seeds", [[2], [2, 5]])
def test_curves_hold_the_last_batch_and_every_metric_of_val(seeds: list[int]) -> None:
    """Against the samples of the last step before each evaluation, and the weights after it."""
    job = training("mlp", "circle", seeds)
    weights: list[dict[str, torch.Tensor]] = []
    runs = job.run(lambda share: weights.append({name: value.clone() for name, value in job.learner.state().items()}))
    task = datasets.task("circle")
    for i, (run, seed) in enumerate(zip(runs, seeds, strict=True)):
        data = datasets.load("circle", seed=seed)
        order = torch.cat([torch.randperm(500, generator=generator(f"order/{e}", seed)) for e in range(2)])
        assert len(run.curve.train_metric) == len(run.curve.last_loss) == len(weights) == 5
        for j, samples in enumerate(run.curve.samples):
            net, rows = models.build("mlp", task), order[samples - 32 : samples]
            net.load_state_dict({name: value[i] for name, value in weights[j].items()})
            right = (net(data.train.x[rows]).argmax(1) == data.train.y[rows]).float().mean()
            assert run.curve.train_metric[j] == pytest.approx(float(right))
            assert run.curve.val_scores["cross_entropy"][j] == run.curve.val_loss[j]
        assert run.curve.val_scores["accuracy"] == run.curve.val_metric
    alone = training("mlp", "circle", seeds, replace(SHORT, evaluations=30)).run()  # every step: losses of single batches
    for often, run in zip(alone, runs, strict=True):
        assert run.curve.last_loss == [often.curve.train_loss[samples // 32 - 1] for samples in run.curve.samples]
        assert often.curve.last_loss == often.curve.train_loss


def test_augmentation_reaches_training_and_not_validation() -> None:
    task = Task("toy", Input("table", (1,)), Output("value", 1), (64, 8, 8), budgets(SHORT, smoke_samples=64))
    zeros = Split(torch.zeros(64, 1), torch.zeros(64, 1))
    held = Split(torch.zeros(8, 1), torch.zeros(8, 1))
    data = TrainingData(zeros, held, augment=lambda x, y, g: (x + 1, y + 1))
    budget = replace(SHORT, samples=3200, lr=0.1, schedule="constant")
    for seeds in ([0], [0, 1]):
        net = partial(nn.Linear, 1, 1, bias=False)
        run = Training(net, task, budget, seeds, [data] * len(seeds), CPU).run()[0]
        assert run.last["weight"].item() == pytest.approx(1, abs=0.05)  # learned from 1 -> 1 alone
        assert run.curve.val_loss[-1] == 0  # 0 -> 0 whatever the weight
