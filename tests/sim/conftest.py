from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sim.engines import designs
from sim.engines.compiled import Compiled
from sim.engines.icarus.accelerator import IcarusEngine
from sim.protocol.base import Design
from sim.sweep import command as sweep
from software.cli import run as run_command
from tests.sim import fake_unit
from tests.sim.golden_engine import GoldenEngine


@pytest.fixture(scope="session")
def fake() -> Design:
    """A design for the engines that is not the accelerator."""
    designs.register("fake", "fake_unit", fake_unit.FakeUnit, [Path(fake_unit.__file__)])
    return Design("fake", fake_unit.FakeConfig())  # type: ignore[arg-type]  # registered for this test alone


@pytest.fixture
def golden_rtl() -> GoldenEngine:
    """An engine that is golden itself."""
    return GoldenEngine()


@pytest.fixture
def icarus() -> str:
    """The engine's name; without Icarus or cocotb the test is skipped, and counted as left out."""
    if missing := IcarusEngine().missing():
        pytest.skip(f"engine icarus: {missing}")
    return IcarusEngine.name


@pytest.fixture
def verilator() -> str:
    """The engine's name; without Verilator the test is skipped, and counted as left out."""
    engine = Compiled("verilator")
    if missing := engine.missing():
        pytest.skip(f"engine verilator: {missing}")
    return engine.name


@pytest.fixture
def sweep_command(tmp_path, monkeypatch, capsys):
    """Run a sweep of a file's text in threads of this process; gives exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ELSTM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sweep, "local", ThreadPoolExecutor)

    def invoke(text: str, *arguments: object) -> tuple[object, str, str]:
        Path("small.toml").write_text(text)
        monkeypatch.setattr("sys.argv", ["sim.sweep", "small.toml", "--workers", "1", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            run_command(sweep.main)
        return end.value.code, *capsys.readouterr()

    return invoke
