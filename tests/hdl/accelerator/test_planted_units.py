"""Bugs planted in units of the accelerator: each must be caught by the test of its unit alone."""

from pathlib import Path

import pytest

from tests.planting import must_fail, patches, planted

HERE = "tests/hdl/accelerator"
CAUGHT_BY = {
    "unit-bank": f"{HERE}/test_result_bank.py",
    "unit-blocks": f"{HERE}/test_block_scanner.py",
    "unit-cell": f"{HERE}/test_cell_unit.py",
    "unit-changes": f"{HERE}/events/test_input_changes.py",
    "unit-frontend": f"{HERE}/test_frontend_units.py",
    "unit-gates": f"{HERE}/test_gate_unit.py",
    "unit-hidden": f"{HERE}/test_hidden_state.py",
    "unit-inputs": f"{HERE}/test_input_buffer.py",
    "unit-issue": f"{HERE}/test_issue_unit.py",
    "unit-lane": f"{HERE}/test_pool.py",
    "unit-list": f"{HERE}/test_list_units.py",
    "unit-scanner": f"{HERE}/test_column_scanner.py",
    "unit-segments": f"{HERE}/test_loaders.py::test_segments_are_loaded_one_after_the_other",
    "unit-sends": f"{HERE}/test_block_sends.py",
    "unit-setup": f"{HERE}/test_setup.py",
    "unit-sizes": f"{HERE}/test_list_units.py",
    "unit-slots": f"{HERE}/test_list_units.py",
    "unit-source": f"{HERE}/test_weight_source.py",
    "unit-store": f"{HERE}/test_store_unit.py",
    "unit-streams": f"{HERE}/test_stream_decoder.py",
    "unit-vector": f"{HERE}/events/test_event_vector.py",
    "unit-walker": f"{HERE}/test_list_units.py",
    "unit-weights": f"{HERE}/test_loaders.py",
}
PATCHES = patches("unit-")


def unit(patch: str) -> str:
    return patch[: patch.index("-", len("unit-"))]


def test_there_is_a_bug_for_every_unit() -> None:
    assert {unit(patch) for patch in PATCHES} == set(CAUGHT_BY)


@pytest.mark.slow
@pytest.mark.parametrize("patch", PATCHES)
def test_planted_bug_is_caught(patch: str, tmp_path: Path) -> None:
    must_fail(planted(patch, tmp_path), CAUGHT_BY[unit(patch)])
