"""What is wrong with a folder of pictures, or with how it is asked for, is told with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import datasets


@pytest.mark.parametrize(
    ("files", "asked", "reason"),
    [
        (["cats/0.png"], {}, "pets: every sample has the class cats"),
        (["train/cats/0.png"], {}, "pets holds no folder with pictures; .* with the pictures in it"),
        (["cats/0.png"], {"mode": "RBG"}, "own: mode='RBG'.*; pictures are brought to"),
        (["cats/0.png"], {"size": 5}, r"own: size=5; it takes two whole numbers from 1, size=\(height, width\)"),
        (["cats/0.png"], {"size": (0, 5)}, r"own: size=\(0, 5\)"),
    ],
)
def test_a_folder_is_refused_with_its_place(tmp_path: Path, files: list[str], asked: dict[str, Any], reason: str) -> None:
    for name in files:
        (tmp_path / "pets" / name).parent.mkdir(parents=True)
        Image.new("L", (4, 4)).save(tmp_path / "pets" / name)
    with pytest.raises(ValueError, match=reason):
        datasets.from_folder("own", tmp_path / "pets", **asked)


def test_a_picture_too_large_to_open_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cats").mkdir()
    Image.new("L", (40, 40)).save(tmp_path / "cats" / "0.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"cats/0.png cannot be read"):
        datasets.from_folder("own", tmp_path)
