"""README.md, CONTRIBUTING.md and docs/: links lead somewhere, the real parsers take commands, what is quoted was computed."""

from __future__ import annotations

import argparse
import contextlib
import csv
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import main, parser
from bench.page import quoted
from bench.plan import grid, variants
from bench.plan.request import RequestError
from bench.run import options as training
from tests.conftest import ROOT, environment, session
from tests.test_architecture import ROOMS

DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", *DOCS]
ALL = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
PYTESTS = {"-k", "-m", "--benchmark-only"}  # options that are pytest's and its plugin's own, in our pages


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    """Without code and what is computed."""
    return re.sub(r"```.*?```|^    .*$|<!-- computed.*?<!-- end -->", "", text(page), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text(page), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", heading).lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ALL, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text(page), flags=re.DOTALL))
    for link in (link for link in links if "://" not in link):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{named(page)}: {link}"
        assert not anchor or anchor in anchors(target), f"{named(page)}: {link}; there are {', '.join(sorted(anchors(target)))}"


def test_the_readme_is_one_screen_that_leads_to_every_page() -> None:
    readme = text(ROOT / "README.md")
    assert len(readme.splitlines()) <= 60
    assert all(f"]({named(page)})" in readme for page in DOCS)
    assert max(len(text(page).splitlines()) for page in DOCS) <= 160, "more than a few minutes: which part can stand alone?"


def test_nothing_is_said_twice() -> None:
    said: dict[str, str] = {}
    for page in PAGES:
        for sentence in re.split(r"(?<=[.:;|])\s+", " ".join(prose(page).split())):
            if len(sentence) > 50 and "](" not in sentence:
                assert said.setdefault(sentence, named(page)) == named(page), sentence


def commands(page: Path) -> list[list[str]]:
    """Every command of a page as a shell splits it, those in running text too."""
    whole = re.sub(r" \\\n +", " ", text(page))
    lines = re.findall(r"^    ((?:make|pytest|python -m bench) .*)$", whole, re.MULTILINE)
    outside = re.sub(r"```.*?```|^    .*$", "", whole, flags=re.DOTALL | re.MULTILINE)
    lines += re.findall(r"`((?:make [a-z]+ ARGS|pytest bench|python -m bench [a-z]+ )[^`]*)`", outside)
    return [shlex.split(line, comments=True) for line in lines]


def trains(arguments: list[str]) -> argparse.Namespace:
    """The options of `pytest bench`, by the table that its conftest registers them from; SystemExit, as pytest, for others."""
    own = argparse.ArgumentParser(allow_abbrev=False)
    training.add(own)
    own.add_argument("what")
    own.add_argument("--benchmark-only", action="store_true")
    own.add_argument("-k")
    own.add_argument("-m")
    return own.parse_args(arguments)


def parsed(command: list[str]) -> argparse.Namespace | None:
    """What a command asks for; None where pytest alone reads it. SystemExit for an option that there is not."""
    if command[0] == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert command[1] in targets, command
        arguments = shlex.split(command[2].removeprefix("ARGS=")) if command[2:] and command[2].startswith("ARGS=") else []
        command = {"bench": ["pytest", "bench"], "figures": ["python", "-m", "bench", "figures"]}.get(
            command[1], ["pytest", "tests"]
        ) + arguments
    if command[0] == "python":
        return parser().parse_args(command[3:])
    assert {option for option in command if option.startswith("-")} <= PYTESTS | set(training.OPTIONS), command
    if not command[1].startswith("bench"):
        assert all((ROOT / part).exists() for part in command[1:2] if not part.startswith("-")), command
        return None
    assert (ROOT / command[1]).exists(), command
    return trains(command[1:])


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=named)
def test_commands_are_taken_by_the_real_parsers(page: Path) -> None:
    found = commands(page)
    assert found or page.name in ("data.md", "architecture.md")
    for command in found:
        try:
            parsed(command)
        except SystemExit:
            pytest.fail(f"{named(page)}: {shlex.join(command)}: no such option")


def test_an_option_that_there_is_not_is_found() -> None:
    for command in ("python -m bench list --modles vit", "pytest bench --benchmark-only --buget smoke", "make bench ARGS='--buget smoke'"):
        with pytest.raises((SystemExit, AssertionError)):
            parsed(shlex.split(command))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_models_and_data_sets_of_commands_exist(page: Path, tmp_path: Path) -> None:
    if page.name == "tutorial.md":
        grid.plugin(str(tutorial(tmp_path)))
    for options in filter(None, map(parsed, commands(page))):
        if getattr(options, "command", "") in ("gate", "compare", "figures"):  # whose names are of other trees or of a store
            continue
        models, sets = getattr(options, "models", None), getattr(options, "datasets", None)
        changes = variants.recipe(getattr(options, "set", []), getattr(options, "samples", None))
        if models or sets:
            assert grid.cells(models or "linear", sets or "iris", getattr(options, "budget", None) or "default", None, changes=changes)


LISTING = {shlex.join(line[3:]) for page in PAGES for line in commands(page) if line[3:4] in (["list"], ["machine"])}


@pytest.mark.parametrize("line", sorted(LISTING))
def test_what_lists_runs(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(line)) == 0
    assert capsys.readouterr().out.strip()


