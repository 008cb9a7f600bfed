"""What CI may do: fixed actions, no credentials left behind, and no token that writes where a pull request's code runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

WORKFLOWS = sorted((ROOT / ".github").glob("*/*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_job_has_only_the_rights_it_needs(path: Path) -> None:
    workflow: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        used = [step.get("uses", "") for step in job["steps"]]
        assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) for action in used if action), name
        checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        assert all(step["with"]["persist-credentials"] is False for step in checkouts), name
        if "write" in job["permissions"].values():
            assert not checkouts, f"{name} runs code and may write"
            assert not any("python" in step.get("run", "") or "make" in step.get("run", "") for step in job["steps"]), name


def test_the_example_comments_as_we_do_and_no_line_is_put_together_from_what_others_wrote() -> None:
    ours, example = (
        yaml.safe_load((ROOT / ".github" / folder / "latency.yml").read_text(encoding="utf-8")) for folder in ("workflows", "example")
    )
    assert example["jobs"]["comment"] == ours["jobs"]["comment"]
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    every = [*action["runs"]["steps"], *(step for one in (ours, example) for job in one["jobs"].values() for step in job["steps"])]
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"]) for step in every if "uses" in step)
    assert not any("${{" in step.get("run", "") for step in every)
