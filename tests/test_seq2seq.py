"""The sequence-to-sequence models and their layers, against slow references and torch's own (decoding: test_decode.py)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import models
from datasets.task import Input, Output, Task
from datasets.vocabulary import END, PAD
from models.attention import AdditiveAttention, CrossAttention, causal
from models.decode import Translator
from models.recurrent import GRU, Cell, ResetFirst
from tests.test_attention import loops

NAMES = ["gru_seq2seq", "bahdanau", "bahdanau_published", "transformer_seq2seq"]


def asked(vocabulary: int = 12, length: int = 7, answer: int = 6, source: int | None = None) -> Task:
    words = Input("tokens", (length,), source or vocabulary)
    return Task("words", words, Output("tokens", answer, vocabulary), (1, 1, 1), ())


def built(name: str, task: Task, seed: int = 0, **size: int) -> Translator:
    """A model in evaluation mode with larger weights, so that its answers are not all alike."""
    torch.manual_seed(seed)
    model = models.build(name, task, **size).eval().double()
    assert isinstance(model, Translator)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1.5 if name == "transformer_seq2seq" else 3)
    return model.requires_grad_(False)


@pytest.mark.parametrize(
    ("name", "count"),
    [("bahdanau_published", 11_106_072), ("bahdanau", 11_108_376), ("gru_seq2seq", 11_042_840), ("transformer_seq2seq", 12_410_368)],
)
def test_parameter_counts_with_the_published_vocabularies(name: str, count: int) -> None:
    model = models.build(name, asked(21_016, 15, 17, source=12_014))
    assert sum(p.numel() for p in model.parameters()) == count


# Attention


def heads_of(layer: CrossAttention, x: Tensor, memory: Tensor, head: int) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value of one head for one sample, from the weights alone."""
    dim = x.shape[1]
    size = dim // layer.heads
    rows = slice(head * size, (head + 1) * size)
    k, v = (memory @ layer.memory.weight.T + layer.memory.bias).split(dim, 1)
    return (x @ layer.query.weight.T + layer.query.bias)[:, rows], k[:, rows], v[:, rows]


