"""What a run depends on: a name for what was asked, and hashes of the code that answered, docstrings left out.

A changed hash says that something may be different; a probe (probe.py) says whether it is.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cache
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import datasets
import models
from bench.core import machine
from datasets.task import Budget

PACKAGES = ("bench", "datasets", "models")
CALLED = {"sklearn": "scikit-learn", "PIL": "pillow"}  # distributions that are often asked for and not called like their package
SHORT = 16  # digits of a source's hash in records; those of before hold all 64
INSTALLED = {"site-packages", "dist-packages"}  # folders of what counts by its version
OFFER = {"datasets": datasets, "models": models}  # packages whose __init__ offers what other files define


def imported(tree: ast.Module, file: Path) -> Iterator[Path]:
    """Files of this project that `file` imports, and a plugin's own: modules beside it, or elsewhere but not installed.

    Package __init__ files of the project are registries and do not count. A plugin may load a module by its name or its file's:
    each text in it that is one of a module beside it counts.
    """
    folders = file.parent.relative_to(machine.ROOT).parts if file.is_relative_to(machine.ROOT) else ()
    for node in ast.walk(tree):
        dotted: list[str] = []
        level = node.level if isinstance(node, ast.ImportFrom) else 0
        if isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = folders[: len(folders) + 1 - level] if level else ()
            module = ".".join([*package, *([node.module] if node.module else [])])
            dotted = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            dotted = [f"{node.value.id}.{node.attr}"] if node.value.id in OFFER else []
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not file.is_relative_to(machine.ROOT):
            yield from named_beside(file, node.value)
        for name in dotted:
            first, *rest = name.split(".")
            if first in PACKAGES and not (level and not folders):  # .models of another package is its own
                found = [machine.ROOT.joinpath(first, *rest).with_suffix(".py")]
                if first in OFFER and len(rest) == 1 and not found[0].is_file():  # datasets.from_csv is what datasets/own_files.py defines
                    _, *rest = getattr(getattr(OFFER[first], rest[0], None), "__module__", name).split(".")
                    found = [machine.ROOT.joinpath(first, *rest).with_suffix(".py")]
            else:
                found = files_of(file.parents[: max(level, 1)][-1], first, *rest)
                if not level and not any(path.is_file() for path in found):
                    found = elsewhere(first, *rest)
            yield from (path for path in found if path.is_file())


def files_of(folder: Path, *names: str) -> list[Path]:
    """Where a module in a folder may be."""
    path = folder.joinpath(*names)
    return [path.with_name(path.name + ".py"), path / "__init__.py"]


def elsewhere(first: str, *rest: str) -> list[Path]:
    """Files of a module that is imported from a folder of its user's, an editable install among them, and of the packages it is in."""
    found = spec_of(first) if first not in {"torch", *sys.stdlib_module_names} else None
    if found is None:
        return []
    files = [Path(found.origin)] if found.origin else []
    for place in found.submodule_search_locations or []:
        files += [file for n in range(len(rest)) for file in files_of(Path(place), *rest[: n + 1])]
    return [file for file in files if file.suffix == ".py" and not INSTALLED.intersection(file.parts)]


def spec_of(package: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(package)
    except (ImportError, ValueError):  # a module that was made rather than imported has none
        return None


def named_beside(file: Path, text: str) -> Iterator[Path]:
    """The module beside a file that a text in it names: layers, parts.layers or parts/layers.py."""
    if not re.fullmatch(r"[\w./-]{1,200}", text):
        return
    for path in (file.parent / text, file.parent / f"{text.replace('.', '/')}.py"):
        if path.suffix == ".py" and path != file and path.is_file():
            with contextlib.suppress(SyntaxError, ValueError):  # it does not import either
                ast.parse(path.read_bytes())
                yield path


def without_docstrings(tree: ast.Module) -> str:
    """The code as it runs: no comments, no docstrings, no formatting."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def foreign(tree: ast.Module) -> set[str]:
    """Packages that a file imports and that are neither this project's nor Python's. Of torch, a run's name has the version."""
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.split(".")[0] for name in named} - {*PACKAGES, "torch", *sys.stdlib_module_names}


@cache
def parsed(file: Path) -> tuple[str, tuple[Path, ...], frozenset[str]]:
    """A file's code as it runs, the files of this project that it imports itself, and the packages that are not of this project."""
    try:
        tree = ast.parse(file.read_bytes())  # which finds the encoding as Python does
    except (SyntaxError, ValueError):  # one of another library's for another Python
        return file.read_bytes().hex(), (), frozenset()
    others = tuple(imported(tree, file))
    modules = [other.parent if other.name == "__init__.py" else other.with_suffix("") for other in others]
    return without_docstrings(tree), others, frozenset(foreign(tree) - {module.name for module in modules if module.parent == file.parent})


def reached(path: Path) -> dict[Path, tuple[str, frozenset[str]]]:
    """A file and all files of this project that it imports, directly or not: the code of each, and the packages it imports."""
    seen: dict[Path, tuple[str, frozenset[str]]] = {}
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file not in seen:
            code, others, packages = parsed(file)
            seen[file] = code, packages
            waiting += others
    return seen


@cache
def version(package: str) -> str:
    """Of the distribution that a package is of; where it is of none, as code that lies about is, what is in its files."""
    try:
        return metadata.version(CALLED.get(package, package))
    except metadata.PackageNotFoundError:
        pass
    if names := distributions().get(package):
        return ", ".join(sorted({metadata.version(name) for name in names}))
    found = spec_of(package)
    places = [Path(place) for place in found.submodule_search_locations or []] if found is not None else []
    files = [file for place in places for file in sorted(place.rglob("*.py"))]
    files += [Path(found.origin)] if found is not None and found.origin and Path(found.origin).is_file() else []
    return "content " + hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16] if files else "unknown"


@cache
def distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


@cache
def packages_of(path: Path) -> dict[str, str]:
    return {name: version(name) for name in sorted({name for _, packages in reached(path).values() for name in packages})}


def packages(model: str, dataset: str) -> dict[str, str]:
    """Versions of what a model and a data set import from outside this project."""
    return packages_of(models.source(model)) | packages_of(datasets.source(dataset))


def agree(packages: dict[str, str], record: dict[str, Any]) -> bool:
    """Whether a record, or a checkpoint, was made with these versions. Those before version 0.6 do not say, and stand."""
    return all(packages.get(name) == version for name, version in record.get("packages", {}).items())


@cache
def closure(path: Path) -> str:
    """Hash of a file and of all files of this project that it imports, directly or not."""
    seen = {str(file): code for file, (code, _) in reached(path).items()}
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


def source(model: str) -> str:
    """Of a model's own source: what its records name."""
    return closure(models.source(model))[:SHORT]


def counting(model: str) -> str:
    """Of all source that decides a model's costs."""
    return digest({"costs": closure(machine.ROOT / "bench" / "measure" / "counts.py"), "model": closure(models.source(model))})
