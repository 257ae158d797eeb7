"""Programs on the SoC, and the port's memory and rules: the same in every engine."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from golden.config import RAM_BASE, CoreConfig, SocConfig, preset
from golden.isa import Counter
from golden.layer import Layer, LayerResult, pack_layer
from sim.engines import designs, registry
from sim.layers.compare import describe, first_mismatch
from sim.layers.counters import expected
from sim.layers.jobs import LayerCall
from sim.protocol import elf
from sim.protocol.base import Design, EngineError, Segment
from sim.protocol.core import Stop
from sim.protocol.soc import SocJob, SocOutcome, config_of
from sim.protocol.timing import AxiTiming
from software.firmware.build import build, sources, toolchains
from software.firmware.packing import PackedNetwork, build_network
from tests.sim import fake_master
from tests.sim.fake_master import FakeMasterConfig

HERE = Path(__file__).parent
SEED, X, H, T = 3, 8, 8, 3
TINY = Design("soc", SocConfig(preset("tiny")))
TRACED = Design("soc", SocConfig(preset("tiny"), CoreConfig(rvfi=True)))
TIMINGS = (
    AxiTiming(),
    AxiTiming(latency=1),
    AxiTiming(latency=5, jitter=9, order="bursts", stall_permille=150, writes="address first", seed=2),
    AxiTiming(latency=3, jitter=20, order="beats", stall_permille=300, writes="data first", seed=5),
)
RAM = 1 << 20
NO_COMPILER = not toolchains()
needs_compiler = pytest.mark.skipif(
    NO_COMPILER, reason="needs a C compiler for the core: gcc-riscv64-unknown-elf or zig"
)


class OneLayer:
    """A small random layer with a program around it, and golden's result."""

    def __init__(self, program: Path, folder: Path) -> None:
        rng = np.random.default_rng(SEED)

        def weights(columns: int) -> np.ndarray:
            w = rng.normal(size=(4 * H, columns)) / 2
            return np.where(rng.random(w.shape) < 0.4, 0, w).astype(np.float16)

        packed = pack_layer(weights(X), weights(H), np.zeros(4 * H, np.float16))
        x = rng.normal(size=(1, T, X)).astype(np.float32)
        self.call = LayerCall(packed, x[0], 0.25)
        self.golden: LayerResult = Layer(packed).run(x[0], 0.25)
        path = build_network(PackedNetwork([(packed, 0.25)], x), str(program), folder / f"{program.stem}.elf")
        self.program = elf.load(path, RAM)

    def job(self, **fields: object) -> SocJob:
        return SocJob.of(self.program, ("results", "counters"), **({"max_cycles": 30_000} | fields))

    def h(self, outcome: SocOutcome) -> np.ndarray:
        return np.frombuffer(outcome.memory["results"], "<f4").reshape(T, H)


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> OneLayer:
    return OneLayer(HERE / "one_layer.c", tmp_path_factory.mktemp("layer"))


def check(layer: OneLayer, outcome: SocOutcome, design: Design = TINY) -> None:
    config = config_of(design).accelerator
    assert outcome.exit_code == 0, outcome.reason()
    assert (outcome.violations, outcome.console) == ([], b"ok\n")
    assert np.array_equal(layer.h(outcome).view(np.uint32), layer.golden.h_pruned.view(np.uint32))
    counters = np.frombuffer(outcome.memory["counters"], "<u8")
    for counter, value in expected(layer.call, layer.golden, config).items():
        assert counters[counter] == value, counter.name


@needs_compiler
@pytest.mark.parametrize("timing", TIMINGS, ids=lambda timing: timing.order)
def test_a_layer_on_the_soc_is_exact(layer: OneLayer, timing: AxiTiming, tmp_path: Path) -> None:
    heard: list[bytes] = []
    job = layer.job(timing=timing, mem_trace=str(tmp_path / "reads"), log_writes=True)
    outcome = registry.get("soc", "native").run(TINY, job, console=heard.append)
    check(layer, outcome)
    assert heard == [b"ok\n"]
    counters = np.frombuffer(outcome.memory["counters"], "<u8")
    loads = [line.split() for line in (tmp_path / "reads").read_text().splitlines()]
    kinds = (Counter.W_WORDS, Counter.U_WORDS, Counter.X_WORDS, Counter.SETUP_WORDS)
    assert sum(int(words) for _, _, words in loads) >= sum(int(counters[kind]) for kind in kinds) - 2 * T
    cycles = [int(cycle) for cycle, _, _ in loads]
    assert cycles == sorted(set(cycles))
    address, size = layer.program.symbols["results"]
    stored = np.zeros(size, np.uint8)
    for write in outcome.write_log:
        stored[write.address - address :][:8] = np.frombuffer(write.data.to_bytes(8, "little"), np.uint8)
    assert stored.tobytes() == outcome.memory["results"]
    # of the one START; counted outside, so this says something of the counter
    assert outcome.busy_cycles == [int(counters[Counter.CYCLES])]


