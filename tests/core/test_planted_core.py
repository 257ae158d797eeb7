"""Bugs planted in the core: each must be caught by the cheapest tests that are meant to catch it."""

from pathlib import Path

import pytest

from tests.planting import must_fail, patches, planted, run_in

CAUGHT_BY = {
    "core-wrong-forward": "tests/core/test_instructions.py",
    "core-lost-response": "tests/core/test_rocc_port.py",
    "core-wrong-sign-extension": "tests/core/test_units.py",
    "core-late-trap": "tests/core/test_rocc_port.py",
    "core-command-not-withdrawn": "tests/core/test_rocc_port.py",
    "core-interrupt-twice": "tests/core/test_self_checking.py",
    "core-keeps-what-follows-a-trap": "tests/core/test_self_checking.py",
    "core-branch-to-nowhere": "tests/core/test_self_checking.py",
    "core-fence-ignores-busy": "tests/core/test_rocc_port.py",
    "core-exceptions-upside-down": "tests/core/test_stages.py",
    "core-stale-fetch": "tests/core/test_instructions.py",
    "core-trace-load-lanes": "tests/core/test_rvfi.py",
    "core-trace-wrong-next-pc": "tests/core/test_self_checking.py",
}


def test_every_patch_is_tried() -> None:
    assert set(CAUGHT_BY) == set(patches("core-"))


@pytest.mark.slow
def test_the_same_tests_pass_without_a_bug(tmp_path: Path) -> None:
    done = run_in(planted(None, tmp_path), "-m", "pytest", "-q", "-p", "no:cacheprovider", *set(CAUGHT_BY.values()))
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("patch", CAUGHT_BY)
def test_planted_bug_is_caught(patch: str, tmp_path: Path) -> None:
    must_fail(planted(patch, tmp_path), CAUGHT_BY[patch])
