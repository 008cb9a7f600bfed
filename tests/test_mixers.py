"""The six mixers: of one size, each reaching as far as it says, each equal to a slow reading of its definition."""

from __future__ import annotations

from math import prod

import pytest
import torch
from torch import Tensor, nn

import datasets
import models
from bench.train.learners import Stacked
from datasets.task import Budget, Input, Output, Task
from models import attention
from models.attention import SelfAttention
from models.mixers import ConvMixer, LocalAttention, MinGRU, TokenMLP, scan

FIVE = ("attention", "conv", "local", "mlp", "recurrent")
GRIDS = [(9,), (2,), (3, 4), (1, 2)]


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("dim", [32, 64])
def test_five_mixers_have_one_size_for_2_to_64_tokens(dim: int) -> None:
    whole = count(SelfAttention(dim, 4))
    for tokens in range(2, 65):
        for grid in {(tokens,), (2, tokens // 2)} if tokens % 2 == 0 else {(tokens,)}:
            for mixer in (ConvMixer(dim, grid), LocalAttention(dim, 4, grid), TokenMLP(dim, grid), MinGRU(dim, grid)):
                assert abs(count(mixer) / whole - 1) <= 0.05, (type(mixer).__name__, grid)


@pytest.mark.parametrize("dataset", ["gaussian", "iris", "digits", "mnist1d", "mnist", "shapes", "cifar10", "match_far", "translation"])
def test_five_backbones_have_one_size(dataset: str) -> None:
    task = datasets.task(dataset)
    sizes = [count(models.build(f"backbone_{name}", task)) for name in FIVE]
    assert max(sizes) / min(sizes) <= 1.05
    assert count(models.build("backbone_none", task)) < min(sizes)


def test_channels_share_a_token_mlp_where_there_are_many_tokens() -> None:
    assert [TokenMLP(32, (tokens,)).groups for tokens in (2, 4, 8, 16, 31, 64)] == [32, 32, 8, 4, 1, 1]
    assert TokenMLP(32, (400,)).up.out_features == 32  # beyond 64 tokens it keeps some hidden units, and grows


@pytest.mark.parametrize("groups", [1, 4])
def test_a_token_mlp_is_an_mlp_for_every_channel(groups: int) -> None:
    mixer = TokenMLP(8, (5,))
    mixer.groups = groups
    mixer.up, mixer.down = nn.Linear(5, groups * 7), nn.Linear(7, groups * 5)
    x = torch.randn(3, 5, 8)
    up, down = mixer.up.weight.view(groups, 7, 5), mixer.down.weight.view(groups, 5, 7)
    with torch.no_grad():
        for channel in range(8):
            g = channel // (8 // groups)
            hidden = torch.nn.functional.gelu(x[:, :, channel] @ up[g].T + mixer.up.bias.view(groups, 7)[g])
            wanted = hidden @ down[g].T + mixer.down.bias.view(groups, 5)[g]
            assert torch.allclose(mixer(x)[:, :, channel], wanted, atol=1e-6)


def near(grid: tuple[int, ...], kernel: int) -> Tensor:
    """Whether one token lies in the window of another, (tokens, tokens), one pair at a time."""
    places = [(i,) for i in range(grid[0])] if len(grid) == 1 else [(i, j) for i in range(grid[0]) for j in range(grid[1])]
    return torch.tensor([[max(abs(a - b) for a, b in zip(p, q, strict=True)) <= kernel // 2 for q in places] for p in places])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("grid", [*GRIDS, (9, 8)])
def test_local_attention_equals_full_attention_behind_a_mask(grid: tuple[int, ...], training: bool) -> None:
    torch.manual_seed(0)
    kernel, tokens = 3 if len(grid) == 2 else 5, prod(grid)
    local = LocalAttention(8, 2, grid).double().train(training)
    x = torch.randn(3, tokens, 8, dtype=torch.float64, requires_grad=True)
    q, k, v = local.qkv(x).view(3, tokens, 3, 2, 4).permute(2, 0, 3, 1, 4)
    weights = (q @ k.mT / 2).masked_fill(~near(grid, kernel), -torch.inf).softmax(-1)
    wanted = local.out((weights @ v).transpose(1, 2).flatten(2))
    with attention.watch() as seen:
        found = local(x)
    assert torch.allclose(found, wanted, atol=1e-12)
    assert torch.allclose(seen[0].weights, weights.detach(), atol=1e-12)
    noise = torch.randn_like(wanted)
    (ours,), (theirs,) = (torch.autograd.grad((y * noise).sum(), x, retain_graph=True) for y in (found, wanted))
    assert torch.allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize("name", FIVE)
@pytest.mark.parametrize("grid", [(12,), (5, 5)])
def test_how_far_a_mixer_reaches(name: str, grid: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    makers = {"attention": SelfAttention(8, 2), "conv": ConvMixer(8, grid), "local": LocalAttention(8, 2, grid)}
    mixer = (makers | {"mlp": TokenMLP(8, grid), "recurrent": MinGRU(8, grid)})[name].double().eval()
    x = torch.randn(1, prod(grid), 8, dtype=torch.float64)
    seen = torch.autograd.functional.jacobian(mixer, x)[0].abs().sum((1, 2, 4)) > 0
    reach = near(grid, 3 if len(grid) == 2 else 5) if name in ("conv", "local") else torch.ones_like(seen)
    assert torch.equal(seen, reach)


@pytest.mark.parametrize("tokens", [1, 2, 7, 31, 64])
def test_the_scan_equals_a_loop_and_so_do_its_gradients(tokens: int) -> None:
    g = torch.Generator().manual_seed(0)
    keep = torch.rand(2, tokens, 3, generator=g, dtype=torch.float64).requires_grad_()
    new = torch.randn(2, tokens, 3, generator=g, dtype=torch.float64).requires_grad_()
    state, states = torch.zeros(2, 3, dtype=torch.float64), []
    for t in range(tokens):
        state = keep[:, t] * state + new[:, t]
        states.append(state)
    wanted, noise = torch.stack(states, 1), torch.randn(2, tokens, 3, generator=g, dtype=torch.float64)
    found = scan(keep, new)
    assert torch.allclose(found, wanted, atol=1e-12)
    for ours, theirs in zip(
        *(torch.autograd.grad((y * noise).sum(), [keep, new], materialize_grads=True) for y in (found, wanted)), strict=True
    ):
        assert torch.allclose(ours, theirs, atol=1e-12)


def test_the_scan_is_finite_where_everything_is_forgotten_or_kept() -> None:
    keep = torch.tensor([0.0, 1e-38, 0.5, 1.0]).expand(1, 200, 4).clone().requires_grad_()
    new = torch.randn(1, 200, 4).requires_grad_()
    scan(keep, new).square().sum().backward()
    assert all(torch.isfinite(part.grad).all() for part in (keep, new) if part.grad is not None)
    assert keep.grad is not None


def test_min_gru_equals_a_loop_in_both_directions() -> None:
    torch.manual_seed(0)
    layer, x = MinGRU(6, (9,), width=5).double(), torch.randn(2, 9, 6, dtype=torch.float64)
    z, n = layer.gates(x).view(2, 9, 2, 2, 5).unbind(2)
    states = torch.zeros(2, 9, 2, 5, dtype=torch.float64)
    for direction, order in enumerate((range(9), reversed(range(9)))):
        h = torch.zeros(2, 5, dtype=torch.float64)
        for t in order:
            gate = z[:, t, direction].sigmoid()
            h = (1 - gate) * h + gate * n[:, t, direction]
            states[:, t, direction] = h
    assert torch.allclose(layer(x), layer.out(states.flatten(2)), atol=1e-12)


def test_min_gru_starts_remembering_for_1_to_all_tokens() -> None:
    torch.manual_seed(0)
    layer = MinGRU(64, (31,))
    steps = 1 + layer.gates.bias[: layer.out.in_features].detach().neg().exp()  # 1 / z where x says nothing
    assert 2 <= float(steps.min()) < 4
    assert 28 < float(steps.max()) <= 31


TASKS = [
    Task("near", Input("signal", (3, 9)), Output("signal", 9), (8, 8, 8), (), patch=1),
    Task("grid", Input("image", (1, 6, 8)), Output("classes", 3), (8, 8, 8), (), patch=2),
    Task("pair", Input("points", (2,)), Output("value", 1), (8, 8, 8), ()),
]


@pytest.mark.parametrize("name", [*FIVE, "none"])
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_stacked_gradients_equal_those_of_each_alone(name: str, task: Task) -> None:
    torch.manual_seed(0)
    alone = [models.build(f"backbone_{name}", task, dim=16, depth=2) for _ in range(3)]
    x, y = (torch.stack(parts) for parts in zip(*(task.sample(4) for _ in alone), strict=True))
    stacked = Stacked(alone, task, Budget("default", 64, 4), torch.device("cpu"))
    losses = stacked.losses(x, y)
    out = stacked.forward(x)
    gradients = dict(zip(stacked.params, stacked.parameters, strict=True))
    for i, module in enumerate(alone):
        module.load_state_dict({key: value[i] for key, value in stacked.state().items()})
        module.zero_grad()
        loss = task.loss(module(x[i]), y[i])
        loss.backward()
        assert losses[i].item() == pytest.approx(loss.item(), rel=1e-4)
        assert torch.allclose(out[i], module(x[i]), atol=1e-4)
        for key, p in module.named_parameters():
            together = gradients[key].grad
            assert p.grad is not None
            assert together is not None
            assert torch.allclose(together[i], p.grad, atol=1e-5, rtol=1e-3), key


def test_a_task_states_its_patch() -> None:
    assert models.build("backbone_none", datasets.task("match_far")).tokens.count == 31
    assert models.build("backbone_none", TASKS[1]).tokens.grid == (3, 4)
    for shape, kind in (((1, 6), "signal"), ((2,), "points")):
        with pytest.raises(ValueError, match=r"task 'cut': patches of 4 do not divide an input of kind (signal|points)"):
            Task("cut", Input(kind, shape), Output("value", 1), (8, 8, 8), (), patch=4)  # type: ignore[arg-type]
