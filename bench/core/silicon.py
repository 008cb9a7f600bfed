"""Which processor computes: its maker's numbers, the instruction sets that matter, and the share of it that a container may use.

    Linux     /proc/cpuinfo, /proc/self/cgroup, /sys/fs/cgroup
    macOS     sysctl
    Windows   PROCESSOR_IDENTIFIER
What a system does not tell is left empty, never guessed.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path, PurePosixPath
from typing import Any

import torch

CPUINFO, OWN_GROUPS, CGROUPS = Path("/proc/cpuinfo"), Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
MAKERS = {"AuthenticAMD": "amd", "GenuineIntel": "intel", "HygonGenuine": "hygon", "CentaurHauls": "zhaoxin"}
X86 = ("cpu family", "model", "stepping")
ARM = ("CPU implementer", "CPU part", "CPU variant")
SETS = {  # name here -> how /proc/cpuinfo, or macOS after hw.optional., spells it; the strongest last
    "avx2": ("avx2",),
    "avx512": ("avx512f",),
    "avx512bf16": ("avx512_bf16",),
    "amxbf16": ("amx_bf16",),
    "neon": ("asimd", "neon"),
    "armbf16": ("bf16", "arm.FEAT_BF16"),
    "sve": ("sve",),
    "sve2": ("sve2",),
    "svebf16": ("svebf16",),
}
BF16 = {
    "avx512bf16",
    "amxbf16",
    "armbf16",
    "svebf16",
}  # sets that multiply bf16; without one of them a CPU converts and computes in float32
ON_MAC = ("machdep.cpu.vendor", "machdep.cpu.family", "machdep.cpu.model", "machdep.cpu.stepping")


def without_hook() -> dict[str, str]:
    """The environment without what git tells its hooks of their own repository."""
    own = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_NAMESPACE")
    return {name: value for name, value in os.environ.items() if name not in own}


def output_of(*command: str, folder: Path | None = None) -> str:
    """What a command prints, or '' if it is not installed or fails."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, cwd=folder, env=without_hook(), capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def cpuinfo() -> dict[str, str]:
    """The first processor of /proc/cpuinfo by its fields; {} where there is no such file."""
    try:
        text = CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name.strip(), value.strip())
    return found


def cpu_name() -> str:
    """The processor's own name, or its architecture where the system does not tell."""
    return cpuinfo().get("model name") or output_of("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()


def numbers() -> list[str]:
    """Maker, family, model and stepping; on Arm implementer, part and variant. [] where the system does not tell."""
    info = cpuinfo()
    if "vendor_id" in info:
        found = [MAKERS.get(info["vendor_id"], info["vendor_id"]), *(info.get(field, "") for field in X86)]
    elif "CPU implementer" in info:
        found = [info.get(field, "").removeprefix("0x") for field in ARM]
    else:
        on_mac = [MAKERS.get(value, value) for value in (output_of("sysctl", "-n", name) for name in ON_MAC)]
        found = on_mac if all(on_mac) else [output_of("sysctl", "-n", "hw.cpufamily")]
    if not any(found) and (
        told := re.search(r"Family (\d+) Model (\d+) Stepping (\d+), (\w+)", os.environ.get("PROCESSOR_IDENTIFIER", ""))
    ):
        found = [MAKERS.get(told[4], told[4]), *told.groups()[:3]]
    return [part.lower() for part in found if part]


def instructions() -> list[str] | None:
    """Of the sets that matter those there are, the strongest last; None where the system does not tell."""
    info = cpuinfo()
    if "flags" in info or "Features" in info:
        told = set((info.get("flags") or info.get("Features", "")).split())
    elif platform.system() == "Darwin":
        told = {key for spelled in SETS.values() for key in spelled if output_of("sysctl", "-n", f"hw.optional.{key}") == "1"}
    else:
        return None
    return [name for name, spelled in SETS.items() if told & set(spelled)]


def lineage(controller: str) -> list[PurePosixPath]:
    """This process's control group, of version 2 for the controller '', and the groups that it lies in, the outermost last."""
    with contextlib.suppress(OSError):
        told = OWN_GROUPS.read_text(encoding="utf-8", errors="replace")
        for controllers, path in re.findall(r"^\d+:([^:\n]*):/*(.*)$", told, re.MULTILINE):
            own = PurePosixPath(path)
            if controller in controllers.split(",") and ".." not in own.parts:  # else it lies outside what this process may see
                return [own, *own.parents]
    return [PurePosixPath()]


def quota() -> float | None:
    """Cores' worth of time that the control group, and each that it lies in, may use; None where nothing limits it."""
    shares: list[float] = []
    for group in lineage(""):  # version 2
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
            limit, period = (CGROUPS / group / "cpu.max").read_text().split()
            shares += [] if limit == "max" else [int(limit) / int(period)]
    for group in lineage("cpu"):  # version 1
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
            limit, period = ((CGROUPS / "cpu" / group / f"cpu.cfs_{what}_us").read_text() for what in ("quota", "period"))
            shares += [int(limit) / int(period)] if int(limit) > 0 else []
    return min(shares, default=None)


def facts() -> dict[str, Any]:
    """What tells one kind of processor from another, and how much of it there is."""
    return {"numbers": numbers(), "instructions": instructions(), "torch_uses": torch.backends.cpu.get_cpu_capability(), "quota": quota()}


def strongest(found: dict[str, Any]) -> str:
    """The one set that a machine's name has, of what `facts` found."""
    sets = found["instructions"]
    told = sets[-1] if sets else found["torch_uses"].lower() if sets is None else ""
    return "" if told in ("default", "no avx") else re.sub(r"[^a-z0-9]", "", told)


def emulates_bf16(machine: dict[str, Any]) -> bool:
    """Whether a CPU, by the facts in a record, has no instruction for bf16. False where that is not known."""
    sets = machine.get("silicon", {}).get("instructions")
    return sets is not None and not BF16 & set(sets)


def described(machine: dict[str, Any]) -> str:
    """A processor's numbers, instruction sets and share, in brackets after its name; '' where a record does not say."""
    found = machine.get("silicon", {})
    told = [" ".join(found.get("numbers", [])), " ".join(found.get("instructions") or [])]
    told += [f"at most {found['quota']:g} cores' time"] if found.get("quota") else []
    return f" ({'; '.join(filter(None, told))})" if any(told) else ""
