"""The studies of data and distance: who passes whom against made-up truths, their data sets, and both commands, killed and resumed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import datasets
from bench.__main__ import main
from bench.report import passing, recall, reference, studied
from bench.run import session
from bench.store.records import Store
from bench.studies import distances, sizes
from bench.tables import growth
from bench.tables.growth import Passing, passings
from datasets.data import generator
from datasets.routes import match_far
from datasets.routes import samples as routed
from tests.conftest import ROOT, InProcess, environment
from tests.test_pictures import collisions, cut, look

ATTENTION, CONV, MLP = "backbone_attention", "backbone_conv", "backbone_mlp"
ACCURACY = {"name": "accuracy", "better": "higher", "percent": True}
NOISE = (-0.01, 0.0, 0.01)  # of three seeds, the same for every model: pairing takes it away
Value = Callable[[int], float]


def record(study: str, settings: dict[str, Any], rows: list[dict[str, Any]], metric: dict[str, Any] = ACCURACY) -> dict[str, Any]:
    """A study as a record has it."""
    shared = {"seeds": 3, "steps": 600, "tuned": []}
    about = {"schema": 1, "study": study, "code": "c", "device": "cpu", "machine": {"slug": "m", "torch": "2"}, "date": "2026-01-01"}
    return about | {"settings": settings | shared, "metric": metric, "rows": rows}


def grown(values: dict[str, Value], counts: tuple[int, ...] = (50, 100, 200, 400), own: float = 0.001, **other: Any) -> dict[str, Any]:
    """A study of data by what each model reaches with n samples; seeds differ alike, and by `own` each."""
    rows = [
        {"model": model, "size": n, "seed": seed, "value": value(n) + NOISE[seed] + own * ((7 * i + n + seed) % 3), "val": 0.5}
        | {"params": 1, "reason": ""}
        for i, (model, value) in enumerate(values.items())
        for n in counts
        for seed in range(3)
    ]
    return record("data", {"dataset": "digits", "models": [*values], "sizes": [*counts]}, rows, **other)


def test_who_passes_whom_is_where_the_sign_changes_for_certain() -> None:
    """Attention is 8, 4 and 1 points behind, then 5 ahead; with 1 point and as much noise it cannot be told."""
    ahead = {50: -0.08, 100: -0.04, 200: -0.001, 400: 0.05}
    found = growth.differences(made := grown({ATTENTION: lambda n: 0.5 + ahead[n], CONV: lambda n: 0.5}), ATTENTION, CONV)
    assert found[400].n == 3 and found[50].mean == pytest.approx(-0.08, abs=0.003)
    assert passings(found) == [Passing(100, 400, 1)]
    assert passing.finding(made) == "With 50 to 400 training samples of digits attention overtakes convolution at 100 to 400"
    mirrored = growth.differences(made, CONV, ATTENTION)
    assert passings(mirrored) == [Passing(100, 400, -1)]


def test_a_metric_of_which_less_is_better_is_turned_round() -> None:
    made = grown({ATTENTION: lambda n: 0.9, MLP: lambda n: 0.5}, metric={"name": "mse", "better": "lower", "percent": False})
    assert passing.finding(made).endswith("attention is behind MLP at 4 of 4 sizes")


def test_differences_are_paired_and_have_students_interval() -> None:
    made = grown({ATTENTION: lambda n: 0.6, CONV: lambda n: 0.5}, counts=(50, 100))
    values = growth.by_seed(made)
    own = torch.tensor([values[ATTENTION, 50][seed] - values[CONV, 50][seed] for seed in range(3)], dtype=torch.float64)
    half = 4.302653 * float(own.std()) / 3**0.5
    found = growth.differences(made, ATTENTION, CONV)[50]
    assert (found.mean, found.half, found.n) == (pytest.approx(float(own.mean())), pytest.approx(half, rel=1e-6), 3)
    made["rows"] = [row for row in made["rows"] if (row["model"], row["size"], row["seed"]) != (CONV, 50, 1)]
    assert growth.differences(made, ATTENTION, CONV)[50].n == 2  # only seeds that both have


def test_all_that_one_side_leads_are_told_together_the_most_certain_first() -> None:
    made = grown({ATTENTION: lambda n: 0.5, MLP: lambda n: 0.6 if n < 100 else 0.5, CONV: lambda n: 0.6})
    said = "is behind convolution at 4 of 4 sizes and MLP at 1 of 4"
    assert passing.finding(made) == f"With 50 to 400 training samples of digits attention {said}"


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        ({50: -0.1, 100: -0.1, 200: -0.2, 400: -0.1}, "is behind MLP at 4 of 4 sizes"),
        ({50: 0.1, 100: 0.1, 200: 0.2, 400: 0.1}, "is ahead of MLP at 4 of 4 sizes"),
        ({50: 0.1, 100: 0.1, 200: 0.0, 400: 0.0}, "is ahead of MLP at 2 of 4 sizes"),
        ({50: 0.0, 100: 0.0, 200: 0.0, 400: 0.0}, "cannot be told from MLP"),
        ({50: 0.1, 100: 0.0, 200: -0.1, 400: -0.1}, "falls behind MLP at 50 to 200"),
        ({50: -0.1, 100: 0.1, 200: 0.1, 400: -0.1}, "passes MLP and is passed, at 50 to 100 and at 200 to 400"),
    ],
)
def test_what_is_said_of_a_pair(ahead: dict[int, float], said: str) -> None:
    made = grown({ATTENTION: lambda n: 0.5 + ahead[n], MLP: lambda n: 0.5})
    assert passing.finding(made) == f"With 50 to 400 training samples of digits attention {said}"


def test_the_first_samples_are_drawn_by_the_seed_and_nested() -> None:
    whole, few, more = (datasets.load(name, seed=1) for name in ("digits", sizes.named("digits", 50), sizes.named("digits", 1_097)))
    assert torch.equal(few.train.x, more.train.x[:50]) and len(few.train) == 50
    assert not torch.equal(more.train.x, whole.train.x)
    assert torch.equal(more.train.y.bincount(), whole.train.y.bincount())
    assert torch.equal(few.val.x, whole.val.x) and torch.equal(few.test.y, whole.test.y)
    assert not torch.equal(few.train.y, datasets.load(sizes.named("digits", 50), seed=2).train.y)
    assert datasets.source(sizes.named("digits", 50)) == datasets.source("digits")


def test_recall_over_31_tokens_is_the_route_and_over_others_its_answers_are_right() -> None:
    ours, theirs = distances.samples(4, 31, generator("x", 0)), routed(4, match_far, generator("x", 0))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    for length in (distances.SHORTEST, 15, 64):
        x, y = distances.samples(20, length, generator("x", 0))
        keys, queries, values = x[:, :8], x[:, 8:16], x[:, 16]
        whom = torch.cdist(queries.mT, keys.mT).argmin(2)
        assert torch.equal(values.gather(1, whom), y[:, 0])
        assert ((whom - torch.arange(length)).abs() > (length + 1) // 4).all()
    assert datasets.task(distances.named(63)).output.size == 63


def test_a_family_is_made_as_it_is_named_and_others_stay_unknown() -> None:
    name = sizes.named("iris", 17)
    assert name not in datasets.names()
    assert datasets.task(name).sizes == (17, 30, 30) and name in datasets.names()
    for unknown in ("iris_first_x", "nothing_first_5", "match_far_far"):
        with pytest.raises(KeyError, match="unknown data set"):
            datasets.task(unknown)


def recalled(lengths: tuple[int, ...] = (15, 31), widths: tuple[int, ...] = (16, 64)) -> dict[str, Any]:
    """Attention recalls everywhere but at 31 tokens and width 16, the MLP nowhere; two of three seeds decide."""
    rows = [
        {"model": model, "width": width, "length": length, "seed": seed, "value": value - 0.02 * seed, "val": value, "params": 1}
        | {"samples": 640 * length * (seed + 1) if value > 0.9 and seed != 2 else None, "reason": ""}
        for model in (ATTENTION, MLP)
        for width in widths
        for length in lengths
        for value in [0.1 if model == MLP else 0.5 if (width, length) == (16, 31) else 0.99]
        for seed in range(3)
    ]
    settings = {"models": [ATTENTION, MLP], "lengths": [*lengths], "widths": [*widths]}
    return record("distance", settings, rows, {"name": "r2", "better": "higher", "percent": False})


def test_recall_is_learned_where_most_seeds_did() -> None:
    made = recalled()
    assert growth.samples(made, width=16) == {ATTENTION: {15: 640 * 30, 31: None}, MLP: {15: None, 31: None}}
    assert recall.finding(made).endswith(": attention at 3 of 4, the longest 31 tokens at width 64; MLP at none of 4")
    assert "| 19,200" in recall.table(made, 16) and "never" in recall.table(made, 16)


SIX = {f"backbone_{name}": 0.1 * i for i, name in enumerate(("attention", "conv", "local", "mlp", "none", "recurrent"))}


@pytest.mark.parametrize(
    "make",
    [
        lambda: passing.picture(grown({m: lambda n, k=k: 0.4 + k - n / 5_000 for m, k in SIX.items()}, (50, 100, 200, 400, 800, 1097))),
        lambda: passing.picture(grown({ATTENTION: lambda n: 0.99, CONV: lambda n: 1.0}, (89, 90), own=0.0)),
        lambda: passing.picture(grown({ATTENTION: lambda n: 0.99}) | {"rows": []}),
        lambda: recall.picture(recalled((15, 31, 63, 127), (16, 32, 64))),
        lambda: recall.picture(recalled((15, 31), (16,)) | {"rows": recalled((15, 31), (16,))["rows"][-6:]}),
    ],
)
def test_pictures_have_nothing_on_anything(make: Callable[[], bytes]) -> None:
    seen = look(make)
    assert collisions(seen) == cut(seen) == []


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Cells are trained in this process; the list grows by those that are."""
    seen: list[str] = []

    class Engine(InProcess):
        def submit(self, job: Any) -> None:
            assert {"sizes.py", "distances.py"} & {Path(file).name for file in job.plugins}  # or no worker knew the data set
            seen.append(job.cell_id)
            super().submit(job)

    monkeypatch.setattr(session, "chosen_engine", lambda *_: Engine)
    return seen


