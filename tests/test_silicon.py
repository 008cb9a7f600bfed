"""The same machine is the same silicon: names, facts and doubts from what systems tell, faked here for those that nobody ran it on."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench.core import machine, silicon

GENOA = (
    "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\nstepping\t: 1\n"
    "flags\t\t: fpu avx2 avx512f avx512_bf16\n\nprocessor\t: 1\nmodel name\t: another\n"
)
ROME = GENOA.replace(": 25", ": 23").replace(": 17", ": 49").replace(": 1\n", ": 0\n", 2).replace(" avx512f avx512_bf16", "")
SAPPHIRE = (
    GENOA.replace("AuthenticAMD", "GenuineIntel").replace("avx512_bf16", "avx512_bf16 amx_bf16 amx_tile").replace("AMD EPYC", "Xeon(R)")
)
GRAVITON2 = "processor\t: 0\nFeatures\t: fp asimd aes\nCPU implementer\t: 0x41\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\n"
GRAVITON3 = GRAVITON2.replace("aes", "aes sve bf16 svebf16").replace("0xd0c", "0xd40").replace("0x3", "0x1")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A system that tells nothing, of two cores and no GPU."""
    monkeypatch.setattr(silicon, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(silicon, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(silicon, "OWN_GROUPS", tmp_path / "own", raising=False)
    monkeypatch.setattr(silicon, "output_of", lambda *command, folder=None: "")
    monkeypatch.setattr(platform, "machine", lambda: "arch64")
    monkeypatch.setattr(platform, "system", lambda: "Elsewhere")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.delenv("PROCESSOR_IDENTIFIER", raising=False)
    machine.facts.cache_clear()
    yield
    machine.facts.cache_clear()


@pytest.mark.parametrize(
    ("cpuinfo", "name", "emulates"),
    [
        (GENOA, "amd-epyc-25-17-1-avx512bf16-2-cores", False),
        (ROME, "amd-epyc-23-49-0-avx2-2-cores", True),
        (SAPPHIRE, "xeon-intel-25-17-1-amxbf16-2-cores", False),
        (GRAVITON2, "arch64-41-d0c-3-neon-2-cores", True),
        (GRAVITON3, "arch64-41-d40-1-svebf16-2-cores", False),
    ],
    ids=["genoa", "rome", "sapphire", "graviton2", "graviton3"],
)
def test_linux_machines_of_different_silicon_have_different_names(tmp_path: Path, cpuinfo: str, name: str, emulates: bool) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert machine.slug() == name
    assert silicon.emulates_bf16(machine.facts()) is emulates
    assert bool(machine.doubt(machine.facts(), "cpu", "bfloat16")) is emulates
    assert machine.doubt(machine.facts(), "cuda", "bfloat16") == machine.doubt(machine.facts(), "cpu", "float32") == ""


def test_a_system_that_tells_nothing_is_named_by_what_there_is_and_doubted_of_nothing() -> None:
    assert machine.slug() == "arch64-2-cores"
    assert machine.facts()["silicon"] == {"numbers": [], "instructions": None, "torch_uses": "DEFAULT", "quota": None}
    assert machine.doubt(machine.facts(), "cpu", "bfloat16") == ""


def test_windows_tells_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSOR_IDENTIFIER", "AMD64 Family 25 Model 97 Stepping 2, AuthenticAMD")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert machine.slug() == "arch64-amd-25-97-2-avx512-2-cores"


@pytest.mark.parametrize(("bf16", "emulates"), [("1", False), ("0", True)])
def test_macos_tells_by_sysctl(monkeypatch: pytest.MonkeyPatch, bf16: str, emulates: bool) -> None:
    told = {
        "machdep.cpu.brand_string": "Apple M2",
        "hw.cpufamily": "3660830781",
        "hw.optional.neon": "1",
        "hw.optional.arm.FEAT_BF16": bf16,
    }
    monkeypatch.setattr(silicon, "output_of", lambda *command, folder=None: told.get(command[-1], ""))
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert machine.slug() == f"apple-m2-3660830781-{'neon' if emulates else 'armbf16'}-2-cores"
    assert silicon.emulates_bf16(machine.facts()) is emulates


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "nonsense"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
    ],
)
def test_a_share_of_the_cores_is_part_of_the_name(tmp_path: Path, files: dict[str, str], cores: float | None) -> None:
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert machine.facts()["silicon"]["quota"] == cores
    assert machine.slug() == "arch64-2-cores" + (f"-{100 * cores:.0f}-percent" if cores else "")


@pytest.mark.parametrize(
    ("own", "files", "cores"),
    [
        ("0::/user/job\n", {"user/job/cpu.max": "50000 100000", "user/cpu.max": "max 100000"}, 0.5),
        ("0::/user/job\n", {"user/job/cpu.max": "max 100000", "user/cpu.max": "150000 100000", "cpu.max": "300000 100000"}, 1.5),
        ("0::/user/job\n", {"user/other/cpu.max": "50000 100000"}, None),
        ("0::/../job\n", {"cpu.max": "50000 100000"}, 0.5),
        ("nonsense\n0::/gone\n", {"cpu.max": "50000 100000"}, 0.5),
        ("2:cpu,cpuacct:/a/b\n0::/\n", {"cpu/a/cpu.cfs_quota_us": "50000", "cpu/a/cpu.cfs_period_us": "100000"}, 0.5),
        ("2:cpuset:/a\n1:cpu:/\n", {"cpu/a/cpu.cfs_quota_us": "50000", "cpu/a/cpu.cfs_period_us": "100000"}, None),
    ],
)
def test_the_smallest_share_of_the_groups_that_a_process_is_in_counts(
    tmp_path: Path, own: str, files: dict[str, str], cores: float | None
) -> None:
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert silicon.quota() == cores


def test_a_gpu_is_named_with_the_processor_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CPU latencies of two hosts of one kind of GPU are latencies of two processors."""
    (tmp_path / "cpuinfo").write_text(SAPPHIRE)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100 80GB HBM3")
    assert machine.slug() == "nvidia-h100-80gb-hbm3-intel-25-17-1-amxbf16-2-cores"


def test_earlier_records_keep_their_name_and_never_get_one_of_today(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(GENOA)
    assert machine.name_of({"machine": {"slug": "amd-epyc-2-cores", "cpu": "AMD EPYC"}}) == "amd-epyc-2-cores" != machine.slug()
    assert machine.name_of({"machine": {"slug": machine.slug(), **machine.facts()}}) == machine.slug()
