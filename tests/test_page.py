"""The page without a browser: its facts are those of the store, hostile text stays text, and the same folder gives the same bytes."""

from __future__ import annotations

import json
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats

from bench.page import build, view
from bench.plan import grid
from bench.report import plots
from bench.store.encoding import pack
from bench.store.records import Store
from bench.tables import headline
from bench.tables.family import MIXERS, OTHERS
from bench.tables.rows import rows
from bench.tables.sections import shown
from bench.tables.verdict import family
from tests.test_report import MODELS, run, value_of

BUDGET = {"name": "default", "dtype": "float32", "samples": 20, "seeds": 5}

HOSTILE = "</script><img src=x onerror=\"document.title='hit'\"> & \u2028 <!-- <script>"


def timing(model: str, batch: int, ms: float, **fields: Any) -> dict[str, Any]:
    samples = pack(np.full(600, ms, "<f4"))
    about = {"model": model, "dataset": "gaussian", "device": "cpu", "batch": batch, "dtype": "float32", "threads": 1}
    return {**about, "samples_ms": samples, "source": model, "machine": {"slug": "box"}, **fields}


def filled(folder: Path) -> Store:
    """Five models on gaussian, attention clearly best; one cell that failed with a hostile message; latencies of two models."""
    store = Store(folder)
    for i, model in enumerate(MODELS):
        for seed in range(5):
            store.put_run(run(model, seed, value_of(i, seed)))
    store.put_cell(run("vit", 0, 0.0, status="error", reason=HOSTILE, family="attention"))
    store.put_latency(timing("linear", 1, 2.0))
    store.put_latency(timing("linear", 64, 32.0))
    store.put_latency(timing("backbone_attention", 1, 8.0, validity=["other load on the machine: 12 % of a core"]))
    return store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return filled(tmp_path / "results")


def column(facts: dict[str, Any], name: str) -> dict[str, Any]:
    """A column of the page by model."""
    models = texts(facts, "model")
    values = texts(facts, name) if name in facts["texts"] else facts["numbers"][name]
    return dict(zip(models, values, strict=True))


def texts(facts: dict[str, Any], name: str) -> list[str]:
    coded = facts["texts"][name]
    return [coded["words"][place] for place in coded["rows"]]


def test_every_row_has_its_figures(store: Store) -> None:
    facts = view.facts(store)
    values = [value_of(4, seed) for seed in range(5)]
    low, high = scipy_stats.t.interval(0.95, 4, np.mean(values), scipy_stats.sem(values))
    found = [column(facts, name)["linear"] for name in ("value", "low", "high")]
    assert found == pytest.approx([np.mean(values), low, high], rel=5e-4)
    assert column(facts, "quality")["linear"].startswith(f"{np.mean(values):.4g} ± ")
    assert [column(facts, name)["linear"] for name in ("seeds", "params", "flops", "train_seconds")] == [5, 90, 1000, 0.2]
    assert column(facts, "cpu_b1") == {"linear": 2, "backbone_attention": 8} | dict.fromkeys([*MODELS[1:4], "vit"])
    assert column(facts, "cpu_b64")["linear"] == 0.5  # of one sample, not of the batch
    assert "cuda_b1" not in facts["numbers"]
    assert column(facts, "doubts_cpu_b1")["backbone_attention"] == "other load on the machine: 12 % of a core"
    assert column(facts, "status")["vit"] == "error"
    assert column(facts, "value")["vit"] is None


def test_curves_are_means_over_seeds_and_thin(store: Store) -> None:
    for seed in range(2):
        long = {name: [float(i + seed) for i in range(100)] for name in ("seconds", "train_loss", "val_loss", "val_metric")}
        store.put_run(run("cnn", seed, 0.5, curve=long | {"samples": list(range(100))}))
    facts = view.facts(store)
    cnn = facts["curves"][texts(facts, "model").index("cnn")]
    assert len(cnn["samples"]) == view.POINTS
    assert (cnn["samples"][0], cnn["samples"][-1]) == (0, 99)  # neither end is lost
    mean, low, high = cnn["val_loss"]
    assert (mean[-1], low[-1], high[-1]) == (99.5, 99, 100)
    assert facts["curves"][texts(facts, "model").index("vit")] is None


def test_a_loss_that_is_not_finite_is_a_gap(store: Store) -> None:
    curve = {name: [1.0, float("nan")] for name in ("seconds", "train_loss", "val_loss", "val_metric")} | {"samples": [10, 20]}
    store.put_run(run("cnn", 0, 0.0, status="diverged", reason="the loss stopped being finite", curve=curve))
    facts = view.facts(store)
    assert facts["curves"][texts(facts, "model").index("cnn")]["val_loss"] == [[1, None]]
    json.loads(build.as_data(facts))