SMALL = ["--seeds", "2", "--steps", "2"]
ASKED = {
    "data": ["--datasets", "iris", "--sizes", "50,all", "--models", "linear,mlp", *SMALL],
    "distance": ["--lengths", "7,8", "--widths", "4", "--models", "backbone_none", *SMALL],
}
CELLS = {"data": 4, "distance": 2}


def trained_on(study: str, row: dict[str, Any]) -> str:
    return sizes.named("iris", row["size"]) if study == "data" else distances.named(row["length"])


@pytest.mark.parametrize("study", ["data", "distance"])
def test_from_the_command_to_the_page_and_nothing_is_trained_twice(study: str, tmp_path: Path, trained: list[str]) -> None:
    asked = ["study", study, *ASKED[study], "--results", str(tmp_path)]
    assert main(asked) == 0
    cells = CELLS[study]
    assert len(trained) == len(set(trained)) == cells
    (file,) = (tmp_path / "studies" / study).glob("*.json")
    before, made = file.read_bytes(), json.loads(file.read_text())
    growth.check(made)
    assert len(made["rows"]) == 2 * cells and {row["seed"] for row in made["rows"]} == {0, 1}
    runs = [json.loads(path.read_text()) for path in (tmp_path / "studies" / study / "work" / "runs").glob("*/*/study-*-s*.json")]
    metric = made["metric"]["name"]
    assert sorted(row["value"] for row in made["rows"]) == sorted(run["test"]["best"][metric] for run in runs)
    page = (tmp_path / "studies" / f"{study}.md").read_text()
    assert studied.STUDIES[study].sentence(made)[:20] in page and (tmp_path / "studies" / f"{study}.png").stat().st_size > 1_000
    assert main(asked) == 0 and len(trained) == cells and file.read_bytes() == before
    assert (tmp_path / "studies" / f"{study}.md").read_text() == page
    (tmp_path / "runs").mkdir()
    assert studied.STUDIES[study].sentence(made) in " ".join(reference.findings(tmp_path.parent, {}))
    file.unlink()  # the runs are still there
    assert main(asked) == 0 and len(trained) == cells and json.loads(file.read_text())["rows"] == made["rows"]
    lost = made["rows"][-1]  # what failed, and what a kill left undone, is trained, and nothing else
    for path in (tmp_path / "studies" / study / "work" / "runs").glob(f"{trained_on(study, lost)}/{lost['model']}/*"):
        path.unlink()
    file.write_text(json.dumps(made | {"rows": [*made["rows"][:-2], lost | {"value": None, "val": None, "reason": "no"}]}))
    assert main(asked) == 0 and json.loads(file.read_text())["rows"] == made["rows"]
    assert len(trained) == cells + 1 and trained[-1].endswith(trained_on(study, lost))


