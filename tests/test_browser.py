"""The page in a real browser, from the disk, with the network off. Skipped where no browser or no driver is installed."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.page import build
from tests.test_page import HOSTILE, filled, pictured
from tests.test_report import run, value_of

driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[test]'")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if BROWSER is None:
    pytest.skip("no browser: apt install chromium", allow_module_level=True)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small store of two data sets, with a ledger, pictures and 130 cells that were skipped."""
    store = filled(tmp_path_factory.mktemp("page"))
    for seed in range(3):
        for place, family in ((2, "mlp"), (3, "convolution")):
            value, name = value_of(place, seed), "cnn" if family == "convolution" else "mlp"
            store.put_run(run(name, seed, value, dataset="xor", family=family, metric=ACCURACY, test=scored(value)))
    for i in range(130):
        store.put_cell(run(f"model_{i}", 0, 0.0, dataset="xor", status="skipped", reason=f"needs {i} pixels"))
    (store.folder / "claims.csv").write_text(f"claim,model,verdict,published,measured,why\nparameters,mlp,holds,105,105,{HOSTILE[:30]}\n")
    pictured(store.folder / "figures", "xor/mlp-plane.webp", frames=3)
    return build.write(store)


ACCURACY = {"name": "accuracy", "better": "higher", "percent": True}


def scored(value: float) -> dict[str, Any]:
    return {which: {"loss": value, "accuracy": value} for which in ("best", "last")}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield browser
        browser.close()


class Visit:
    """One reader with one page open; what went wrong and what was asked of the network is kept."""

    def __init__(self, browser: Any, file: Path, **context: Any) -> None:
        self.file = file
        self.context = browser.new_context(offline=True, **({"viewport": {"width": 1280, "height": 850}} | context))
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self.requested)

    def open(self, view: str = "") -> None:
        """Load the page afresh, with this view in its address."""
        self.page.goto("about:blank")
        self.page.goto(self.file.as_uri() + view)

    def requested(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "about:", "blob:")):
            self.complaints.append(f"asked for {request.url}")

    def until(self, condition: str) -> None:
        """Wait for it. Playwright's own waiting evaluates in the page, which the page's policy forbids."""
        end = time.monotonic() + 60
        while not self.page.evaluate(condition):
            assert time.monotonic() < end, condition
            time.sleep(0.05)

    def column(self, name: str) -> list[str]:
        """What stands in a column of the rows that one sees."""
        return self.page.evaluate(  # type: ignore[no-any-return]
            """name => {
              const at = heads.findIndex((head) => head.dataset.name.split(" ")[0] === name);
              const seen = [...table.tBodies[0].rows].filter((row) => row.offsetParent !== null);
              return seen.map((row) => (row.cells.length === heads.length || at < 4 ? row.cells[at].textContent.trim() : ""));
            }""",
            name,
        )

    def head(self, name: str) -> Any:
        return self.page.locator(f"#table th[data-name^={name}] button")

    def sorting(self, name: str) -> str | None:
        return self.page.locator(f"#table th[data-name^={name}]").get_attribute("aria-sort")  # type: ignore[no-any-return]

    def choose(self, name: str, value: str) -> None:
        self.page.select_option(f"[name={name}]", value)


@pytest.fixture(scope="module")
def opened(browser: Any, page_file: Path) -> Visit:
    visit = Visit(browser, page_file)
    visit.open()
    return visit


@pytest.fixture
def visit(opened: Visit) -> Iterator[Visit]:
    """The page as it opens, loaded afresh."""
    opened.page.set_viewport_size({"width": 1280, "height": 850})
    opened.page.emulate_media(color_scheme="light", media="screen", reduced_motion="no-preference")
    opened.open()
    yield opened
    assert opened.complaints == []


def test_skipped_cells_are_seen_when_asked_for(visit: Visit) -> None:
    assert len(visit.column("model")) == 8
    assert visit.page.inner_text("#count") == "8 of 138 cells"
    visit.page.check("#skipped")
    assert len(visit.column("model")) == 138
    assert "skipped=on" in visit.page.url


def test_without_javascript_everything_is_there(browser: Any, page_file: Path) -> None:
    visit = Visit(browser, page_file, java_script_enabled=False)
    visit.open()
    assert visit.page.locator("#table tbody tr:visible").count() == 8
    visit.page.check("#skipped")  # a style sheet's work
    assert visit.page.locator("#table tbody tr:visible").count() == 138
    assert visit.page.locator("form:visible, button:visible").count() == 0  # nothing that would do nothing
    assert visit.page.locator("article svg:visible").count() > 20
    assert visit.complaints == []


