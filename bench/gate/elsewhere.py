"""A plugin in a repository of its own: what differs is the plugin at two of that repository's revisions; the suite is this checkout's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.core import machine
from bench.gate.trees import Tree, found, git, within_git
from bench.plan.grid import RequestError, located, plugin_files
from bench.plan.plugins import ASIDE


def toplevel(path: Path) -> Path:
    """The checkout in which a file lies, or lay. RequestError if it lies in none."""
    folder = next(parent for parent in (path, *path.parents) if parent.is_dir())
    if not within_git(folder) or (top := git(folder, "rev-parse", "--show-toplevel")).returncode:
        raise RequestError(
            f"plugin {path} lies in no checkout of a git repository, so there is no base to compare it with: "
            "name a file of one, or begin one there (git init, git add, git commit)"
        )
    return Path(top.stdout.decode().removesuffix("\n"))


def trees(texts: Sequence[str], base: str, head: str | None, place: Path) -> tuple[Tree, Tree]:
    """Base and head with the named plugins, laid out in `place`; a head that nobody named is the checkout as it is.

    RequestError, with the way out, for plugins of no repository or of several, for those that neither side has, and for an
    unknown revision.
    """
    paths = [located(name.strip()) for text in texts for name in ([text] if located(text).exists() else text.split(","))]
    root = toplevel(paths[0])
    for path in paths:
        if toplevel(path) != root:
            raise RequestError(f"plugin {path} does not lie in {root}, as {paths[0]} does: a gate compares revisions of one repository")

    def side(role: str, revision: str | None, fate: str) -> Tree:
        label, folder = ("the working tree", root) if revision is None else found(role, revision, root, place)
        here = {path: folder / path.relative_to(root) for path in paths}
        there = [str(copy) for copy in here.values() if copy.is_file() or any(not one.name.startswith(ASIDE) for one in copy.glob("*.py"))]
        lacking = ", ".join(str(path.relative_to(root)) for path, copy in here.items() if str(copy) not in there)
        label += f" (it has no {lacking}: all models from there are {fate})" * bool(lacking)
        return Tree(label, machine.ROOT, tuple(plugin_files(there)), str(folder), str(root))

    both = side("base", base, "new"), side("head", head, "missing")
    if not any(tree.plugins for tree in both):
        raise RequestError(f"there is no plugin {', '.join(texts)} in {root}, in base or in head: name a file or a folder of Python files")
    return both
