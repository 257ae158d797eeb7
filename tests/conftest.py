"""The last line of a run says what it left out, and why."""

import os
import signal
from collections import Counter
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.passed_before import PassedBefore

_deselected = pytest.StashKey[int]()
_skipped = pytest.StashKey[Counter[str]]()
_before = pytest.StashKey[PassedBefore]()
_chosen_flags = os.environ.get("ELSTM_CXXFLAGS")


def pytest_addoption(parser: pytest.Parser) -> None:
    # with a = each: what stands alone is taken for a folder of tests before this file is read, and it is not read then
    group = parser.getgroup("passed before")
    group.addoption("--passed-to", metavar="FILE", help="with =: write which tests passed, and on what sources")
    group.addoption("--passed-before", metavar="FILE", help="with =: leave out what passed on the same sources")


def pytest_configure(config: pytest.Config) -> None:
    # a shell ignores Ctrl-C for what it starts in the background; the commands under test must not inherit that
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[_deselected] = 0
    config.stash[_skipped] = Counter()
    to, passed = (name and Path(name) for name in (config.option.passed_to, config.option.passed_before))
    before = PassedBefore(to, passed, config.rootpath)
    config.stash[_before] = before
    config.pluginmanager.register(before, "passed-before")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # processes share the tests as they go; the longest must not be what is left for the last one
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    # a quick test's simulator is built for longer than it runs; before its fixtures, which may build it
    if _chosen_flags is None and item.get_closest_marker("slow") is None:
        os.environ["ELSTM_CXXFLAGS"] = "-O1"
    elif _chosen_flags is None:
        os.environ.pop("ELSTM_CXXFLAGS", None)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        slow[0].config.stash[_deselected] += len(slow)


def pytest_sessionfinish(session: pytest.Session) -> None:
    # a worker of pytest-xdist tells its controller, which collects nothing itself
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["deselected"] = session.config.stash[_deselected]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    told = getattr(node, "workeroutput", {}).get("deselected", 0)
    node.config.stash[_deselected] = max(node.config.stash[_deselected], told)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    where = report.longrepr
    text = str(where[2]) if isinstance(where, tuple) else str(where)
    return text.removeprefix("Skipped: ")


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Generator[None, None, None]:
    yield
    for report in terminalreporter.stats.get("skipped", ()):
        config.stash[_skipped][_reason(report)] += 1


def left_out(slow: int, skipped: Sequence[tuple[str, int]], before: str = "") -> str:
    """The line: ``left out: 12 slow tests (make test-all); skipped: 3 no gcc; passed before: 3046``."""
    parts = [f"{slow} slow tests (make test-all runs them)"] if slow else []
    if skipped:
        parts.append("skipped: " + ", ".join(f"{count} ({reason})" for reason, count in skipped))
    if before:
        parts.append(before)
    return "left out: " + ("; ".join(parts) or "nothing")


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        skipped = sorted(config.stash[_skipped].items())
        reporter.write_line(left_out(config.stash[_deselected], skipped, config.stash[_before].line))
