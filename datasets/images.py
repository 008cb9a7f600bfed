"""MNIST, CIFAR-10 and CIFAR-100 from the data root, read by torchvision, every unpacked file checked first.

    mnist     x (1, 28, 28), y = 0 … 9          55,000 / 5,000 / 10,000
    cifar10   x (3, 32, 32), y = 0 … 9          45,000 / 5,000 / 10,000
    cifar100  x (3, 32, 32), y = 0 … 99         45,000 / 5,000 / 10,000

Val is carved from the official training set, stratified and seeded; each channel is standardised by what remains.
CIFAR comes as pickles: their sums are compared before a byte of them is unpickled.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torchvision.datasets as tv
from torch import Tensor
from torchvision.datasets.mnist import read_image_file, read_label_file
from torchvision.datasets.utils import calculate_md5

from datasets import register
from datasets.data import Corrupt, Data, Missing, Split, standardise, stratified
from datasets.task import Budget, Input, Output, Task, budgets

# torchvision lists sums of MNIST's archives only; these are those of the files inside.
MNIST_MD5 = {
    "MNIST/raw/train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "MNIST/raw/train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "MNIST/raw/t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "MNIST/raw/t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def cifar_files(cls: type[tv.CIFAR10]) -> dict[str, str]:
    """Path under the root -> md5, as torchvision lists them."""
    listed = [*cls.train_list, *cls.test_list, [cls.meta["filename"], cls.meta["md5"]]]
    return {f"{cls.base_folder}/{name}": md5 for name, md5 in listed}


def check(root: Path, name: str, files: dict[str, str]) -> None:
    """Raise Missing if none of the files is there, Corrupt if one is absent or has another sum. Deletes nothing."""
    absent = [file for file in files if not (root / file).is_file()]
    if len(absent) == len(files):
        raise Missing(f"{name} is not in the data root: pass --download to fetch it, or --data ROOT if you have it")
    for file, expected in files.items():
        if file in absent:
            raise Corrupt(f"{name}: {file} is missing from the data root, its other files are there; add it or run --download")
        if (found := calculate_md5(str(root / file))) != expected:
            raise Corrupt(f"{name}: {file} is damaged: md5 {expected} expected, {found} found; move it away and fetch it again")


def images(x: Tensor) -> Tensor:
    """Bytes (n, h, w) or (n, h, w, c) as numbers (n, c, h, w) from 0 to 1."""
    return (x[..., None] if x.ndim == 3 else x).permute(0, 3, 1, 2).float() / 255


def read(cls: type[tv.MNIST] | type[tv.CIFAR10], root: Path, train: bool) -> tuple[Tensor, Tensor]:
    """Images (n, c, h, w) and classes (n,) of one official part."""
    if issubclass(cls, tv.MNIST):  # its constructor prefers processed/*.pt of old versions, which nobody has checked
        raw, part = root / "MNIST" / "raw", "train" if train else "t10k"
        return images(read_image_file(str(raw / f"{part}-images-idx3-ubyte"))), read_label_file(str(raw / f"{part}-labels-idx1-ubyte"))
    official = cls(str(root), train=train, download=False)
    return images(torch.as_tensor(official.data)), torch.as_tensor(official.targets)


def add(cls: type[tv.MNIST] | type[tv.CIFAR10], task: Task, files: dict[str, str]) -> None:
    def load(root: Path, seed: int, download: bool) -> Data:
        if download and any(not (root / file).is_file() for file in files):
            fetch(cls, root, task.name)
        check(root, task.name, files)
        x, y = read(cls, root, train=True)
        train, val = stratified(y, task.sizes[1], f"{task.name}/val", seed)
        data = Data(Split(x[train], y[train]), Split(x[val], y[val]), Split(*read(cls, root, train=False)))
        return standardise(data, (0, 2, 3))[0]

    register(task)(load)


def fetch(cls: type[tv.MNIST] | type[tv.CIFAR10], root: Path, name: str) -> None:
    """Let torchvision download into the root; Missing, with its reason, if it cannot."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        cls(str(root), download=True)
    except (OSError, RuntimeError) as error:
        raise Missing(f"{name} could not be downloaded: {' '.join(str(error).split())}") from error


# S4: Adam 1e-4, × 0.7 each epoch, batch 64, 15 epochs. The default recipe fits two CPU cores instead.
def recipe(samples: int, epoch: int) -> tuple[Budget, ...]:
    return budgets(
        Budget("default", samples=samples, batch=64, lr=1e-3, optimizer="adamw", schedule="cosine", warmup=0.1, weight_decay=0.01),
        Budget("paper", samples=15 * epoch, batch=64, lr=1e-4, schedule="decay", decay=0.7, evaluations=15, seconds=36_000),
        smoke_samples=640,
    )


def task(
    name: str, shape: tuple[int, int, int], classes: int, sizes: tuple[int, int, int], samples: int, source: str, summary: str
) -> Task:
    image, output = Input("image", shape), Output("classes", classes)
    return Task(name, image, output, sizes, recipe(samples, sizes[0]), embedded=False, source=source, summary=summary)


add(
    tv.MNIST,
    task("mnist", (1, 28, 28), 10, (55_000, 5_000, 10_000), 110_016, "LeCun and Cortes", "handwritten digits, 28×28 pixels"),
    MNIST_MD5,
)
add(
    tv.CIFAR10,
    task("cifar10", (3, 32, 32), 10, (45_000, 5_000, 10_000), 135_040, "Krizhevsky 2009", "small colour photographs, 10 classes"),
    cifar_files(tv.CIFAR10),
)
add(
    tv.CIFAR100,
    task("cifar100", (3, 32, 32), 100, (45_000, 5_000, 10_000), 135_040, "Krizhevsky 2009", "small colour photographs, 100 classes"),
    cifar_files(tv.CIFAR100),
)
