"""Each data set is what its docstring says, on slow and independent readings of the definition."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torchvision.transforms.functional as tvf
from sklearn.datasets import load_digits, load_iris

import datasets
from datasets import distort, images, once, points, shapes, shapes_published
from datasets.data import derive, generator, stratified

EMBEDDED = [name for name in datasets.names() if datasets.task(name).embedded]


@pytest.mark.parametrize("name", EMBEDDED)
def test_shapes_sizes_and_types(name: str) -> None:
    task, data = datasets.task(name), datasets.load(name, seed=3)
    for split, size in zip((data.train, data.val, data.test), task.sizes, strict=True):
        assert split.x.shape == (size, *task.input.shape)
        assert split.x.dtype == (torch.int64 if task.input.kind == "tokens" else torch.float32)
        assert torch.isfinite(split.x).all()
        if task.output.kind == "classes":
            assert split.y.dtype == torch.int64
            assert set(split.y.tolist()) == set(range(task.output.size))
        elif task.output.kind == "tokens":
            assert split.y.shape == (size, task.output.size)
        else:
            assert split.y.shape == (size, *task.output.shape)


@pytest.mark.parametrize("name", EMBEDDED)
def test_same_seed_same_data_and_splits_share_nothing(name: str) -> None:
    first, again, other = (datasets.load(name, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.train.x, again.train.x)
    assert torch.equal(first.test.x, again.test.x)
    assert not torch.equal(first.val.x, other.val.x)
    assert first.draw is not None or not torch.equal(first.train.x, other.train.x)
    if name.startswith(("digits", "iris")):
        return  # the same flower may have been measured twice; indices are checked below
    rows = [split.x.flatten(1) for split in (first.train, first.val, first.test)]
    assert len(torch.unique(torch.cat(rows), dim=0)) == sum(map(len, rows))


def test_splits_are_stratified_and_disjoint() -> None:
    y = torch.from_numpy(load_digits().target)
    rest, chosen = stratified(y, 350, "digits/test", 0)
    assert len(set(rest.tolist()) | set(chosen.tolist())) == len(y)
    share, whole = torch.bincount(y[chosen]) / 350, torch.bincount(y) / len(y)
    assert (share - whole).abs().max() < 0.004
    assert not torch.equal(chosen, stratified(y, 350, "digits/test", 1)[1])


def test_iris_holds_the_150_flowers_standardised_by_training_alone() -> None:
    data = datasets.load("iris", seed=0)
    raw = torch.from_numpy(load_iris().data).float()
    assert data.train.x.mean(0).abs().max() < 1e-5
    assert (data.train.x.std(0) - 1).abs().max() < 1e-5
    assert data.test.x.mean(0).abs().max() > 1e-3
    seen = torch.cat([data.train.x, data.val.x, data.test.x])
    # standardising is affine: distances within a column keep their ratios
    column, original = seen[:, 2].sort().values, raw[:, 2].sort().values
    assert torch.allclose(
        (column - column[0]) / (column[-1] - column[0]), (original - original[0]) / (original[-1] - original[0]), atol=1e-5
    )


def test_plane_and_xor_labels_follow_the_displaced_point() -> None:
    g = torch.Generator().manual_seed(0)
    x, y = points.plane(20_000, g)
    error = y[:, 0] - x.sum(1) / 12
    assert error.abs().max() <= 2 * 6 * 0.2 / 12 + 1e-6
    assert abs(float(error.var()) - 2 * (2.4**2 / 12) / 144) < 1e-4  # the sum of two uniforms of width 2.4, over 12
    x, label = points.xor(20_000, g)
    assert x.abs().min() >= 0.3
    clear = x.abs().min(1).values > 1.2
    assert torch.equal(label[clear], (x[clear].prod(1) > 0).long())
    assert (label[~clear] != (x[~clear].prod(1) > 0).long()).float().mean() > 0.1


def test_gaussian_against_a_loop() -> None:
    g = torch.Generator().manual_seed(1)
    x, y = points.gaussian(300, g, noise=0.0)
    for (px, py), value in zip(x.tolist(), y[:, 0].tolist(), strict=True):
        d2, sign = min(((px - cx) ** 2 + (py - cy) ** 2, sign) for cx, cy, sign in points.CENTRES)
        assert value == pytest.approx(sign * (1 - 0.1 * d2), abs=1e-4)


def test_circle_spiral_and_two_gaussians() -> None:
    g = torch.Generator().manual_seed(2)
    x, label = points.circle(4_000, g)
    radius = x.norm(dim=1)
    assert ((radius <= 3 + 1e-5) | (radius >= 4.2 - 1e-5)).all()
    assert label[radius < 1].float().mean() > 0.95
    assert label[radius > 5].float().mean() < 0.05
    x, arm = points.spiral(4_000, g)
    along = torch.linspace(0, 6, 2_000)
    for half in (0, 1):
        angle = 1.75 * 2 * math.pi * along / 6 + math.pi * half
        curve = torch.stack([along * angle.sin(), along * angle.cos()], 1)
        assert torch.cdist(x[arm == half], curve).min(1).values.max() <= 0.2 * 2**0.5 + 0.01
    assert 0.45 < (x.norm(dim=1) < 3).float().mean() < 0.55  # the radius is drawn, uniform
    x, label = points.two_gaussians(40_000, g)
    assert (x[label == 0].mean(0) - 2).abs().max() < 0.05
    assert (x[label == 1].var(0) - 1.7).abs().max() < 0.06


@pytest.mark.parametrize("pairs", [False, True])
def test_signals_against_a_reading_of_the_definition(pairs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "NOISE", 0.0)
    x, y = shapes.signals(200, pairs, torch.Generator().manual_seed(0))
    assert x.shape == y.shape == (200, 1, 100)
    for signal, target in zip(50 * x[:, 0], 50 * y[:, 0], strict=True):
        kinds, ratios = [], []
        for quarter in range(4):
            piece, answer = (s[25 * quarter : 25 * quarter + 25] for s in (signal, target))
            inside = piece > 0
            assert 2 <= int(inside.sum()) <= 10
            assert torch.equal(inside, answer > 0)  # the same shape at the same place
            ratio = answer[inside] / piece[inside]
            assert ratio.max() - ratio.min() < 1e-4  # only its height changed
            kinds.append(bool(piece[inside].std() > 1e-3))  # a triangle is not flat
            ratios.append((float(piece.max()), float(ratio[0])))
        groups = [(0, 1), (2, 3)] if pairs else [[i for i in range(4) if kinds[i] == k] for k in (True, False)]
        flat = [i for i in range(4) if not kinds[i]]
        for group in groups:
            tall = [i for i in group if i in flat]  # a rectangle's height can be read off exactly
            heights = [ratios[i][0] * ratios[i][1] for i in tall]
            assert max(heights, default=0) - min(heights, default=0) < 1e-3
            if tall == list(group) and tall:
                assert heights[0] == pytest.approx(sum(ratios[i][0] for i in tall) / len(tall), rel=1e-4)


def rising_and_falling(width: int, height: float) -> list[int]:
    """A triangle of the source, sample by sample: up over the left half, down over the right, in whole numbers."""
    left = width // 2
    return [math.floor(height * i / left + 1e-9) for i in range(left)] + [
        math.floor(height * (width - left - i) / (width - left) + 1e-9) for i in range(width - left)
    ]


def test_published_signals_against_a_slow_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes_published, "NOISE", 0.0)
    drawn = []
    draw = shapes_published.draw
    monkeypatch.setattr(shapes_published, "draw", lambda *given: drawn.append(given) or draw(*given))
    x, y = shapes_published.signals(300, torch.Generator().manual_seed(0))
    (triangle, base, width, height), (_, _, _, mean) = drawn
    for n in range(300):
        signal, target, offset = [0.0] * 100, [0.0] * 100, 0
        there = [i for i in range(8) if base[n, i] + width[n, i] <= 100]
        of_kind = {kind: [float(height[n, i]) for i in there if triangle[n, i] == kind] for kind in (False, True)}
        for i in there:
            kind, start, wide, tall = bool(triangle[n, i]), int(base[n, i]), int(width[n, i]), float(height[n, i])
            level = sum(of_kind[kind]) / len(of_kind[kind])
            assert offset <= start < offset + 10
            assert 3 <= wide <= 9
            assert 5 <= tall <= 49
            assert float(mean[n, i]) == pytest.approx(level)
            for into, high in ((signal, tall), (target, level)):
                into[start : start + wide] = rising_and_falling(wide, high) if kind else [high] * wide
            offset = start + wide + 10
        for ours, expected in ((x, signal), (y, target)):
            assert torch.allclose(ours[n, 0], torch.tensor(expected) / max(expected), atol=1e-6)


def test_published_signals_have_the_shares_and_moments_of_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    n, there = 20_000, []
    draw = shapes_published.draw
    monkeypatch.setattr(shapes_published, "draw", lambda *given: there.append((given[3] > 0).sum(1)) or draw(*given))
    x, y = shapes_published.signals(n, torch.Generator().manual_seed(0))
    assert torch.equal(*there)  # as many in the target
    assert (torch.bincount(there[0])[4:7] / n).tolist() == pytest.approx([0.15, 0.78, 0.07], abs=0.01)
    for split in (x, y):
        assert torch.equal(split.amin(2), torch.zeros(n, 1))
        assert torch.equal(split.amax(2), torch.ones(n, 1))
    assert (float(y.mean()), float(y.std()), float((x - y).square().mean())) == pytest.approx((0.203, 0.331, 0.0221), rel=0.01)


def test_translated_digits_against_a_slow_paste() -> None:
    small = torch.rand(50, 1, 8, 8, generator=torch.Generator().manual_seed(0)) + 0.1
    canvas = torch.nn.functional.pad(small, (4, 4, 4, 4))
    moved = distort.translate(canvas, torch.Generator().manual_seed(1))
    places = set()
    for image, digit in zip(moved[:, 0], small[:, 0], strict=True):
        rows, columns = torch.nonzero(image, as_tuple=True)
        top, left = int(rows.min()), int(columns.min())
        places.add((top, left))
        assert torch.equal(image[top : top + 8, left : left + 8], digit)
        assert torch.count_nonzero(image) == 64
    assert len(places) > 25


def test_a_canvas_of_60_pixels_is_used_up_to_its_border() -> None:
    digits_ = torch.nn.functional.pad(torch.ones(4_000, 1, 28, 28), (16,) * 4)
    moved = distort.translate(digits_, torch.Generator().manual_seed(0), reach=16)
    assert (moved.sum((1, 2, 3)) == 28 * 28).all()  # no digit is cut off
    top = moved[:, 0].amax(2).argmax(1)
    assert set(top.tolist()) == set(range(33))


def test_affine_digits_against_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    for angle, scale, right, down in ((0.9, 0.3, 0.5, 0.5), (0.5, 0.9, 0.8, 0.3), (0.15, 0.6, 0.4, 0.9)):
        monkeypatch.setattr(torch, "rand", lambda *_, **__: torch.tensor([[angle], [scale], [right], [down]]))  # noqa: B023
        ours = distort.affine(image, torch.Generator())
        monkeypatch.undo()
        shift = [(2 * part - 1) * 0.3 * 16 for part in (right, down)]
        degrees = (2 * angle - 1) * 60
        theirs = tvf.affine(image, degrees, shift, 0.4 + 0.6 * scale, [0.0, 0.0], tvf.InterpolationMode.BILINEAR)
        # torchvision rounds shifts to float pixels in its own matrix; the two agree to rounding
        assert (ours - theirs).abs().max() < 1e-4


@pytest.mark.parametrize("name", ["digits_translated", "digits_affine"])
def test_training_batches_are_drawn_afresh_and_deterministically(name: str) -> None:
    data = datasets.load(name, seed=0)
    assert data.augment is not None
    x, y = data.train.x[:32], data.train.y[:32]
    a, b, c = (data.augment(x, y, generator("test", seed))[0] for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert a.shape == x.shape
    assert float(a.min()) == pytest.approx(float(x.min()), abs=1e-4)  # what comes in is the background


def test_seeds_differ_by_purpose() -> None:
    assert len({derive(purpose, seed) for purpose in ("a", "b", "a/1") for seed in range(3)}) == 9


def test_missing_data_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(datasets.Missing, match=r"--download.*--data ROOT"):
        datasets.load("mnist", root=tmp_path)


@pytest.fixture
def tiny_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root in MNIST's own format with 600 + 100 random images, and its true sums."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    g = torch.Generator().manual_seed(0)
    for part, n in (("train", 600), ("t10k", 100)):
        pixels = torch.randint(256, (n, 28, 28), generator=g, dtype=torch.uint8).numpy().tobytes()
        labels = (torch.arange(n) % 10).to(torch.uint8).numpy().tobytes()
        (folder / f"{part}-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + b"".join(k.to_bytes(4, "big") for k in (n, 28, 28)) + pixels)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + n.to_bytes(4, "big") + labels)
    sums = {file: images.md5_of(tmp_path / file) for file in images.MNIST_MD5}
    monkeypatch.setattr(images, "MNIST_MD5", images.MNIST_MD5)
    for file, md5 in sums.items():
        monkeypatch.setitem(images.MNIST_MD5, file, md5)
    return tmp_path


def test_mnist_reads_torchvisions_layout(tiny_mnist: Path) -> None:
    x, y = images.read("MNIST", tiny_mnist, train=True)
    assert x.shape == (600, 1, 28, 28)
    assert 0 <= float(x.min()) < float(x.max()) <= 1
    assert y[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    images.check(tiny_mnist, "mnist", images.MNIST_MD5)


def test_a_truncated_file_is_named_with_its_sum_and_kept(tiny_mnist: Path) -> None:
    name = "MNIST/raw/t10k-images-idx3-ubyte"
    file = tiny_mnist / name
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(datasets.Corrupt, match=rf"{name} is damaged: md5 {images.MNIST_MD5[name]} expected"):
        datasets.load("mnist", root=tiny_mnist)
    assert file.is_file()
    file.rename(file.with_suffix(".away"))
    with pytest.raises(datasets.Corrupt, match=f"{name} is missing"):
        datasets.load("mnist", root=tiny_mnist)


def test_a_pickle_with_the_wrong_sum_is_never_opened(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    trap = tmp_path / "sprung"
    for name in images.files_of("CIFAR10"):
        (tmp_path / name).write_bytes(f"cposix\nsystem\n(S'touch {trap}'\ntR.".encode())
    with pytest.raises(datasets.Corrupt, match="data_batch_1"):
        datasets.load("cifar10", root=tmp_path)
    assert not trap.exists()


def test_a_failed_download_is_a_reason_not_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("network is unreachable")

    monkeypatch.setattr(images.reader("MNIST"), "download", refuse)
    with pytest.raises(datasets.Unfetched, match="could not be downloaded: network is unreachable"):
        datasets.load("mnist", root=tmp_path / "root", download=True)


def test_what_takes_long_to_make_is_made_by_the_first_process_and_read_by_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def make() -> dict[str, torch.Tensor]:
        made.append(1)
        return {"x": torch.arange(3)}

    for folder, times in ((None, 2), (tmp_path, 1), (tmp_path / "gone", 2)):  # the last: nothing can be written
        monkeypatch.setattr(once, "folder", folder)
        made.clear()
        assert [once.once("numbers", make)["x"].tolist() for _ in range(2)] == [[0, 1, 2]] * 2
        assert len(made) == times
    assert [file.name for file in tmp_path.iterdir()] == ["numbers.pt"]