def test_a_click_on_a_header_sorts(visit: Visit) -> None:
    visit.choose("dataset", "gaussian")
    name = "latency_cpu_b1"
    visit.head(name).click()
    assert [cell.split("†")[0] for cell in visit.column(f"{name}_p50_ms")] == ["2 [2, 2]", "8 [8, 8]", "", "", "", ""]
    assert visit.sorting(name) == "ascending"
    visit.head(name).click()
    assert [cell.split("†")[0] for cell in visit.column(f"{name}_p50_ms")] == [
        "8 [8, 8]",
        "2 [2, 2]",
        "",
        "",
        "",
        "",
    ]  # empty ones stay last
    assert visit.sorting(name) == "descending"
    visit.head(name).click()
    assert visit.sorting(name) == "none"


def test_quality_puts_the_best_first_whatever_the_metric(visit: Visit) -> None:
    visit.head("value").click()
    found = list(zip(visit.column("dataset"), visit.column("model"), strict=True))
    assert [model for dataset, model in found if dataset == "gaussian"][:2] == ["backbone_attention", "backbone_conv"]  # an error: lowest
    assert [model for dataset, model in found if dataset == "xor"][:2] == ["cnn", "mlp"]  # an accuracy: highest


def test_filters_are_chips_and_an_empty_result_says_so(visit: Visit) -> None:
    visit.choose("dataset", "xor")
    visit.choose("family", "mlp")
    assert visit.column("model") == ["mlp"]
    assert visit.page.locator("#chips button").all_inner_texts() == ["Data set: xor ×", "Family: mlp ×"]
    visit.page.locator("#chips button").first.click()
    assert visit.page.input_value("[name=dataset]") == ""
    visit.page.check("#skipped")
    visit.page.fill("[name=q]", "NEEDS 77 pixels")
    assert visit.column("model") == []
    assert visit.page.is_visible("#none")
    visit.page.click("#clear")
    visit.page.fill("[name=q]", "NEEDS 77 pixels")
    assert visit.column("model") == ["model_77"]


def test_the_link_restores_the_view(visit: Visit) -> None:
    visit.choose("dataset", "gaussian")
    visit.page.fill("[name=q]", "backbone")
    visit.head("params").click()
    visit.head("params").click()
    before = {name: visit.column(name) for name in ("model", "params_active")}
    assert before["model"] == ["backbone_attention", "backbone_conv", "backbone_mlp", "backbone_none"]
    visit.open("#" + visit.page.url.split("#")[1])
    assert {name: visit.column(name) for name in before} == before
    assert visit.sorting("params") == "descending"
    assert [visit.page.input_value(f"[name={name}]") for name in ("dataset", "q")] == ["gaussian", "backbone"]


def test_a_link_with_nonsense_shows_the_whole(visit: Visit) -> None:
    visit.open("#dataset=nowhere&family=%3Cimg%3E&sort=__proto__&skipped=&submit=1&elements=2&what=1")
    assert len(visit.column("model")) == 8
    assert visit.sorting("model") == "none"


def test_a_click_on_a_data_set_shows_it(visit: Visit) -> None:
    visit.page.locator("#table tbody a", has_text="xor").first.click()
    card = visit.page.locator("#set-xor")
    top = card.bounding_box()["y"]
    assert 0 <= top < 850, "its card is in sight"
    assert card.locator("h3").evaluate("node => getComputedStyle(node).backgroundColor") != "rgba(0, 0, 0, 0)"
    card.locator("[data-filter]").click()
    assert visit.column("model") == ["cnn", "mlp"]


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_what_is_seen_can_be_saved(visit: Visit, tmp_path: Path, kind: str) -> None:
    visit.choose("dataset", "gaussian")
    with visit.page.expect_download() as waiting:
        visit.page.click(f"[data-save={kind}]")
    waiting.value.save_as(tmp_path / "saved")
    text = (tmp_path / "saved").read_text(encoding="utf-8")
    lines = list(csv.DictReader(text.splitlines())) if kind == "csv" else json.loads(text)
    assert [line["model"] for line in lines] == visit.column("model")
    linear = next(line for line in lines if line["model"] == "linear")
    assert float(linear["value"]) == pytest.approx(sum(value_of(4, seed) for seed in range(5)) / 5, rel=1e-5)
    assert float(linear["low"]) < float(linear["value"]) < float(linear["high"])
    assert float(linear["latency_cpu_b64_p50_ms"]) == 32
    assert "test_mse" not in linear  # hidden columns are no part of the view
    vit = next(line for line in lines if line["model"] == "vit")
    assert vit["value"] == ("" if kind == "csv" else None)
    assert "document.title" in vit["reason"]


def test_hostile_text_stays_text(visit: Visit) -> None:
    visit.page.fill("[name=q]", "onerror")
    assert visit.column("model") == ["vit"]
    assert visit.page.locator("#table img").count() == 0
    assert visit.page.title().startswith("attention-bench")


