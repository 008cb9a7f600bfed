"""What is compared: a git revision, laid out in a folder of its own that nobody's worktree knows of, or a folder as it is."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench import INTERFACE
from bench.core import silicon
from bench.plan.grid import RequestError, located
from bench.store.claim import claimed

PARTS = ("bench", "datasets", "models")  # what a latency depends on; all else stays where it is
PREFIX = "attention-bench-gate-"
PINNED = re.compile(r"^(torch|numpy)==(\S+)", re.MULTILINE)
STATED = re.compile(r"^INTERFACE\b[^=\n]*=\s*(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Tree:
    """A folder with `bench`, `datasets` and `models`, and the name under which people asked for it.

    Beside them may stand a plugin of another repository: its files in `laid`, a copy of that repository, whose checkout is `origin`.
    """

    name: str
    folder: Path
    plugins: tuple[str, ...] = ()
    laid: str = ""
    origin: str = ""


def git(folder: Path, *arguments: str, given: bytes = b"", index: str = "") -> subprocess.CompletedProcess[bytes]:
    """What git answers to this on its standard input, with an index of its own where that is named."""
    plain = {**silicon.without_hook(), "LC_ALL": "C", "LANGUAGE": ""}  # what git says is read
    plain |= {"GIT_INDEX_FILE": index} if index else {}
    return subprocess.run(["git", "-C", str(folder), *arguments], input=given, capture_output=True, check=False, env=plain)


def commit(repository: Path, revision: str) -> str | None:
    """The full hash of a revision, None if there is none of that name."""
    if revision.startswith("-"):
        return None
    found = git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    return found.stdout.decode().strip() if found.returncode == 0 else None


def within_git(folder: Path) -> bool:
    """Whether a folder lies in a checkout. RequestError where git refuses to say, in a checkout that another user owns for instance."""
    if shutil.which("git") is None:
        return False
    asked = git(folder, "rev-parse", "--is-inside-work-tree")
    if asked.returncode and b"not a git repository" not in asked.stderr:
        raise RequestError(f"git cannot be asked about {folder}: {asked.stderr.decode().strip()}")
    return asked.returncode == 0


def interface(folder: Path) -> int:
    """The version of models' and data sets' interface that a tree serves: read, never run. Trees older than it have the first."""
    stated = STATED.search((folder / "bench" / "__init__.py").read_text(encoding="utf-8-sig"))
    return int(stated[1]) if stated else 1


def checked(tree: Tree) -> Tree:
    """The tree, if it can be compared at all; else RequestError."""
    for part in PARTS:
        if not (tree.folder / part / "__init__.py").is_file():
            raise RequestError(f"{tree.name} has no {part}/__init__.py: it is no tree of attention-bench; name a revision that has one")
    if (theirs := interface(tree.folder)) != INTERFACE:
        raise RequestError(
            f"{tree.name} serves interface {theirs}, this gate {INTERFACE}: they cannot be compared; choose a base of the same interface"
        )
    return tree


def same_libraries(*both: Tree) -> None:
    """RequestError if base and head pin different versions of what runs their models: one environment cannot serve both."""
    files = [tree.folder / "constraints.txt" for tree in both]
    ours, theirs = (dict(PINNED.findall(file.read_text(encoding="utf-8-sig"))) if file.is_file() else {} for file in files)
    for library in sorted(ours.keys() & theirs.keys()):
        if ours[library] != theirs[library]:
            say = " and ".join(f"{tree.name} pins {library} {pin[library]}" for tree, pin in zip(both, (ours, theirs), strict=True))
            raise RequestError(f"cannot be compared: {say} (constraints.txt); land the new version by itself, then compare from there")


def found(role: str, name: str, repository: Path, place: Path, *parts: str) -> tuple[str, Path]:
    """A revision, or these parts of it, laid out in `place`, and its name with its hash. RequestError if there is none of that name.

    It goes through an index of its own: no worktree, nothing left in .git, and nothing left out by .gitattributes, as in an archive.
    """
    known, folder = commit(repository, name), place / role
    if known is None:
        what = "neither a revision nor a folder" if parts else f"no revision of {repository}"
        usual = "git branch -a; a shallow clone needs: git fetch --unshallow"
        way = usual if commit(repository, "HEAD") else "nothing is committed there yet: git add, git commit"
        raise RequestError(f"{role} {name} is {what} ({way})")
    folder.mkdir()
    index = f"{folder}.index"
    read = git(repository, "read-tree", known, index=index)
    named = git(repository, "ls-files", "-z", "--", *parts, index=index).stdout
    done = git(repository, "checkout-index", "-z", "--stdin", f"--prefix={folder}/", given=named, index=index)
    if read.returncode or done.returncode:
        raise RequestError(f"git cannot lay out {name}: {(read.stderr or done.stderr).decode().strip()}")
    return name if known.startswith(name) else f"{name} ({known[:9]})", folder


def sweep(parent: Path) -> None:
    """Remove folders of gates that were killed: those whose lock nobody holds."""
    for lock in parent.glob(f"{PREFIX}*/lock"):
        with suppress(OSError):  # another user's
            if (claim := claimed(lock)) is not None:
                shutil.rmtree(lock.parent, ignore_errors=True)
                claim.release()


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder for checkouts and byte code, gone when the gate ends, however it ends: killed, the next gate clears it away."""
    sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name:
        claim = claimed(Path(name) / "lock")
        try:
            yield Path(name)
        finally:
            if claim is not None:
                claim.release()


def resolve(role: str, name: str, repository: Path, place: Path) -> Tree:
    """`name` as a revision of `repository`, or as a folder. RequestError, with the way out, for anything else."""
    if not name.strip():
        raise RequestError(f"{role} is empty: name a git revision or a folder")
    folder = located(name)
    if folder.is_dir() and (name.startswith((".", "/", "~")) or not within_git(repository) or commit(repository, name) is None):
        status = git(folder, "status", "--porcelain", "--", *PARTS) if role == "base" and within_git(folder) else None
        if status is not None and (changed := status.stdout.decode().splitlines()):
            more = f" and {len(changed) - 1} more" * (len(changed) > 1)
            raise RequestError(
                f"base {name} has uncommitted changes, so nobody could repeat the comparison: {changed[0].strip()}{more}; "
                "commit or stash them, or name a revision (--base HEAD)"
            )
        return checked(Tree(name, folder.resolve()))
    if not within_git(repository):
        raise RequestError(
            f"{role} {name} is no folder, and {repository} is not a git repository: run this in a checkout, or name a folder"
        )
    return checked(Tree(*found(role, name, repository, place, *PARTS, "constraints.txt")))
