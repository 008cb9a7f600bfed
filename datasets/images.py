"""MNIST, CIFAR-10 and CIFAR-100 from the data root, read by torchvision, every unpacked file checked first.

    mnist             x (1, 28, 28), y = 0 … 9          55,000 / 5,000 / 10,000
    mnist_affine      the same, rotated ±60°, shifted ±30 %, scaled 0.4 – 1.0 (S2)
    mnist_translated  x (1, 60, 60): the digit at a random place of an empty canvas (S2, 1406.6247)
    cifar10           x (3, 32, 32), y = 0 … 9          45,000 / 5,000 / 10,000
    cifar100          x (3, 32, 32), y = 0 … 99         45,000 / 5,000 / 10,000

Val is carved from the official training set, stratified and seeded; each channel is standardised by what remains.
CIFAR comes as pickles: their sums are compared before a byte of them is unpickled.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from datasets import register
from datasets.data import Corrupt, Data, Missing, Split, Unfetched, standardise, stratified
from datasets.distort import affine, distorted, translate
from datasets.task import Budget, Input, Output, Task, budgets

# torchvision lists sums of MNIST's archives only; these are those of the files inside.
MNIST_MD5 = {
    "MNIST/raw/train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "MNIST/raw/train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "MNIST/raw/t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "MNIST/raw/t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def reader(name: str) -> Any:
    """torchvision's class for MNIST, CIFAR10 or CIFAR100. Its import takes seconds, and most requests need none of the three."""
    import torchvision.datasets

    return getattr(torchvision.datasets, name)


def files_of(name: str) -> dict[str, str]:
    """Path under the root -> md5; CIFAR's as torchvision lists them."""
    if name == "MNIST":
        return MNIST_MD5
    cls = reader(name)
    listed = [*cls.train_list, *cls.test_list, [cls.meta["filename"], cls.meta["md5"]]]
    return {f"{cls.base_folder}/{file}": md5 for file, md5 in listed}


def md5_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def check(root: Path, name: str, files: dict[str, str]) -> None:
    """Raise Missing if none of the files is there, Corrupt if one is absent or has another sum. Deletes nothing."""
    absent = [file for file in files if not (root / file).is_file()]
    if len(absent) == len(files):
        raise Missing(f"{name} is not in the data root: pass --download to fetch it, or --data ROOT if you have it")
    for file, expected in files.items():
        if file in absent:
            raise Corrupt(f"{name}: {file} is missing from the data root, its other files are there; add it or run --download")
        if (found := md5_of(root / file)) != expected:
            raise Corrupt(f"{name}: {file} is damaged: md5 {expected} expected, {found} found; move it away and fetch it again")


def images(x: Tensor) -> Tensor:
    """Bytes (n, h, w) or (n, h, w, c) as numbers (n, c, h, w) from 0 to 1."""
    return (x[..., None] if x.ndim == 3 else x).permute(0, 3, 1, 2).float() / 255


def read(name: str, root: Path, train: bool) -> tuple[Tensor, Tensor]:
    """Images (n, c, h, w) and classes (n,) of one official part."""
    if name == "MNIST":  # its constructor prefers processed/*.pt of old versions, which nobody has checked
        from torchvision.datasets.mnist import read_image_file, read_label_file

        raw, part = root / "MNIST" / "raw", "train" if train else "t10k"
        return images(read_image_file(str(raw / f"{part}-images-idx3-ubyte"))), read_label_file(str(raw / f"{part}-labels-idx1-ubyte"))
    official = reader(name)(str(root), train=train, download=False)
    return images(torch.as_tensor(official.data)), torch.as_tensor(official.targets)