def test_the_page_says_what_the_verdicts_say(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for i, model in enumerate(MIXERS):
        for seed in range(5):
            store.put_run(run(model, seed, value_of(i, seed), dataset="shapes", budget=BUDGET))
    facts = view.facts(store)
    compared = family(shown(rows(store)))
    assert facts["headline"] == " ".join(headline.sentences(compared))
    (answer,) = facts["answers"]
    assert answer["counts"]
    told = ["".join(words for words, _ in line) for line in answer["lines"]]
    assert told == [
        f"{name}: {headline.told(one).replace('*', '')}, n = 5" for one, name in zip(compared[24:28], OTHERS.values(), strict=True)
    ]
    assert all(("beats", "finding") in line for line in answer["lines"])


def test_only_rows_trained_alike_share_a_plot(store: Store) -> None:
    store.put_run(run("cnn", 0, 0.001, conditions="newer"))
    facts = view.facts(store)
    own = column({**facts, "numbers": {"group": facts["group"]}}, "group")
    assert own["vit"] == -1
    assert len({own[model] for model in MODELS}) == 1
    assert (own["cnn"], own["linear"]) == (1, 0)  # the conditions of the mixers come first, whatever else is newer
    assert [group["ranked"] for group in facts["groups"]] == [True, False]
    assert facts["groups"][1]["label"].endswith("(another recipe)")


def test_models_look_as_in_the_plots(store: Store) -> None:
    facts = view.facts(store)
    assert facts["colours"] == plots.COLOURS
    look = plots.styles(view.rows(store))
    assert {name: dashes or "-" for name, dashes in facts["looks"].items()} == {
        name: "-" if style["linestyle"] == "-" else list(style["linestyle"][1]) for name, style in look.items()
    }


class Elements(HTMLParser):
    """Which elements a browser would see, and what is inside the facts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.inside, self.facts = False, ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        self.inside = ("id", "facts") in attrs

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        self.facts += data if self.inside else ""


def test_hostile_text_stays_text_and_nothing_is_loaded(store: Store) -> None:
    page = Elements()
    page.feed(build.write(store).read_text())
    assert "img" not in page.tags
    assert page.tags.count("script") == 3
    assert page.addresses == ["#cells"]
    assert HOSTILE in json.loads(page.facts)["texts"]["reason"]["words"]
    assert not set("<>&") & set(page.facts)


def test_what_is_put_in_is_not_taken_for_the_template() -> None:
    assert "{{style}}" in build.html(view.facts(Store(Path("none"))) | {"question": "{{style}}"})


def test_same_folder_same_bytes_without_date_or_path(store: Store, tmp_path: Path) -> None:
    first = build.write(store).read_bytes()
    assert build.write(store).read_bytes() == first
    facts = build.as_data(view.facts(store))
    assert str(tmp_path) not in facts
    assert json.loads((store.folder / "runs/gaussian/linear/smoke-r1-s0.json").read_text())["created"][:10] not in facts


def test_the_page_is_under_8_mb(store: Store) -> None:
    assert build.write(store).stat().st_size < 8e6


def test_a_store_with_nothing_beside_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "a" / "b")
    store.put_cell(run("vit", 0, 0.0, status="skipped", reason="no pixels"))
    facts = view.facts(store)
    assert (facts["claims"], facts["pictures"], facts["groups"], facts["curves"]) == ([], [], [], [None])
    (answer,) = facts["answers"]
    assert answer["lines"] == []
    build.write(store)


def test_an_empty_store_has_a_page(tmp_path: Path) -> None:
    assert "No verdict yet on small models" in build.write(Store(tmp_path)).read_text()


def test_the_ledger_is_that_of_the_store_or_of_all(store: Store) -> None:
    head = "claim,model,verdict,published,measured\n"
    (store.folder.parent / "claims.csv").write_text(f"{head}all,mlp,holds,105,105\n")
    assert view.facts(store)["claims"] == []  # somebody's own results, beside the reference results
    reference = Store(store.folder.rename(store.folder.with_name("reference")))
    assert [row["claim"] for row in view.facts(reference)["claims"]] == ["all"]
    store = reference
    (store.folder / "claims.csv").write_text(f"{head}own,mlp,does not hold,105,106\n")
    assert [(row["claim"], row["measured"]) for row in view.facts(store)["claims"]] == [("own", "106")]
    (store.folder / "claims.csv").write_bytes(b"claim,verdict\n\xff,holds\n")
    with pytest.raises(grid.RequestError, match=r"claims\.csv cannot be read"):
        view.facts(store)


def test_pictures_are_found_sorted_and_encoded(store: Store) -> None:
    folder = store.folder / "figures"
    for name in ("gaussian/vit-attention.png", "rank.png", "gaussian/mlp-plane.gif", 'a b/x#1?%"<.png', "gaussian/notes.txt", ".part.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    assert [(p["dataset"], p["name"], p["address"]) for p in view.facts(store)["pictures"]] == [
        ("a b", 'x#1?%"<', "figures/a%20b/x%231%3F%25%22%3C.png"),
        ("gaussian", "mlp: plane", "figures/gaussian/mlp-plane.gif"),
        ("gaussian", "vit: attention", "figures/gaussian/vit-attention.png"),
        ("", "rank", "figures/rank.png"),
    ]


def test_without_plotly_the_request_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(grid.RequestError, match="needs plotly"):
        build.write(store)
    assert build.told(store).startswith("no page: the page needs plotly")
    assert not (store.folder / "index.html").exists()
