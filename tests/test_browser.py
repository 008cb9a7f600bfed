"""The page in a real browser, from the disk, with the network off. Skipped where no browser or no driver is installed."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.page import build
from tests.test_page import HOSTILE, filled
from tests.test_report import run, value_of

driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[test]'")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if BROWSER is None:
    pytest.skip("no browser: apt install chromium", allow_module_level=True)
DRAWN = "#plot-curves .main-svg .scatterlayer .trace"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small store of two data sets, with a ledger, pictures and 130 more rows, more than are drawn at once."""
    store = filled(tmp_path_factory.mktemp("page"))
    for seed in range(3):
        store.put_run(run("mlp", seed, value_of(2, seed), dataset="xor", family="mlp", metric=ACCURACY, test=scored(value_of(2, seed))))
        store.put_run(
            run("cnn", seed, value_of(3, seed), dataset="xor", family="convolution", metric=ACCURACY, test=scored(value_of(3, seed)))
        )
    for i in range(130):
        store.put_cell(run(f"model_{i}", 0, 0.0, dataset="xor", status="skipped", reason=f"needs {i} pixels"))
    (store.folder / "claims.csv").write_text(f"claim,model,verdict,published,measured,why\nparameters,mlp,holds,105,105,{HOSTILE[:30]}\n")
    (store.folder / "figures" / "xor").mkdir(parents=True)
    (store.folder / "figures" / "xor" / "mlp-plane.png").write_bytes(PIXEL)
    return build.write(store)


ACCURACY = {"name": "accuracy", "better": "higher", "percent": True}
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63f8cfc0f01f0005000"
    "1ff56c7c2b40000000049454e44ae426082"
)


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

    def __init__(self, browser: Any, file: Path) -> None:
        self.file = file
        self.context = browser.new_context(offline=True, viewport={"width": 1280, "height": 850})
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)  # a page of 5 MB on a busy machine
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self.requested)

    def open(self, view: str = "") -> None:
        """Load the page afresh, with this view in its address."""
        self.page.goto("about:blank")
        self.page.goto(self.file.as_uri() + view)
        self.page.wait_for_selector(DRAWN, state="attached")

    def requested(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "about:")):
            self.complaints.append(f"asked for {request.url}")

    def until(self, condition: str) -> None:
        """Wait for it. Playwright's own waiting evaluates in the page, which the page's policy forbids."""
        end = time.monotonic() + 60
        while not self.page.evaluate(condition):
            assert time.monotonic() < end, condition
            time.sleep(0.05)

    def column(self, name: str) -> list[str]:
        """What stands in a column of the drawn rows."""
        return self.page.evaluate(  # type: ignore[no-any-return]
            """name => {
              const at = [...document.querySelectorAll("#table thead th")].findIndex((cell) => cell.dataset.column === name);
              return [...document.querySelectorAll("#table tbody tr")].map((row) => row.cells[at].textContent);
            }""",
            name,
        )

    def head(self, name: str) -> Any:
        return self.page.locator(f"#table th[data-column={name}] button")

    def sorting(self, name: str) -> str | None:
        return self.page.locator(f"#table th[data-column={name}]").get_attribute("aria-sort")  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def opened(browser: Any, page_file: Path) -> Visit:
    visit = Visit(browser, page_file)
    visit.open()
    return visit


@pytest.fixture
def visit(opened: Visit) -> Iterator[Visit]:
    """The page as it opens, with no more loading than is needed: its state is put back before each test."""
    opened.page.evaluate("() => { reset(); document.activeElement.blur(); scrollTo(0, 0); }")
    yield opened
    assert opened.complaints == []


def test_it_opens_without_network_or_complaint_and_draws(visit: Visit) -> None:
    assert visit.page.title().startswith("attention-bench")
    assert "small models trained from scratch" in visit.page.inner_text("#headline")
    assert visit.page.locator("#plot-pareto .main-svg .scatterlayer .trace").count() == 6  # five models and the front
    assert visit.page.locator("#table tbody tr").count() == 100  # of 138: more come by scrolling, or all at once
    visit.page.locator("#all").click()
    assert visit.page.locator("#table tbody tr").count() == 138


def test_a_click_on_a_header_sorts(visit: Visit) -> None:
    visit.page.select_option("#data", "gaussian")
    visit.head("cpu_b1").click()
    assert [cell.split("†")[0] for cell in visit.column("cpu_b1")] == ["2 [2, 2]", "8", "", "", "", ""]
    assert visit.sorting("cpu_b1") == "ascending"
    visit.head("cpu_b1").click()
    assert [cell.split("†")[0] for cell in visit.column("cpu_b1")] == ["8", "2 [2, 2]", "", "", "", ""]  # empty ones stay last
    assert visit.sorting("cpu_b1") == "descending"


def test_quality_puts_the_best_first_whatever_the_metric(visit: Visit) -> None:
    visit.head("quality").click()
    found = list(zip(visit.column("dataset"), visit.column("model"), strict=True))
    assert [model for dataset, model in found if dataset == "gaussian"][:2] == ["backbone_attention", "backbone_conv"]  # an error: lowest
    assert [model for dataset, model in found if dataset == "xor"][:2] == ["cnn", "mlp"]  # an accuracy: highest


