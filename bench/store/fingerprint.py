"""What a run depends on: a name for what was asked, and hashes of the code that answered, docstrings left out.

A changed hash says that something may be different; a probe (probe.py) says whether it is.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import datasets
import models
from bench.core import machine
from datasets.task import Budget

PACKAGES = ("bench", "datasets", "models")
OFFER = {"datasets": datasets, "models": models}  # packages whose __init__ offers what other files define


def imported(tree: ast.Module, file: Path) -> Iterator[Path]:
    """Files of this project that `file` imports, and modules that lie beside it: a plugin's own.

    Package __init__ files of the project are registries and do not count.
    """
    for node in ast.walk(tree):
        dotted: list[str] = []
        if isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            folders = file.parent.relative_to(machine.ROOT).parts if file.is_relative_to(machine.ROOT) else ()
            package = folders[: len(folders) + 1 - node.level] if node.level else ()
            module = ".".join([*package, *([node.module] if node.module else [])])
            dotted = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            dotted = [f"{node.value.id}.{node.attr}"] if node.value.id in OFFER else []
        for name in dotted:
            first, *rest = name.split(".")
            if first in PACKAGES:
                found = [machine.ROOT.joinpath(first, *rest).with_suffix(".py")]
                if first in OFFER and len(rest) == 1 and not found[0].is_file():  # datasets.from_csv is what datasets/own_files.py defines
                    _, *rest = getattr(getattr(OFFER[first], rest[0], None), "__module__", name).split(".")
                    found = [machine.ROOT.joinpath(first, *rest).with_suffix(".py")]
            else:
                beside = file.parent.joinpath(first, *rest)
                found = [beside.with_name(beside.name + ".py"), beside / "__init__.py"]
            yield from (path for path in found if path.is_file())


def without_docstrings(tree: ast.Module) -> str:
    """The code as it runs: no comments, no docstrings, no formatting."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


@cache
def parsed(file: Path) -> tuple[str, tuple[Path, ...]]:
    """A file's code as it runs, and the files of this project that it imports itself."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    others = tuple(imported(tree, file))
    return without_docstrings(tree), others


@cache
def closure(path: Path) -> str:
    """Hash of a file and of all files of this project that it imports, directly or not."""
    seen: dict[str, str] = {}
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if str(file) not in seen:
            seen[str(file)], others = parsed(file)
            waiting += others
    parts = [f"{Path(name).name}\n{code}" for name, code in sorted(seen.items(), key=lambda item: Path(item[0]).name)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def protocol(dataset: str, budget: Budget, device: str) -> dict[str, Any]:
    """What is asked of every model: all that decides a run's numbers but the model, the seed and the code."""
    return {
        "dataset": [dataset, datasets.task(dataset).version],
        "budget": asdict(budget) | {"seeds": None},
        "arithmetic": [device, machine.minor(machine.facts()["torch"])],
    }


def digest(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def recipe(model: str, dataset: str, budget: Budget, device: str) -> str:
    """A name for all runs of a cell that differ in nothing but the seed and the code. Tidying changes no name."""
    return digest(protocol(dataset, budget, device) | {"model": model})


def conditions(dataset: str, budget: Budget, device: str) -> str:
    """What rows must share to be ranked: the protocol, and the code of data and training."""
    return digest(protocol(dataset, budget, device) | shared(dataset))


def shared(dataset: str) -> dict[str, str]:
    return {"data": closure(datasets.source(dataset)), "training": closure(machine.ROOT / "bench" / "train" / "scoring.py")}


def code(model: str, dataset: str) -> str:
    """Of all source that decides a run's numbers: where it is another one, a probe says whether they stand."""
    library = {"uses": uses} if (uses := models.uses(model)) else {}
    return digest(shared(dataset) | {"model": closure(models.source(model))} | library)


def counting(model: str) -> str:
    """Of all source that decides a model's costs."""
    return digest({"costs": closure(machine.ROOT / "bench" / "measure" / "counts.py"), "model": closure(models.source(model))})
