"""Gates and cells of a library: what is counted, for which unit, and files that are no library."""

import json
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from amaranth import Module, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.config import ACCELERATOR_PRESETS
from hdl import build
from hdl.common.component import Component
from hdl.common.ram import Ram
from hdl.synth import tools
from hdl.synth.area import Area, areas, of_modules
from hdl.synth.liberty import LibertyError, StandardCell, cells_of, load
from hdl.synth.targets import GENERIC, TARGETS
from hdl.verilog import emit_rtlil, memory_bits, memory_bits_by_unit
from tests.hdl.synth.synth_bench import command_line, needs_yosys

SMALL = Path(__file__).with_name("small.lib")


class Part(Component):
    """``o`` is ``i`` inverted, a cycle later, and a bit of a RAM of 32 rows of 6 bits."""

    def __init__(self) -> None:
        super().__init__({"i": In(8), "o": Out(8)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ram = Ram(6, 32)
        m.submodules.ram = ram
        m.d.comb += [ram.read_addr.eq(self.i), ram.write_addr.eq(self.i), ram.write_data.eq(self.i)]
        m.d.comb += [ram.read_en.eq(1), ram.write_en.eq(self.i[0])]
        kept = Signal(8)
        m.d.sync += kept.eq(~self.i)
        m.d.comb += self.o.eq(kept ^ ram.read_data)
        return m


class Whole(Component):
    """Two Parts in a row, and a memory of its own of 4 rows of 8 bits."""

    def __init__(self, config: object = None) -> None:
        super().__init__({"i": In(8), "o": Out(8)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        first, second = Part(), Part()
        m.submodules.first = first
        m.submodules.second = second
        own: Any = Memory(shape=8, depth=4, init=[])
        m.submodules.own = own
        write, read = own.write_port(), own.read_port(domain="comb")
        m.d.comb += [write.en.eq(1), write.addr.eq(self.i), write.data.eq(second.o), read.addr.eq(self.i)]
        m.d.comb += [first.i.eq(self.i), second.i.eq(first.o), self.o.eq(read.data)]
        return m


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(build.TOPS, "whole", build.Top("whole", "", {"default": None}))
    monkeypatch.setattr(build.Top, "elaborate", lambda *_: Whole())
    return command_line(build.main, capsys, "--top whole")


def cells(**kinds: int) -> dict[str, Any]:
    return {"cells": {f"{kind}{n}": {"type": kind} for kind, count in kinds.items() for n in range(count)}}


def test_a_netlist_with_hierarchy_is_counted_where_its_modules_are() -> None:
    content = {
        "modules": {
            "top": {"cells": {"a": {"type": "top.a"}, "r": {"type": "shared"}, "n": {"type": "$_NOT_"}}},
            "top.a": {"cells": {"r0": {"type": "shared"}, "r1": {"type": "shared"}, "b": {"type": "top.a.b"}}},
            "top.a.b": cells(**{"$_NAND_": 3}),
            "shared": cells(**{"$_NAND_": 2, "$_DFF_P_": 5}),
        }
    }
    own = of_modules(content, "top")
    assert own == {
        "": Counter({"$_NOT_": 1, "$_NAND_": 2, "$_DFF_P_": 5}),
        "a": Counter({"$_NAND_": 4, "$_DFF_P_": 10}),
        "a.b": Counter({"$_NAND_": 3}),
    }
    assert areas(own, GENERIC.weights, {"a.b": 7, "c": 1}) == {
        "": Area(gates=10, nand2=9.5, ff=15, bits=8), "a": Area(gates=7, nand2=7, ff=10, bits=7),
        "a.b": Area(gates=3, nand2=3, bits=7), "c": Area(bits=1),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["whole", "tiny"])
def test_memory_bits_of_the_units_are_those_of_the_whole(name: str) -> None:
    if name == "whole":
        text = emit_rtlil(Whole(), "top")
        assert memory_bits_by_unit(text, "top") == {"first": 192, "second": 192, "": 32}
    else:
        top = build.TOPS["accelerator"]
        text = emit_rtlil(top.elaborate(ACCELERATOR_PRESETS["tiny"]), "top")
    found = memory_bits_by_unit(text, "top")
    assert sum(found.values()) == memory_bits(text)
    if name == "tiny":
        # docs/architecture.md: w_banks, bank_slots, 4 max_h sums of 32 bits
        assert sum(bits for unit, bits in found.items() if "pool.w_bank_" in unit) == 2 * 6 * 256 * 32


@needs_yosys
@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_memory_by_unit(line, target: str) -> None:
    code, out, err = line(f"--synth {target} --json r.json")
    assert (code, err) == (0, "")
    found = json.loads(Path("r.json").read_text())["synthesis"]
    bits = {unit: area["bits"] for unit, area in found["area"].items()}
    assert (bits[""], bits["first"], bits["second"]) == (2 * 192 + 32, 192, 192)
    assert found["columns"] == dict(TARGETS[target].columns)
    titles = {"ecp5": "DP16KD", "xilinx7": "RAMB18", "generic": "NAND2"}
    assert "memory bits" in out and titles[target] in "".join(found["columns"].values())
    area = found["area"][""]
    assert area["ff"] >= 16
    if target == "generic":
        assert found["area"]["first"] == found["area"]["second"], "nothing is optimized across units"
        assert (area["ff"], found["estimated_paths"]) == (16, []) and "NAND2: four transistors of gates" in out
        # two XORs of six and eight bits... and inverters, in each part
        assert 6 * 3 * 2 <= area["nand2"] <= 60
    else:
        assert area["lutram"] or area["bram"], "memories are somewhere"


@needs_yosys
def test_cells_of_a_library(line) -> None:
    code, out, err = line(f"--synth generic --liberty {SMALL} --json r.json")
    assert (code, err) == (0, "")
    found = json.loads(Path("r.json").read_text())["synthesis"]
    area, part = found["area"][""], found["area"]["first"]
    (netlist,) = Path("build/synth").glob("whole_default_generic-small-*/netlist.json")
    text = json.loads(netlist.read_text())["modules"]["whole.first"]["cells"].values()
    kinds = Counter(cell["type"] for cell in text if "elstm" not in cell["type"])
    by_hand = 1.5 * kinds["INV"] + 3 * kinds["BUF"] + 2.25 * kinds["NAND2"] + 2.5 * kinds["NOR2"] + 8 * kinds["DFF"]
    assert set(kinds) <= {"INV", "BUF", "NAND2", "NOR2", "DFF"} and kinds["DFF"] == 8
    assert part["area"] == by_hand and (area["ff"], area["gates"]) == (16, 2 * (kinds.total() - 8))
    assert found["device"] == "cells of small.lib" and "no timing is taken from the library" in out
    # another text of the same name is another library
    Path("small.lib").write_text(SMALL.read_text().replace("area : 8;", "area : 9;"))
    assert line("--synth generic --liberty small.lib --json r.json")[0] == 0
    assert json.loads(Path("r.json").read_text())["synthesis"]["area"][""]["area"] == area["area"] + 16


@needs_yosys
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (r"  cell \(DFF(.*\n)*?  }\n", "no flip-flop without set and reset among the cells of l.lib"),
        (r"area : 2.25;", "no area of NAND2 among the cells of l.lib"),
        (
            r"  cell \(BUF(.*\n)*?  }\n",
            "no gates of the cells of l.lib: an inverter, a buffer and a gate of two inputs are ",
        ),
    ],
)
def test_a_library_that_lacks_something(line, change: str, message: str) -> None:
    text, count = re.subn(change, "", SMALL.read_text())
    assert count == 1
    Path("l.lib").write_text(text)
    code, _, err = line("--synth generic --liberty l.lib")
    assert code == 2 and err.startswith(f"error: {message}") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "l.lib: no library of cells with an area"),
        ("library (a) { }", "l.lib: no library of cells with an area"),
        ("library (a) { cell (B) { pin (A) { } } }", "l.lib: no library of cells with an area"),
        ("module m; endmodule", "l.lib: no library of cells with an area"),
        ("{", "l.lib:1: not Liberty: a brace where none belongs"),
        ('{ "a": 1 }', "l.lib:1: not Liberty: a brace where none belongs"),
        ("cell (A) { area : 1; }", "l.lib:1: not Liberty: cell where none belongs"),
        ("library (a) {\n cell (B) { area : 1; }", "l.lib:1: not Liberty: library (a) has no end"),
        (
            "library (a) {\n cell (B) { area : 1; }\n}\n}",
            "l.lib:4: not Liberty: a closing brace without an opening one",
        ),
        ("library (a) {\n cell (B) {\n area : big; } }", "l.lib:3: area of B must be a number in 0..1e12, not 'big'"),
        ("library (a) { cell (B) { area : nan; } }", "l.lib:1: area of B must be a number in 0..1e12, not 'nan'"),
        ("library (a) { cell (B) { area : -1; } }", "l.lib:1: area of B must be a number in 0..1e12, not '-1'"),
        ('library (a) {\n comment : "no end; }', "l.lib:2: a text without an end"),
        (b"\x1f\x8b\x08\x00\xff\xfe{{", "l.lib:1: not Liberty: "),
    ],
)
def test_a_file_that_is_no_library(line, content: str | bytes, message: str) -> None:
    Path("l.lib").write_bytes(content if isinstance(content, bytes) else content.encode())
    code, _, err = line("--synth generic --liberty l.lib")
    assert code == 2 and err.startswith(f"error: {message}") and err.count("\n") == 1
    assert not list(Path().glob("build/synth/*"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--synth generic --liberty no.lib", "cannot read no.lib: No such file or directory"),
        ("--synth generic --liberty .", "cannot read .: Is a directory"),
        ("--synth ecp5 --liberty small.lib", "--liberty is for --synth generic alone, not ecp5"),
        ("--liberty small.lib", "--liberty needs --synth generic"),
        ("--synth generic --timing", "--timing has delays of ecp5 alone, not of generic"),
        ("--synth generic --place", "--place is for ecp5 alone, not generic"),
    ],
)
def test_wrong_lines_are_named(line, text: str, message: str) -> None:
    assert line(text)[::2] == (2, f"error: {message}\n")


def test_cells_as_libraries_write_them() -> None:
    found = load(SMALL)
    assert [(cell.name, cell.area, cell.register) for cell in found.cells] == [
        ("INV", 1.5, False), ("BUF", 3.0, False), ("NAND2", 2.25, False), ("NOR2", 2.5, False), ("DFF", 8.0, True),
    ]  # fmt: skip
    assert found.word.startswith("small-") and len(found.word) == 14
    odd = 'library(a){/* cell (X) { area : 9; } */ cell(B){area:1.0e1;latch("Q"){}}cell(C){pin(A){area:3;}}}'
    assert list(cells_of(odd, "x")) == [StandardCell("B", 10.0, True)]
    with pytest.raises(LibertyError, match="x:1: not Liberty"):
        list(cells_of("pin (a) { }", "x"))


@needs_yosys
def test_the_small_library_is_one_to_yosys_too(tmp_path: Path) -> None:
    script = f"read_liberty {SMALL}; tee -o cells ls"
    done = subprocess.run(
        [tools.YOSYS.find(), "-q", "-p", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "cells").read_text().split()[2:] == ["BUF", "DFF", "INV", "NAND2", "NOR2"]