@pytest.mark.parametrize(("dim", "heads", "queries", "lengths"), [(8, 2, 4, (5, 3)), (6, 3, 1, (1, 2)), (5, 1, 6, (7, 7))])
def test_cross_attention_against_three_loops(dim: int, heads: int, queries: int, lengths: tuple[int, int]) -> None:
    torch.manual_seed(dim)
    layer = CrossAttention(dim, heads).double().requires_grad_(False)
    x, memory = torch.randn(2, queries, dim).double(), torch.randn(2, max(lengths), dim).double()
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None])[:, None, None]
    out = layer(x, layer.remember(memory), mask)
    for sample, there, n, ours in zip(x, memory, lengths, out, strict=True):
        joined = torch.cat([loops(*heads_of(layer, sample, there[:n], h), (dim // heads) ** -0.5) for h in range(heads)], 1)
        assert torch.allclose(ours, joined @ layer.out.weight.T + layer.out.bias, atol=1e-12)


def test_causal_attention_against_three_loops() -> None:
    torch.manual_seed(0)
    layer = CrossAttention(6, 2).double().requires_grad_(False)
    x = torch.randn(1, 5, 6).double()
    ours = layer(x, layer.remember(x), causal(5, x.device))[0]
    for i in range(5):
        heads = [loops(q[i:], k, v, 3**-0.5)[:1] for q, k, v in (heads_of(layer, x[0, : i + 1], x[0, : i + 1], h) for h in range(2))]
        assert torch.allclose(ours[i], (torch.cat(heads, 1) @ layer.out.weight.T + layer.out.bias)[0], atol=1e-12)


@pytest.mark.parametrize(("batch", "queries", "keys", "dim", "heads"), [(1, 2, 3, 8, 2), (4, 17, 15, 32, 4), (3, 1, 50, 24, 3)])
def test_cross_attention_transplanted_from_torch(batch: int, queries: int, keys: int, dim: int, heads: int) -> None:
    torch.manual_seed(dim)
    theirs, ours = nn.MultiheadAttention(dim, heads, batch_first=True).eval(), CrossAttention(dim, heads).eval()
    nn.init.normal_(theirs.in_proj_bias)
    transplant(theirs.state_dict(), ours, "")
    x, memory, lengths = torch.randn(batch, queries, dim), torch.randn(batch, keys, dim), torch.randint(1, keys + 1, (batch, 1))
    mask = torch.arange(keys) < lengths
    expected = theirs(x, memory, memory, key_padding_mask=~mask, need_weights=False)[0]
    assert (ours(x, ours.remember(memory), mask[:, None, None]) - expected).abs().max() < 1e-5


def test_additive_attention_against_three_loops() -> None:
    torch.manual_seed(0)
    layer = AdditiveAttention(5, 7, 4).double().requires_grad_(False)
    assert sum(p.numel() for p in layer.parameters()) == (5 + 7 + 1) * 4
    queries, states, lengths = torch.randn(3, 5).double(), torch.randn(3, 6, 7).double(), (6, 1, 4)
    mask = torch.arange(6) < torch.tensor(lengths)[:, None]
    weights = layer(queries, layer.key(states), mask)
    assert torch.allclose(weights.sum(1), torch.ones(3).double(), atol=1e-15)
    assert bool((weights[~mask] == 0).all())
    for b, n in enumerate(lengths):
        scores = torch.zeros(n).double()
        for i in range(n):
            for a in range(4):
                inside = layer.query.weight[a] @ queries[b] + layer.key.weight[a] @ states[b, i]
                scores[i] += layer.score.weight[0, a] * inside.tanh()
        assert torch.allclose(weights[b, :n], scores.exp() / scores.exp().sum(), atol=1e-14)


# Recurrence


def test_the_published_cell_against_loops_and_torchs_against_torch() -> None:
    torch.manual_seed(0)
    layer = ResetFirst(3, 4).double().requires_grad_(False)
    assert sum(p.numel() for p in layer.parameters()) == 3 * 4 * (3 + 4 + 1)
    x, w, u, b = torch.randn(2, 5, 3).double(), layer.weight_ih, layer.weight_hh, layer.bias_ih
    states, last = layer(x)
    for sample in range(2):
        h = [0.0] * 4
        for t in range(5):
            given = [sum(float(w[g, i] * x[sample, t, i]) for i in range(3)) + float(b[g]) for g in range(12)]
            gate = [torch.tensor(given[g] + sum(float(u[g, j]) * h[j] for j in range(4))).sigmoid().item() for g in range(8)]
            reset = [gate[j] * h[j] for j in range(4)]
            new = [torch.tensor(given[8 + k] + sum(float(u[8 + k, j]) * reset[j] for j in range(4))).tanh().item() for k in range(4)]
            h = [gate[4 + k] * h[k] + (1 - gate[4 + k]) * new[k] for k in range(4)]
            assert torch.allclose(states[sample, t], torch.tensor(h).double(), atol=1e-6)
    assert torch.equal(last[0], states[:, -1])

    cell, state = Cell(3, 4).double(), torch.randn(2, 4).double()
    gates = x[:, 0] @ cell.weight_ih.T + cell.bias_ih
    assert torch.allclose(cell.step(gates, state), cell(x[:, 0], state), atol=1e-14)
    assert (layer.step(x[:, 0] @ w.T + b, state) - cell.step(x[:, 0] @ w.T + b, state)).abs().max() > 1e-3


def test_a_recurrent_layer_stays_in_training_mode_for_cudnn() -> None:
    model = models.build("bahdanau", asked()).eval()
    layers = [layer for layer in model.modules() if isinstance(layer, GRU)]
    assert len(layers) == 2
    assert not model.training
    assert all(layer.training for layer in layers)


def test_the_encoder_reads_both_ways_from_the_first_and_from_the_last_word() -> None:
    """Two directions run by hand on the words alone; the first decoder state is the backward state at the first word."""
    task = asked()
    model = built("bahdanau", task)
    x = torch.tensor([[4, 5, 6, 7, 8, 9, 10], [4, 5, 6, PAD, PAD, PAD, PAD], [11, *[PAD] * 6]])
    states, ends = model.encoder(x)
    for i, n in enumerate((7, 3, 1)):
        embedded = model.encoder.embed(x[i : i + 1, :n])
        there, back = model.encoder.forwards(embedded)[0], model.encoder.backwards(embedded.flip(1))[0]
        assert torch.allclose(states[i, :n], torch.cat([there, back.flip(1)], 2)[0], atol=1e-12)
        assert torch.allclose(ends[i], torch.cat([there[0, -1], back[0, -1]]), atol=1e-12)
    assert torch.equal(model.begin(x)[1][0], ends[:, 64:])


# All of them


@pytest.mark.parametrize("name", NAMES)
def test_a_later_word_changes_no_earlier_answer(name: str) -> None:
    task = asked()
    model = built(name, task)
    x, y = task.sample(4, torch.Generator().manual_seed(0))
    before = model.teach(x, y)
    for t in range(task.output.size - 1):
        other = y.clone()
        other[:, t] = (other[:, t] + 5) % task.output.vocabulary
        moved = (model.teach(x, other) - before).abs().amax((0, 2))
        assert moved[: t + 1].max() == 0
        assert moved[t + 1] > 1e-6


@pytest.mark.parametrize("name", [name for name in NAMES if name != "bahdanau_published"])
def test_padding_is_not_read(name: str) -> None:
    task = asked(length=9)
    model = built(name, task)
    x, y = asked(length=5).sample(6, torch.Generator().manual_seed(0))
    taught, tokens = model.teach(x, y), model.predict(x, task)
    longer = nn.functional.pad(x, (0, 4), value=PAD)
    assert torch.allclose(model.teach(longer, y), taught, atol=1e-10)
    assert torch.equal(model.predict(longer, task), tokens)
    embedding = model.get_submodule("source" if name.startswith("transformer") else "encoder.embed")
    embedding.weight[PAD] += 10
    assert torch.allclose(model.teach(x, y), taught, atol=1e-10)
    embedding.weight[x[0, 0]] += 10
    assert not torch.allclose(model.teach(x, y), taught, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_sentence_has_an_answer(name: str) -> None:
    task = asked()
    out = built(name, task)(torch.zeros(1, 7, dtype=torch.int64))
    assert bool(out.isfinite().all())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "bahdanau_published"])
def test_the_loss_is_the_tasks_with_less_work(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task = asked()
    model = built(name, task)
    x, y = task.sample(5, torch.Generator().manual_seed(0))
    expected = task.loss(model.teach(x, y), y)
    seen: list[int] = []
    real = model.project

    def project(known: Tensor) -> Tensor:
        seen.append(known[..., 0].numel())
        return real(known)

    if isinstance(real, nn.Module):
        real.register_forward_pre_hook(lambda _, args: seen.append(args[0][..., 0].numel()))
    else:
        monkeypatch.setattr(model, "project", project)
    assert torch.allclose(model.loss(x, y, task, torch.Generator()), expected, atol=1e-12)
    assert seen == [int((y != PAD).sum())]
    with torch.autocast("cpu", torch.bfloat16):
        rounded, logits = model.float().loss(x, y, task, torch.Generator()), model.teach(x, y)
        logits[y != PAD] = model.project(model.known(x, y)[y != PAD])  # other shapes round in other places
    assert logits.dtype == torch.bfloat16
    assert abs(rounded - task.loss(logits.float(), y)) < 1e-5, "the loss itself is not to be rounded"


def transplant(weights: dict[str, Tensor], ours: nn.Module, prefix: str) -> None:
    """Weights of a torch attention layer at `prefix` into a CrossAttention."""
    dim = len(weights[prefix + "out_proj.bias"])
    parts = {"out.weight": weights[prefix + "out_proj.weight"], "out.bias": weights[prefix + "out_proj.bias"]}
    for kind in ("weight", "bias"):
        parts[f"query.{kind}"], parts[f"memory.{kind}"] = weights[f"{prefix}in_proj_{kind}"].split([dim, 2 * dim])
    ours.load_state_dict(parts)


@pytest.mark.filterwarnings("ignore:.*nested")
@pytest.mark.parametrize(
    ("batch", "source", "target", "dim", "heads", "depth", "hidden"),
    [(3, 7, 5, 16, 2, 2, 24), (1, 1, 4, 8, 1, 1, 8), (4, 12, 9, 24, 4, 3, 40)],
)
def test_transformer_transplanted_from_torch(batch: int, source: int, target: int, dim: int, heads: int, depth: int, hidden: int) -> None:
    torch.manual_seed(dim)
    theirs = nn.Transformer(dim, heads, depth, depth, hidden, dropout=0.0, batch_first=True).eval().requires_grad_(False)
    for p in theirs.parameters():
        p.add_(0.1 * torch.randn_like(p))  # biases and norms that are not 0 and 1
    ours = models.build("transformer_seq2seq", asked(), dim=dim, heads=heads, depth=depth, hidden=hidden).eval().requires_grad_(False)
    weights = theirs.state_dict()
    for name, module in ours.named_modules():
        stack, _, rest = name.partition(".")
        place = f"{stack}.layers.{rest}"
        if isinstance(module, CrossAttention):
            transplant(weights, module, place.replace("cross", "multihead_attn").replace("attention", "self_attn") + ".")
        elif rest and isinstance(module, nn.LayerNorm | nn.Linear) and "attention" not in name and "cross" not in name:
            place = place.replace("mlp.0", "linear1").replace("mlp.2", "linear2")
            module.load_state_dict({kind: weights[f"{place}.{kind}"] for kind in ("weight", "bias")})
    ours.norm1.load_state_dict(theirs.encoder.norm.state_dict())
    ours.norm2.load_state_dict(theirs.decoder.norm.state_dict())
    x, y = torch.randn(batch, source, dim), torch.randn(batch, target, dim)
    mask = torch.arange(source) < torch.randint(1, source + 1, (batch, 1))
    later = ~causal(target, y.device)
    expected = theirs(x, y, tgt_mask=later, src_key_padding_mask=~mask, memory_key_padding_mask=~mask)
    heard = mask[:, None, None]
    assert (ours.decode(y, ours.remember(ours.encode(x, heard), heard))[0] - expected).abs().max() < 1e-5


# Learning


@pytest.mark.slow
def test_bahdanau_learns_to_reverse() -> None:
    torch.manual_seed(0)
    length, task = 5, asked(12, 5, 6)
    model = models.build("bahdanau", task, embed=16, hidden=32)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    g = torch.Generator().manual_seed(0)

    def pairs(n: int) -> tuple[Tensor, Tensor]:
        x = torch.randint(4, 12, (n, length), generator=g)
        lengths = torch.randint(1, length + 1, (n, 1), generator=g)
        x = x.masked_fill(torch.arange(length) >= lengths, PAD)
        mirror = (lengths - 1 - torch.arange(length + 1)).clamp(min=0)
        y = x.gather(1, mirror).masked_fill(torch.arange(length + 1) >= lengths, PAD)
        return x, y.scatter(1, lengths, END)

    for _ in range(300):
        optimizer.zero_grad()
        model.loss(*pairs(64), task, g).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    x, y = pairs(500)
    with torch.no_grad():
        right = (model.eval().predict(x, task) == y).all(1).float().mean()
    assert right > 0.9


# Bad input


def test_tasks_without_words_and_beams_without_places_are_refused() -> None:
    image, classes = Input("image", (1, 8, 8)), Output("classes", 3)
    for name in NAMES:
        with pytest.raises(models.Unsupported, match="reads words; this task gives image"):
            models.build(name, Task("t", image, classes, (1, 1, 1), ()))
        with pytest.raises(models.Unsupported, match="answers with words; this task asks for classes"):
            models.build(name, Task("t", Input("tokens", (5,), 9), classes, (1, 1, 1), ()))
        with pytest.raises(ValueError, match="a beam of width 0 holds no sentence"):
            models.build(name, asked(), beam=0)
