"""The SoC as Verilog: one clock, no latch, no formal loop, and every preset is accepted by other tools."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from golden.config import ACCELERATOR_PRESETS, SOC_PRESETS, CoreConfig, SocConfig, preset
from hdl.core.tracer import RVFI_FIELDS
from hdl.soc import Soc
from hdl.verilog import emit_rtlil, emit_verilog, run_yosys


def test_the_tiny_soc() -> None:
    text = emit_rtlil(Soc(SOC_PRESETS["tiny"]), "elstm_soc")
    out = run_yosys(text, "proc", "write_rtlil", "write_cxxrtl")
    assert "cell $dff" in out
    assert "$dlatch" not in out and "$adff" not in out
    # no signal depends on itself through others, not even formally: one evaluation a cycle simulates it
    assert "converged = " in out
    assert "converged = false" not in out


def test_the_trace_port_passes_through() -> None:
    def rvfi(config: SocConfig) -> dict[str, int]:
        members = Soc(config).signature.members
        return {name[5:]: members[name].shape for name in members if name.startswith("rvfi_")}

    assert rvfi(SocConfig(preset("tiny"))) == {}
    assert rvfi(SocConfig(preset("tiny"), CoreConfig(rvfi=True))) == RVFI_FIELDS
    assert rvfi(SOC_PRESETS["rvfi"]) == RVFI_FIELDS


def test_there_is_a_soc_for_each_accelerator() -> None:
    for name, accelerator in ACCELERATOR_PRESETS.items():
        assert SOC_PRESETS[name] == SocConfig(accelerator)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"ram_bytes": 5000}, "ram_bytes must be a multiple of 4096, not 5000"),
        ({"ram_bytes": 0}, "ram_bytes must be in 4096..281474976710656, not 0"),
        ({"cache_lines": 24}, "cache_lines must be a power of two, not 24"),
        ({"cache_lines": 1}, "cache_lines must be in 2..1024, not 1"),
        ({"ram_bytes": 4096, "core": CoreConfig(0x8000_1000)}, "reset_address must be in RAM, not 0x80001000"),
    ],
)
def test_a_configuration_is_checked(fields: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        SocConfig(**fields)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("name", SOC_PRESETS)
def test_every_preset_builds_and_is_accepted(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.v"
    verilog = emit_verilog(emit_rtlil(Soc(SOC_PRESETS[name]), "elstm_soc"))
    assert set(re.findall(r"always @\((posedge \w+|negedge \w+)", verilog)) == {"posedge clk"}
    path.write_text(verilog)
    if not (shutil.which("iverilog") and shutil.which("verilator")):
        pytest.skip("needs iverilog and verilator: scripts/setup-system test-all installs them")
    subprocess.run(["iverilog", "-g2005", "-Wall", "-t", "null", str(path)], check=True, capture_output=True)
    lint = subprocess.run(
        ["verilator", "--lint-only", "-Wall", "-Wno-fatal", str(path)], capture_output=True, text=True, check=False
    )
    assert lint.returncode == 0, lint.stderr[-2000:]
    assert "%Error" not in lint.stderr
    for warning in ("LATCH", "PINMISSING", "UNDRIVEN", "MULTIDRIVEN", "UNOPTFLAT"):
        assert f"%Warning-{warning}" not in lint.stderr, warning
