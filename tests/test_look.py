"""Colours, dashes and markers: one place for page and pictures, told apart in grey, by the colour-blind, on light and on dark."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

import models
from bench.page import build, view
from bench.store.records import Store
from bench.tables.look import COLOURS, ON_DARK, VERDICTS, looks
from bench.tables.rows import Row
from tests.conftest import ROOT

TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
BLIND = {  # Machado, Oliveira and Fernandes 2009, severity 1
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def linear(colour: str) -> np.ndarray:
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    """CIELAB of linear RGB, white D65."""
    xyz = TO_XYZ @ np.clip(light, 0, 1) / np.array([0.9505, 1, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one: str, other: str) -> float:
    """As WCAG defines it."""
    low, high = sorted(float(TO_XYZ[1] @ linear(colour)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("colours", "paper"), [(COLOURS, "#ffffff"), (ON_DARK, "#14171b")])
def test_families_are_told_apart_in_grey_and_by_the_colour_blind(colours: dict[str, str], paper: str) -> None:
    for one, other in itertools.combinations(colours, 2):
        a, b = linear(colours[one]), linear(colours[other])
        assert abs(lab(a)[0] - lab(b)[0]) >= 10, (one, other)
        for kind, matrix in BLIND.items():
            assert np.linalg.norm(lab(np.array(matrix) @ a) - lab(np.array(matrix) @ b)) >= 12, (one, other, kind)
    assert all(contrast(colour, paper) >= 3 for colour in colours.values())


def test_text_of_the_page_has_contrast(tmp_path: object) -> None:
    style = re.search(r"<style>(.*?)</style>", build.html(view.facts(Store(ROOT / "none"))), re.DOTALL)[1]  # type: ignore[index]
    named = dict(re.findall(r"--(\w+): light-dark\((#\w+, #\w+)\)", style))
    said = re.findall(r"\.v-\w+ \{ color: light-dark\((#\w+, #\w+)\)", style)
    inks = [named["ink"], named["soft"], named["link"], *said]
    assert len(said) == 2
    for place in (0, 1):
        for ink, ground in itertools.product(inks, ("paper", "band", "mark")):
            found = contrast(ink.split(", ")[place], named[ground].split(", ")[place])
            assert found >= 4.5 or (ground == "mark" and ink in said), (ink, ground, place)


def row(model: str, family: str) -> Row:
    return Row(model, "xor", "default", "float32", "cpu", "ok", "", family=family)


def test_no_two_models_look_alike_and_none_changes() -> None:
    table = [row(name, models.family(name)) for name in models.names()]
    found = looks(table)
    assert len(set(found.values())) == len(found)
    assert looks([row("vit", "other")])["vit"] == found["vit"]  # whatever an old record says, and whoever else is drawn
    assert looks([row("mine", "mlp")])["mine"].family == "mlp"


def test_pictures_and_the_page_take_every_look_from_one_place() -> None:
    """No other file of the rooms that draw them has a colour of a family or of a verdict."""
    drawing = [
        path for room in ("report", "page") for path in (ROOT / "bench" / room).iterdir() if path.suffix in (".py", ".css", ".js", ".html")
    ]
    own = [*COLOURS.values(), *ON_DARK.values(), *(ink for inks in VERDICTS.values() for ink in inks)]
    found = {
        (path.name, ink)
        for path in [*drawing, ROOT / "bench" / "figures" / "costs.py"]
        for ink in own
        if ink.lower() in path.read_text().lower()
    }
    assert found == set()