def fetch(name: str, root: Path, task: Task) -> None:
    """Let torchvision download into the root; Unfetched, with its reason, if it cannot."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        reader(name)(str(root), download=True)
    except (OSError, RuntimeError) as error:
        raise Unfetched(f"{task.name} could not be downloaded: {' '.join(str(error).split())}") from error


def official(name: str, task: Task, root: Path, download: bool) -> tuple[Split, Split]:
    """The official training and test set with pixels from 0 to 1."""
    files = files_of(name)
    if download and any(not (root / file).is_file() for file in files):
        fetch(name, root, task)
    check(root, task.name, files)
    return Split(*read(name, root, train=True)), Split(*read(name, root, train=False))


def plain(name: str, task: Task, root: Path, seed: int, download: bool) -> Data:
    """The three splits with pixels from 0 to 1."""
    whole, test = official(name, task, root, download)
    train, val = stratified(whole.y, task.sizes[1], f"{task.name}/val", seed)
    return Data(Split(whole.x[train], whole.y[train]), Split(whole.x[val], whole.y[val]), test)


# S4: Adam 1e-4, × 0.7 each epoch, batch 64; 1 epoch by default on the days of its table, 15 later. The default recipe fits two CPU cores.
def recipe(samples: int, epoch: int) -> tuple[Budget, ...]:
    paper = Budget("paper", samples=15 * epoch, batch=64, lr=1e-4, schedule="decay", decay=0.7, evaluations=15, seconds=36_000)
    return budgets(
        Budget("default", samples=samples, batch=64, lr=1e-3, optimizer="adamw", schedule="cosine", warmup=0.1, weight_decay=0.01),
        paper,
        replace(paper, name="published", choose="test"),
        replace(paper, name="published_1", samples=epoch, evaluations=1, choose="test"),
        smoke_samples=640,
    )


def task(name: str, shape: tuple[int, int, int], classes: int, samples: int, source: str, summary: str) -> Task:
    sizes = (55_000, 5_000, 10_000) if name == "mnist" else (45_000, 5_000, 10_000)
    image, output = Input("image", shape), Output("classes", classes)
    return Task(name, image, output, sizes, recipe(samples, sizes[0]), embedded=False, source=source, summary=summary)


MNIST = task("mnist", (1, 28, 28), 10, 110_016, "LeCun and Cortes", "handwritten digits, 28×28 pixels")
CIFAR = "Krizhevsky 2009"


def add(name: str, task: Task) -> None:
    def load(root: Path, seed: int, download: bool) -> Data:
        return standardise(plain(name, task, root, seed, download), (0, 2, 3))[0]

    register(task)(load)


add("MNIST", MNIST)
add("CIFAR10", task("cifar10", (3, 32, 32), 10, 135_040, CIFAR, "small colour photographs, 10 classes"))
add("CIFAR100", task("cifar100", (3, 32, 32), 100, 135_040, CIFAR, "small colour photographs, 100 classes"))

DISTORTED = Budget("default", samples=440_000, batch=64, lr=1e-3, optimizer="adamw", schedule="cosine", warmup=0.05, weight_decay=0.01)
AFFINE = replace(
    MNIST,
    name="mnist_affine",
    budgets=budgets(DISTORTED, replace(DISTORTED, name="paper", samples=1_100_032, seconds=36_000), smoke_samples=640),
    source="S2, deep-learning-from-scratch; 1506.02025",
    summary="the digits rotated, shifted and scaled at random",
)
# A canvas of 60×60 is too much for float32 convolutions on a CPU: the default budget trains in bfloat16.
CANVAS = 60
TRANSLATED = replace(
    MNIST,
    name="mnist_translated",
    input=Input("image", (1, CANVAS, CANVAS)),
    budgets=budgets(
        replace(DISTORTED, samples=220_032, dtype="bfloat16"),
        replace(DISTORTED, name="paper", samples=2_200_064, batch=128, evaluations=40, seconds=36_000),
        Budget("published", samples=5_500_000, batch=2048, lr=1e-3, evaluations=100, seconds=36_000),
        smoke_samples=640,
    ),
    source="S2, deep-learning-from-scratch; 1406.6247",
    summary="the digits at a random place of a 60×60 canvas",
)


@register(AFFINE)
def mnist_affine(root: Path, seed: int, download: bool) -> Data:
    return distorted(plain("MNIST", MNIST, root, seed, download), "mnist_affine", seed, affine)


@register(TRANSLATED)
def mnist_translated(root: Path, seed: int, download: bool) -> Data:
    digits, border = plain("MNIST", MNIST, root, seed, download), (CANVAS - 28) // 2
    train, val, test = (Split(F.pad(split.x, (border,) * 4), split.y) for split in (digits.train, digits.val, digits.test))
    return distorted(Data(train, val, test), "mnist_translated", seed, partial(translate, reach=border))
