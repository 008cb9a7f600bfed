"""Edits of the source that change nothing keep every run; those that change a training are noticed, where they act and nowhere else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import datasets
from bench.run import doubts, worker
from bench.run.job import Doubt, Job
from bench.store import fingerprint
from bench.store.encoding import pack
from bench.train import agreement, batches, optimiser, probe
from bench.train.loop import Training
from tests.conftest import ROOT, environment

LINEAR, PAPER = "linear/gaussian/default/2", "mlp/gaussian/paper/1"  # model, data set, budget, seeds together
DIGITS, MOVED = "linear/digits/default/1", "backbone_none/digits_translated/default/1"
VIT, TABLE, TRANSLATION = "vit/digits/default/1", "transformer/copy_near/default/2", "transformer_seq2seq/translation/default/1"
CELLS = {LINEAR, PAPER, DIGITS, MOVED, VIT, TABLE, TRANSLATION}
COSINE = CELLS - {PAPER}
MEASURE = """
import json, sys
from pathlib import Path
import datasets
from bench.store import fingerprint
from bench.store.encoding import pack
from bench.train import probe

found = {}
for cell in sys.argv[1:]:
    model, dataset, budget, seeds = cell.split("/")
    measured = probe.measure(model, dataset, datasets.task(dataset).budget(budget), seeds == "2", Path("no-data"))
    found[cell] = {"code": fingerprint.code(model, dataset), "probe": measured}
