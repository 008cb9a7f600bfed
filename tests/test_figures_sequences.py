"""Pictures of signals and sentences show what the model answered and what its layers weighed, at the right places."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

import datasets
import models
from bench.figures import alignment, kinds, signal_attention, signals
from bench.figures.subject import NoPicture, Subject
from bench.report.plots import png
from bench.store import fingerprint
from bench.store.records import Store, pack_weights
from bench.tables.rows import Row
from datasets import shapes, translation
from datasets.data import Data, Split, generator
from datasets.vocabulary import END, PAD, SPECIAL, Vocabulary
from models.attention import SelfAttention, SignalAttention
from tests.test_pictures import inside, look, meet


def subject_of(folder: Path, model: str, dataset: str, test: Split, scale: float = 1.0) -> Subject:
    """A cell with random weights in a store; `scale` makes its answers and weights less alike."""
    task = datasets.task(dataset)
    torch.manual_seed(1)
    module = models.build(model, task)
    weights = {name: value * scale for name, value in module.state_dict().items()}
    last = {task.metric.name: 0.0123}
    run = {"model": model, "dataset": dataset, "seed": 0, "recipe": "r", "budget": {"name": "default"}, "test": {"last": last}}
    run["source"] = fingerprint.source(model)
    store = Store(folder)
    store.put_weights(run, pack_weights({"last": weights, "snapshots": {}}))
    row = Row(model, dataset, "default", "float32", "here", "ok", "")
    return Subject(row, run, task, store, lambda name: Data(test, test, test))


def of_shapes(n: int, pairs: bool = False) -> Split:
    return Split(*shapes.signals(n, pairs, generator("test/figures", 0)))


@pytest.fixture(scope="module")
def sentences() -> Split:
    test = datasets.load("translation").test
    return Split(test.x[:12], test.y[:12])


def legible(figure: Figure) -> None:
    """No text over another or beyond the edge."""
    texts = look(lambda: png(figure)).texts
    assert [text.get_text() for text, box in texts if not inside(box, figure.bbox)] == []
    assert [(a.get_text(), b.get_text()) for (a, one), (b, two) in itertools.combinations(texts, 2) if meet(one, two)] == []


def matrices(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.images]


def shown(axes: Axes) -> np.ndarray:
    return np.asarray(axes.images[0].get_array())


def said(figure: Figure) -> str:
    """All text of a figure outside its panels, lines joined."""
    return " ".join(text.get_text().replace("\n", " ") for text in figure.texts)


def drawn_sample(figure: Figure) -> int:
    return int(re.search(r"test sample (\d+)", said(figure))[1])  # type: ignore[index]


# Signals


@pytest.mark.parametrize("model", ["conv1d_attention", "backbone_attention", "cnn"])
def test_lines_are_the_samples_and_the_models_own_answer(model: str, tmp_path: Path) -> None:
    test = of_shapes(8)
    subject = subject_of(tmp_path, model, "shapes", test)
    figure = signals.signals(subject)
    assert len(figure.axes) == 3
    for i, axes in enumerate(figure.axes):
        answer = subject.module(test.x[i : i + 1])[0, 0]
        lines = {str(line.get_label()): np.asarray(line.get_ydata()) for line in axes.lines}
        assert list(lines) == ["input", "target", "prediction"]
        for name, wanted in (("input", test.x[i, 0]), ("target", test.y[i, 0]), ("prediction", answer)):
            assert np.allclose(lines[name], wanted.numpy(), atol=1e-6), name
        assert all(np.array_equal(np.asarray(line.get_xdata()), np.arange(100)) for line in axes.lines)
        error = sum((float(answer[k]) - float(test.y[i, 0, k])) ** 2 for k in range(100)) / 100
        assert axes.get_title(loc="left") == f"test sample {i}: mean squared error {error:.3g}"
        low, high = axes.get_ylim()
        assert all(low < value.min() and value.max() < high for value in lines.values())
    legible(figure)


def test_the_title_tells_the_stored_error_and_that_of_the_input(tmp_path: Path) -> None:
    test = of_shapes(5)
    subject = subject_of(tmp_path, "linear", "shapes", test)
    untouched = sum(float(a - b) ** 2 for a, b in zip(test.x.flatten(), test.y.flatten(), strict=True)) / test.x.numel()
    share = 100 * 0.0123 / untouched  # above 100
    assert signals.finding(subject) == f"mean squared error 0.0123 on test, {share:.0f} % of that of the unchanged input"


def test_names_point_at_their_own_line(tmp_path: Path) -> None:
    figure = signals.signals(subject_of(tmp_path, "conv1d", "shapes_pairs", of_shapes(3, pairs=True)))
    lines = {str(line.get_label()): np.asarray(line.get_ydata()) for line in figure.axes[0].lines}
    named = {text.get_text(): text.xy for text in figure.axes[0].texts}  # type: ignore[attr-defined]
    assert set(named) == set(lines)
    for name, (x, y) in named.items():
        assert y == pytest.approx(lines[name][x])
    assert all(abs(a[0] - b[0]) > 12 for a, b in itertools.combinations(named.values(), 2))


def softmaxed(q: Tensor, k: Tensor, scale: float) -> Tensor:
    """softmax(q kᵀ · scale), element by element: (query, size), (key, size) -> (query, key)."""
    weights = torch.zeros(len(q), len(k))
    for i in range(len(q)):
        scores = [float(torch.dot(q[i], key)) * scale for key in k]
        top = max(scores)
        parts = [math.exp(s - top) for s in scores]
        weights[i] = torch.tensor([part / sum(parts) for part in parts])
    return weights


@pytest.mark.parametrize(("model", "heads"), [("conv1d_attention", 1), ("conv1d_attention_heads", 4)])
def test_signal_attention_is_that_of_the_layers_own_weights(model: str, heads: int, tmp_path: Path) -> None:
    test = of_shapes(6)
    subject = subject_of(tmp_path, model, "shapes", test, 1.5)
    figure = signal_attention.signal_attention(subject)
    sample = drawn_sample(figure)
    x = test.x[sample : sample + 1]
    module: nn.Sequential = subject.module  # type: ignore[assignment]
    for layer in module:
        if isinstance(layer, SignalAttention):
            break
        x = layer(x)
    panels = matrices(figure)
    assert len(panels) == heads
    size = 64 // heads
    for h, axes in enumerate(panels):
        q, k = (p.weight[h * size : (h + 1) * size, :, 0] @ x[0] for p in (layer.query, layer.key))
        weights = softmaxed(q.T, k.T, 1.0)
        assert shown(axes).shape == (100, 100)
        assert np.allclose(shown(axes), weights.numpy(), atol=1e-5)  # rows are queries: the matrix is not symmetric
        assert not np.allclose(shown(axes), weights.T.numpy(), atol=1e-4)
        assert np.allclose(shown(axes).sum(1), 1, atol=1e-5)
    legible(figure)


def test_signal_attention_of_pieces(tmp_path: Path) -> None:
    test = of_shapes(6, pairs=True)
    subject = subject_of(tmp_path, "backbone_attention", "shapes_pairs", test, 3.0)
    module = subject.module
    figure = signal_attention.signal_attention(subject)
    sample = drawn_sample(figure)
    tokens = module.tokens(test.x[sample : sample + 1]) + module.positions  # type: ignore[operator]
    norm, layer = module.blocks[0].mix  # type: ignore[index, union-attr]
    assert isinstance(layer, SelfAttention)
    projected = norm(tokens)[0] @ layer.qkv.weight.T + layer.qkv.bias
    q, k, _ = projected.view(25, 3, 4, 8).permute(1, 2, 0, 3)
    panels = matrices(figure)
    assert len(panels) == 8
    assert [axes.get_title(loc="left").split(":")[0] for axes in panels[3:5]] == ["layer 1, head 4", "layer 2, head 1"]
    for h in range(4):
        assert np.allclose(shown(panels[h]), softmaxed(q[h], k[h], 8**-0.5).numpy(), atol=1e-5)
    assert all(np.allclose(shown(axes).sum(1), 1, atol=1e-5) for axes in panels)
    assert list(panels[0].images[0].get_extent()) == [-0.5, 99.5, 99.5, -0.5]  # 25 pieces over 100 positions, query 0 on top
    legible(figure)


def test_the_signal_stands_along_both_axes_of_the_matrix(tmp_path: Path) -> None:
    test = of_shapes(3, pairs=True)
    figure = signal_attention.signal_attention(subject_of(tmp_path, "conv1d_attention", "shapes_pairs", test))
    signal = test.x[drawn_sample(figure), 0]
    matrix, top, left = figure.axes[:3]
    above, beside = top.lines[0], left.lines[0]
    assert np.array_equal(above.get_xdata(), np.arange(100)) and np.allclose(above.get_ydata(), signal)
    assert np.array_equal(beside.get_ydata(), np.arange(100)) and np.allclose(beside.get_xdata(), signal)
    assert top.get_xlim() == matrix.get_xlim() and left.get_ylim() == matrix.get_ylim() == (99.5, -0.5)
    assert top.get_position().x0 == matrix.get_position().x0 and left.get_position().y0 == matrix.get_position().y0
    assert [text.get_text() for text in top.texts] == ["A", "A", "B", "B"]


def test_kinds_of_shapes_are_read_from_the_target() -> None:
    g = generator("test/kinds", 0)
    triangle = torch.rand(400, 4, generator=g) < 0.5
    width = torch.randint(3, 10, (400, 4), generator=g).float()
    centre = torch.arange(4) * 25 + width / 2 + (24 - width) * torch.rand(400, 4, generator=g)
    centre[:200] = (centre[:200] * 2).round() / 2  # where a narrow triangle can look flat
    drawn = shapes.draw(triangle, centre, width, torch.full((400, 4), 20.0)) / 50
    assert torch.equal(torch.tensor([signal_attention.kinds(target) for target in drawn]), (~triangle).long())


def test_frames_stand_where_a_shape_meets_its_partner(tmp_path: Path) -> None:
    test = of_shapes(2, pairs=True)
    figure = signal_attention.signal_attention(subject_of(tmp_path, "conv1d_attention", "shapes_pairs", test))
    frames = [patch for patch in matrices(figure)[0].patches if isinstance(patch, Rectangle)]
    target = test.y[drawn_sample(figure), 0]
    inside = [{k for k in range(25 * i, 25 * i + 25) if float(target[k]) != 0} for i in range(4)]
    found = []
    for frame in frames:
        (x, y), right, bottom = frame.get_xy(), frame.get_x() + frame.get_width(), frame.get_y() + frame.get_height()
        keys, queries = ({k for k in range(100) if low < k < high} for low, high in ((x, right), (y, bottom)))
        found.append((inside.index(queries), inside.index(keys)))
    assert sorted(found) == [(0, 1), (1, 0), (2, 3), (3, 2)]


def test_preference_equals_a_slow_count() -> None:
    test = of_shapes(3)
    weights = torch.rand(3, 100, 100, generator=generator("test/weights", 0))
    groups = torch.tensor([[0, 1, 0, 1], [1, 1, 0, 1], [0, 0, 0, 1]])
    same, other = [], []
    for n in range(3):
        inside = [[k for k in range(25 * i, 25 * i + 25) if float(test.y[n, 0, k]) != 0] for i in range(4)]
        for s, t in itertools.permutations(range(4), 2):
            mean = np.mean([float(weights[n, q, k]) for q in inside[s] for k in inside[t]])
            (same if groups[n, s] == groups[n, t] else other).append(mean)
    assert signal_attention.preference(weights, test.y, groups) == pytest.approx(np.mean(same) / np.mean(other), rel=1e-5)


def test_the_sample_drawn_is_near_the_median_and_its_frames_are_dark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights made up: in each sample a shape weighs its partner `ratio` times as much, but in two of three only one of the pairs does."""
    test, ratios = of_shapes(40, pairs=True), torch.linspace(1.5, 6, 40)
    one = torch.zeros(40, 4, 4)
    for i, ratio in enumerate(ratios):
        uneven = i % 3  # 0: both pairs alike; else one pair has it all, and the other's frames are paler than what is not framed
        for a, b in itertools.permutations(range(4), 2):
            mates = a // 2 == b // 2
            one[i, a, b] = 1 if not mates else ratio if not uneven else 0.5 if a // 2 == 0 else 2 * ratio - 0.5
    weights = one.repeat_interleave(25, 1).repeat_interleave(25, 2)
    monkeypatch.setattr(signal_attention, "joined", lambda *asked: [("", weights[:, None])])
    figure = signal_attention.signal_attention(subject_of(tmp_path, "conv1d_attention", "shapes_pairs", test))
    sample = drawn_sample(figure)
    assert sample % 3 == 0 and abs(sample - 20) <= 5  # of 18, 21, …
    own, words = float(ratios[sample]), said(figure)
    assert f"by itself {own:.2f}\N{NO-BREAK SPACE}×; the median sample has {float(ratios[19]):.2f}\N{NO-BREAK SPACE}×" in words
    assert f"In {sum(i % 3 == 0 for i in range(40))} of 40 all frames are darker than wherever the pairs meet" in words
    assert "last step, seed 0" in words
    legible(figure)


