"""Programs on the SoC in pysim: a layer against golden, the timer, faults, fence.i; memory stalls at random, seeded."""

from typing import Any

import numpy as np
import pytest

from golden.isa import Counter, Error, Funct, StatusWord, encode
from golden.layer import Layer
from golden.memory import h_from_bytes
from hdl.core.csr_file import Cause, Csr
from hdl.core.data_router import MTIME, MTIMECMP
from sim.core_lockstep.isa import Encoder
from sim.engines.pysim.accelerator import PysimEngine
from sim.layers.jobs import LayerCall, decode, layer_job, layer_segments, start_steps
from sim.protocol.accelerator import Command
from sim.protocol.base import Design
from sim.protocol.timing import AxiTiming, MemoryTiming
from tests.hdl.accelerator.test_axi4_accelerator import call_of
from tests.hdl.soc_bench import CONFIG, DONE, RAM, RESULTS, SocRun, run

TABLE = RAM + 0x400
"""Constants of a program."""
BASE = 10
"""Register with the address of TABLE."""
FENCE, FENCE_I, MRET = 0x0FF0000F, 0x0000100F, 0x30200073
HARD = AxiTiming(latency=2, jitter=15, order="beats", stall_permille=250, writes="data first")


class Program(Encoder):
    """Words from RAM on; ``constants`` at TABLE, results at RESULTS, both by their number from register BASE."""

    def __init__(self) -> None:
        self.words: list[int] = []
        self.constants: list[int] = []
        super().__init__(self.words.append)
        self.pc_relative(BASE, TABLE - RAM)

    def load(self, rd: int, value: int) -> None:
        """rd = value, from the table."""
        if value not in self.constants:
            self.constants.append(value)
        self.i("ld", rd, BASE, 8 * self.constants.index(value))

    def keep(self, source: int, index: int) -> None:
        self.s("sd", BASE, source, RESULTS - TABLE + 8 * index)

    def command(self, step: Command) -> None:
        self.load(1, step.rs1)
        self.load(2, step.rs2)
        self.word(step.inst)

    def counter(self, counter: Counter, index: int) -> None:
        """A counter of the accelerator as a result."""
        self.i("addi", 1, 0, counter)
        self.word(encode(Funct.COUNTER, xd=True, xs2=False, rd=5))
        self.keep(5, index)

    def handler(self, *body: tuple[Any, ...]) -> None:
        """Sets mtvec to the code of ``body`` (method, arguments...), which ends with mret, and jumps over it."""
        self.pc_relative(3, 16)
        self.csr("csrrw", 0, Csr.MTVEC, 3)
        at = len(self.words)
        self.word(0)
        for method, *arguments in body:
            method(*arguments)
        self.word(MRET)
        end = len(self.words)
        self.jal(0, 4 * (end - at))
        self.words[at] = self.words.pop()

    def run(self, timing: AxiTiming, data: dict[int, bytes] | None = None, **fields: Any) -> SocRun:
        self.load(3, DONE)
        self.s("sd", 3, 0, 0)
        self.jal(0, 0)
        assert 4 * len(self.words) <= TABLE - RAM and 8 * len(self.constants) <= RESULTS - TABLE
        table = b"".join(value.to_bytes(8, "little") for value in self.constants)
        return run(self.words, timing, data={TABLE: table} | (data or {}), **fields)


def layer_program(call: LayerCall) -> tuple[Program, dict[int, bytes], int]:
    """Runs the layer, fences, keeps status and cycles; also the data and the address of h."""
    p = Program()
    segments = layer_segments(call, RAM + 0x1000)
    for step in start_steps(call, segments):
        assert isinstance(step, Command)
        p.command(step)
    p.word(FENCE)
    p.counter(Counter.STATUS, 0)
    p.counter(Counter.CYCLES, 1)
    h = next(s.address for s in segments if s.name == "h")
    return p, {s.address: s.data for s in segments}, h


@pytest.mark.parametrize(
    "timing",
    [
        AxiTiming(latency=12),
        pytest.param(AxiTiming(latency=40), marks=pytest.mark.slow),
        pytest.param(HARD, marks=pytest.mark.slow),
    ],
    ids=["latency 12", "latency 40", "stalls"],
)
def test_a_layer_is_goldens_in_the_cycles_of_the_bare_accelerator(timing: AxiTiming) -> None:
    call = call_of(3, steps=2)
    program, data, h = layer_program(call)
    soc = program.run(timing, data)
    status = StatusWord.decode(soc.result(0))
    assert (status.code, status.rows, status.busy) == (0, 2, False)
    stored = h_from_bytes(soc.memory[h - RAM : h - RAM + 4 * call.packed.h * call.steps], call.packed.h)
    golden = Layer(call.packed).run(np.asarray(call.x), call.threshold)
    assert (stored == golden.h).all()
    if not timing.stall_permille:
        design = Design("accelerator", CONFIG.accelerator)
        bare = decode(call, PysimEngine().run(design, layer_job(call, MemoryTiming(latency=timing.latency))))
        assert soc.result(1) == pytest.approx(bare.counters[Counter.CYCLES], rel=0.02)
        # fence: nothing from the core while the accelerator works, but for the line behind the fence
        start, end = soc.working
        assert end - start > 300
        assert not [cycle for cycle in soc.core_reads if start + 2 * timing.latency + 20 < cycle < end]


