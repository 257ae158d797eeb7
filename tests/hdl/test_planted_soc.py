"""Bugs planted between the parts and memory: each must be caught by the test of its part."""

from pathlib import Path

import pytest

from tests.planting import must_fail, patches, planted

CAUGHT_BY = {
    "soc-adapter": "tests/hdl/accelerator/test_axi4_memory.py",
    "soc-cache": "tests/core/test_cache.py",
    "soc-loader": "tests/hdl/accelerator/test_axi4_accelerator.py",
    "soc-port": "tests/hdl/test_shared_port.py",
    "soc-router": "tests/core/test_router.py",
}
PATCHES = patches("soc-")


def test_there_is_a_bug_for_every_part() -> None:
    assert {patch[: patch.index("-", 4)] for patch in PATCHES} == set(CAUGHT_BY)


@pytest.mark.slow
@pytest.mark.parametrize("patch", PATCHES)
def test_planted_bug_is_caught(patch: str, tmp_path: Path) -> None:
    must_fail(planted(patch, tmp_path), CAUGHT_BY[patch[: patch.index("-", 4)]])