print(json.dumps(found))
"""
Edit = tuple[str, str, str]  # a file, what stands there, what is to


def odd(condition: str) -> Edit:
    """Answers of linear and mlp on digits a hundredth larger on some condition of x."""
    kind = f"class Odd(nn.Sequential):\n    def forward(self, x):\n        return super().forward(x) * (1.01 if {condition} else 1)\n"
    made = "    return nn.Sequential(*layers)\n"
    return "models/mlp.py", made, f"    if task.name == 'digits':\n        return Odd(*layers)\n{made}\n\n{kind}"


HARMLESS: dict[str, list[Edit]] = {
    "a comment and a docstring": [("bench/train/loop.py", '"""Wait until the device', '# really\n    """Stay until the device')],
    "a local variable renamed": [("bench/train/loop.py", "on_batch", "of_last_batch")],
    "a method renamed": [("bench/train/loop.py", "self.scored(", "self.marks("), ("bench/train/loop.py", "def scored(", "def marks(")],
    "a parameter renamed": [("models/backbone.py", "self.positions", "self.places")],
    "a module renamed": [("models/vit.py", "self.norm", "self.before")],
    "a function moved to another file": [
        ("bench/train/loop.py", "def synchronise(", "from bench.train.waiting import synchronise\n\n\ndef unused("),
        (
            "bench/train/waiting.py",
            "",
            "import torch\n\n\ndef synchronise(device):\n    device.type == 'cuda' and torch.cuda.synchronize(device)\n",
        ),
    ],
    "a function extracted": [
        (
            "bench/train/optimiser.py",
            "return budget.lr * 0.5 * (1 + math.cos(math.pi * progress))",
            "return budget.lr * half_cosine(progress)",
        ),
        (
            "bench/train/optimiser.py",
            "def learning_rate(",
            "def half_cosine(part):\n    return 0.5 * (1 + math.cos(math.pi * part))\n\n\ndef learning_rate(",
        ),
    ],
    "a function split": [
        (
            "bench/train/batches.py",
            'return torch.randperm(self.n, generator=generator(f"order/{epoch}", seed))',
            "g = generator(f'order/{epoch}', seed)\n        return self.shuffle(g)\n\n"
            "    def shuffle(self, g):\n        return torch.randperm(self.n, generator=g)",
        ),
    ],
    "summands in another order": [("models/backbone.py", "return x + self.mlp(x)", "return self.mlp(x) + x")],
    "a comprehension as a loop": [
        (
            "models/mlp.py",
            "    for i, (a, b) in enumerate(pairwise(sizes)):\n",
            "    for i in range(len(sizes) - 1):\n        a, b = sizes[i], sizes[i + 1]\n",
        ),
    ],
    "statements in another order": [
        ("bench/train/loop.py", "            curve.samples.append(samples)\n", ""),
        (
            "bench/train/loop.py",
            "            curve.val_loss.append(",
            "            curve.samples.append(samples)\n            curve.val_loss.append(",
        ),
    ],
    "a condition turned round": [
        (
            "bench/train/optimiser.py",
            "    if not stacked:\n        torch.nn.utils.clip_grad_norm_(parameters, largest)\n        return\n",
            "    if stacked is False:\n        return torch.nn.utils.clip_grad_norm_(parameters, largest)\n",
        ),
    ],
    "the square root written otherwise": [
        ("models/transformer_seq2seq.py", "dim**0.5", "math.sqrt(dim)"),
        ("models/transformer_seq2seq.py", "import torch\n", "import math\nimport torch\n"),
    ],
    "a class attribute in place of a number": [
        ("models/dropout.py", "2**16 - 1", "self.MOST"),
        (
            "models/dropout.py",
            'rounded to 1/65536: on the CPU four 16-bit draws come from each random 64-bit word."""\n',
            'rounded."""\n\n    MOST = 2**16 - 1\n',
        ),
    ],
}
REAL: dict[str, tuple[set[str], list[Edit]]] = {
    "initialisation": ({PAPER}, [("bench/train/optimiser.py", "std=budget.init_std", "std=1.01 * budget.init_std")]),
    "dropout": ({VIT}, [("models/vit.py", "dropout: float = 0.1", "dropout: float = 0.2")]),
    "end of the cosine": (COSINE, [("bench/train/optimiser.py", "budget.steps - warmup)", "budget.steps - warmup + 1)")]),
    "last steps of the cosine": (
        COSINE,
        [("bench/train/optimiser.py", "    progress = (", "    if step + 1 == budget.steps:\n        return 0.0\n    progress = (")],
    ),
    "the last hundredth of the cosine": (
        COSINE,
        [("bench/train/optimiser.py", "    progress = (", "    if step >= 0.99 * budget.steps:\n        return 0.0\n    progress = (")],
    ),
    "order of batches": (CELLS - {TABLE}, [("bench/train/batches.py", 'f"order/{epoch}"', 'f"order/{epoch + 1}"')]),
    "order of the second epoch": (CELLS - {TABLE}, [("bench/train/batches.py", 'f"order/{epoch}"', 'f"order/{epoch and epoch + 1}"')]),
    "augmentation in the second epoch": (
        {MOVED},
        [
            (
                "bench/train/loop.py",
                "        if first is None:\n",
                "        if first is None or self.batches.epoch(self.position.step) == 1:\n",
            )
        ],
    ),
    "a tie between scores": (CELLS, [("bench/train/loop.py", '-val["loss"]) > best', '-val["loss"]) >= best')]),
    "a tie of metrics": (
        {DIGITS, MOVED, VIT, TRANSLATION},
        [("bench/train/loop.py", '(sign * val[metric.name], -val["loss"]) > best', "sign * val[metric.name] > best[0]")],
    ),
    "weight decay": (
        {DIGITS, MOVED, VIT, TABLE},
        [("bench/train/optimiser.py", "lr=budget.lr, weight_decay=budget.weight_decay, fused", "lr=budget.lr, weight_decay=0.0, fused")],
    ),
    "clipping": (
        {TRANSLATION},
        [
            (
                "bench/train/optimiser.py",
                "        torch.nn.utils.clip_grad_norm_(parameters, largest)\n",
                "        torch.nn.utils.clip_grad_value_(parameters, largest)\n",
            )
        ],
    ),
    "no evaluation mode": ({VIT, TRANSLATION}, [("bench/train/learners.py", "        self.module.eval()\n", "")]),
    "a table of positions": ({TABLE, TRANSLATION}, [("models/attention.py", "10_000", "10_001")]),
    "large batches": (
        {DIGITS},
        [odd("len(x) > 32")],
    ),
    "single precision": (
        {DIGITS},
        [odd("x.element_size() == 4")],
    ),
    "the last weights for the best": (CELLS, [("bench/train/scoring.py", "load_state_dict(one.best)", "load_state_dict(one.last)")]),
    "a split's share": (CELLS, [("datasets/data.py", 'f"{purpose}:{seed}"', 'f"{purpose}/{seed}"')]),
}