@pytest.mark.parametrize("change", [{"value": None}, {"size": 0}, {"value": "1"}, {"val": float("nan")}, {"model": "vit"}, {"seed": None}])
def test_altered_rows_are_no_study(change: dict[str, Any]) -> None:
    made = grown({ATTENTION: lambda n: 0.9})
    growth.check(made)
    made["rows"][1] |= change
    with pytest.raises(ValueError, match="a row"):
        growth.check(made)


@pytest.mark.parametrize("change", [{"study": "length"}, {"settings": {}}, {"metric": {"better": "higher"}}, {"machine": {}}, {"rows": 3}])
def test_a_record_without_what_pages_need_is_set_aside(change: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "studies" / "data"
    folder.mkdir(parents=True)
    (folder / "m.json").write_text(json.dumps(grown({ATTENTION: lambda n: 0.9}) | change))
    with pytest.warns(UserWarning, match="set aside"):
        assert growth.read(Store(tmp_path), "data") == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["data", "--sizes", "50"], "two or more"),
        (["data", "--sizes", "0,50"], "whole number from 1 to 1097"),
        (["data", "--sizes", "50,many"], "whole number from 1 to 1097"),
        (["data", "--sizes", "50,1098"], "digits has 1,097 training samples: say all"),
        (["data", "--datasets", "diabetes"], "diabetes asks for value of table; --datasets takes classes"),
        (["data", "--datasets", "mnist"], "mnist needs a data root or a package; --datasets takes classes"),
        (["data", "--datasets", "digits,iris"], "one data set"),
        (["data", "--datasets", "digit"], "did you mean 'digits'"),
        (["data", "--seeds", "1"], "2 or more: intervals are over seeds"),
        (["data", "--models", "backbone_mlp"], "two or more in --models"),
        (["data", "--models", "backbone_mlp,bahdanau"], "bahdanau cannot be studied: "),
        (["data", "--models", "backbone_mlp,backbone_attention[dim=7]"], "cannot be studied: "),
        (["data", "--steps", "none"], "--steps takes a whole number"),
        (["data", "--workers", "0"], "--workers takes a whole number"),
        (["data", "--widths", "16"], "--widths is no option of the study of data"),
        (["distance", "--lengths", "3,15"], "7 tokens or more"),
        (["distance", "--lengths", "15"], "two or more numbers of tokens"),
        (["distance", "--widths", "0"], "whole number"),
        (["distance", "--widths", "18"], "backbone_attention[dim=18] cannot be studied: "),
        (["data", "--models", ""], "no model named"),
        (["distance", "--models", ""], "no model named"),
        (["distance", "--models", "linear"], "linear cannot be studied: linear has no size 'dim'"),
        (["length", "--seeds", "3"], "--seeds is no option of the study of length"),
        (["distanse"], "did you mean 'distance'"),
    ],
)
def test_bad_requests(options: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["study", *options, "--results", str(tmp_path / "r")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


@pytest.mark.slow  # workers are processes of their own; quick siblings train the same in this one
@pytest.mark.parametrize("study", ["data", "distance"])
def test_workers_know_the_data_sets_of_a_study(study: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "study", study, *ASKED[study], "--workers", "1", "--results", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = growth.read(Store(tmp_path), study)
    assert len(made["rows"]) == 2 * CELLS[study] and all(row["value"] is not None for row in made["rows"])
