"""Area and timing of netlists small enough to count by hand."""

from typing import Any

import pytest

from hdl.synth.area import Area, areas, of_cells
from hdl.synth.netlist import Netlist, original, read, unit
from hdl.synth.targets import ECP5
from hdl.synth.timing import Arc, Timing, WireModel, slowest

WIRE = WireModel(1.0, 0.5)
FF = Timing(launch={"Q": 0.5}, setup={"DI": 0.1})
LUT = Timing((Arc("A", "Z", 0.2), Arc("B", "Z", 0.3)))
CARRY = Timing((Arc("A", "COUT", 0.4), Arc("CIN", "COUT", 0.05), Arc("CIN", "S", 0.4)), inner=frozenset({"CIN"}))
TIMINGS = {"TRELLIS_FF": FF, "LUT4": LUT, "CCU2C": CARRY}


def cell(kind: str, outputs: str = "Z", **pins: Any) -> dict[str, Any]:
    directions = {port: "output" if port in outputs.split() else "input" for port in pins}
    connections = {port: [bit] for port, bit in pins.items()}
    return {"type": kind, "port_directions": directions, "connections": connections, "parameters": {}}


def netlist(cells: dict[str, Any], names: dict[str, Any]) -> Netlist:
    nets = {name: {"bits": bits if isinstance(bits, list) else [bits], "hide_name": 0} for name, bits in names.items()}
    return read({"modules": {"top": {"cells": cells, "netnames": nets}}}, "top", "dut")


CHAIN = {
    "dut.a.x_TRELLIS_FF_Q": cell("TRELLIS_FF", "Q", DI=9, Q=1),
    "dut.a.y_TRELLIS_FF_Q": cell("TRELLIS_FF", "Q", DI=9, Q=2),
    "dut.b.sum_LUT4_Z": cell("LUT4", A=1, B=2, Z=3),
    "dut.b.sum_LUT4_Z_1": cell("LUT4", A=3, B="0", Z=4),
    "dut.b.z_TRELLIS_FF_Q_1": cell("TRELLIS_FF", "Q", DI=4, Q=5),
    "dut.b.z_TRELLIS_FF_Q": cell("TRELLIS_FF", "Q", DI=3, Q=6),
    "out_TRELLIS_FF_Q": cell("TRELLIS_FF", "Q", DI=5, Q=7),
}
NAMES = {"dut.a.x": 1, "dut.a.y": 2, "dut.b.sum": [3, 4], "dut.b.z": [5, 6], "out": 7, "dut.z_copy": 5}


def test_names_without_what_yosys_puts_behind_them() -> None:
    assert original("cell.unit_TRELLIS_FF_Q_12") == "cell.unit"
    assert original("fetch.$9_LUT4_Z_C_LUT4_B_Z_CCU2C_S0") == "fetch"
    assert original("$12_PFUMX_Z") == ""
    assert unit("weights.pe_0.multiplier_1.product_MULT18X18D_B0") == "weights.pe_0.multiplier_1"
    assert unit("rst_LUT4_A") == ""


def test_a_bit_has_the_name_of_where_it_is_made() -> None:
    assert netlist(CHAIN, NAMES).names[5] == "b.z[0]", "not of the copy above"
    assert netlist(CHAIN, NAMES).names[7] == "/out", "of the wrapper"


def test_the_longest_path_is_the_sum_of_its_parts() -> None:
    (first,) = slowest(netlist(CHAIN, NAMES), TIMINGS, WIRE)
    # bits of one register are one end, and the wrapper's registers none; y, a wire of one sink, B of the first LUT, a
    # wire of two, A of the second, a wire, setup
    assert first.ns == round(0.5 + 1.0 + 0.3 + 1.5 + 0.2 + 1.0 + 0.1, 2)
    assert (first.start, first.through, first.end, first.levels) == ("a.y", ("b.sum",), "b.z", 2)


def test_carries_need_no_wire_and_are_no_level() -> None:
    cells = {"dut.x_TRELLIS_FF_Q": cell("TRELLIS_FF", "Q", DI=99, Q=1)}
    cells["dut.add_CCU2C_S0"] = cell("CCU2C", "COUT S", A=1, CIN="0", COUT=10, S=20)
    for n in range(10, 14):
        cells[f"dut.add_CCU2C_S0_{n}"] = cell("CCU2C", "COUT S", A="0", CIN=n, COUT=n + 1, S=n + 11)
    cells["dut.z_TRELLIS_FF_Q"] = cell("TRELLIS_FF", "Q", DI=24, Q=50)
    (path,) = slowest(netlist(cells, {"dut.x": 1, "dut.add": [20, 21, 22, 23, 24], "dut.z": 50}), TIMINGS, WIRE)
    assert path.ns == round(0.5 + 1.0 + 0.4 + 3 * 0.05 + 0.4 + 1.0 + 0.1, 2)
    assert path.levels == 1


def test_a_loop_is_named() -> None:
    cells = {"dut.p_LUT4_Z": cell("LUT4", A=1, Z=2), "dut.q_LUT4_Z": cell("LUT4", A=2, Z=1)}
    with pytest.raises(ValueError, match="combinational loop through p, q"):
        slowest(netlist(cells, {"dut.p": 2, "dut.q": 1}), TIMINGS, WIRE)


def test_area_belongs_to_the_module_around_and_to_all_above() -> None:
    cells = CHAIN | {"dut.b.deep.s.f_TRELLIS_FF_Q": cell("TRELLIS_FF", "Q", DI=3, Q=8), "dut.n_PFUMX_Z": cell("PFUMX")}
    found = areas(of_cells(netlist(cells, NAMES), {"a", "b", "b.deep"}), ECP5.weights)
    assert found == {
        "": Area(lut=2, ff=5), "a": Area(ff=2), "b": Area(lut=2, ff=3), "b.deep": Area(ff=1),
    }  # fmt: skip
