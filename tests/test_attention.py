"""Attention layers against a float64 reference written as three loops, and against torch's own layer."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from models.attention import AdditiveAttention, CrossAttention, ReAttention, SelfAttention, SignalAttention, causal, sinusoids, watch


def loops(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """softmax(q kᵀ · scale) v for one head, (tokens, dim), element by element."""
    out = torch.zeros(len(q), v.shape[1], dtype=torch.float64)
    for i in range(len(q)):
        scores = [float(torch.dot(q[i], k[j])) * scale for j in range(len(k))]
        top = max(scores)
        weights = [math.exp(s - top) for s in scores]
        for j in range(len(k)):
            out[i] += weights[j] / sum(weights) * v[j]
    return out


@pytest.mark.parametrize(("tokens", "dim", "heads", "head_dim"), [(5, 8, 2, None), (3, 12, 4, 7), (1, 6, 3, None), (9, 16, 1, 5)])
def test_self_attention_against_three_loops(tokens: int, dim: int, heads: int, head_dim: int | None) -> None:
    torch.manual_seed(tokens)
    layer = SelfAttention(dim, heads, head_dim=head_dim).double().requires_grad_(False)
    x = torch.randn(2, tokens, dim, dtype=torch.float64)
    size = head_dim or dim // heads
    for sample, ours in zip(x, layer(x), strict=True):
        projected = sample @ layer.qkv.weight.T + layer.qkv.bias
        q, k, v = projected.view(tokens, 3, heads, size).permute(1, 2, 0, 3)
        joined = torch.cat([loops(q[h], k[h], v[h], size**-0.5) for h in range(heads)], 1)
        assert torch.allclose(ours, joined @ layer.out.weight.T + layer.out.bias, atol=1e-12)


@pytest.mark.parametrize("scaled", [False, True])
def test_signal_attention_against_three_loops(scaled: bool) -> None:
    torch.manual_seed(0)
    layer = SignalAttention(4, scaled=scaled).double().requires_grad_(False)
    x = torch.randn(2, 4, 7, dtype=torch.float64)
    for sample, ours in zip(x, layer(x), strict=True):
        q, k, v = (p.weight[:, :, 0] @ sample for p in (layer.query, layer.key, layer.value))
        assert torch.allclose(ours, loops(q.T, k.T, v.T, 0.5 if scaled else 1.0).T, atol=1e-12)


@pytest.mark.parametrize(("batch", "tokens", "dim", "heads"), [(1, 2, 8, 2), (4, 17, 32, 4), (3, 50, 24, 3)])
def test_transplanted_into_torch(batch: int, tokens: int, dim: int, heads: int) -> None:
    torch.manual_seed(dim)
    theirs = nn.MultiheadAttention(dim, heads, batch_first=True).eval()
    ours = SelfAttention(dim, heads).eval()
    with torch.no_grad():
        theirs.in_proj_bias.normal_()
        theirs.out_proj.bias.normal_()
        ours.qkv.weight.copy_(theirs.in_proj_weight)
        ours.qkv.bias.copy_(theirs.in_proj_bias)
        ours.out.load_state_dict(theirs.out_proj.state_dict())
    x = torch.randn(batch, tokens, dim)
    assert (ours(x) - theirs(x, x, x, need_weights=False)[0]).abs().max() < 1e-5


def test_encoder_block_transplanted_into_torch() -> None:
    from models.transformer import EncoderBlock

    torch.manual_seed(0)
    theirs = nn.TransformerEncoderLayer(64, 4, 256, dropout=0.0, batch_first=True).eval()
    ours = EncoderBlock(64, 4, 256).eval()
    names = {"attention.qkv.": "self_attn.in_proj_", "attention.out.": "self_attn.out_proj.", "mlp.0.": "linear1.", "mlp.2.": "linear2."}
    weights = theirs.state_dict()

    def source(name: str) -> str:
        return next((new + name.removeprefix(old) for old, new in names.items() if name.startswith(old)), name)

    ours.load_state_dict({name: weights[source(name)] for name in ours.state_dict()})
    x = torch.randn(3, 11, 64)
    assert (ours(x) - theirs(x)).abs().max() < 1e-5


def test_dropout_is_off_in_evaluation_and_on_in_training() -> None:
    layer = SelfAttention(8, 2, dropout=0.5)
    x = torch.randn(2, 6, 8)
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))


def test_sinusoids_are_those_of_the_paper() -> None:
    table = sinusoids(20, 6)
    for position in (0, 1, 19):
        for i in range(3):
            angle = position / 10_000 ** (2 * i / 6)
            assert table[position, 2 * i] == pytest.approx(math.sin(angle), abs=1e-5)
            assert table[position, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-5)


def test_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="10 numbers cannot be split into 4 heads"):
        SelfAttention(10, 4)


def slow_weights(layer: SelfAttention, x: Tensor) -> Tensor:
    """softmax(q kᵀ / √d), (batch, heads, query, key), from the layer's own projections, head by head."""
    projected = x @ layer.qkv.weight.T + (0 if layer.qkv.bias is None else layer.qkv.bias)
    q, k, _ = projected.chunk(3, -1)
    size = q.shape[-1] // layer.heads
    each = [(q[..., i : i + size] @ k[..., i : i + size].mT * size**-0.5).softmax(-1) for i in range(0, q.shape[-1], size)]
    return torch.stack(each, 1)


