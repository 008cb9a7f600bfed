"""What a number was measured on: hardware, versions, commit. No host name, no user name, no path."""

from __future__ import annotations

import os
import platform
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil
import torch

from bench.core import silicon
from bench.core.silicon import output_of

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / "results" / "local"  # where results go that nobody gave a folder
REFERENCE = ROOT / "results" / "reference"  # what is committed, merged from wherever it was measured
EMULATED = "this CPU has no instruction for bf16: it converts and computes in float32, which takes longer than float32 alone"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def minor(version: str) -> str:
    """2.15 of 2.15.0."""
    return ".".join(version.split(".")[:2])


@lru_cache
def facts() -> dict[str, Any]:
    """Everything a run carries about where it ran; equal for all runs of one process."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return {
        "cpu": silicon.cpu_name(),
        "cores": cores(),
        "silicon": silicon.facts(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "gpu": gpu,
        "driver": output_of("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader").split("\n")[0] if gpu else "",
        "cuda": torch.version.cuda or "" if gpu else "",
        "torch": torch.__version__.split("+")[0],
        "python": platform.python_version(),
        "system": platform.system(),
        "threads": torch.get_num_threads(),
        "commit": output_of("git", "rev-parse", "--short=12", "HEAD", folder=ROOT) or "unknown",
        "dirty": bool(output_of("git", "status", "--porcelain", "--", "bench", "datasets", "models", folder=ROOT)),
    }


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", re.sub(r"\(r\)|\(tm\)|cpu|processor|@.*", " ", text.lower()))


def slug() -> str:
    """This machine's short name: its GPU if it has one, its CPU with the maker's numbers and the strongest instruction set, and
    how much of it there is. `amd-epyc-25-17-1-avx512bf16-2-cores`: latencies of one name are of one silicon."""
    known, chip = facts(), facts()["silicon"]
    named = words(known["cpu"]) if not known["gpu"] else words(known["gpu"])
    named += [number for number in chip["numbers"] if number not in named]
    named += [silicon.strongest(chip)] if silicon.strongest(chip) else []
    limited = chip["quota"] is not None and chip["quota"] < known["cores"]
    share = [f"{100 * chip['quota']:.0f}-percent"] if limited else []
    return "-".join([*named, f"{known['cores']}-cores", *share])


def name_of(record: dict[str, Any]) -> str:
    """The name of the machine that a record is from."""
    return str(record["machine"]["slug"])


def arithmetic(record: dict[str, Any]) -> str:
    """What a record's quality may differ by though everything asked was the same: kind of device and torch's minor version."""
    torch_ = minor(str(record["machine"].get("torch", "")))
    return " ".join(filter(None, [str(record.get("device", "cpu")), f"torch {torch_}" if torch_ else ""]))


def doubt(known: dict[str, Any], device: str, dtype: str) -> str:
    """What to say of bf16 beside a figure of a machine that has these facts; '' where there is nothing to say."""
    return EMULATED if dtype == "bfloat16" and device == "cpu" and silicon.emulates_bf16(known) else ""


def exact() -> None:
    """Make CUDA keep its word: float32 is float32 whatever the surroundings ask for, and the same command gives the same curve."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def anonymous(text: str) -> str:
    """The text with the folders of absolute paths left out: they name users and machines."""
    return re.sub(r"(?<![\w.])/(?:[^\s/'\":,;]+/)+", "…/", text)
