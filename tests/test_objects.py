"""A process that passes over what stays ends quietly: extensions print what is frozen at its end as leaks."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT


def test_a_server_of_workers_ends_without_a_word() -> None:
    command = [sys.executable, "-c", "import bench.run.preloaded"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
