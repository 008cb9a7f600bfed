"""What a number was measured on: hardware, versions, commit. No host name, no user name, no path."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil
import torch

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / "results" / "local"  # where results go that nobody gave a folder


def output_of(*command: str) -> str:
    """What a command prints, or '' if it is not installed or fails."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def cpu_name() -> str:
    """The processor's own name, '' where the system does not tell."""
    info = Path("/proc/cpuinfo")
    if info.is_file() and (found := re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE)):
        return found[1].strip()
    return output_of("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()


@lru_cache
def facts() -> dict[str, Any]:
    """Everything a run carries about where it ran; equal for all runs of one process."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return {
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "gpu": gpu,
        "driver": output_of("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader").split("\n")[0] if gpu else "",
        "cuda": torch.version.cuda or "" if gpu else "",
        "torch": torch.__version__.split("+")[0],
        "python": platform.python_version(),
        "system": platform.system(),
        "threads": torch.get_num_threads(),
        "commit": output_of("git", "rev-parse", "--short=12", "HEAD") or "unknown",
        "dirty": bool(output_of("git", "status", "--porcelain", "--", "bench", "datasets", "models")),
    }


def slug() -> str:
    """This machine's short name: its GPU if it has one, else its CPU, and the cores."""
    name = re.sub(r"\(r\)|\(tm\)|cpu|processor|@.*", " ", (facts()["gpu"] or facts()["cpu"]).lower())
    return "-".join(re.findall(r"[a-z0-9]+", name)) + f"-{facts()['cores']}-cores"


def exact() -> None:
    """Make CUDA keep its word: float32 is float32 whatever the surroundings ask for, and the same command gives the same curve."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def anonymous(text: str) -> str:
    """The text with the folders of absolute paths left out: they name users and machines."""
    return re.sub(r"(?<![\w.])/(?:[^\s/'\":,;]+/)+", "…/", text)
