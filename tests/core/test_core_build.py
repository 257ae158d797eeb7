"""The core as Verilog: ports by preset, the same bytes every time, and what Icarus thinks of it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hdl.core.tracer import RVFI_FIELDS
from hdl.verilog import run_yosys
from sim.engines import build_cache
from sim.protocol import core as core_program


def build(preset: str, path: Path) -> str:
    command = [sys.executable, "-m", "hdl.build", "--top", "core", "--preset", preset, "-o", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path.read_text()


def ports(verilog: str) -> dict[str, int]:
    """Names and widths of the top module's ports."""
    top = verilog[verilog.index("module elstm_core(") :]
    top = top[: top.index("endmodule")]
    found = re.findall(r"^  (?:input|output)(?: reg)? (?:\[(\d+):0\] )?(\w+)", top, re.MULTILINE)
    return {name: int(high or 0) + 1 for high, name in found}


def test_ports_of_the_presets(tmp_path: Path) -> None:
    plain = ports(build("default", tmp_path / "core.v"))
    assert not [name for name in plain if "rvfi" in name]
    assert {"clk", "rst", "ibus__req_valid", "dbus__req_addr", "rocc__cmd__inst", "rocc__busy", "timer"} <= set(plain)
    traced = build("rvfi", tmp_path / "rvfi.v")
    assert {name[5:]: width for name, width in ports(traced).items() if name.startswith("rvfi_")} == RVFI_FIELDS
    assert build("rvfi", tmp_path / "again.v") == traced


def test_one_evaluation_a_cycle_is_enough() -> None:
    """No signal depends on itself through others, not even formally; simulators that go by signals would need more."""
    out = run_yosys(build_cache.rtlil_text(core_program.DESIGN).read_text(), "write_cxxrtl")
    assert "converged = " in out
    assert "converged = false" not in out


@pytest.mark.slow
def test_icarus_accepts_it(tmp_path: Path) -> None:
    if not shutil.which("iverilog"):
        pytest.skip("needs iverilog")
    build("rvfi", tmp_path / "rvfi.v")
    command = ["iverilog", "-g2005", "-Wall", "-s", "elstm_core", "-o", str(tmp_path / "out"), str(tmp_path / "rvfi.v")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "latch" not in done.stderr
