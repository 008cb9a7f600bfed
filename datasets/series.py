"""Five real time series of the UCR archive (Dau and others, 1810.07758), out of the package aeon (BSD-3), which is an extra: see WAY_OUT.

    arrow_head          x (1, 251)     y = 0 … 2    the outline of a projectile point, three types
    osu_leaf            x (1, 427)     y = 0 … 5    the outline of a leaf, six species
    italy_power_demand  x (1, 24)      y = 0, 1     a day's demand for power, October to March or April to September
    acsf1               x (1, 1460)    y = 0 … 9    what an appliance draws, ten kinds
    gun_point           x (1, 150)     y = 0, 1     the place of a hand that draws a gun or points

The official samples are pooled and split anew by every seed, as many of each class for training as the official split has; seed 0 is that
split. So do the resamples that accuracies are published for, with draws of their own. A fifth of the training part is val, which leaves
our models fewer samples to learn from than the published ones had. Inputs are standardised by what remains.

aeon is not imported: it brings a compiler, numba, and wants an older pandas than constraints.txt has. Its text files are read once their
sums are right. They are run when they are named: `embedded` is False.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datasets import register
from datasets.data import Corrupt, Data, Missing, Split, generator, standardise, stratified
from datasets.own import usual
from datasets.task import Budget, Input, Output, Task

WAY_OUT = "pip install --no-deps aeon==1.6.0"  # its files are read and none of its code is run, so what it depends on is not needed
EPOCHS = 1_500  # of InceptionTime (1909.04939)
PARTS = ("TRAIN", "TEST")
FILES = {  # the archive's name, sha256 of TRAIN and TEST as aeon 1.6.0 has them
    "arrow_head": (
        "ArrowHead",
        "a83c470aaf611a5f5284377cce27a5fc9f6292bc3d110257b0fd4905ced5ee72",
        "5417dab42626d41df5e435bb22458c2df40dfad4bcd3b59559bbe72e20e84904",
    ),
    "osu_leaf": (
        "OSULeaf",
        "86b9d6e860414ffd26cebc62fff84ffb37fa588ef3e5bf79e4094a437c36ddfc",
        "6c549dd354f9e42d5985fa5fab75321ca9acefc7873457e71467fc8a31f107ce",
    ),
    "italy_power_demand": (
        "ItalyPowerDemand",
        "341269cb7e6cef96846b30e774580beec79addb93848ba360145219115a74b7c",
        "26122451f87dd0387ef90b18bc8a86c041371b8a1c068004922b939971247144",
    ),
    "acsf1": (
        "ACSF1",
        "0646b90dc4843e02baed6b2ba345c5601a4991b6796565489cef1b2d92a7537b",
        "93e8aaeb44a10af181d24a156e60da7021193cd990ca28f263fccf3b905bfebf",
    ),
    "gun_point": (
        "GunPoint",
        "f842401779fd9800d247d8b33121a1a4643710a19b24917dbdd9a060ca8630d5",
        "79332750788a6227b325b96bd0d70130c8eb707b9731f8d7dec62b7a7d36017e",
    ),
}


def text(name: str, part: str, sha256: str) -> str:
    """An official part as its file has it. Missing where aeon or the file is not installed, Corrupt for another sum."""
    spec = find_spec("aeon")  # where the package lies, found without importing it
    if spec is None:
        raise Missing(f"{name} comes with the package aeon, which is not installed; {WAY_OUT}")
    archive = FILES[name][0]
    file = f"datasets/data/{archive}/{archive}_{part}.ts"
    found = [path for folder in spec.submodule_search_locations or () if (path := Path(folder, file)).is_file()]
    if not found:
        raise Missing(f"{name}: the aeon that is installed has no {file}; {WAY_OUT}")
    content = found[0].read_bytes()
    if (other := hashlib.sha256(content).hexdigest()) != sha256:
        way = WAY_OUT.replace("install", "install --force-reinstall")
        raise Corrupt(f"{name}: aeon/{file} is damaged or of another version: sha256 {sha256} expected, {other} found; {way}")
    return content.decode()


def parsed(content: str) -> tuple[Tensor, list[str]]:
    """Signals (n, 1, length) and the names of their classes, from lines `0.5,0.7,…:class` after a head of lines in # and @."""
    lines = [line.rpartition(":") for line in content.splitlines() if line and line[0] not in "#@"]
    signals = np.array([values.split(",") for values, _, _ in lines], np.float32)
    return torch.from_numpy(signals)[:, None], [label.strip() for _, _, label in lines]


@lru_cache(maxsize=len(FILES))
def pool(name: str) -> tuple[Tensor, Tensor, int]:
    """All signals (n, 1, length), their classes, and how many of them, the first, are the official training part."""
    (x, labels), (more, others) = (parsed(text(name, part, sha256)) for part, sha256 in zip(PARTS, FILES[name][1:], strict=True))
    _, y = np.unique([*labels, *others], return_inverse=True)
    return torch.cat([x, more]), torch.from_numpy(y.astype(np.int64)), len(x)


def resampled(y: Tensor, official: int, name: str, seed: int) -> tuple[Tensor, Tensor]:
    """Rows (train, test): at seed 0 the first `official` and the rest, else as many of each class drawn from all."""
    if seed == 0:
        return torch.arange(official), torch.arange(official, len(y))
    g = generator(f"{name}/test", seed)
    chosen = torch.zeros(len(y), dtype=torch.bool)
    for label in y.unique():
        own = (y == label).nonzero()[:, 0]
        chosen[own[torch.randperm(len(own), generator=g)][: int((y[:official] == label).sum())]] = True
    return chosen.nonzero()[:, 0], (~chosen).nonzero()[:, 0]


def split(name: str, val: int, seed: int) -> Data:
    x, y, official = pool(name)
    rest, test = resampled(y, official, name, seed)
    inner, chosen = stratified(y[rest], val, f"{name}/val", seed)
    train, val_, test_ = (Split(x[rows], y[rows]) for rows in (rest[inner], rest[chosen], test))
    return standardise(Data(train, val_, test_), (0, 2))[0]


def recipe(n: int, length: int) -> tuple[Budget, ...]:
    smoke, default, _ = usual(n, length)
    return smoke, default, replace(default, name="paper", samples=EPOCHS * n, lr=1e-3)


def add(name: str, length: int, classes: int, sizes: tuple[int, int], patch: int, summary: str) -> None:
    """Register a set of official `sizes`, train and test."""
    val = -(-sizes[0] // 5)
    inner = sizes[0] - val
    task = Task(
        name,
        Input("signal", (1, length)),
        Output("classes", classes),
        (inner, val, sizes[1]),
        recipe(inner, length),
        embedded=False,
        source=f"{FILES[name][0]} of the UCR archive, Dau and others, 1810.07758, from aeon",
        summary=summary,
        patch=patch,
    )

    def load(root: Path, seed: int, download: bool) -> Data:
        return split(name, val, seed)

    register(task, resplit=True)(load)


# Patches make 20 to 64 tokens of a signal, for which mixers are of equal size, where a length can be divided so: 251 is prime.
add("arrow_head", 251, 3, (36, 175), 1, "outlines of projectile points, three types")
add("osu_leaf", 427, 6, (200, 242), 7, "outlines of leaves, six species")
add("italy_power_demand", 24, 2, (67, 1_029), 1, "a day's demand for power, winter or summer half")
add("acsf1", 1_460, 10, (100, 100), 73, "power that an appliance draws, ten kinds")
add("gun_point", 150, 2, (50, 150), 3, "a hand that draws a gun or points")