def test_frames_of_the_sample_drawn_are_pale_where_the_other_group_is_weighed_more() -> None:
    groups = torch.tensor([[0, 0, 1, 1]] * 8)
    each = torch.ones(8, 4, 4)
    same, _ = signal_attention.split(groups)
    each[same] = 0.5
    for i in (0, *range(2, 8)):  # the same ratio, but a frame is darker than all that is not framed
        each[i, 0, 1], each[i, 1, 0], each[i, 2, 3], each[i, 3, 2] = 0.0, 1.1, 0.45, 0.45
    found = signal_attention.chosen(each, groups, 0.5)
    assert (found.sample, found.clear) == (1, 1) and found.ratio == pytest.approx(0.5) and found.median == pytest.approx(0.5)
    mixed = torch.tensor([[0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 0, 1]])
    found = signal_attention.chosen(torch.rand(3, 4, 4, generator=generator("test/kinds", 1)), mixed, 2.0)
    assert found.sample == 2  # two of each kind; nothing is known of a sample with one kind


def test_pieces_share_their_weight_among_positions() -> None:
    weights = torch.rand(2, 3, 3).softmax(-1)
    wide = signal_attention.at_positions(weights, 12)
    assert torch.allclose(wide.sum(-1), torch.ones(2, 12))
    for n, q, k in itertools.product(range(2), range(12), range(12)):
        assert float(wide[n, q, k]) == pytest.approx(float(weights[n, q // 4, k // 4]) / 4)


def test_the_finding_names_the_head_that_differs_most() -> None:
    rule = signal_attention.RULES["shapes"]
    assert signal_attention.finding({"head 1": 1.2, "head 2": 0.25}, rule).startswith(
        "in head 2 a shape weighs the others of its kind 0.25"
    )
    assert signal_attention.finding({"head 1": 1.05, "head 2": 0.95}, rule).startswith("no head tells the kinds apart")
    assert signal_attention.finding({"": 1.0}, rule).startswith("its attention does not tell the kinds apart")


def test_without_attention_over_the_signal_there_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(NoPicture, match="no layer of it shows attention weights"):
        signal_attention.signal_attention(subject_of(tmp_path, "conv1d", "shapes", of_shapes(3)))
    over_other_things = nn.Sequential(nn.Linear(100, 6), SelfAttention(6, 2), nn.Linear(6, 100))
    with pytest.raises(NoPicture, match="does not join pieces"):
        signal_attention.joined(
            nn.Sequential(nn.Unflatten(2, (3, -1)), nn.Flatten(1, 2), over_other_things), torch.ones(2, 1, 300), datasets.task("shapes")
        )


# Sentences


def recalled(module: nn.Module, x: Tensor, said: Tensor) -> Tensor:
    """Bahdanau's weights from the layer's own parameters, word by word along what was said: (T, S), one sentence without padding."""
    keys, (state,) = module.encoder(x)[0], module.begin(x)[1]  # type: ignore[operator]
    w, u, v = (module.attention.get_submodule(name).weight for name in ("query", "key", "score"))  # type: ignore[union-attr, operator]
    token, rows = torch.tensor([1]), []
    source = module.begin(x)[0]  # type: ignore[operator]
    for t in range(said.shape[1]):
        scores = [float(v[0] @ torch.tanh(w @ state[0] + u @ keys[0, j])) for j in range(x.shape[1])]
        parts = [math.exp(s - max(scores)) for s in scores]
        rows.append(torch.tensor([part / sum(parts) for part in parts]))
        _, (state,) = module.step(source, (state,), token)  # type: ignore[operator]
        token = said[:, t]
    return torch.stack(rows)


def test_bahdanaus_alignment_is_that_of_the_layers_own_weights(sentences: Split, tmp_path: Path) -> None:
    subject = subject_of(tmp_path, "bahdanau", "translation", sentences, 3.0)
    module = subject.module
    said = module.predict(sentences.x, subject.task)  # type: ignore[operator]
    weights = alignment.alignments(module, sentences.x, said)
    assert weights.shape == (12, 1, 15, 14)
    for i in range(4):
        n = int((sentences.x[i] != PAD).sum())
        wanted = recalled(module, sentences.x[i : i + 1, :n], said[i : i + 1])
        t = int((said[i] != PAD).sum())
        assert torch.allclose(weights[i, 0, :t, :n], wanted[:t], atol=1e-5)


def test_cross_attention_is_that_of_the_last_layers_own_weights(sentences: Split, tmp_path: Path) -> None:
    subject = subject_of(tmp_path, "transformer_seq2seq", "translation", sentences, 1.5)
    module = subject.module
    said = module.predict(sentences.x, subject.task)  # type: ignore[operator]
    cross, went_in = module.decoder[-1].cross, []  # type: ignore[index, union-attr]
    handle = cross.register_forward_pre_hook(lambda layer, args: went_in.append(args[:2]))  # type: ignore[union-attr, operator]
    weights = alignment.alignments(module, sentences.x, said)
    handle.remove()
    ((x, remembered),) = went_in
    assert weights.shape == (12, 4, 15, 14)
    for i, h in itertools.product((0, 5), range(4)):
        n, t = int((sentences.x[i] != PAD).sum()), int((said[i] != PAD).sum())
        q = x[i] @ cross.query.weight[16 * h : 16 * (h + 1)].T + cross.query.bias[16 * h : 16 * (h + 1)]  # type: ignore[union-attr]
        assert torch.allclose(weights[i, h, :t, :n], softmaxed(q[:t], remembered[i, 0, h, :n], 0.25), atol=1e-5)


@pytest.mark.parametrize("model", ["bahdanau", "transformer_seq2seq"])
def test_padding_gets_nothing_and_rows_sum_to_one(model: str, sentences: Split, tmp_path: Path) -> None:
    subject = subject_of(tmp_path, model, "translation", sentences, 1.5)
    weights = alignment.alignments(subject.module, sentences.x, sentences.y)
    padding = sentences.x == PAD
    assert padding.any()
    assert weights.permute(0, 3, 1, 2)[padding].eq(0).all()
    assert torch.allclose(weights.sum(-1), torch.ones(weights.shape[:3]), atol=1e-5)


@pytest.mark.parametrize(("model", "panels"), [("bahdanau", 1), ("transformer_seq2seq", 5)])
def test_words_on_the_axes_are_those_of_the_sentence(model: str, panels: int, sentences: Split, tmp_path: Path) -> None:
    subject = subject_of(tmp_path, model, "translation", sentences, 1.5)
    source, target = Vocabulary(translation.SOURCE), Vocabulary(translation.TARGET)
    said = subject.module.predict(sentences.x, subject.task)  # type: ignore[operator]
    weights = alignment.alignments(subject.module, sentences.x, said)
    rows = alignment.chosen(sentences.x, sentences.y, said)
    figure = alignment.alignment(subject)
    drawn = matrices(figure)
    assert len(rows) == 2 and len(drawn) == 2 * panels
    for n, axes in enumerate(drawn):
        i, k = rows[n // panels], n % panels
        words, answer = source.decode(sentences.x[i]), target.decode(said[i])
        assert [label.get_text() for label in axes.get_xticklabels()] == words
        if k == 0:
            assert [label.get_text() for label in axes.get_yticklabels()] == answer
        wanted = weights[i].mean(0) if k == 0 else weights[i, k - 1]
        assert np.allclose(shown(axes), wanted[: len(answer), : len(words)], atol=1e-6)  # rows are the words said
        rings = {(int(y), int(x)) for x, y in axes.collections[0].get_offsets()}  # type: ignore[misc]
        assert rings == {(a, b) for a, one in enumerate(answer) for b, other in enumerate(words) if translates(one, other)}
    below = [text.get_text() for text in figure.texts if text.get_text().startswith("source:")]
    for i, text in zip(rows, below, strict=True):
        lines = (("source", source.decode(sentences.x[i])), ("said", target.decode(said[i])), ("reference", target.decode(sentences.y[i])))
        assert text == "\n".join(f"{who}: {' '.join(words)}" for who, words in lines)
    legible(figure)


def translates(foreign: str, own: str) -> bool:
    """Whether one word is the other's, from the lexicon alone."""
    if own in translation.ADJECTIVES:
        return foreign[:-1] == translation.ADJECTIVES[own] and foreign[-1] in "iu"
    if own in (verbs := translation.VERBS | translation.PLACES):
        return foreign == verbs[own]
    return foreign in {root + s for noun, root in translation.NOUNS.items() for s in ("", "s") if own == noun + s}


def test_every_content_word_of_a_reference_is_in_the_dictionary() -> None:
    known = alignment.dictionary(Vocabulary(translation.SOURCE), Vocabulary(translation.TARGET))
    assert known.tolist() == [[translates(foreign, own) for own in translation.SOURCE] for foreign in translation.TARGET]
    test = datasets.load("translation").test
    there = known[test.y[:200]].gather(2, test.x[:200, None].expand(-1, 15, -1)).any(2)  # a source word of the sentence means it
    functional = {*SPECIAL, *(form for forms in translation.ARTICLES.values() for form in forms)}
    assert there.tolist() == [[translation.TARGET[word] not in functional for word in sentence] for sentence in test.y[:200].tolist()]


def test_the_share_found_equals_a_count_by_hand() -> None:
    known = torch.zeros(8, 8, dtype=torch.bool)
    known[4, 4] = known[5, 5] = known[6, 5] = True  # 7 is an article
    x = torch.tensor([[4, 5, PAD], [5, 7, 4]])
    said = torch.tensor([[5, 4, END], [7, 6, 4]])
    weights = torch.tensor(
        [
            [[0.2, 0.8, 0.0], [0.4, 0.6, 0.0], [1.0, 0.0, 0.0]],  # 5 looks at 5: found; 4 looks at 5: missed
            [[0.9, 0.1, 0.0], [0.5, 0.1, 0.4], [0.1, 0.1, 0.8]],  # an article; 6 looks at 5: found; 4 looks at 4: found
        ]
    )
    assert alignment.found(weights, x, said, known) == pytest.approx(3 / 4)
    assert math.isnan(alignment.found(weights, x, torch.full_like(said, 7), known))
    assert alignment.peak(weights, x, said) == pytest.approx(((0.8 + 0.6 + 0.9 + 0.5 + 0.8) / 5, (2 / 2 + 3 / 3) / 5))  # of 2 and 3 words


def test_the_longest_right_sentences_are_chosen() -> None:
    x = torch.tensor([[4, 5, 6, 7], [4, 5, PAD, PAD], [4, 5, 6, PAD], [4, 5, 6, PAD]])
    y = torch.tensor([[4, 5, 6, END], [4, END, PAD, PAD], [4, 5, END, PAD], [4, 5, END, PAD]])
    assert alignment.chosen(x, y, y) == [0, 2]
    wrong = y.clone()
    wrong[0, 0] = 9
    assert alignment.chosen(x, y, wrong) == [2, 3]
    assert alignment.chosen(x, y, y + 9) == [0, 2]
    silent = torch.full_like(y, PAD).index_fill(1, torch.tensor([0]), END)
    with pytest.raises(NoPicture, match="it says no word"):
        alignment.chosen(x, y, silent)


def test_the_title_counts_what_is_drawn(sentences: Split, tmp_path: Path) -> None:
    subject = subject_of(tmp_path, "bahdanau", "translation", sentences, 3.0)
    said = subject.module.predict(sentences.x, subject.task)  # type: ignore[operator]
    weights = alignment.alignments(subject.module, sentences.x, said)[:, 0]
    hits, all_ = 0, 0
    for i, t in itertools.product(range(12), range(15)):
        word = translation.TARGET[int(said[i, t])]
        if any(translates(word, own) for own in translation.SOURCE):
            all_ += 1
            hits += translates(word, translation.SOURCE[int(sentences.x[i, int(weights[i, t].argmax())])])
    assert all_
    title, told = (" ".join(text.get_text().split()) for text in alignment.alignment(subject).texts[:2])
    assert told.endswith("12 test sentences; weights of the last step, seed 0. Rings: pairs of the dictionary")
    assert title.startswith(f"bahdanau on translation: {100 * hits / all_:.1f} % of content words look at the word they translate")


@pytest.mark.parametrize(
    ("model", "why"), [("gru_seq2seq", "it has no attention to the source words"), ("backbone_attention", "it answers all words at once")]
)
def test_without_alignment_there_is_no_picture(model: str, why: str, sentences: Split, tmp_path: Path) -> None:
    with pytest.raises(NoPicture, match=why):
        alignment.alignment(subject_of(tmp_path, model, "translation", sentences))


def test_without_words_there_is_no_picture(sentences: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "vocabularies", lambda *place: None)
    with pytest.raises(NoPicture, match="does not tell its words"):
        alignment.alignment(subject_of(tmp_path, "bahdanau", "translation", sentences))


@pytest.mark.parametrize(
    ("model", "dataset", "kind"),
    [
        pytest.param("conv1d_attention", "shapes", "signals", marks=pytest.mark.slow),
        ("conv1d_attention", "shapes", "signal_attention"),
        pytest.param("bahdanau", "translation", "alignment", marks=pytest.mark.slow),
    ],
)
def test_the_same_cell_gives_the_same_bytes(model: str, dataset: str, kind: str, sentences: Split, tmp_path: Path) -> None:
    test = sentences if dataset == "translation" else of_shapes(4)
    first, again = (kinds.cells[kind].draw(subject_of(tmp_path, model, dataset, test)) for _ in range(2))
    assert first == again and first.startswith(b"\x89PNG")
