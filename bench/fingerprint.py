"""What a run depends on, as a hash: the source of its model, its data set and the training loop, docstrings left out."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import datasets
import models
from bench import machine
from bench.store import SCHEMA
from datasets.task import Budget

PACKAGES = ("bench", "datasets", "models")


def imported(tree: ast.Module, file: Path) -> Iterator[Path]:
    """Files of this project that `file` imports. Package __init__ files are registries and do not count."""
    for node in ast.walk(tree):
        dotted: list[str] = []
        if isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = [file.parent.name] if node.level else []  # what a run depends on lies one folder deep
            module = ".".join([*package, *([node.module] if node.module else [])])
            dotted = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        for name in dotted:
            path = machine.ROOT.joinpath(*name.split(".")).with_suffix(".py")
            if name.split(".")[0] in PACKAGES and path.is_file():
                yield path


def without_docstrings(tree: ast.Module) -> str:
    """The code as it runs: no comments, no docstrings, no formatting."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


@lru_cache
def closure(path: Path) -> str:
    """Hash of a file and of all files of this project that it imports, directly or not."""
    seen: dict[str, str] = {}
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if str(file) in seen:
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        waiting += [other for other in imported(tree, file) if str(other) not in seen]
        seen[str(file)] = without_docstrings(tree)
    parts = [f"{Path(name).name}\n{code}" for name, code in sorted(seen.items(), key=lambda item: Path(item[0]).name)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def conditions(dataset: str, budget: Budget, device: str) -> dict[str, Any]:
    """All that decides a run's numbers but the model and the seed. Only runs under equal conditions are ranked."""
    return {
        "schema": SCHEMA,
        "dataset": [dataset, datasets.task(dataset).version, closure(datasets.source(dataset))],
        "training": closure(machine.ROOT / "bench" / "train.py"),
        "costs": closure(machine.ROOT / "bench" / "cost.py"),
        "budget": asdict(budget) | {"seeds": None},
        "device": device,
        "machine": machine.slug(),
        "torch": machine.facts()["torch"],
    }


def depends(model: str, dataset: str, budget: Budget, device: str) -> dict[str, Any]:
    """All that decides a run's numbers but the seed."""
    return conditions(dataset, budget, device) | {"model": [model, closure(models.source(model))]}


def digest(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def recipe(model: str, dataset: str, budget: Budget, device: str) -> str:
    """A name for all runs of a cell that differ in nothing but the seed."""
    return digest(depends(model, dataset, budget, device))