def same_in(engine: str, design: Design, layer: OneLayer, timing: AxiTiming, folder: Path) -> None:
    outcomes = []
    for name in ("native", engine):
        job = layer.job(timing=timing, mem_trace=str(folder / name), log_writes=True)
        outcomes.append(replace(registry.get("soc", name).run(design, job), wall_seconds=0.0))
    check(layer, outcomes[1], design)
    assert outcomes[0] == outcomes[1]
    assert (folder / "native").read_text() == (folder / engine).read_text()


@needs_compiler
def test_pysim_takes_the_same_cycles(layer: OneLayer, tmp_path: Path) -> None:
    same_in("pysim", TINY, layer, TIMINGS[3], tmp_path)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize(
    ("design", "timing"),
    [(TINY, TIMINGS[0]), (TINY, TIMINGS[2]), (TRACED, TIMINGS[3])],
    ids=["fifo", "bursts", "beats, traced"],
)
def test_icarus_takes_the_same_cycles(
    icarus: str, layer: OneLayer, design: Design, timing: AxiTiming, tmp_path: Path
) -> None:
    same_in(icarus, design, layer, timing, tmp_path)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize(("design", "timing"), [(TINY, TIMINGS[2]), (TRACED, TIMINGS[3])], ids=["bursts", "traced"])
def test_verilator_takes_the_same_cycles(
    verilator: str, layer: OneLayer, design: Design, timing: AxiTiming, tmp_path: Path
) -> None:
    same_in(verilator, design, layer, timing, tmp_path)


@needs_compiler
def test_an_error_of_memory_reaches_the_program(layer: OneLayer) -> None:
    address, _ = layer.program.symbols["results"]
    ram = replace(layer.program.ram, write_error=address - RAM_BASE)
    outcome = registry.get("soc", "native").run(TINY, layer.job(segments=(ram,)))
    assert (outcome.exit_code, outcome.console, outcome.violations) == (1, b"", [])


@needs_compiler
def test_h_read_without_a_fence_is_named(tmp_path: Path) -> None:
    layer = OneLayer(HERE / "early_copy.c", tmp_path)
    outcome = registry.get("soc", "native").run(TINY, layer.job())
    assert outcome.exit_code == 0
    found = first_mismatch("L1", layer.golden.h_pruned, layer.h(outcome))
    assert found is not None
    unit = int(np.flatnonzero(layer.golden.h_pruned[0])[0])
    assert describe(found).startswith(f"L1 h[0, {unit}] must be {float(layer.golden.h_pruned[0, unit])!r} and is 0.0")


@needs_compiler
def test_a_program_that_never_ends(layer: OneLayer) -> None:
    engine = registry.get("soc", "native")
    outcome = engine.run(TINY, layer.job(max_cycles=300))
    assert (outcome.cycles, outcome.reason()) == (300, "no exit within 300 cycles")
    # nothing at all at the reset address: every fetch is an error, and so is that of the trap vector
    nothing = (Segment("elsewhere", RAM_BASE + RAM, 4096),)
    outcome = engine.run(TINY, SocJob(nothing, max_cycles=2000, stuck_cycles=500))
    assert (outcome.stop, outcome.violations) == (Stop.STUCK, [])
    assert outcome.reason() == f"nothing moves any more at the memory port, cycle {outcome.cycles}"


@needs_compiler
def test_system_calls_and_unknown_requests_are_taken_alike(tmp_path: Path) -> None:
    source = tmp_path / "calls.c"
    source.write_text(
        """#include "firmware.h"
        extern volatile uint64_t tohost, fromhost;
        static volatile uint64_t call[8] __attribute__((aligned(64)));
        int main(void) {
            call[0] = 64, call[1] = 1, call[2] = (uint64_t)"hi\\n", call[3] = 3;
            tohost = (uint64_t)call;
            while (!fromhost) {}
            tohost = call[0] == 3 ? 7ULL << 56 : 3;
            for (;;) {}
        }"""
    )
    program = elf.load(build(sources(str(source)), tmp_path / "calls.elf"), RAM)
    job = SocJob.of(program, max_cycles=5000)
    outcomes = [replace(registry.get("soc", name).run(TINY, job), wall_seconds=0.0) for name in ("native", "pysim")]
    assert outcomes[0] == outcomes[1]
    assert (outcomes[0].stop, outcomes[0].console, outcomes[0].tohost) == (Stop.BAD_HTIF, b"hi\n", 7 << 56)
    # without the trace port no pc is known, so none is told
    told = f"tohost was written with {7 << 56:#x}, which is no known request; cycle {outcomes[0].cycles}"
    assert [outcome.reason() for outcome in outcomes] == [told, told]