def test_an_address_outside_ram_is_an_error_of_the_accelerator_and_a_fault_of_the_core() -> None:
    call = call_of(3, steps=1)
    p = Program()
    p.handler(
        (p.csr, "csrrs", 6, Csr.MCAUSE, 0),
        (p.csr, "csrrs", 7, Csr.MTVAL, 0),
        (p.csr, "csrrs", 8, Csr.MEPC, 0),
        (p.s, "sd", 9, 6, 0),
        (p.s, "sd", 9, 7, 8),
        (p.i, "addi", 9, 9, 16),
        (p.i, "addi", 8, 8, 4),
        # a jump to nowhere goes on where x4 says
        (p.b, "beq", 4, 0, 8),
        (p.i, "addi", 8, 4, 0),
        (p.i, "addi", 4, 0, 0),
        (p.csr, "csrrw", 0, Csr.MEPC, 8),
    )
    p.i("addi", 4, 0, 0)
    p.load(9, RESULTS + 64)
    expected = []
    outside = CONFIG.ram.stop
    for address in (outside, RAM - 8, MTIME + 8, 0, RAM | 1 << 40):
        p.load(3, address)
        p.i("lw", 5, 3, 0)
        p.s("sb", 3, 5, 3)
        expected += [(Cause.LOAD_ACCESS, address), (Cause.STORE_ACCESS, address + 3)]
    p.load(3, outside)
    p.pc_relative(4, 12)
    p.i("jalr", 0, 3, 0)
    expected.append((Cause.FETCH_ACCESS, outside))
    # errors that memory answers with
    p.load(3, RAM + 0x2000)
    p.i("ld", 5, 3, 0)
    p.s("sd", 3, 5, 8)
    expected += [(Cause.LOAD_ACCESS, RAM + 0x2000), (Cause.STORE_ACCESS, RAM + 0x2008)]
    segments = layer_segments(call, outside)
    for step in start_steps(call, segments):
        assert isinstance(step, Command)
        p.command(step)
    p.word(FENCE)
    p.counter(Counter.STATUS, 0)
    soc = p.run(HARD, read_error=0x2000, write_error=0x2008)
    found = [(soc.result(8 + 2 * i), soc.result(9 + 2 * i)) for i in range(len(expected))]
    assert found == expected
    assert StatusWord.decode(soc.result(0)).code == Error.MEM_READ


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_timer_interrupts_and_stores_of_every_size_arrive(seed: int) -> None:
    p = Program()
    p.handler(
        (p.csr, "csrrs", 11, Csr.MCAUSE, 0),
        (p.csr, "csrrs", 12, 0xC01, 0),
        (p.load, 13, 2**64 - 1),
        (p.s, "sd", 14, 13, 0),
    )
    p.load(14, MTIMECMP)
    p.load(15, MTIME)
    p.i("addi", 11, 0, 0)
    p.i("ld", 16, 15, 0)
    p.i("addi", 16, 16, 400)
    p.s("sd", 14, 16, 0)
    p.i("addi", 3, 0, 1 << 7)
    p.csr("csrrw", 0, Csr.MIE, 3)
    p.csr("csrrsi", 0, Csr.MSTATUS, 8)
    # until the handler has set x11
    p.i("addi", 17, 17, 1)
    p.b("beq", 11, 0, -4)
    p.keep(11, 0)
    p.s("sd", BASE, 16, RESULTS - TABLE + 8)
    p.keep(12, 2)
    p.load(3, 0x8877_6655_4433_2211)
    p.keep(3, 3)
    p.s("sb", BASE, 0, RESULTS - TABLE + 25)
    p.s("sh", BASE, 0, RESULTS - TABLE + 28)
    p.i("lw", 5, BASE, RESULTS - TABLE + 28)
    p.keep(5, 4)
    p.s("sw", BASE, 3, RESULTS - TABLE + 36)
    soc = p.run(AxiTiming(latency=3, jitter=9, stall_permille=300, seed=seed, writes="address first"))
    assert soc.result(0) == 1 << 63 | 7
    assert soc.result(1) <= soc.result(2) < soc.result(1) + 300
    assert soc.result(3) == 0x8877_0000_4433_0011
    assert soc.result(4) == 0x4433_2211_8877_0000


def test_fence_i_shows_the_new_instruction_and_lines_are_fetched_once() -> None:
    p = Program()
    # x5 = 1 in a routine of its own line, which is called, changed to x5 = 2, called, fenced and called
    routine = RAM + 0x300
    p.load(20, routine)
    new: list[int] = []
    Encoder(new.append).i("addi", 5, 0, 2)
    p.load(21, new[0])
    for index, step in enumerate(("", "change", "fence.i")):
        if step == "change":
            p.s("sw", 20, 21, 0)
        if step == "fence.i":
            p.word(FENCE_I)
        p.i("jalr", 1, 20, 0)
        p.keep(5, index)
    code: list[int] = []
    e = Encoder(code.append)
    e.i("addi", 5, 0, 1)
    e.i("jalr", 0, 1, 0)
    soc = p.run(AxiTiming(latency=4), {routine: b"".join(word.to_bytes(4, "little") for word in code)})
    assert [soc.result(i) for i in range(3)] == [1, 1, 2]
    # the first line of the program holds all of it that matters; each line comes again behind fence.i
    assert soc.lines.count(routine) == soc.lines.count(RAM) == 2
