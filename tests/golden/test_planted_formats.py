"""Bugs planted in the stream formats, each caught by the tests named here."""

from pathlib import Path

import pytest

from tests.planting import must_fail, patches, planted

CAUGHT_BY = {
    "format-balance-forgets-the-layer-above": "tests/software/test_balance.py",
    "format-auto-forgets-the-tables": "tests/software/test_weight_formats.py",
    "format-decoder-skips-fillers": "tests/golden/test_stream.py",
    "format-fault-hidden-by-zero": "tests/golden/test_stream.py",
    "format-grid-forgets-w": "tests/software/test_networks.py",
    "format-rounds-ties-away": "tests/golden/test_stream.py",
    "format-tables-by-row-not-by-gate": "tests/golden/test_stream.py",
    "format-tables-off-the-grid": "tests/software/test_networks.py",
    "format-tables-of-u-first": "tests/software/test_image.py",
    "format-unit-of-one-kept-by-half": "tests/golden/test_layer_formats.py",
}


def test_every_planted_bug_names_its_tests() -> None:
    assert patches("format-") == sorted(CAUGHT_BY)


@pytest.mark.slow
@pytest.mark.parametrize("patch", CAUGHT_BY)
def test_planted_bug_is_caught(patch: str, tmp_path: Path) -> None:
    must_fail(planted(patch, tmp_path), CAUGHT_BY[patch])
