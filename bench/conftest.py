"""pytest's side of the suite: options, parametrisation, hooks. Decisions are made in session.py, cells.py and report.py."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from tqdm import tqdm

from bench.core import terminal
from bench.measure import latency
from bench.page import build as page
from bench.page.growing import Growing
from bench.plan import expected
from bench.plan.grid import RequestError
from bench.report import report
from bench.run.driver import Driver
from bench.run.engines import warm
from bench.run.interrupt import Interrupts
from bench.run.latencies import Latencies, passed_over
from bench.run.options import OPTIONS
from bench.run.progress import Progress
from bench.run.session import Session, asked
from bench.store.records import StoreError

SESSION = pytest.StashKey[Session]()
PROGRESS = pytest.StashKey[Progress]()
INTERRUPTS = pytest.StashKey[Interrupts]()
DRIVER = pytest.StashKey[Driver]()
LATENCIES = pytest.StashKey[Latencies]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("attention-bench")
    for name, facts in OPTIONS.items():
        group.addoption(name, **facts)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "harness: benchmarks of the harness itself (run with -m harness)")
    config.addinivalue_line("markers", "peers: our models beside those of others (run with -m peers)")
    try:
        session = asked(config.getoption)
        if not config.option.collectonly:
            session.store.writable()
            if not (session.store.folder / "runs").is_dir():  # whatever is asked for has to be trained
                warm()
    except (RequestError, StoreError) as error:
        pytest.exit(f"attention-bench: {error}", returncode=2)
    config.stash[SESSION] = session


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    session = metafunc.config.stash[SESSION]
    if "cell" in metafunc.fixturenames:
        metafunc.parametrize("cell", session.cells, ids=lambda cell: cell.id)
    if "timing" in metafunc.fixturenames:
        metafunc.parametrize("timing", session.timings, ids=lambda timing: timing.id)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Training comes before latency; the harness's own benchmarks and those of peers run only when asked for."""
    items.sort(key=lambda item: "timing" in getattr(item, "fixturenames", ()))
    if config.option.markexpr or any(name in arg for arg in config.args for name in ("test_harness", "test_peers")):
        return
    own = [item for item in items if item.get_closest_marker("harness") or item.get_closest_marker("peers")]
    config.hook.pytest_deselected(items=own)
    items[:] = [item for item in items if item not in own]


def selected(session: pytest.Session, kind: str) -> list[Any]:
    """The cells or timings of the tests that will run."""
    return [item.callspec.params[kind] for item in session.items if kind in getattr(item, "fixturenames", ())]  # type: ignore[attr-defined]


def pytest_collection_finish(session: pytest.Session) -> None:
    config = session.config
    if config.option.collectonly or not session.items:
        return
    suite, cells = config.stash[SESSION], selected(session, "cell")
    terminal: Any = config.pluginmanager.getplugin("terminalreporter")
    if config.option.verbose <= 0:
        terminal.showfspath = False  # the progress bar says where we are
    for warning in suite.warnings:
        terminal.write_line(f"attention-bench: {warning}")
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    timings = [one for one in selected(session, "timing") if not passed_over(one)]
    latencies = config.stash[LATENCIES] = Latencies(suite.budget, timings, suite.blank.plugins)
    total = latencies.weight + sum(map(expected.seconds, cells))
    interrupts = config.stash[INTERRUPTS] = Interrupts()

    @contextlib.contextmanager
    def uncaptured() -> Iterator[None]:
        with interrupts.hold(True), capture.global_and_fixture_disabled():
            yield

    bar = config.stash[PROGRESS] = Progress(total, uncaptured)
    config.stash[DRIVER] = driver = suite.driver(cells, bar.part)
    driver.grown = Growing(suite.store, bar.line)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Any:
    interrupts = session.config.stash.get(INTERRUPTS, None)
    with interrupts.hold(True) if interrupts else contextlib.nullcontext():
        return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Any:
    with pyfuncitem.config.stash[INTERRUPTS].hold(False):
        return (yield)


@pytest.fixture
def suite(request: pytest.FixtureRequest) -> Session:
    """The request this session serves."""
    return request.config.stash[SESSION]


@pytest.fixture
def progress(request: pytest.FixtureRequest) -> Progress:
    bar = request.config.stash[PROGRESS]
    bar.show(request.node.callspec.id)
    return bar


@pytest.fixture
def driver(request: pytest.FixtureRequest) -> Driver:
    return request.config.stash[DRIVER]


@pytest.fixture
def latencies(request: pytest.FixtureRequest) -> Latencies:
    return request.config.stash[LATENCIES]


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport, config: pytest.Config) -> tuple[str, str, str] | None:
    """Say 'from store' for cells that had nothing to do; leave the screen to the progress bar unless -v is given."""
    if report.when == "call" and report.passed:
        word = "FROM STORE" if dict(report.user_properties).get("from store") else "PASSED"
        return "passed", "", word if config.option.verbose > 0 else ""
    if report.skipped and config.option.verbose <= 0:
        return "skipped", "", ""
    return None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int | pytest.ExitCode) -> Any:
    """Write tables and plots from whatever is in the store now, an interrupted session's too."""
    config = session.config
    if exitstatus == pytest.ExitCode.INTERRUPTED:
        session.exitstatus = 130
    bar = config.stash.get(PROGRESS, None)
    if bar is not None:
        config.stash[DRIVER].close()
        bar.close()
        if selected(session, "cell") or selected(session, "timing"):
            try:
                with config.stash[INTERRUPTS].hold(False):
                    write_report(session)
            except KeyboardInterrupt:
                session.exitstatus = 130
    return (yield)


def count_kernels(session: Session) -> None:
    """Of what was timed on a GPU, now that no clock runs any more: a profiler stays in the process."""
    for timing, record in tqdm(session.on_gpu, "kernels", file=sys.stderr, disable=not session.on_gpu, mininterval=1):
        session.store.put_latency(latency.with_kernels(timing, record))


def write_report(session: pytest.Session) -> None:
    store = session.config.stash[SESSION].store
    try:
        if session.exitstatus != 130:
            count_kernels(session.config.stash[SESSION])
        made = [f"report: {report.write(store, say=lambda text: print(text, file=sys.stderr))}", page.told(store)]
    except StoreError as error:
        print(f"attention-bench: {error}", file=sys.stderr)
        session.exitstatus = 1
        return
    session.config.stash[MADE] = made


MADE = pytest.StashKey[list[str]]()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for bench in config._benchmarksession.benchmarks:  # type: ignore[attr-defined]
        for title, ratio in bench.extra_info.items():
            if isinstance(ratio, dict) and "aim" in ratio:
                low, high = ratio["quartiles"]
                terminalreporter.write_line(
                    f"{title}: {ratio['median']:.3f}, quartiles {low:.3f} to {high:.3f} (aim: at most {ratio['aim']:g})"
                )


def pytest_unconfigure(config: pytest.Config) -> None:
    """Last of all, where to look."""
    terminal.speak()
    for line in config.stash.get(MADE, []):
        print(line)


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """pytest-benchmark's JSON names the host; ours does not."""
    machine_info.pop("node", None)


def pytest_benchmark_update_commit_info(commit_info: dict[str, Any]) -> None:
    commit_info.pop("project", None)
