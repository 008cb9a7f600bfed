"""Training: one loop for every task and model, handed a training and a validation split and never a test split.

The clock runs while the model trains and stands still while it is evaluated or saved.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from bench.train.batches import Batches, Stream, together
from bench.train.evaluation import evaluation_steps, means, score
from bench.train.learners import Single, Stacked, unlike
from bench.train.optimiser import PerSeed, Rates, clip, initialise, learning_rate, optimizer
from bench.train.trained import Curve, Position, Trained
from datasets.data import Split, TrainingData, derive, generator
from datasets.task import Budget, Task

Progress = Callable[[float], None]
Save = Callable[[dict[str, Any]], None]


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def fresh(build: Callable[[], nn.Module], budget: Budget, seed: int) -> nn.Module:
    """A new model whose weights depend on the seed alone."""
    with torch.random.fork_rng():
        torch.manual_seed(derive("init", seed))
        module = build()
        initialise(module, budget)
    return module


class Training:
    """Seeds of one cell on their way through one budget. `run` trains them; a checkpoint in between is `snapshot`.

    With `rates`, several seeds (one may come twice) are trained with a learning rate and a weight decay of their own.
    """

    def __init__(
        self,
        build: Callable[[], nn.Module],
        task: Task,
        budget: Budget,
        seeds: list[int],
        data: list[TrainingData],
        device: torch.device,
        rates: Rates | None = None,
    ) -> None:
        self.task, self.budget, self.seeds, self.device = task, budget, seeds, device
        self.cuda = [device] if device.type == "cuda" else []  # whose random state is forked
        stacked = len(seeds) > 1
        modules = [fresh(build, budget, seed) for seed in seeds]
        self.noise = [generator("augment", seed, device) for seed in seeds]
        self.learner: Single | Stacked
        if stacked:
            self.learner = Stacked(modules, task, budget, device)
        else:
            self.learner = Single(modules[0], task, budget, device, self.noise[0])
        parameters = self.learner.parameters
        self.optimizer = optimizer(budget, parameters) if rates is None else PerSeed(budget, parameters, rates)
        self.augment = [one.augment for one in data]  # each seed's own: it may know its own training split
        self.val = together([d.val for d in data], device)
        peeks = [d.peek for d in data if d.peek is not None]
        self.peek = together(peeks, device) if peeks else None
        draws = [d.draw for d in data if d.draw is not None]
        if draws and budget.schedule == "decay":
            raise ValueError(f"budget {budget.name!r}: the schedule decay counts epochs, and an endless stream has none")
        self.batches: Batches | Stream
        if draws:
            self.batches = Stream(draws, self.noise, budget.batch, stacked)
        else:
            self.batches = Batches(together([d.train for d in data], device), seeds, budget.batch, stacked)
        blank = [0] * len(seeds)
        self.position = Position(0, 0.0, [Curve() for _ in seeds], list(blank), list(blank))
        self.best = {name: value.clone() for name, value in self.learner.state().items()}
        self.random: list[Tensor | None] | None = None  # generator states to continue from
        if isinstance(self.learner, Stacked):  # what cannot be stacked is found before the clock starts
            trace = [generator("trace", seed, device) for seed in seeds]
            x, y = next((Stream(draws, trace, budget.batch, stacked) if draws else self.batches).from_step(0, 1))
            x, y = self.augmented(x, y, trace)
            self.learner.losses(x, y)
            if unlike(self.learner, modules, x):
                raise RuntimeError("seeds answer otherwise in a stack than alone: they differ in more than parameters and buffers")

    def augmented(self, x: Tensor, y: Tensor, noise: list[torch.Generator]) -> tuple[Tensor, Tensor]:
        """The batch drawn afresh: x (S, batch, …) seed by seed, or (batch, …) of the only one."""
        first, *others = self.augment
        if first is None:
            return x, y
        if not others:
            return first(x, y, noise[0])
        parts = zip(self.augment, x, y, noise, strict=True)
        drawn = [augment(x_, y_, g) for augment, x_, y_, g in parts if augment is not None]
        return torch.stack([x for x, _ in drawn]), torch.stack([y for _, y in drawn])

    def snapshot(self) -> dict[str, Any]:
        """Plain tensors, numbers and lists: it loads with weights_only. The tensors are the live ones: save them at once."""
        cuda = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
        return {
            "seeds": self.seeds,
            "position": asdict(self.position),
            "state": self.learner.state(),
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "noise": [g.get_state() for g in self.noise],
            "random": [torch.get_rng_state(), cuda],
        }

    @torch.no_grad()
    def restore(self, saved: dict[str, Any]) -> None:
        """Continue where `snapshot` was taken."""
        position = dict(saved["position"])
        position["curves"] = [Curve(**curve) for curve in position["curves"]]
        self.position = Position(**position)
        for name, value in self.learner.state().items():
            value.copy_(saved["state"][name])
            self.best[name].copy_(saved["best"][name])
        self.optimizer.load_state_dict(saved["optimizer"])
        for g, state in zip(self.noise, saved["noise"], strict=True):
            g.set_state(state.cpu())
        self.random = saved["random"]

    def run(self, progress: Progress = lambda share: None, save: Save | None = None, every: float = 30.0) -> list[Trained]:
        """Train to the end of the budget. `save` gets a snapshot after an evaluation, at most every `every` seconds."""
        with torch.random.fork_rng(devices=self.cuda):
            if self.random is None:
                torch.manual_seed(derive("noise", self.seeds[0]))
            else:
                cpu, cuda = self.random
                assert cpu is not None
                torch.set_rng_state(cpu.cpu())
                if cuda is not None:
                    torch.cuda.set_rng_state(cuda.cpu(), self.device)
            self.loop(progress, save, every)
        return self.results()

    def loop(self, progress: Progress, save: Save | None, every: float) -> None:
        budget, position, learner = self.budget, self.position, self.learner
        stacked, group = len(self.seeds) > 1, self.optimizer.param_groups[0]
        evaluate_after = evaluation_steps(budget)
        if position.stopped:
            return
        losses: list[Tensor] = []  # since the last evaluation, read only then: no waiting for the device in between
        saved = time.monotonic()
        synchronise(self.device)
        clock = time.perf_counter()
        for x, y in self.batches.from_step(position.step, budget.steps):
            x, y = self.augmented(x, y, self.noise)
            losses.append(learner.losses(x, y))
            if budget.clip:
                clip(learner.parameters, budget.clip, stacked)
            group["lr"] = learning_rate(budget, position.step, self.batches.epoch(position.step))
            self.optimizer.step()
            position.step += 1
            if position.step not in evaluate_after:
                continue
            synchronise(self.device)
            position.seconds += time.perf_counter() - clock
            batch = Split(x, y) if stacked else Split(x[None], y[None])
            self.evaluate(torch.stack(losses).double().mean(0).view(-1).tolist(), losses[-1].view(-1).tolist(), batch)
            progress(position.step / budget.steps)
            if all(position.diverged) or position.seconds > budget.seconds * len(self.seeds):
                position.stopped = True
                break
            if save is not None and position.step < budget.steps and time.monotonic() - saved > every:
                save(self.snapshot())
                saved = time.monotonic()
            losses.clear()
            synchronise(self.device)
            clock = time.perf_counter()

    def scored(self, split: Split) -> list[dict[str, float]]:
        """Loss and metrics of each seed."""
        return means(score(self.learner, split, self.task).scores, self.task)

    def evaluate(self, train_losses: list[float], last_losses: list[float], batch: Split) -> None:
        """Score val, extend the curves, and keep the weights of every seed that is better than ever (ties: lower loss).

        `batch` is what was trained on last. It is scored like val; that draws no random number the training would miss.
        """
        position, metric = self.position, self.task.metric
        samples = position.step * self.budget.batch
        improved = []
        vals = self.scored(self.val)
        peeked = self.scored(self.peek) if self.peek is not None else None
        with torch.random.fork_rng(devices=self.cuda):
            on_batch = self.scored(batch)
        for i, val in enumerate(vals):
            curve = position.curves[i]
            if position.diverged[i]:
                continue
            finite = all(map(math.isfinite, (val["loss"], val[metric.name], train_losses[i])))
            sign = metric.sign
            best = max(zip((sign * m for m in curve.val_metric), (-v for v in curve.val_loss), strict=True), default=None)
            if not finite:
                position.diverged[i] = samples
            elif best is None or (sign * val[metric.name], -val["loss"]) > best:
                improved.append(i)
                position.best_samples[i] = samples
            curve.samples.append(samples)
            curve.seconds.append(position.seconds / len(self.seeds))
            curve.train_loss.append(train_losses[i])
            curve.val_loss.append(val["loss"])
            curve.val_metric.append(val[metric.name])
            curve.train_metric.append(on_batch[i][metric.name])
            curve.last_loss.append(last_losses[i])
            for one in self.task.metrics:
                curve.val_scores.setdefault(one.name, []).append(val[one.name])
            if peeked is not None:
                curve.test_metric.append(peeked[i][metric.name])
        if improved:
            for name, value in self.learner.state().items():
                self.best[name][improved] = value[improved]

    def results(self) -> list[Trained]:
        position, budget, last = self.position, self.budget, self.learner.state()
        trained = []
        for i, (seed, curve) in enumerate(zip(self.seeds, position.curves, strict=True)):
            status, reason = "ok", ""
            if position.diverged[i]:
                what = "the loss" if not math.isfinite(curve.val_loss[-1] + curve.train_loss[-1]) else self.task.metric.name
                status, reason = "diverged", f"{what} stopped being finite within {position.diverged[i]:,} samples"
            elif position.stopped:
                reason = f"safety stop after {budget.seconds:g} s, {position.step * budget.batch:,} of {budget.samples:,} samples"
            trained.append(
                Trained(
                    seed,
                    status,
                    reason,
                    curve,
                    position.best_samples[i],
                    {name: value[i] for name, value in self.best.items()},
                    {name: value[i] for name, value in last.items()},
                    position.seconds / len(self.seeds),
                    len(self.seeds),
                )
            )
        return trained