def test_points_are_reached_by_mouse_and_by_keyboard(visit: Visit) -> None:
    drawing = visit.page.locator("#set-gaussian figure svg").nth(1)
    drawing.scroll_into_view_if_needed()
    drawing.focus()
    visit.page.keyboard.press("ArrowRight")
    assert re.match(r"backbone_attention: 0\.\d+ ± .*parameters that learn: 90", visit.page.inner_text("#tip"))
    visit.page.keyboard.press("ArrowRight")
    assert visit.page.inner_text("#tip").startswith("backbone_conv")
    lit = visit.page.locator("#set-gaussian .lit")
    assert set(lit.evaluate_all("nodes => nodes.map((node) => node.dataset.m)")) == {"backbone_conv"}  # in every drawing of the set
    assert lit.count() >= 3
    visit.page.keyboard.press("Escape")
    assert visit.page.is_hidden("#tip")
    box = visit.page.locator("#set-gaussian figure svg").first.locator(".m", has_text="linear").locator("circle").last.bounding_box()
    assert box is not None
    visit.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)  # dots of several seeds may lie on each other
    assert visit.page.inner_text("#tip").startswith("linear: 0.")


def test_it_works_by_keyboard(visit: Visit) -> None:
    visit.page.locator("#table").focus()
    for _ in range(3):  # from the region that scrolls to the third header
        visit.page.keyboard.press("Tab")
    assert visit.page.evaluate("document.activeElement.closest('th').dataset.name") == "dataset"
    for _ in range(2):
        visit.page.keyboard.press("Enter")
    assert visit.sorting("dataset") == "descending"
    assert visit.column("dataset")[0] == "xor"
    visit.open()
    visit.page.keyboard.press("Tab")
    visit.page.keyboard.press("Enter")
    assert visit.page.evaluate("document.activeElement.id") == "answer"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark"), (320, "light")])
def test_it_fits_the_screen(visit: Visit, tmp_path: Path, width: int, scheme: str) -> None:
    visit.page.set_viewport_size({"width": width, "height": 850})
    visit.page.emulate_media(color_scheme=scheme)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width  # the table scrolls, the page does not
    left = visit.page.evaluate("""() => {
      $("#table").scrollLeft = 300;
      return [$("#table"), $("tbody th", table)].map((node) => node.getBoundingClientRect().x);
    }""")
    assert left[1] - left[0] == pytest.approx(1, abs=1)  # the model stays in sight
    ink, paper = visit.page.evaluate("(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))")
    assert (brightness(ink) > brightness(paper)) == (scheme == "dark")
    visit.page.screenshot(path=os.environ.get("PAGE_SHOTS", str(tmp_path)) + f"/{width}-{scheme}.png", full_page=True)


def test_on_paper_nothing_is_cropped(visit: Visit) -> None:
    visit.page.set_viewport_size({"width": 1046, "height": 718})  # A4 across, less its margins, at 96 dots an inch
    visit.page.emulate_media(media="print")
    cropped = """[...document.querySelectorAll("main *")].filter((node) => {
      const box = node.getBoundingClientRect();
      return node.offsetParent !== null && !node.closest(".hidden, svg") && (box.right > innerWidth + 1 || box.left < -1);
    }).map((node) => node.outerHTML.slice(0, 80))"""
    assert visit.page.evaluate(cropped) == []
    assert visit.page.evaluate("[...document.querySelectorAll('.scroll')].every((box) => box.scrollHeight <= box.clientHeight + 1)")
    assert visit.page.is_hidden("#filters")


def test_what_lies_off_the_screen_makes_no_row_higher(visit: Visit) -> None:
    high = "[...document.querySelectorAll('#table tbody tr')].filter((row) => row.offsetParent).map((row) => row.offsetHeight)"
    assert visit.page.evaluate(f"Math.min(...{high})") < 32  # one line, with days and commits beside each other


def test_on_paper_every_page_of_a_table_has_its_heads(visit: Visit) -> None:
    visit.page.emulate_media(media="print")
    assert visit.page.evaluate("[...document.querySelectorAll('thead button')].map((one) => getComputedStyle(one).display)") == [
        "contents" for _ in range(visit.page.locator("thead button").count())
    ]  # a box of its own is drawn on the first page only


def test_who_wants_no_motion_gets_a_still(visit: Visit) -> None:
    shown = "document.querySelector('picture img').currentSrc"
    visit.page.locator("picture img").scroll_into_view_if_needed()
    visit.until(f"{shown}.startsWith('data:image/webp')")
    moving = visit.page.evaluate(shown)
    visit.page.emulate_media(reduced_motion="reduce")
    visit.until(f"{shown} !== '' && {shown} !== '{moving}'")


def brightness(colour: str) -> int:
    return sum(map(int, re.findall(r"\d+", colour)[:3]))