@pytest.mark.parametrize("kind", [SelfAttention, ReAttention])
@pytest.mark.parametrize(("batch", "tokens"), [(2, 5), (9, 5), (9, 20), (1, 1)])
def test_what_is_watched_is_what_was_weighed_by_and_changes_nothing(kind: type[SelfAttention], batch: int, tokens: int) -> None:
    """(9, 5) goes without the fused kernel, the others of SelfAttention through it."""
    torch.manual_seed(tokens)
    layer = kind(12, 3).double().eval().requires_grad_(False)
    x = torch.randn(batch, tokens, 12, dtype=torch.float64)
    before = layer(x)
    with watch() as seen:
        assert torch.equal(layer(x), before)
    assert layer(x) is not None and len(seen) == 1 and seen[0].layer is layer  # closed: nothing more is told
    weights = slow_weights(layer, x)
    if isinstance(layer, ReAttention):
        weights = layer.norm(weights.movedim(1, -1) @ layer.mix).movedim(-1, 1)
    else:
        assert torch.allclose(seen[0].weights.sum(-1), torch.ones(batch, 3, tokens, dtype=torch.float64))
    assert torch.allclose(seen[0].weights, weights, atol=1e-12)


def test_the_first_token_alone_shows_its_row() -> None:
    torch.manual_seed(0)
    layer = SelfAttention(8, 2, qkv_bias=False).double().eval().requires_grad_(False)
    x = torch.randn(3, 6, 8, dtype=torch.float64)
    with watch() as seen:
        assert torch.allclose(layer.first(x), layer(x)[:, 0])
    assert seen[0].weights.shape == (3, 2, 1, 6)
    assert torch.allclose(seen[0].weights, seen[1].weights[:, :, :1])
    with pytest.raises(ValueError, match="qkv_bias=False"):
        SelfAttention(8, 2).first(x.float())


def test_signals_words_and_masks_are_watched_too() -> None:
    torch.manual_seed(0)
    signal, cross, additive = SignalAttention(4, heads=2), CrossAttention(8, 2), AdditiveAttention(3, 5, 4)
    x, y = torch.randn(2, 4, 7), torch.randn(2, 5, 8)
    mask = torch.tensor([True, True, False, True])
    with watch() as seen, torch.no_grad():
        signal(x)
        cross(y, cross.remember(y), causal(5, y.device))
        given = additive(torch.randn(2, 3), torch.randn(2, 4, 4), mask.expand(2, -1))
    assert [one.layer for one in seen] == [signal, cross, additive]
    q, k = (project.weight[:, :, 0] @ x for project in (signal.query, signal.key))
    by_hand = torch.stack([(q[:, i : i + 2].mT @ k[:, i : i + 2]).softmax(-1) for i in (0, 2)], 1)
    assert torch.allclose(seen[0].weights, by_hand, atol=1e-6)
    assert torch.equal(seen[1].weights.triu(1), torch.zeros(2, 2, 5, 5))  # nobody looks ahead
    assert torch.equal(seen[2].weights, given[:, None, None]) and bool((given[:, 2] == 0).all())
    for one in seen:
        assert torch.allclose(one.weights.sum(-1), torch.ones(one.weights.shape[:-1]), atol=1e-6)
        assert not one.weights.requires_grad


def test_who_watches_inside_does_not_end_who_watches_outside() -> None:
    layer, x = SelfAttention(4, 1).eval(), torch.randn(1, 2, 4)
    with watch() as outer:
        layer(x)
        with pytest.raises(RuntimeError, match="on purpose"), watch() as inner:
            layer(x)
            raise RuntimeError("on purpose")
        layer(x)
    assert (len(outer), len(inner)) == (2, 1)
