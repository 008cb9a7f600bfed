"""Routes: what each asks, read off token by token, and the controls that say a comparison of mixers is one among the able."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from scipy.linalg import hadamard
from torch import Tensor, nn

import datasets
import models
import models.attention
from bench.tables.routes import ABLE, MISSED, ROUTES, SOLVED, UNABLE
from bench.train.batches import together
from bench.train.evaluation import means, score
from bench.train.loop import Training
from datasets.metrics import R2
from datasets.task import Input, Output, Task

FIXED = {"copy_near", "copy_far", "mean_all"}


def parts(name: str, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Keys (n, 31, 8), queries (n, 31, 8), values (n, 31) and answers (n, 31) of the val split."""
    val = datasets.load(name, seed=seed).val
    x = val.x.mT
    assert x.shape[1:] == (31, 17)
    return x[..., :8], x[..., 8:16], x[..., 16], val.y[:, 0]


def partners(v: Tensor, y: Tensor) -> list[list[int]]:
    """Whose value each token answers with; values of one sample are all different."""
    return [[row.index(answer) for answer in answers] for row, answers in zip(v.tolist(), y.tolist(), strict=True)]


@pytest.mark.parametrize("name", ROUTES)
def test_keys_queries_values_and_answers_are_of_one_scale(name: str) -> None:
    task = datasets.task(name)
    assert (task.patch, task.role, task.metric) == (1, "route", R2)
    a, b, v, y = parts(name)
    for vectors in (a, b):
        assert torch.allclose(vectors.norm(dim=2), torch.tensor(8.0).sqrt(), atol=1e-4)
    for values in (v, y):
        assert abs(float(values.mean())) < 0.15
        assert float(values.var()) == pytest.approx(1, abs=0.15)
    assert a.flatten(0, 1).mean(0).abs().max() < 0.03


@pytest.mark.parametrize("name", sorted(FIXED))
def test_queries_say_nothing_where_partners_are_fixed(name: str) -> None:
    _, b, _, _ = parts(name)
    assert b.flatten(0, 1).mean(0).abs().max() < 0.03
    assert len(torch.unique(b.flatten(0, 1), dim=0)) == b.shape[0] * 31


def test_copy_near_is_the_token_before_and_the_first_its_own() -> None:
    _, _, v, y = parts("copy_near")
    assert all(row == [0, *range(30)] for row in partners(v, y))


def test_copy_far_is_one_permutation_a_seed_more_than_8_away() -> None:
    seen = set()
    for seed in range(20):
        data = datasets.load("copy_far", seed=seed)
        assert data.draw is not None
        drawn = data.draw(4, torch.Generator().manual_seed(9))
        found = [tuple(row) for x, y in ((data.val.x[:9], data.val.y[:9]), drawn) for row in partners(x[:, 16], y[:, 0])]
        (order,) = set(found)
        assert sorted(order) == list(range(31))
        assert min(abs(i - j) for i, j in enumerate(order)) > 8
        seen.add(order)
    assert len(seen) == 20


def test_point_near_is_the_neighbour_that_the_query_names() -> None:
    _, b, v, y = parts("point_near")
    code = {tuple(hadamard(8)[1 + i].tolist()): offset for i, offset in enumerate((-2, -1, 1, 2))}
    met: list[set[int]] = [set() for _ in range(31)]
    for queries, row in zip(b.tolist(), partners(v, y), strict=True):
        for i, (query, j) in enumerate(zip(queries, row, strict=True)):
            assert j - i == code[tuple(round(number) for number in query)]
            met[i].add(j)
    assert met == [{j for j in (i - 2, i - 1, i + 1, i + 2) if 0 <= j < 31} for i in range(31)]


def test_point_far_is_the_position_that_the_query_names() -> None:
    _, b, v, y = parts("point_far")
    met: list[set[int]] = [set() for _ in range(31)]
    for queries, row in zip(b.tolist(), partners(v, y), strict=True):
        for i, (query, j) in enumerate(zip(queries, row, strict=True)):
            angles = [2 * math.pi * turns * j / 31 for turns in (1, 2, 4, 8)]
            assert query == pytest.approx([2**0.5 * f(angle) for f in (math.sin, math.cos) for angle in angles], abs=1e-4)
            met[i].add(j)
    assert met == [{j for j in range(31) if abs(i - j) > 8} for i in range(31)]


