import json
from pathlib import Path

import pytest

from sim.results.result import InputRun, LayerRun, Mismatch, ResultError, RunResult, from_json


def example() -> RunResult:
    mismatch = Mismatch("l1", 3, 17, 0.5, 0.25, -(2**22))
    layer = LayerRun("l1", 28, 128, 28, 3, 3, 0.3, 300_000, 300_000, 3426, 12683, 17130, 200_000, 700, False, mismatch)
    digit = InputRun(0, False, [layer], label=7, prediction=7, golden_prediction=7)
    return RunResult(
        "mnist", False, "verilator", "accelerator", "default", {"n_pe": 3}, "ab" * 32, 1, "none", "sim.run", {}, [digit]
    )


def test_round_trip(tmp_path: Path) -> None:
    path = example().save(tmp_path / "new" / "run.json")
    assert from_json(path.read_text()) == example()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("field", ["commit", "inputs", "verilog_sha256"])
def test_missing_field_is_named(field: str) -> None:
    value = json.loads(example().to_json())
    del value[field]
    with pytest.raises(ResultError, match=f"result: field '{field}' is missing"):
        from_json(json.dumps(value))


def test_a_file_of_before_the_whole_test_set_was_noted_can_be_read() -> None:
    value = json.loads(example().to_json())
    del value["tested_accuracy"], value["tested_inputs"]
    result = from_json(json.dumps(value))
    assert (result.tested_accuracy, result.tested_inputs) == (None, 0)


def test_nested_field_is_named_with_its_place() -> None:
    value = json.loads(example().to_json())
    value["inputs"][0]["layers"][0]["cycles"] = "many"
    with pytest.raises(ResultError, match=r"result.inputs\[0\].layers\[0\].cycles: expected int, not 'many'"):
        from_json(json.dumps(value))
    del value["inputs"][0]["layers"][0]["cycles"]
    with pytest.raises(ResultError, match=r"layers\[0\]: field 'cycles' is missing"):
        from_json(json.dumps(value))


def test_other_schema_is_refused() -> None:
    with pytest.raises(ResultError, match="schema must be 'elstm.run/1', not 'other'"):
        from_json('{"schema": "other"}')
