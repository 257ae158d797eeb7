"""Bugs planted in the accelerator: the small regression, or the runs on damaged data, must catch each."""

from pathlib import Path

import pytest

from tests.planting import must_fail, patches, planted

DRAIN = "tests/sim/layers/test_drain.py"
REGRESSION = ("tests/sim/layers/test_small_regression.py", "tests/hdl/accelerator/test_decoder_any_words.py", DRAIN)
PATCHES = patches("accelerator-")


def test_there_is_a_bug_for_every_part() -> None:
    for part in ("decoder", "pe", "bank", "pruning", "gates", "loader", "error-path", "counters", "drain"):
        assert any(patch.startswith(f"accelerator-{part}-") for patch in PATCHES), part


@pytest.mark.slow
@pytest.mark.parametrize("patch", PATCHES)
def test_planted_bug_is_caught(patch: str, tmp_path: Path) -> None:
    print(must_fail(planted(patch, tmp_path), *REGRESSION)[-600:])