def test_filters_and_search(visit: Visit) -> None:
    visit.page.select_option("#data", "xor")
    visit.page.select_option("#family", "mlp")
    assert visit.column("model") == ["mlp"]
    visit.page.click("#clear")
    visit.page.fill("#q", "NEEDS 77 pixels")
    assert visit.column("model") == ["model_77"]
    assert visit.page.inner_text("#count") == "1 of 138 rows"
    visit.page.fill("#q", "no such thing")
    assert visit.column("model") == []


def test_the_link_restores_the_view(visit: Visit) -> None:
    visit.page.select_option("#data", "gaussian")
    visit.page.fill("#q", "backbone & = #")
    visit.page.fill("#q", "backbone")
    visit.page.select_option("#x", "seconds")
    visit.page.select_option("#cost", "flops")
    visit.page.click("#theme")
    visit.head("params").click()
    visit.head("params").click()
    before = {name: visit.column(name) for name in ("model", "params")}
    visit.open("#" + visit.page.url.split("#")[1])
    assert {name: visit.column(name) for name in before} == before
    assert before["model"] == ["backbone_attention", "backbone_conv", "backbone_mlp", "backbone_none"]
    assert visit.sorting("params") == "descending"
    assert [visit.page.input_value(f"#{name}") for name in ("data", "q", "x", "cost", "plot")] == [
        *("gaussian", "backbone", "seconds", "flops", "gaussian")
    ]
    assert visit.page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_link_with_nonsense_shows_the_whole(visit: Visit) -> None:
    visit.page.evaluate("location.hash = 'q=linear'")
    driver.expect(visit.page.locator("#table tbody tr")).to_have_count(1, timeout=30_000)
    nonsense = "data=nowhere&sort=__proto__&dir=9&plot=%3Cimg%3E&group=x&row=99999&device=x&cost=toString&theme=%22&what=1"
    visit.page.evaluate("link => { location.hash = link; }", nonsense)
    driver.expect(visit.page.locator("#table tbody tr")).to_have_count(100, timeout=30_000)
    assert visit.page.input_value("#cost") == "params"


def test_hostile_text_stays_text(visit: Visit) -> None:
    visit.page.fill("#q", "onerror")
    assert visit.column("reason") == [HOSTILE]
    visit.page.select_option("#data", "gaussian")
    assert visit.page.locator("img").count() == 0
    assert visit.page.title().startswith("attention-bench")


def test_it_works_by_keyboard(visit: Visit) -> None:
    visit.page.locator("#cells").focus()
    for _ in range(2):  # from the region that scrolls to the first header and the next
        visit.page.keyboard.press("Tab")
    assert visit.page.evaluate("document.activeElement.closest('th').dataset.column") == "dataset"
    visit.page.keyboard.press("Enter")
    assert visit.sorting("dataset") == "ascending"
    visit.page.keyboard.press("Enter")
    assert visit.sorting("dataset") == "descending"
    assert visit.column("dataset")[0] == "xor"


def test_plots_answer_the_mouse_and_the_table(visit: Visit) -> None:
    visit.page.select_option("#data", "gaussian")
    visit.page.locator("#plot-pareto").scroll_into_view_if_needed()
    place = visit.page.locator("#plot-pareto .points path").first.bounding_box()
    visit.page.mouse.move(place["x"] - 40, place["y"])
    visit.page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2, steps=3)
    told = visit.page.locator("#plot-pareto .hoverlayer .hovertext")
    told.first.wait_for()
    assert re.search(r"test mse 0\.\d+ ± .*5 seeds.*parameters that learn: 90", told.first.text_content())
    visit.page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    visit.page.wait_for_selector("#table tr.marked")
    assert "row=" in visit.page.url
    visit.page.locator("#table tbody tr", has_text="linear").locator("button.link").focus()
    faded = "document.querySelector('#plot-pareto').data.filter((trace) => trace.opacity < 1).length"
    visit.until(f"{faded} === 5")  # the front and the four other models


def test_pictures_follow_the_data_set(visit: Visit) -> None:
    assert visit.page.locator("#figures img").count() == 0  # a closed group loads nothing
    visit.page.select_option("#data", "xor")
    assert visit.page.locator("#figures img").get_attribute("alt") == "mlp: plane on xor"
    visit.page.locator("#figures img").scroll_into_view_if_needed()
    visit.page.locator("#figures img").evaluate("image => image.decode()")  # the policy lets it in
    assert visit.page.inner_text("#claims tbody td >> nth=1") == "105"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_it_fits_the_screen(visit: Visit, tmp_path: Path, width: int, scheme: str) -> None:
    visit.page.set_viewport_size({"width": width, "height": 850})
    visit.page.emulate_media(color_scheme=scheme)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width  # the table scrolls, the page does not
    left = visit.page.evaluate("""() => {
      const box = document.querySelector("#cells");
      box.scrollLeft = 300;
      return [box, document.querySelector("#table tbody th")].map((node) => node.getBoundingClientRect().x);
    }""")
    assert left[1] - left[0] == pytest.approx(1, abs=1)  # the model stays in sight
    ink, paper = visit.page.evaluate("(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))")
    assert (brightness(ink) > brightness(paper)) == (scheme == "dark")
    visit.page.screenshot(path=os.environ.get("PAGE_SHOTS", str(tmp_path)) + f"/{width}-{scheme}.png", full_page=True)


def brightness(colour: str) -> int:
    return sum(map(int, re.findall(r"\d+", colour)[:3]))
