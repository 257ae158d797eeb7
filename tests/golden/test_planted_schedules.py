"""Bugs planted in the models of schedules, each caught by the tests named here."""

from pathlib import Path

import pytest

from tests.planting import must_fail, patches, planted

CAUGHT_BY = "tests/golden/test_list.py"
NAMES = (
    "schedule-pass-without-its-x",
    "schedule-skips-to-the-end",
    "schedule-slots-by-the-largest-layer",
    "schedule-the-furthest-behind-waits",
    "schedule-u-takes-no-pe",
    "schedule-zero-x-is-loaded",
)


def test_every_planted_bug_is_there() -> None:
    assert patches("schedule-") == sorted(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("patch", NAMES)
def test_planted_bug_is_caught(patch: str, tmp_path: Path) -> None:
    must_fail(planted(patch, tmp_path), CAUGHT_BY)
