"""The page without a browser: it says what the store says, hostile text stays text, and who cannot see or has no script reads it too."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
import math
import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lxml import html as parser
from PIL import Image
from scipy import stats as scipy_stats

from bench.page import build, pictures, svg, view
from bench.page.svg import Axis
from bench.plan import grid
from bench.store.encoding import pack
from bench.store.records import Store
from bench.tables import checks, headline
from bench.tables.family import MIXERS
from bench.tables.formatting import amount
from bench.tables.rows import rows
from bench.tables.sections import shown
from bench.tables.verdict import family
from datasets.metrics import R2
from tests.conftest import ROOT
from tests.test_report import MODELS, run, value_of

BUDGET = {"name": "default", "dtype": "float32", "samples": 20, "seeds": 5}

HOSTILE = "</script><img src=x onerror=\"document.title='hit'\"> & \u2028 <!-- <script> {{ 7 * 7 }}"


@pytest.mark.parametrize("most", [math.inf, 1.0])
def test_an_axis_of_errors_tells_them_apart(most: float) -> None:
    axis = Axis.around([5e-4, 3e-3], 206, 350, log=True, least=0, most=most)
    assert 206 < axis(5e-4) < 240 < 320 < axis(3e-3) < 350
    assert len(axis.ticks()) >= 2


def test_what_a_mark_or_a_blank_means_is_said_where_it_stands(store: Store) -> None:
    tree = page(store)
    (answer,), (cells,), (sets,) = (tree.xpath(f'//section[@id="{name}"]') for name in ("answer", "cells", "sets"))
    assert "wholly inside the band it is equal, else wholly beyond 0 it beats or loses" in said(answer) and "logarithmic outside" in said(
        answer
    )
    assert "Seconds and latencies are blank where another machine took them" in said(cells)
    (reuse,) = tree.xpath('//section[@id="reuse"]')
    assert all(f"{name}.csv" in said(reuse) for name in ("comparison", "runs", "latency", "verdicts"))
    assert "against latency a hollow point is a doubtful timing" in said(sets)  # seeds are hollow, too


def test_ticks_that_lie_close_are_told_apart() -> None:
    drawn = str(svg.frame(svg.Axis.around([13.34e6, 13.42e6], 40, 350, log=True), None, 250, 24, "FLOPs", amount))
    told = re.findall(r">([\d.]+ M)<", drawn)
    assert len(told) == len(set(told)) >= 3


def test_a_long_title_of_an_axis_ends_within_the_drawing() -> None:
    said = "mean squared error, lower is better"
    (title,) = parser.fromstring(f"<svg>{frame_of(said)}</svg>").xpath("//text[last()]")
    assert title.text == said and float(title.get("x")) + 2.8 * len(said) <= 360


def frame_of(said: str) -> str:
    return "".join(svg.frame(svg.Axis(0, 1, 206, 350), None, 100, 8, said))


def test_a_point_at_the_edge_is_not_numbered_on_the_ticks(store: Store) -> None:
    for place, value in enumerate([0.0, *[1.0] * 9]):
        scores = {which: {"loss": 0.5, "bleu": 100 * value} for which in ("best", "last")}
        costs = {"params": 1000 + 100 * place, "params_active": 1000 + 100 * place, "flops": 1000, "peak_bytes": 1}
        store.put_run(run(f"m{place}", 0, 0.5, dataset="digits", metric=BLEU, test=scores, costs=costs))
    (drawn,) = page(store).xpath('//article[@id="set-digits"]//svg[contains(@aria-label, "against parameters")]')
    numbers = drawn.xpath(".//g//text[not(@text-anchor)]")
    assert len(numbers) >= 5 and all(float(one.get("x")) >= 40 for one in numbers)


BLEU = {"name": "bleu", "better": "higher", "percent": False}


def test_a_variant_is_told_by_the_end_of_its_name(store: Store) -> None:
    name = "backbone_recurrent[depth=4]"
    store.put_run(run(name, 0, 0.5, dataset="digits"))
    (short,) = [one for one in page(store).xpath('//article[@id="set-digits"]//text/text()') if "…" in one]
    assert short.startswith("backbone_") and short.endswith("[depth=4]") and len(short) < len(name)


def test_a_model_that_is_ranked_nowhere_says_where_its_results_are(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put_run(run("vit", 0, 0.9, budget=BUDGET | {"name": "published"}))
    store.put_latency(timing("cnn", 1, 2.0))
    cards = {card["name"]: card for card in view.facts(store)["models"]}
    assert cards["vit"]["why_not"] == "not ranked, but with results on gaussian" and cards["vit"]["best"] == []
    assert cards["cnn"]["family"] == "convolution"  # timed, not trained


def timing(model: str, batch: int, ms: float, **fields: Any) -> dict[str, Any]:
    samples = pack(np.full(600, ms, "<f4"))
    about = {"model": model, "dataset": "gaussian", "device": "cpu", "batch": batch, "dtype": "float32", "threads": 1}
    return {**about, "samples_ms": samples, "medians_ms": [ms] * 6, "source": model, "machine": {"slug": "box"}, **fields}


def filled(folder: Path) -> Store:
    """Five models on gaussian, attention clearly best; one cell that failed with a hostile message; latencies of two models."""
    store = Store(folder)
    for i, model in enumerate(MODELS):
        for seed in range(5):
            store.put_run(run(model, seed, value_of(i, seed), tuned=True))
    store.put_cell(run("vit", 0, 0.0, status="error", reason=HOSTILE, family="attention"))
    store.put_latency(timing("linear", 1, 2.0))
    store.put_latency(timing("linear", 64, 32.0))
    store.put_latency(timing("backbone_attention", 1, 8.0, validity=["other load on the machine: 12 % of a core"]))
    return store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return filled(tmp_path / "results")


def page(store: Store) -> Any:
    return parser.fromstring(build.write(store).read_bytes())


def row_of(tree: Any, model: str, dataset: str = "gaussian") -> dict[str, Any]:
    """A row of the table of all cells: its cells by the names of their columns."""
    names = tree.xpath('//*[@id="table"]//thead//th/@data-name')
    for row in tree.xpath('//*[@id="table"]//tbody/tr'):
        cells = row.xpath("./th|./td")
        if cells[0].text_content().strip() == model and cells[2].text_content().strip() == dataset:
            return dict(zip(names, cells, strict=False)) if len(cells) == len(names) else {"row": row}
    raise AssertionError(f"no row of {model} on {dataset}")


def said(cell: Any) -> str:
    return " ".join(cell.text_content().split())


def test_every_row_has_its_figures(store: Store) -> None:
    tree = page(store)
    row = row_of(tree, "linear")
    values = [value_of(4, seed) for seed in range(5)]
    low, high = scipy_stats.t.interval(0.95, 4, np.mean(values), scipy_stats.sem(values))
    assert [float(one) for one in row["value low high"].get("data-v").split()] == pytest.approx([np.mean(values), low, high], rel=1e-5)
    assert said(row["value low high"]).startswith(f"{np.mean(values):.4g} ± ")
    assert [row[name].get("data-v") for name in ("seeds", "params_active", "flops", "train_seconds")] == ["5", "90", "1000", "0.2"]
    b1, b64 = (f"latency_cpu_b{n}_p50_ms latency_cpu_b{n}_p50_low_ms latency_cpu_b{n}_p50_high_ms" for n in (1, 64))
    assert [said(row[b1]), said(row[b64])] == ["2 [2, 2]", "0.5 [0.5, 0.5]"]  # of one sample, not of the batch
    assert row[b64].get("data-v").split()[0] == "32"  # as in comparison.csv
    assert "other load on the machine: 12 % of a core" in said(row_of(tree, "backbone_attention")[b1])
    assert not any("cuda" in name for name in row)
    assert "error: </script><img" in said(row_of(tree, "vit")["row"])


def test_a_name_breaks_between_its_words(store: Store) -> None:
    names = page(store).xpath('//*[@id="table"]//tbody/tr/th/a')
    assert [one.text_content().count("_") for one in names] == [len(one.xpath("./wbr")) for one in names]


def test_the_command_of_a_cell_makes_it_again(store: Store) -> None:
    command = shlex.split(said(row_of(page(store), "linear")["again"]))
    assert command[:3] == ["pytest", "bench", "--benchmark-only"]
    assert dict(zip(command[3::2], command[4::2], strict=True)) == {
        "--models": "linear",
        "--datasets": "gaussian",
        "--budget": "smoke",
        "--seeds": "5",
    }


def test_the_page_says_what_the_verdicts_say(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for i, model in enumerate(MIXERS):
        for seed in range(5):
            store.put_run(run(model, seed, value_of(i, seed), dataset="shapes", budget=BUDGET, tuned=True))
    compared = family(shown(rows(store)))
    tree = page(store)
    assert not tree.xpath('//svg[@role="img"]//a')  # whoever hears the page would not find them
    first, second = headline.sentences(compared)
    second = f"{second} {checks.unfinished(checks.judged(rows(store), compared))}"
    lead, *points = first.split("\n- ")
    assert points
    assert [said(one) for one in tree.xpath('//p[@class="headline"]')] == [lead, second]
    assert [said(one) for one in tree.xpath('//ul[@class="headline"]/li')] == points
    (line,) = tree.xpath('//section[@id="answer"]//tbody/tr')
    assert tree.get_element_by_id(tree.xpath('//section[@id="answer"]//*[local-name()="svg"]//a/@href')[0].removeprefix("#")) is not None
    own = [one for one in compared if one.dataset == "shapes"]
    assert [said(cell) for cell in line.xpath("./td")[:4]] == [headline.told(one).replace("*", "") for one in own]
    assert line.xpath("./th/a/@href") == ["#set-shapes"]
    assert tree.xpath('//section[@id="answer"]//tbody//strong/text()') == ["beats"] * 4
    drawn = tree.xpath('//section[@id="answer"]//figure//*[contains(@class, "v-beats")]/title/text()')
    assert [text.split(". ")[0] for text in drawn] == [f"shapes, attention against {name}: beats" for name in view.OTHERS.values()]


def test_routes_are_a_table_that_says_in_words_who_solves_which(store: Store) -> None:
    for model, reached in (("backbone_attention", 0.99), ("backbone_conv", 0.01)):
        for seed in range(2):
            scores = {which: {"loss": 0.5, "r2": reached} for which in ("best", "last")}
            own = run(model, seed, 0.1, dataset="copy_far", metric=R2.facts, test=scores, budget=BUDGET)
            store.put_run(own | {"curve": own["curve"] | {"val_metric": [0.0, reached]}})
    tree = page(store)
    (section,) = tree.xpath('//section[@id="routes"]')
    assert "attention solves copy_far; convolution solves 0 of 1" in said(section.xpath("./p")[0])
    (line,) = section.xpath(".//tbody/tr")
    places = [said(cell) for cell in line.xpath("./td")]
    assert places == ["solved, R² 0.99 [0.99, 0.99] 20 samples", "not solved, R² 0.01 [0.01, 0.01]", *["not run"] * 4]
    assert tree.xpath('//nav//a[@href="#routes"]')
    assert not page(filled(store.folder / "without")).xpath('//*[@id="routes"] | //nav//a[@href="#routes"]')


def test_a_data_set_shows_every_seed_and_what_bounds_them(store: Store) -> None:
    for seed in range(3):
        scores = {which: {"loss": 0.5, "accuracy": 0.6 + 0.1 * seed} for which in ("best", "last")}
        metric = {"name": "accuracy", "better": "higher", "percent": True}
        store.put_run(run("ridge", seed, 0.5, dataset="digits", metric=metric, test=scores))
    (card,) = page(store).xpath('//article[@id="set-digits"]')
    assert len(card.xpath(".//circle")) == 3
    assert "chance 10 %, ceiling 100 %" in said(card)
    assert "Without a network: ridge 70.00 " in said(card)
    (other,) = page(store).xpath('//article[@id="set-gaussian"]')
    ranking = other.xpath('.//svg[starts-with(@aria-label, "Every seed")]/@aria-label')[0]
    assert re.findall(r"\d (\w+)", ranking.split(": ")[1])[:2] == ["backbone_attention", "backbone_conv"]  # an error: lowest first
    assert len(other.xpath('.//svg[contains(@aria-label, "latency")]//path[@class="h"]')) == 1  # doubted: hollow


def test_a_set_run_only_as_its_source_did_shows_its_runs(store: Store) -> None:
    published = {"name": "published", "dtype": "float32", "samples": 20, "seeds": 1}
    store.put_run(run("conv1d", 0, 0.5, dataset="shapes_published", budget=published))
    (card,) = page(store).xpath('//article[@id="set-shapes_published"]')
    assert "No run has a value" not in said(card)
    assert len(card.xpath(".//circle")) == 1
    assert not card.xpath('.//p[@class="note"]')


def test_a_variant_that_val_passed_over_is_no_failure(store: Store) -> None:
    for name, value in (("vit", 0.2), ("vit[depth=3]", 0.3)):
        store.put_run(run(name, 0, value, dataset="xor", recipe=name))
    store.put_cell(run("cnn", 0, 0.0, dataset="xor", status="error", reason="no room"))
    (card,) = page(store).xpath('//article[@id="set-xor"]')
    assert [said(note) for note in card.xpath('.//p[@class="note"]')] == ["cnn, smoke: error: no room"]


def test_a_set_names_its_shuffled_twin_and_the_twin_its_original(store: Store) -> None:
    store.put_run(run("vit", 0, 0.5, dataset="digits"))
    assert "Its shuffled twin: digits_shuffled." in said(page(store).xpath('//article[@id="set-digits"]')[0])
    store.put_run(run("vit", 0, 0.5, dataset="digits_shuffled"))
    tree = page(store)
    assert tree.xpath('//article[@id="set-digits"]//p/a[@href="#set-digits_shuffled"]')
    assert tree.xpath('//article[@id="set-digits_shuffled"]//p/a[@href="#set-digits"]')


def test_a_model_says_what_it_is_and_where_it_is_good(store: Store) -> None:
    tree = page(store)
    (card,) = tree.xpath('//article[@id="model-backbone_attention"]')
    assert "models/backbone.py" in said(card)
    assert "gaussian: 1 of 5" in said(card)
    assert "only what mixes the tokens is swapped" in said(card)
    store.put_run(run("mine", 0, 0.5))
    (mine,) = page(store).xpath('//article[@id="model-mine"]')
    assert "Not among the models of this checkout." in said(mine)
    assert "none: not ranked, but with results on gaussian" in said(mine)  # nobody tuned it


def test_variants_stand_on_the_card_of_their_model(store: Store) -> None:
    for seed in range(2):
        store.put_run(run("vit[depth=3]", seed, 0.3, dataset="xor"))
        store.put_run(run("vit@lr=0.06", seed, 0.2, dataset="xor", recipe="r2"))
    store.put_cell(run("vit[depth=9]", 0, 0.0, dataset="xor", status="error", reason="too deep"))
    tree = page(store)
    cards = [card.get("id") for card in tree.xpath('//section[@id="models"]/article')]
    assert [one for one in cards if "vit" in one] == ["model-vit"]
    (card,) = tree.xpath('//article[@id="model-vit"]')
    assert "Not among the models" not in said(card)
    assert "models/vit.py" in said(card)
    assert [[said(cell) for cell in line.xpath("./th|./td")] for line in card.xpath(".//tbody/tr")] == [
        ["vit@lr=0.06", "xor", "smoke", "0.2 ± 0", "0.2 ± 0"],
        ["vit[depth=3]", "xor", "smoke", "0.3 ± 0", "not scored"],
        ["vit[depth=9]", "xor", "smoke", "", "error: too deep"],
    ]
    assert {link.text for link in tree.xpath('//a[@href="#model-vit"]')} == {"vit", "vit@lr=0.06", "vit[depth=3]", "vit[depth=9]"}
    assert not tree.xpath('//article[@id="model-linear"]//table')


def test_commits_machines_and_days_are_those_of_the_records(tmp_path: Path) -> None:
    store = filled(tmp_path)
    machines = [
        {"slug": "box", "torch": "2.15.0", "commit": "aaa", "dirty": False},
        {"slug": "other", "torch": "2.15.0", "commit": "bbb", "dirty": True},
    ]
    for seed, one in enumerate(machines):
        store.put_run(run("cnn", seed, 0.5, machine=one))
    tree = page(store)
    lines = {tuple(said(cell) for cell in row.xpath("./th|./td"))[:2]: row for row in tree.xpath('//section[@id="made"]//tbody/tr')}
    assert [said(cell) for cell in lines["other", "bbb-dirty"].xpath("./td")[2:4]] == ["1", ""]
    assert [said(cell) for cell in lines["box", "unknown"].xpath("./td")[3:4]] == ["3"]  # timings that do not say
    day = json.loads(next(store.folder.glob("runs/*/cnn/*s0.json")).read_text())["created"][:10]
    assert said(row_of(tree, "cnn")["made"]) == f"{day} aaa bbb-dirty"


# ---- nothing but what we wrote


def test_hostile_text_stays_text(store: Store) -> None:
    store.put_run(run("cnn", 0, 0.5, summary=HOSTILE, notes=HOSTILE, dataset="xor", machine={"slug": "box", "commit": HOSTILE}))
    tree = page(store)
    tags = Counter(element.tag for element in tree.iter() if isinstance(element.tag, str))
    assert tags["script"] == tags["style"] == 1
    assert not {"img", "iframe", "object", "embed", "base", "link"} & tags.keys()
    assert not list(tree.iter(parser.etree.Comment))
    assert not [name for element in tree.iter() for name in element.attrib if name.startswith("on") or name == "style"]
    assert tree.findtext(".//title").startswith("attention-bench")
    assert tree.text_content().count("document.title='hit'") >= 4
    assert "{{ 7 * 7 }}" in tree.text_content()


def test_emphasis_of_the_headline_is_no_asterisk_and_lets_no_element_in(store: Store) -> None:
    text = build.html(view.facts(store) | {"headline": [["On <i>", "2 of them as *cannot <b> tell*"]]})
    assert '<p class="headline">On &lt;i&gt;</p>' in text
    assert "<li>2 of them as <strong>cannot &lt;b&gt; tell</strong></li>" in text


def test_only_our_own_script_and_style_may_run(store: Store) -> None:
    text = build.write(store).read_text()
    (policy,) = parser.fromstring(text.encode()).xpath('//meta[@http-equiv="Content-Security-Policy"]/@content')
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        (inside,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'")
    tree = parser.fromstring(text.encode())
    assert all(address.startswith("#") for address in tree.xpath("//@href"))
    assert all(address.startswith("data:image/webp") for address in tree.xpath("//@src | //@srcset"))


def test_same_folder_same_bytes_without_path(store: Store, tmp_path: Path) -> None:
    first = build.write(store).read_bytes()
    assert build.write(store).read_bytes() == first
    assert str(tmp_path).encode() not in first


# ---- stores with little in them


@pytest.mark.parametrize("skipped", [False, True])
def test_without_a_finished_run_it_says_how_to_get_one(tmp_path: Path, skipped: bool) -> None:
    store = Store(tmp_path / "a" / "b")
    if skipped:
        store.put_cell(run("vit", 0, 0.0, status="skipped", reason="no pixels"))
    tree = page(store)
    assert "make bench ARGS='--budget smoke'" in said(tree.xpath("//header")[0])
    assert len(tree.xpath('//tr[contains(@class, "skipped")]')) == skipped
    assert not tree.xpath("//figure")


def test_the_ledger_is_that_of_the_store_or_of_all(store: Store) -> None:
    head = "claim,model,verdict,published,measured\n"
    (store.folder.parent / "claims.csv").write_text(f"{head}all,mlp,holds,105,105\n")
    assert view.facts(store)["claims"] == []  # somebody's own results, beside the reference results
    store = Store(store.folder.rename(store.folder.with_name("reference")))
    assert [row["claim"] for row in view.facts(store)["claims"]] == ["all, mlp"]
    (store.folder / "claims.csv").write_text(f"{head}own,mlp,does not hold,105,106\n")
    assert [said(cell) for cell in page(store).xpath('//section[@id="claims"]//tbody/tr/*')] == [
        "does not hold",
        "own, mlp",
        "105",
        "106",
        "",
    ]
    (store.folder / "claims.csv").write_bytes(b"claim,verdict\n\xff,holds\n")
    with pytest.raises(grid.RequestError, match=r"claims\.csv cannot be read"):
        view.facts(store)
    assert build.told(store).startswith("no page: claims.csv cannot be read")


def test_a_remark_on_a_claim_is_a_sentence_of_its_own(store: Store) -> None:
    (store.folder / "claims.csv").write_text(
        "claim,model,verdict,why,remark\nall,mlp,not measured yet,no run of `mnist`,It never learns.\n"
    )
    assert [row["why"] for row in view.facts(store)["claims"]] == ["no run of mnist. It never learns."]


# ---- pictures


def pictured(folder: Path, name: str, frames: int = 1) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [Image.new("RGB", (40, 30), (90 * i, 0, 200)) for i in range(frames)]
    images[0].save(path, save_all=frames > 1, append_images=images[1:], duration=50) if frames > 1 else images[0].save(path)


def webp(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/webp;base64,"))))


def test_pictures_are_inside_and_animations_have_a_still(store: Store) -> None:
    folder = store.folder / "figures"
    for name in ("gaussian/vit-attention.png", "rank.png", 'a b/x#1?%"<.png', ".part.png"):
        pictured(folder, name)
    pictured(folder, "gaussian/mlp-plane.webp", frames=3)
    (folder / "gaussian" / "notes.txt").write_text("")
    (folder / "gaussian" / "torn.png").write_bytes(b"\x89PNG")
    found = [(p.group, p.name, bool(p.source)) for p in pictures.found(store.folder)]
    assert found == [
        *[("", "rank", True), ("a b", 'x#1?%"<', True)],
        *[("gaussian", "mlp: plane", True), ("gaussian", "torn", False), ("gaussian", "vit: attention", True)],
    ]
    tree = page(store)
    (source,) = tree.xpath("//picture/source")
    assert source.get("media") == "(prefers-reduced-motion: reduce), print"
    still, moving = webp(source.get("srcset")), webp(tree.xpath('//img[@alt="mlp: plane on gaussian"]/@src')[0])
    assert (still.n_frames, moving.n_frames) == (1, 3)
    assert still.convert("RGB").getpixel((5, 5))[0] == pytest.approx(180, abs=8)  # the last frame: what was learned
    assert all(image.get("alt") for image in tree.xpath("//img"))
    assert tree.xpath('//a[@href="figures/gaussian/torn.png"]')


def test_samples_of_a_data_set_stand_on_its_card_with_what_its_file_says(store: Store) -> None:
    store.put_run(run("linear", 0, 0.5, dataset="xor"))
    for name in ("gaussian", "xor"):
        pictured(store.folder / "figures", f"{name}/sample.png")
    tree = page(store)
    for name, told in (("gaussian", "Points in the plane"), ("xor", "Described with gaussian.")):
        (card,) = tree.xpath(f'//article[@id="set-{name}"]')
        assert card.xpath(".//img/@alt") == [f"sample on {name}"]
        assert told in said(card)
    assert not tree.xpath('//section[@id="pictures"]//img')


def test_pictures_for_which_there_is_no_room_lie_beside(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("figures/one.png", "figures/two.png"):
        pictured(store.folder, name)
    monkeypatch.setattr(pictures, "ROOM", len(pictures.found(store.folder)[0].source) + 10)
    assert [bool(one.source) for one in pictures.found(store.folder)] == [True, False]
    assert "two, beside this page" in said(page(store).xpath('//section[@id="pictures"]')[0])


@pytest.mark.slow
def test_the_reference_page_is_small() -> None:
    text = build.html(view.facts(Store(ROOT / "results" / "reference")))
    assert len(text.encode()) < 5_000_000
    assert len(re.sub(r'"data:image/webp[^"]*"', '""', text).encode()) < 1_500_000


# ---- for everybody


def test_it_can_be_read_by_ear_and_by_keyboard(store: Store) -> None:
    pictured(store.folder / "figures", "rank.png")
    tree = page(store)
    assert tree.get("lang") == "en"
    assert [len(tree.xpath(f"//{tag}")) for tag in ("header", "nav", "main", "footer", "h1")] == [1] * 5
    levels = [int(element.tag[1]) for element in tree.iter() if re.fullmatch(r"h\d", str(element.tag))]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = tree.xpath("//@id")
    assert len(ids) == len(set(ids))
    assert not {address[1:] for address in tree.xpath("//@href") if address.startswith("#")} - set(ids)
    for control in tree.xpath("//input | //select"):
        assert said(control.getparent()), "a control stands in a label with words"
        assert control.getparent().tag == "label"
    assert all(said(button) for button in tree.xpath("//button"))
    assert all(drawing.get("aria-label") or drawing.get("aria-hidden") == "true" for drawing in tree.iter("svg"))
    assert all(head.get("scope") for head in tree.iter("th"))
    assert all(box.get("tabindex") == "0" and box.get("aria-label") for box in tree.xpath('//*[starts-with(@class, "scroll")]'))
    assert all(section.get("aria-labelledby") in ids for section in tree.iter("section"))
    landmarks = [node.get("aria-label") for node in tree.xpath('//*[@role="region" or self::nav][@aria-label]')]
    landmarks += [tree.get_element_by_id(section.get("aria-labelledby")).text_content().strip() for section in tree.iter("section")]
    assert len({*landmarks}) == len(landmarks), landmarks  # or nobody who hears them can tell one from the other


def test_words_are_defined_where_they_stand(store: Store) -> None:
    scores = {which: {"loss": 0.5, "r2": 0.6} for which in ("best", "last")}
    store.put_run(run("cnn", 0, 0.5, dataset="plane", metric=R2.facts, test=scores))
    tree = page(store)
    linked = {word.text: word.get("title") for word in tree.xpath('//a[@class="word"]')}
    assert {"cell", "budget", "val", "seed", "verdict"} <= linked.keys()
    assert all(linked.values())
    assert all(tree.get_element_by_id(word.get("href")[1:]).tag == "dt" for word in tree.xpath('//a[@class="word"]'))
    assert tree.xpath('//article[@id="set-plane"]//a[@class="word"]/text()') == ["val", "R²", "budget", "Bounds"]
    assert "Holm" in said(tree.xpath('//section[@id="words"]')[0])