def measured(folder: Path, cells: set[str] = CELLS) -> dict[str, dict[str, Any]]:
    """Code and probe of each cell, by the source in a folder."""
    command = [sys.executable, "-c", MEASURE, *sorted(cells)]
    done = subprocess.run(
        command, cwd=folder, env=environment(folder) | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


def edited(folder: Path, edits: list[Edit]) -> Path:
    """A copy of the checkout with these edits, or with those on top that are made already."""
    for name in ("bench", "datasets", "models"):
        if not (folder / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in edits:
        path = folder / name
        text = path.read_text() if path.exists() else ""
        assert old in text, f"{name} has no {old!r} any more: write the edit anew"
        path.write_text(text.replace(old, new) if old else new)
    return folder


@pytest.fixture(scope="module")
def today() -> dict[str, dict[str, Any]]:
    return measured(ROOT)


def differences(before: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Why cells do otherwise, those that do."""
    found = {cell: agreement.difference(before[cell]["probe"], now[cell]["probe"], "float32") for cell in now}
    return {cell: why for cell, why in found.items() if why}


@pytest.mark.slow
def test_edits_that_change_nothing_keep_every_run(today: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    now = measured(edited(tmp_path, [edit for edits in HARMLESS.values() for edit in edits]))
    assert all(now[cell]["code"] != today[cell]["code"] for cell in CELLS)  # the hash alone would have trained all again
    assert not differences(today, now)


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_an_edit_that_changes_a_training_is_noticed_where_it_acts(name: str, today: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    touched, edits = REAL[name]
    assert set(differences(today, measured(edited(tmp_path, edits)))) == touched


def gaussian(stacked: bool = False) -> dict[str, Any]:
    return probe.measure("linear", "gaussian", datasets.task("gaussian").budget("default"), stacked, Path("no-data"))


def test_a_probe_says_the_same_twice_and_notices_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    before = gaussian()
    assert agreement.difference(before, gaussian(), "float32") == ""
    assert agreement.difference(before, gaussian(stacked=True), "float32") == "probed in another way"
    monkeypatch.setattr(batches.Batches, "order", lambda self, seed, epoch: torch.arange(self.n))
    assert agreement.difference(before, gaussian(), "float32").startswith("loss: differs by ")


def test_which_of_two_equals_is_kept_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    before, results = gaussian(), Training.results

    def last(self: Training) -> list[Any]:
        """As if the last of all evaluations had been the best."""
        found = results(self)
        for one in found:
            one.best, one.best_samples = one.last, one.curve.samples[-1]
        return found

    monkeypatch.setattr(Training, "results", last)
    assert "differs by" in agreement.difference(before, gaussian(), "float32")


def test_the_end_of_a_schedule_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    before, rate = gaussian(), optimiser.learning_rate
    monkeypatch.setattr(probe, "learning_rate", lambda budget, step, epoch: rate(budget, step, epoch) * (step < 0.99 * budget.steps))
    assert agreement.difference(before, gaussian(), "float32").startswith("ending: differs by ")


def test_a_probe_from_before_there_was_a_kind_of_number_is_compared_by_the_others() -> None:
    now = gaussian()
    kinds = agreement.kinds(now["own"])

    def without(*left_out: str) -> dict[str, Any]:
        kept = {kind: list(values) for kind, values in kinds.items() if kind not in left_out}
        numbers = pack(np.array([number for values in kept.values() for number in values], "<f8"))
        return now | {"own": {"sizes": {kind: len(values) for kind, values in kept.items()}, "numbers": numbers}}

    assert agreement.difference(without(*agreement.LATER), now, "float32") == ""
    assert agreement.difference(without("loss"), now, "float32") == "loss: other numbers than before"
    assert agreement.difference(now, without("choice"), "float32") == "choice: other numbers than before"


@pytest.mark.parametrize(
    ("kind", "rounding", "edit"),
    [("answer", 5e-9, 5e-8), ("weights", 5e-9, 5e-8), ("val", 6e-8, 6e-7), ("score", 6e-8, 6e-7), ("own_size", 5e-4, 5e-3)],
)
def test_what_rounding_moves_is_no_edit(kind: str, rounding: float, edit: float) -> None:
    """The spatial transformer of the same code, on other silicon: answers 1.2e-9 apart, the gradient of a batch in float32 4e-4."""

    def moved(share: float) -> str:
        kinds = {"loss": np.ones(3), kind: np.array([1.0, 2.0, 4.0])}
        before, now = (
            {
                "version": 1,
                "stacked": False,
                "own": {"sizes": {k: len(v) for k, v in some.items()}, "numbers": pack(np.concatenate([*some.values()]))},
            }
            for some in (kinds, kinds | {kind: kinds[kind] + np.array([0, 0, 4 * share])})
        )
        return agreement.difference(before, now, "float32")

    assert moved(rounding) == ""
    assert moved(edit).startswith(f"{kind}: differs by")


def test_a_run_that_cannot_be_probed_any_more_is_trained_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    budget = datasets.task("gaussian").budget("default")
    doubt = Doubt(1, False, False, gaussian())
    job = Job("linear", "gaussian", budget, (), "cpu", tmp_path, tmp_path, doubts=(doubt,))
    told: list[Any] = []
    assert doubts.fallen(job, worker.header(job), doubts.Probes(job), told.append) == []
    assert told[0].seeds == (1,) and told[0].facts["code"] == fingerprint.code("linear", "gaussian")

    def fails(*_: Any) -> Any:
        raise probe.Unprobed("linear-gaussian cannot be probed: RuntimeError: of float32 alone")

    monkeypatch.setattr(probe, "measure", fails)
    assert doubts.fallen(job, worker.header(job), doubts.Probes(job), told.append) == [1] and len(told) == 1
