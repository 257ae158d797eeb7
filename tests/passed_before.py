"""What has passed on the same sources need not run again: ``--passed-to`` writes it down, ``--passed-before`` leaves it
out. CI runs the quick tests and then all tests of one commit."""

import hashlib
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SCHEMA = "elstm.passed/1"


def sources(root: Path) -> str | None:
    """Commit and checksum of every file that git has or would take; None outside a checkout."""
    if not (root / ".git").exists():
        return None
    try:
        head, listed = (
            subprocess.run(["git", "-C", str(root), *command], capture_output=True, check=True).stdout
            for command in (("rev-parse", "HEAD"), ("ls-files", "-z", "--cached", "--others", "--exclude-standard"))
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    digest = hashlib.sha256()
    for name in sorted(set(listed.split(b"\0")) - {b""}):
        path = root / name.decode(errors="surrogateescape")
        content = path.read_bytes() if path.is_file() else b"gone"
        digest.update(name + b"\0" + hashlib.sha256(content).digest())
    return f"{head.decode().strip()} {digest.hexdigest()}"


def write(path: Path, root: Path, passed: Sequence[str]) -> None:
    """Write the ids of tests that passed; outside a checkout nothing, as nothing could be said of the sources."""
    found = sources(root)
    if found is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"schema": SCHEMA, "sources": found, "passed": sorted(passed)}, indent=0) + "\n")


@dataclass(frozen=True)
class Before:
    """ids: of tests that passed on these sources; refused: why there are none, in words."""

    ids: frozenset[str] = frozenset()
    refused: str = ""


def read(path: Path, root: Path) -> Before:
    """What ``write`` wrote; nothing where that was of other sources, is damaged or is not there."""
    try:
        told = json.loads(path.read_text())
        if told["schema"] != SCHEMA:
            return Before(refused=f"{path} has schema {told['schema']!r}, not {SCHEMA!r}")
        if told["sources"] != sources(root):
            return Before(refused=f"{path} is of other sources")
        return Before(frozenset(told["passed"]))
    except OSError as error:
        return Before(refused=f"{path}: {error.strerror}")
    except (ValueError, KeyError, TypeError):
        return Before(refused=f"{path} is damaged")


class PassedBefore:
    """The plugin; ``line`` is for the end of a run."""

    def __init__(self, to: Path | None, before: Path | None, root: Path) -> None:
        self.to, self.root = to, root
        self.before = read(before, root) if before else Before()
        self.count = 0
        self._outcomes: dict[str, set[str]] = {}

    @property
    def line(self) -> str:
        """ "passed before: 3046", or why nothing was left out; "" when nobody asked."""
        if self.before.refused:
            return f"all run: {self.before.refused}"
        return f"passed before: {self.count}" if self.count else ""

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        known = [item for item in items if item.nodeid in self.before.ids]
        if known:
            self.count = len(known)
            config.hook.pytest_deselected(items=known)
            items[:] = [item for item in items if item.nodeid not in self.before.ids]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # setup and teardown count: a test that was skipped or broke in them must run the next time
        self._outcomes.setdefault(report.nodeid, set()).add(report.outcome)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["passed_before"] = self.count
        elif self.to:
            write(self.to, self.root, [name for name, found in self._outcomes.items() if found == {"passed"}])

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        # a worker of pytest-xdist collects for its controller
        self.count = max(self.count, getattr(node, "workeroutput", {}).get("passed_before", 0))
