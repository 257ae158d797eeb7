"""CI's second run leaves out what passed in the first on the same sources, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.passed_before import SCHEMA, Before, read, sources, write

ROOT = Path(__file__).parents[1]
TOLD = ("AFTER_TEST", "MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS")
"""What an outer make may tell, which is that of the one or the other run."""
SAMPLE = """
import pytest

def test_passes(): pass
def test_fails(): assert False
def test_is_skipped(): pytest.skip("not here")
@pytest.fixture
def breaks():
    yield
    assert False
def test_breaks_in_the_end(breaks): pass
@pytest.mark.slow
def test_slow(): pass
"""
SETTINGS = """
[tool.pytest.ini_options]
pythonpath = ["."]
testpaths = ["tests"]
addopts = "-m 'not slow'"
markers = ["slow: minutes"]
"""


def git(tree: Path, *arguments: str) -> None:
    named = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    subprocess.run(["git", "-C", str(tree), *named, *arguments], check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout with the plugin and a few tests."""
    (tmp_path / "tests").mkdir()
    for name in ("conftest.py", "passed_before.py"):
        shutil.copy(ROOT / "tests" / name, tmp_path / "tests")
    (tmp_path / "tests/test_sample.py").write_text(SAMPLE)
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    (tmp_path / ".gitignore").write_text("build/\n__pycache__/\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "Begin")
    return tmp_path


def run(tree: Path, *options: str) -> list[str]:
    """The last two lines of a run."""
    # nothing of this environment's plugins but what `options` ask for: they take longer than the tests
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", *options]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.splitlines()[-2:]


def test_only_what_passed_is_left_out(tree: Path) -> None:
    counts, last = run(tree, "--passed-to=build/passed.json")
    assert "2 failed" not in counts and "1 failed, 2 passed, 1 skipped, 1 deselected, 1 error" in counts
    assert last == "left out: 1 slow tests (make test-all runs them); skipped: 1 (not here)"
    told = json.loads((tree / "build/passed.json").read_text())
    assert told["passed"] == ["tests/test_sample.py::test_passes"]

    after = ("-m", "", "--passed-before=build/passed.json")
    for workers in ((), ("-n", "1")):
        counts, last = run(tree, *after, *workers)
        assert "1 failed, 2 passed, 1 skipped" in counts and "1 error" in counts
        assert last == "left out: skipped: 1 (not here); passed before: 1"
    counts, last = run(tree, "-m", "")
    assert "1 failed, 3 passed, 1 skipped" in counts and last == "left out: skipped: 1 (not here)"

    (tree / "tests/new.py").write_text("")
    counts, last = run(tree, *after)
    assert "1 failed, 3 passed, 1 skipped" in counts
    assert last == "left out: skipped: 1 (not here); all run: build/passed.json is of other sources"


def test_sources_are_the_commit_and_every_file(tree: Path) -> None:
    file, found = tree / "build/passed.json", [sources(tree)]
    write(file, tree, ["b", "a"])
    assert read(file, tree) == Before(frozenset({"a", "b"})), "what git ignores is no source"
    sample = tree / "tests/test_sample.py"
    sample.write_text(SAMPLE + "\n")
    found.append(sources(tree))
    sample.unlink()
    found.append(sources(tree))
    sample.write_text(SAMPLE)
    assert sources(tree) == found[0]
    git(tree, "commit", "-q", "--allow-empty", "-m", "Say more")
    found.append(sources(tree))
    (tree / "tests/new.py").write_text("")
    found.append(sources(tree))
    assert None not in found and len(set(found)) == len(found)
    assert read(file, tree) == Before(refused=f"{file} is of other sources")


def test_a_file_that_says_nothing_leaves_nothing_out(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tree / "build/passed.json"
    assert read(file, tree) == Before(refused=f"{file}: No such file or directory")
    file.parent.mkdir()
    for text in ("{", "[]", "{}", json.dumps({"schema": SCHEMA})):
        file.write_text(text)
        assert read(file, tree) == Before(refused=f"{file} is damaged")
    file.write_text(json.dumps({"schema": "other/1"}))
    assert read(file, tree) == Before(refused=f"{file} has schema 'other/1', not '{SCHEMA}'")

    outside = tmp_path_factory.mktemp("outside")
    write(outside / "passed.json", outside, ["a"])
    assert sources(outside) is None and not (outside / "passed.json").exists()


def test_ci_alone_leaves_them_out() -> None:
    """``make test-all`` by itself runs everything."""
    environment = {key: value for key, value in os.environ.items() if key not in TOLD}
    asked = {}
    for target in (["test"], ["test-all"], ["test-all", "AFTER_TEST=yes"]):
        command = ["make", "--dry-run", "--no-print-directory", *target]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        asked[" ".join(target)] = next(line for line in done.stdout.splitlines() if " -m pytest " in line)
    assert asked["test"].endswith("--passed-to=build/passed.json")
    assert "passed" not in asked["test-all"] and ' -m "" ' in asked["test-all"]
    assert asked["test-all AFTER_TEST=yes"].endswith("--passed-before=build/passed.json")
    lines = (ROOT / ".ci/run").read_text().splitlines()
    assert lines.index("phase test") < lines.index("phase test-all AFTER_TEST=yes")
