"""Twenty thousand records: every cell in the tables and on the page, within the memory that a small machine has.

Seconds are no test's business: `python -m tests.many_records DIR`, then `time python -m bench report --tables --results DIR`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.store.records import Store
from bench.tables.rows import rows
from tests import many_records
from tests.conftest import ROOT, environment, table


def peak(*arguments: str) -> int:
    """Bytes that a command of the suite has in memory at most; it must end well."""
    command = [sys.executable, "-m", "bench", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(ROOT), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def test_synthetic_records_are_records(tmp_path: Path) -> None:
    assert many_records.fill(tmp_path, 200) == 200 + 2 * 40
    found = rows(Store(tmp_path))
    assert len(found) == 40
    assert all(len(row.values) == many_records.SEEDS and row.latency and row.status == "ok" for row in found)


@pytest.mark.slow
def test_tables_and_page_of_20_000_runs_fit_in_2_gib(tmp_path: Path) -> None:
    assert many_records.fill(tmp_path) >= 20_000
    cells = many_records.MODELS * many_records.DATASETS * many_records.BUDGETS
    assert peak("report", "--tables", "--results", str(tmp_path)) < 2**31
    with open(tmp_path / "comparison.csv", encoding="utf-8") as file:
        assert len(file.readlines()) == 1 + cells
    assert len(table(tmp_path)) == many_records.MODELS * many_records.DATASETS
    assert not list(tmp_path.glob("*/*.png"))
    assert peak("page", "--results", str(tmp_path)) < 2**31
    assert (tmp_path / "index.html").stat().st_size < 20e6