@needs_compiler
def test_jobs_are_checked(layer: OneLayer) -> None:
    with pytest.raises(ValueError, match="tohost must be a multiple of 8, not 0x80000004"):
        SocJob((), tohost=0x8000_0004)
    with pytest.raises(elf.ElfError, match="the program has no symbol 'weights' with a size"):
        SocJob.of(layer.program, ("weights",))
    with pytest.raises(EngineError, match="no engine 'vcs'; there are: native, verilator, pysim, icarus"):
        registry.get("soc", "vcs")
    with pytest.raises(EngineError, match="needs the core's trace port"):
        registry.get("soc", "native").run(TINY, layer.job(trace="trace"))
    with pytest.raises(EngineError, match="only the compiled engines write a trace"):
        registry.get("soc", "pysim").run(TRACED, layer.job(trace="trace"))
    with pytest.raises(EngineError, match="design 'core' is no SoC"):
        registry.get("soc", "native").run(Design("core", CoreConfig()), layer.job())


def ar(address: int, identifier: int = 1, beats: int = 1, **more: int) -> dict[str, int]:
    return {"arvalid": 1, "araddr": address, "arid": identifier, "arlen": beats - 1, **more}


def aw(address: int, beats: int = 1) -> dict[str, int]:
    return {"awvalid": 1, "awaddr": address, "awlen": beats - 1}


def w(last: int, **more: int) -> dict[str, int]:
    return {"wvalid": 1, "wlast": last, "wstrb": 255, **more}


BAD = {
    "ar changed or went away": [ar(RAM_BASE), {}],
    "aw changed or went away": [aw(RAM_BASE), aw(RAM_BASE + 8), aw(RAM_BASE + 8)],
    "w changed or went away": [w(0, wdata=1), w(0, wdata=2)],
    "rready is low": [{"rready": 0}],
    "bready is low": [{"bready": 0}],
    "arid 1 is used again before its last beat": [ar(RAM_BASE), ar(RAM_BASE), ar(RAM_BASE), ar(RAM_BASE)],
    "no wlast at beat 1": [aw(RAM_BASE) | w(0), w(0), w(0), w(0)],
    "wlast at beat 1 of 2": [aw(RAM_BASE, 2) | w(1), {}],
    "of 2 beats at 0x80000ff8 crosses a 4 KiB boundary": [ar(RAM_BASE + 4088, beats=2)],
    "ar asks for 17 beats": [ar(RAM_BASE, beats=17)],
    "size": [ar(RAM_BASE, arsize=2)],
    "prot": [ar(RAM_BASE, arprot=1)],
    "outside every segment, address 0x1000": [ar(0x1000)],
}
"""What is wrong: the wires of the master in the cycles from 10 on."""


@pytest.fixture(scope="module")
def bad_master() -> Design:
    """Does what BAD says, again and again, as whether memory is ready is drawn at random."""
    designs.register("fake_master", "fake_master", fake_master.FakeMaster, [Path(fake_master.__file__)])
    quiet: list[dict[str, int]] = [{}] * 20
    scripts = tuple(tuple(tuple(wires.items()) for wires in 8 * [*steps, *quiet]) for steps in BAD.values())
    return Design("fake_master", FakeMasterConfig(preset("tiny"), scripts=scripts))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", BAD)
def test_a_broken_rule_is_noticed_in_every_engine(bad_master: Design, text: str) -> None:
    case = list(BAD).index(text).to_bytes(8, "little")
    ram = Segment("ram", RAM_BASE, 8192, case, write=True)
    job = SocJob((ram,), timing=AxiTiming(latency=3, stall_permille=300), max_cycles=200)
    native, pysim = (registry.get("soc", name).run(bad_master, job) for name in ("native", "pysim"))
    for outcome in (native, pysim):
        assert any(text in violation for violation in outcome.violations), outcome.violations
    assert native.cycles == pysim.cycles
    assert (native.read_bursts, native.write_bursts) == (pysim.read_bursts, pysim.write_bursts)


def test_icarus_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(EngineError, match="engine icarus: Icarus Verilog is not installed"):
        registry.get("soc", "icarus")