def tutorial(folder: Path) -> Path:
    """The plugin file that the tutorial makes, and the CSV beside it."""
    table, *blocks = re.findall(r"```python\n(.*?)```", text(ROOT / "docs" / "tutorial.md"), re.DOTALL)
    with contextlib.chdir(folder):
        exec(table, {})
    (folder / "mine.py").write_text("\n".join(blocks))
    return folder / "mine.py"


@pytest.mark.slow  # five processes, each a minute on a busy machine; quick siblings: the tests of its commands above
def test_the_tutorial_as_printed(tmp_path: Path) -> None:
    tutorial(tmp_path)
    first, *rest = [line for line in commands(ROOT / "docs" / "tutorial.md") if "results/first" in shlex.join(line)]
    assert first[:2] == ["make", "bench"]  # of which a cell will do here: clocks take minutes
    done = session(tmp_path / "results/first", "--models", "mlp", "--datasets", "xor", what="bench/test_training.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line[3] for line in rest] == ["run", "run", "compare", "figures"]
    for line in rest:
        done = subprocess.run(
            [sys.executable, *line[1:]], cwd=tmp_path, env=environment(ROOT), capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, f"{shlex.join(line)}\n{done.stdout}{done.stderr}"
    for name in ("README.md", "comparison.md", "columns.md", "index.html", "figures/xor/mlp-plane.png"):
        assert (tmp_path / "results/first" / name).is_file(), name


def test_the_table_of_commands_has_every_option() -> None:
    (commands_,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    section = text(ROOT / "docs" / "commands.md").split("| command |")[1].split("\n\n")[0]
    table = dict(re.findall(r"^\| `([a-z]+)` \| .* \|(?: (.*?))? \|$", section, re.MULTILINE))
    assert {name: set(re.findall(r"--[a-z-]+", said)) for name, said in table.items()} == {
        name: {option for action in one._actions for option in action.option_strings} - {"-h", "--help"}
        for name, one in commands_.choices.items()
    }


def test_places_of_the_architecture_are_there() -> None:
    lines = re.findall(r"^\| `(bench/(\w+)/)` \| (.*) \|$", text(ROOT / "docs" / "architecture.md"), re.MULTILINE)
    assert {room for _, room, _ in lines} == set(ROOMS)
    for folder, room, said in lines:
        for name in re.findall(r"`(\w+)`(?=[:,])", said):
            assert (ROOT / folder / f"{name}.py").is_file(), f"{room}: {name}"


@pytest.fixture(scope="module")
def results() -> quoted.Results:
    return quoted.Results(ROOT / "results")


@pytest.mark.parametrize("page", quoted.pages(ROOT), ids=named)
def test_pages_quote_what_the_records_say(page: Path, results: quoted.Results) -> None:
    assert text(page) == quoted.filled(text(page), results, page.name), "python -m bench reference writes it anew"


def test_scores_quoted_are_those_of_the_table() -> None:
    with open(ROOT / "results" / "reference" / "comparison.csv", newline="", encoding="utf-8") as file:
        known = {(row["model"], row["dataset"], row["budget"]): float(row["value"] or "nan") for row in csv.DictReader(file)}
    found = 0
    for table in re.findall(r"<!-- computed: beside .*?<!-- end -->", text(ROOT / "docs" / "questions.md"), re.DOTALL):
        a, b = re.findall(r"`(\w+)`", table.split("\n\n")[1].splitlines()[0])
        for dataset, budget, *scores in re.findall(
            r"^\| \[(\w+)\]\S* +\| (\w+) +\| [^|]+\| ([^|]*?) +\| ([^|]*?) +\|", table, re.MULTILINE
        ):
            for model, score in zip((a, b), scores, strict=True):
                scale = 100 if "%" in score else 1
                assert float(score.split()[0]) == pytest.approx(scale * known[model, dataset, budget], rel=1e-3), (model, dataset)
                found += 1
    assert found >= 10


def test_nothing_run_nothing_quoted(tmp_path: Path) -> None:
    nothing = quoted.Results(tmp_path)
    asked = {"beside": ("vit", "cnn"), "cost": ("vit", "cnn", "cifar10"), "tuned": ("digits",)}
    for name, function in quoted.QUOTES.items():
        assert re.search(r"[Nn]ot |Nothing|No |None", function(nothing, *asked.get(name, ()))), name


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("<!-- computed: bseide vit cnn -->\n<!-- end -->", "page.md: nothing computes 'bseide vit cnn'; .* has answer, checked, beside"),
        ("<!-- computed: beside vit -->\n<!-- end -->", "page.md: nothing computes 'beside vit'"),
        ("<!-- computed: clock -->\nwords", "page.md: a mark <!-- computed: … --> has no <!-- end -->"),
    ],
)
def test_marks_that_cannot_be_filled(page: str, message: str, results: quoted.Results) -> None:
    with pytest.raises(RequestError, match=message):
        quoted.filled(page, results, "page.md")


def test_a_figure_changed_by_hand_is_written_anew(results: quoted.Results) -> None:
    page = ROOT / "docs" / "questions.md"
    assert quoted.filled(text(page).replace("computes 0", "computes 7"), results, page.name) == text(page) != text(page).replace("0", "7")
