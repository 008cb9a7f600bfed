"""Pictures of data sets themselves: what is drawn are samples of the test split and their answers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import datasets
from bench.figures import plane, set_samples
from bench.figures.set_samples import sample
from bench.figures.subject import NoPicture


def figure(name: str) -> Figure:
    return sample(datasets.task(name), datasets.load(name), datasets.vocabularies(name, None, 0))


def test_images_are_those_of_the_test_split_by_class() -> None:
    drawn, test = figure("digits"), datasets.load("digits").test
    assert [axes.get_title() for axes in drawn.axes] == [f"class {i}" for i in range(8)]
    for i, axes in enumerate(drawn.axes):
        (image,) = axes.images
        assert np.array_equal(image.get_array(), test.x[test.y == i][0, 0].numpy())


@pytest.mark.parametrize(("name", "several"), [("two_gaussians", 2), ("gaussian", 1)])
def test_points_are_of_every_class(name: str, several: int) -> None:
    axes, *bar = figure(name).axes
    assert len(axes.lines) == (several if several > 1 else 0) and len(bar) == (several == 1)
    assert all(len(line.get_xdata()) > 50 for line in axes.lines)


def test_classes_have_the_colours_of_the_maps_of_what_was_learned() -> None:
    classes, map_ends = [to_rgb(colour) for _, colour in set_samples.CLASSES[:2]], [to_rgb(plane.STOPS[0]), to_rgb(plane.STOPS[-1])]
    for own, same, other in zip(classes, map_ends, map_ends[::-1], strict=True):
        assert np.linalg.norm(np.subtract(own, same)) < np.linalg.norm(np.subtract(own, other))


def test_a_signal_stands_under_what_should_come_out() -> None:
    test = datasets.load("copy_near").test
    for i, axes in enumerate(figure("copy_near").axes):
        given, target = (line.get_ydata() for line in axes.lines)
        assert np.array_equal(given, test.x[i, -1].numpy()) and np.array_equal(target, test.y[i, 0].numpy())
        assert np.allclose(target[1:], given[:-1])  # which is the task


@pytest.mark.parametrize(("name", "said"), [("iris", "→ class 2"), ("diabetes", "→ -"), ("translation", "→ do hortas melu")])
def test_tables_and_sentences_are_lines(name: str, said: str) -> None:
    texts = [text.get_text() for text in figure(name).texts[2:]]
    assert len(texts) == set_samples.LINES_SHOWN and Counter(text.count("\n→ ") for text in texts) == {1: 3}
    assert any(said in text for text in texts)


def test_words_that_nobody_knows_are_no_picture() -> None:
    with pytest.raises(NoPicture, match="nobody knows how"):
        sample(datasets.task("translation"), datasets.load("translation"), None)