def test_match_far_is_the_token_whose_key_equals_the_query() -> None:
    a, b, v, y = parts("match_far")
    met: list[set[int]] = [set() for _ in range(31)]
    for keys, queries, row in zip(a.tolist(), b.tolist(), partners(v, y), strict=True):
        for i, j in enumerate(row):
            assert keys.index(queries[i]) == j
            met[i].add(j)
    assert met == [{j for j in range(31) if abs(i - j) > 8} for i in range(31)]


def test_mean_all_is_the_mean_at_every_token() -> None:
    _, _, v, y = parts("mean_all")
    assert torch.allclose(y, v.sum(1, keepdim=True).expand_as(y) / 31**0.5, atol=1e-5)


@pytest.mark.parametrize("name", ROUTES)
def test_training_batches_never_come_twice(name: str) -> None:
    data, g = datasets.load(name, seed=0), torch.Generator().manual_seed(0)
    assert data.draw is not None
    first, second = data.draw(32, g), data.draw(32, g)
    again = data.draw(32, torch.Generator().manual_seed(0))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    values = torch.cat([part[:, 16] for part in (data.val.x, first[0], second[0])])
    assert len(torch.unique(values, dim=0)) == len(values)


def test_r2_is_of_the_whole_split() -> None:
    task, g = Task("r", Input("table", (3,)), Output("value", 2), (9, 9, 9), (), metrics=(R2,)), torch.Generator().manual_seed(0)
    y = 3 + torch.randn(50, 2, generator=g)
    out = y + 0.5 * torch.randn(50, 2, generator=g)
    wanted = 1 - float((out - y).square().sum() / (y - y.mean(0)).square().sum())
    batches = [task.scores(*pair)["r2"] for pair in zip(out.split(20), y.split(20), strict=True)]
    assert task.mean("r2", torch.cat(batches)) == pytest.approx(wanted, abs=1e-5)
    assert task.mean("r2", task.scores(y, y)["r2"]) == 1
    assert task.mean("r2", task.scores(y.mean(0).expand_as(y), y)["r2"]) == pytest.approx(0, abs=1e-5)


def reached(mixer: str, name: str, steps: int, change: Callable[[nn.Module], None] = lambda module: None) -> float:
    """R² on test after `steps` steps of the default recipe, its schedule cut to them, of a mixer that was changed when it was built."""

    def build() -> nn.Module:
        change(module := models.build(mixer, task))
        return module

    task, data, cpu = datasets.task(name), datasets.load(name, seed=0), torch.device("cpu")
    budget = replace(task.budget("default"), samples=64 * steps, evaluations=1)
    training = Training(build, task, budget, [0], [data.for_training], cpu)
    training.run()
    return means(score(training.learner, together([data.test], cpu), task).scores, task)[0]["r2"]


LONG = {*(("backbone_attention", name) for name in ("match_far", "point_near", "point_far")), ("backbone_local", "point_near")}


@pytest.mark.slow
@pytest.mark.parametrize(("mixer", "name"), sorted(ABLE))
def test_a_mixer_that_should_be_able_is(mixer: str, name: str) -> None:
    assert reached(mixer, name, 600 if (mixer, name) in LONG else 250) >= SOLVED


@pytest.mark.slow
@pytest.mark.parametrize(("mixer", "name"), sorted(UNABLE))
def test_a_mixer_that_cannot_see_its_partner_fails(mixer: str, name: str) -> None:
    assert reached(mixer, name, 200) <= MISSED


def faint(module: nn.Module) -> None:
    """Positions as they are usually drawn, with deviation 0.02."""
    with torch.no_grad():
        module.get_parameter("positions").mul_(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["copy_near", "point_near"])
def test_attention_that_hardly_knows_positions_is_found_out(name: str) -> None:
    assert reached("backbone_attention", name, 600 if ("backbone_attention", name) in LONG else 250, faint) < SOLVED


@pytest.mark.slow
@pytest.mark.parametrize("mixer", ["backbone_conv[kernel=1]", "backbone_local[kernel=1]"])
def test_a_kernel_of_one_is_found_out(mixer: str) -> None:
    assert reached(mixer, "copy_near", 250) <= MISSED


@pytest.mark.slow
@pytest.mark.parametrize("name", ["match_far", "point_near"])
def test_weights_that_ignore_the_content_are_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(q: Tensor, k: Tensor, v: Tensor, **_: object) -> Tensor:
        return torch.zeros_like(q @ k.mT).softmax(-1) @ v

    monkeypatch.setattr(models.attention.F, "scaled_dot_product_attention", blind)
    assert reached("backbone_attention", name, 600) < SOLVED
