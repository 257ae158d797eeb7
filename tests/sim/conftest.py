from pathlib import Path

import pytest

from sim import designs
from sim.icarus import IcarusEngine
from sim.protocol import Design
from tests.sim import fake_unit
from tests.sim.golden_engine import GoldenEngine


@pytest.fixture(scope="session")
def fake() -> Design:
    """A design for the engines that is not the accelerator."""
    designs.register("fake", "fake_unit", fake_unit.FakeUnit, [Path(fake_unit.__file__)])
    return Design("fake", fake_unit.FakeConfig())


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
