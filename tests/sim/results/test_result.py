import json
from dataclasses import asdict
from pathlib import Path

import pytest

from sim.results.check import check
from sim.results.result import InputRun, LayerRun, Mismatch, ResultError, RunResult, from_json

OF_0_1 = Path(__file__).with_name("figure10_of_0_1.json")


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
    value["schema"] = "elstm.run/1"
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
    with pytest.raises(ResultError, match="schema must be 'elstm.run/2' or 'elstm.run/1', not 'other'"):
        from_json('{"schema": "other"}')


def test_what_wrote_a_file_of_another_schema_is_named() -> None:
    value = json.loads(example().to_json()) | {"schema": "elstm.run/9", "versions": {"elstm": "0.9.1"}}
    with pytest.raises(ResultError) as error:
        from_json(json.dumps(value), "run.json")
    expected = "'elstm.run/2' or 'elstm.run/1', not 'elstm.run/9'; elstm 0.9.1 wrote it, and can read it"
    assert str(error.value) == f"run.json: schema must be {expected}"


def test_a_file_of_0_1_is_read() -> None:
    """Figure 10 as it was first published, its first three rows."""
    text = OF_0_1.read_text()
    result = from_json(text, "old.json")
    assert (result.schema, result.kind, result.exact, len(result.rows)) == ("elstm.run/2", "figure10", True, 3)
    # what 0.1 wrote is there, and what came later has its default
    old = json.loads(text)["rows"]
    for row, before in zip(result.rows, old, strict=True):
        assert {name: value for name, value in asdict(row).items() if name in before} == before
        assert "float_check" not in before and row.float_check is None
    assert result.rows[0].cycles == 407_969
    check(result, "old.json")
    assert from_json(result.to_json()) == result
    # what every version had must be there
    value = json.loads(text)
    del value["rows"][1]["cycles"]
    with pytest.raises(ResultError, match=r"^old.json.rows\[1\]: field 'cycles' is missing$"):
        from_json(json.dumps(value), "old.json")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("inputs",), {}, "r.inputs: expected a list, not {}"),
        (("inputs",), "ab", "r.inputs: expected a list, not 'ab'"),
        (("config",), [1], "r.config: expected an object, not [1]"),
        (("config", "n_pe"), "3", "r.config.n_pe: expected int, not '3'"),
        (("inputs", 0), 3, "r.inputs[0]: expected an object, not 3"),
        (("inputs", 0, "exact"), 1, "r.inputs[0].exact: expected bool, not 1"),
        (("inputs", 0, "layers", 0, "cycles"), True, "r.inputs[0].layers[0].cycles: expected int, not True"),
        (("inputs", 0, "layers", 0, "cycles"), 2.0, "r.inputs[0].layers[0].cycles: expected int, not 2.0"),
        (("inputs", 0, "layers", 0, "threshold"), None, "r.inputs[0].layers[0].threshold: expected float, not None"),
        (("inputs", 0, "layers", 0, "mismatch", "lsb"), "", "r.inputs[0].layers[0].mismatch.lsb: expected int, not ''"),
        (("accuracy",), "all", "r.accuracy: expected float, not 'all'"),
        (("notes",), [1], "r.notes[0]: expected str, not 1"),
    ],
)
def test_a_wrong_value_is_one_line_with_its_place(path: tuple, value: object, message: str) -> None:
    content = json.loads(example().to_json())
    place = content
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(ResultError) as error:
        from_json(json.dumps(content), "r")
    assert str(error.value) == message


def test_a_whole_number_is_a_float_too() -> None:
    value = json.loads(example().to_json()) | {"accuracy": 1}
    assert from_json(json.dumps(value)).accuracy == 1


def refused(result: RunResult) -> str:
    with pytest.raises(ResultError) as error:
        check(result, "r")
    return str(error.value)


def test_a_result_that_contradicts_itself_is_refused() -> None:
    check(example(), "r")
    result = example()
    result.inputs[0].layers[0].exact = True
    place = "r.inputs[0].layers[0]"
    assert refused(result) == f"{place}.exact is true, but {place}.mismatch is at step 3, unit 17"
    result = example()
    result.exact = True
    assert refused(result) == "r.exact is true, but r.inputs[0].exact is false"
    result.inputs[0].exact = True
    assert refused(result) == f"r.inputs[0].exact is true, but {place}.exact is false"
    result = example()
    assert result.inputs[0].layers[0].mismatch
    result.inputs[0].layers[0].mismatch.unit = 128
    assert refused(result) == f"{place}.mismatch is at step 3, unit 128 of T 28, H 128"
    result = example()
    result.inputs[0].layers[0].kept_blocks = 897
    assert refused(result) == f"{place}.kept_blocks is 897, must be 0..896"
    result = example()
    result.simulated_cycles = 299_999
    assert refused(result) == "r.simulated_cycles is 299999, the layers took 300000"
    result = example()
    result.inputs[0].system_cycles = 1
    assert refused(result) == "r.inputs[0].system_cycles is 1, its layers took 300000"


def test_counters_must_be_the_fields_and_add_up() -> None:
    result = from_json(OF_0_1.read_text())
    row = result.rows[1]
    row.cycles += 1
    assert refused(result) == f"r.rows[1].cycles is {row.cycles}, counter CYCLES {row.cycles - 1}"
    row.counters["CYCLES"] += 1
    assert refused(result).startswith(f"r.rows[1].cycles is {row.cycles}, PORT_BUSY + ")
    row.counters["CYCLES"] -= 1
    row.cycles -= 1
    check(result)
    del row.counters["KEPT_BLOCKS"]
    assert refused(result) == f"r.rows[1].kept_blocks is {row.kept_blocks}, counter KEPT_BLOCKS None"


def test_no_run_is_no_exact_result() -> None:
    result = from_json(OF_0_1.read_text())
    result.rows = []
    assert refused(result) == "r.exact is true, but there is no run of a layer"
    result = example()
    result.exact = result.inputs[0].exact = result.inputs[0].layers[0].exact = True
    result.inputs[0].layers[0].mismatch = None
    result.inputs[0].prediction = 3
    assert refused(result) == "r.inputs[0].exact is true, but prediction is 3, golden_prediction 7"
