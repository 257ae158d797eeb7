"""``python -m hdl.build`` on a design of the test's own; the tops themselves are built in test_build_tops.py."""

import hashlib
import io
import json
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from types import SimpleNamespace
from typing import Any

import pytest
from amaranth import Module, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl import build, verilog
from hdl.common.component import Component


class Adder(Component):
    """A register, a RAM without and a ROM with contents."""

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(8),
                "o": Out(8),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ram: Any = Memory(shape=8, depth=16, init=[])
        rom: Any = Memory(shape=8, depth=4, init=[0, 3, 5, 7])
        m.submodules.ram = ram
        m.submodules.rom = rom
        write, read, constant = ram.write_port(), ram.read_port(), rom.read_port()
        count = Signal(5)
        m.d.sync += count.eq(count + 1)
        m.d.comb += [write.en.eq(1), write.addr.eq(count), write.data.eq(self.i), read.addr.eq(count)]
        m.d.comb += [constant.addr.eq(self.i), self.o.eq(read.data + constant.data)]
        return m


class Parts(Component):
    """Outputs that only ever read registers and constants, in parts, with and without a process."""

    def __init__(self) -> None:
        super().__init__(
            {
                "o": Out(12),
                "p": Out(4),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        state = Signal(2)
        m.d.sync += state.eq(state)
        m.d.comb += [self.o[:4].eq(5), self.o[8:12].eq(state)]
        with m.If(state == 0):
            m.d.comb += [self.o[4:8].eq(9), self.p.eq(3)]
        return m


@pytest.fixture
def adder(monkeypatch):
    top = build.Top("small_adder", f"{__name__}:Adder", {"default": None})
    monkeypatch.setattr(build.Top, "elaborate", lambda self, config: Adder())
    monkeypatch.setitem(build.TOPS, "adder", top)


def run(*arguments):
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["hdl.build", *map(str, arguments)])
        code = build.run()
    return SimpleNamespace(exit_code=code, output=out.getvalue(), stderr=err.getvalue())


def test_prints_what_it_wrote(adder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("--top", "adder")
    assert result.exit_code == 0, result.output
    path = tmp_path / "build/small_adder_default.v"
    lines = result.output.splitlines()
    assert [line.split() for line in lines[0:4]] == [
        ["input", "clk", "1"],
        ["input", "rst", "1"],
        ["input", "i", "8"],
        ["output", "o", "8"],
    ]
    # the counter; output registers of memories belong to the memories
    assert lines[4] == f"registers 5 bits, memories {16 * 8 + 4 * 8} bits"
    assert lines[5] == f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert lines[6] == "wrote build/small_adder_default.v"


def test_the_same_as_json(adder, tmp_path):
    result = run("--top", "adder", "-o", tmp_path / "a.v", "--json", tmp_path / "a.json")
    assert result.output.splitlines()[-1] == f"wrote {tmp_path / 'a.json'}"
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["ports"][2] == {"name": "i", "direction": "input", "bits": 8}
    assert (found["register_bits"], found["memory_bits"]) == (5, 16 * 8 + 4 * 8)
    assert found["sha256"] == hashlib.sha256((tmp_path / "a.v").read_bytes()).hexdigest()


def test_a_wrong_command_line_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["hdl.build", "--tip"])
    assert build.run() == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("error: No such option: --tip")


def test_there_must_be_rams_to_leave_out(adder, tmp_path):
    result = run("--top", "adder", "-o", tmp_path / "a.v", "--blackbox-ram", tmp_path / "r.v")
    wanted = "error: small_adder has no RAM to leave out: run it without --blackbox-ram\n"
    assert (result.exit_code, result.output, result.stderr) == (2, "", wanted)
    assert not list(tmp_path.iterdir())


def test_the_soc_is_what_is_built_by_default(adder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run().output.splitlines()[-1] == "wrote build/elstm_soc_default.v"
    assert "\nmodule elstm_soc(" in (tmp_path / "build/elstm_soc_default.v").read_text()
    assert run("--preset", "tiny").output.splitlines()[-1] == "wrote build/elstm_soc_tiny.v"


def test_same_bytes_in_another_process(adder, tmp_path):
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_build as t; from hdl.verilog import *;"
    code += "body = emit_verilog(emit_rtlil(t.Adder(), 'small_adder'));"
    code += "sys.stdout.write(verilog_file(body, 'small_adder', None))"
    here = str(build.Path(__file__).parent)
    text = subprocess.run([sys.executable, "-c", code, here], capture_output=True, text=True, check=True).stdout
    run("--top", "adder", "-o", tmp_path / "a.v")
    assert (tmp_path / "a.v").read_text() == text
    assert "module small_adder(" in text
    assert "src =" not in text
    assert str(build.Path.cwd()) not in text


def test_only_a_rom_has_initial_contents(adder, tmp_path):
    run("--top", "adder", "-o", tmp_path / "a.v")
    text = (tmp_path / "a.v").read_text()
    assert text.count("initial begin") == 1
    assert "8'h07" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--top", "gpu"), "no top 'gpu'; there are: accelerator, core, soc, adder"),
        (("--top", "adder", "--preset", "huge"), "no preset 'huge' of adder; there are: default"),
        (("--top", "adder", "-o", "/proc/x/y.v"), "cannot write /proc/x/y.v: No such file or directory"),
        (("--top", "adder", "-o", "/tmp"), "cannot write /tmp: is a directory"),
    ],
)
def test_bad_arguments_are_one_line(adder, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr == f"error: {message}\n"


@pytest.mark.skipif(not shutil.which("iverilog"), reason="needs Icarus Verilog")
def test_icarus_takes_it(adder, tmp_path):
    run("--top", "adder", "-o", tmp_path / "a.v")
    subprocess.run(["iverilog", "-g2012", "-Wall", "-o", tmp_path / "a.vvp", tmp_path / "a.v"], check=True)


BENCH = """
module bench;
    reg clk = 0, rst = 1;
    wire [11:0] o;
    wire [3:0] p;
    parts dut(.clk(clk), .rst(rst), .o(o), .p(p));
    initial #10 $display("%b %b", o, p);
endmodule
"""


@pytest.mark.skipif(not shutil.which("iverilog"), reason="needs Icarus Verilog")
@pytest.mark.parametrize("standard", ["2001", "2005", "2012"])
def test_nothing_is_unknown_before_something_changes(tmp_path, standard):
    (tmp_path / "parts.v").write_text(verilog.emit_verilog(verilog.emit_rtlil(Parts(), "parts")) + BENCH)
    subprocess.run(["iverilog", f"-g{standard}", "-o", tmp_path / "a.vvp", tmp_path / "parts.v"], check=True)
    out = subprocess.run(["vvp", "-n", tmp_path / "a.vvp"], check=True, capture_output=True, text=True).stdout
    assert out == "000010010101 0011\n"
