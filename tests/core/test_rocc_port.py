"""The RoCC port against a model unit: late ready, random latency, withdrawn commands, interrupts while waiting."""

import random

import pytest

from golden.isa import encode
from sim.core_lockstep.isa import Encoder
from tests.core.core_bench import BASE, DEVICE, Bench, Timing, unit_result

ROCC_LINE = 1 << 12
MSTATUS, MIE, MTVEC, MCAUSE, MTVAL = 0x300, 0x304, 0x305, 0x342, 0x343
RESULTS = 0x800
COUNT, SCRATCH, BUFFER, PORT = 28, 29, 30, 31
LOAD_ACCESS = 5


class Program:
    """Instructions, with the values that registers x1..x20 must have in the end."""

    def __init__(self) -> None:
        self.words: list[int] = []
        self.e = Encoder(self.words.append)
        self.registers = [0] * 32
        self.commands: list[tuple[int, int, int]] = []

    def prologue(self, interrupts: bool) -> None:
        """Handler at word 4: counts in x28, drops the line, returns. x31 = DEVICE, x30 = results."""
        self.e.jal(0, 4 * 10)
        while len(self.words) < 4:
            self.e.i("addi", 0, 0, 0)
        self.e.i("addi", COUNT, COUNT, 1)
        self.e.s("sd", PORT, 0, 8)
        # the line is seen low before mret
        for _ in range(3):
            self.e.i("addi", 0, 0, 0)
        self.e.word(0x30200073)
        assert len(self.words) == 10
        self.e.u("lui", PORT, DEVICE >> 12)
        self.e.u("lui", BUFFER, BASE >> 12)
        for register in (PORT, BUFFER):
            self.e.i("slli", register, register, 32)
            self.e.i("srli", register, register, 32)
        self.e.i("addi", SCRATCH, BUFFER, 16)
        self.e.csr("csrrw", 0, MTVEC, SCRATCH)
        self.e.i("addi", BUFFER, BUFFER, 2047)
        self.e.i("addi", BUFFER, BUFFER, RESULTS - 2047)
        self.e.u("lui", SCRATCH, ROCC_LINE >> 12)
        self.e.csr("csrrw", 0, MIE, SCRATCH)
        self.e.i("addi", COUNT, 0, 0)
        for register in range(1, 21):
            self.e.i("addi", register, 0, 5 * register)
            self.registers[register] = 5 * register
        if interrupts:
            self.e.csr("csrrsi", 0, MSTATUS, 8)

    def command(self, funct: int, rd: int, rs1: int, rs2: int, xd: bool, xs1: bool, xs2: bool) -> None:
        opcode = (0x0B, 0x2B, 0x5B, 0x7B)[funct & 3]
        word = encode(funct, xd=xd, xs1=xs1, xs2=xs2, rd=rd, opcode=opcode) & ~(0x3FF << 15) | rs2 << 20 | rs1 << 15
        self.e.word(word)
        operands = (self.registers[rs1] if xs1 else 0, self.registers[rs2] if xs2 else 0)
        self.commands.append((word, *operands))
        if xd and rd:
            self.registers[rd] = unit_result(word, *operands)

    def add(self, rd: int, rs1: int, rs2: int) -> None:
        self.e.r("add", rd, rs1, rs2)
        if rd:
            self.registers[rd] = (self.registers[rs1] + self.registers[rs2]) & (1 << 64) - 1

    def finish(self) -> list[int]:
        self.e.csr("csrrci", 0, MSTATUS, 8)
        for register in range(1, 21):
            self.e.s("sd", BUFFER, register, 8 * register)
        self.e.s("sd", BUFFER, COUNT, 0)
        self.e.s("sd", PORT, 0, 0)
        self.e.jal(0, 0)
        return self.words

    def check(self, bench: Bench) -> None:
        assert bench.commands == self.commands, "commands"
        found = [bench.memory[BASE + RESULTS + 8 * register] for register in range(1, 21)]
        assert found == self.registers[1:21]
        assert bench.memory[BASE + RESULTS] == bench.interrupts == bench.exceptions


@pytest.mark.parametrize("seed", range(6))
def test_random_commands(seed: int) -> None:
    r = random.Random(seed)
    program = Program()
    program.prologue(interrupts=True)
    checks = 0
    for _ in range(60):
        rd, rs1, rs2 = (r.randrange(21) for _ in range(3))
        kind = r.random()
        if kind < 0.45:
            xs1 = r.random() < 0.8
            program.command(r.randrange(128), rd, rs1, rs2, r.random() < 0.7, xs1, xs1 and r.random() < 0.8)
        elif kind < 0.8:
            program.add(rd, rs1, rs2)
        elif kind < 0.9:
            program.e.s("sd", BUFFER, rs1, 8 * r.randrange(1, 21))
        else:
            program.e.word(0x0FF0000F)
            program.e.s("sd", PORT, 0, 16)
            checks += 1
    timing = Timing(
        memory_stall=r.choice((0, 30)),
        memory_latency=r.choice((1, 3)),
        unit_ready=r.choice((10, 40, 100)),
        unit_latency=r.choice((1, 4, 25)),
        interrupt=r.choice((2, 6)),
    )
    bench = Bench(program.finish(), timing, seed).run()
    program.check(bench)
    assert bench.idle_checks == checks
    assert bench.interrupts > 0


def test_waiting_command_is_withdrawn_for_an_interrupt_and_issued_once() -> None:
    program = Program()
    program.prologue(interrupts=True)
    for i in range(8):
        program.command(i, 1 + i, 10, 11, True, True, True)
    bench = Bench(program.finish(), Timing(unit_ready=4, interrupt=8), seed=3).run()
    program.check(bench)
    assert bench.withdrawn >= 3


def test_only_dependants_wait_for_a_response() -> None:
    program = Program()
    program.prologue(interrupts=False)
    program.command(1, 5, 6, 7, True, True, True)
    for i in range(8):
        program.add(8 + i, 6, 7)
        program.e.s("sd", BUFFER, 8 + i, 8 * (8 + i))
    program.add(16, 5, 6)
    program.e.s("sd", BUFFER, 16, 256)
    bench = Bench(program.finish(), Timing(unit_latency=1), seed=1)
    bench.timing.unit_latency = 60
    bench.run()
    program.check(bench)
    answered = bench.answered_at[0]
    assert answered - bench.accepted_at[0] > 25, "the unit answered too soon for this test to mean anything"
    independent = [cycle for cycle, address, _ in bench.stores if address < BASE + RESULTS + 256]
    dependent = next(cycle for cycle, address, _ in bench.stores if address == BASE + RESULTS + 256)
    assert independent[7] < answered < dependent


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_register_that_a_response_will_write_is_not_written_before(overwrite: bool) -> None:
    program = Program()
    program.prologue(interrupts=False)
    program.command(1, 5, 6, 7, True, True, True)
    if overwrite:
        program.add(5, 1, 2)
    else:
        program.command(2, 5, 8, 9, True, True, True)
    program.check(Bench(program.finish(), Timing(unit_latency=40), seed=2).run())


def test_waiting_for_a_response_is_interruptible() -> None:
    program = Program()
    program.prologue(interrupts=True)
    program.command(1, 5, 6, 7, True, True, True)
    program.add(6, 5, 5)
    for seed in range(20):
        # the line rises somewhere between the command and its response
        bench = Bench(list(program.words), Timing(unit_latency=200, interrupt=2), seed)
        finished = Program()
        finished.words.extend(program.words)
        bench.words = finished.finish()
        bench.run()
        served = [cycle for cycle, address, _ in bench.stores if address == DEVICE + 8]
        if any(bench.accepted_at[0] < cycle < bench.answered_at[0] for cycle in served):
            return
    pytest.fail("no interrupt was served while the core waited for a response")


def test_a_command_behind_a_faulting_load_is_not_issued() -> None:
    program = Program()
    program.prologue(interrupts=False)
    e = program.e
    # the handler of this test: skip the load, the command and the store
    e.pc_relative(SCRATCH, 4 * 8)
    e.csr("csrrw", 0, MTVEC, SCRATCH)
    e.u("lui", SCRATCH, 0x40000)
    e.i("ld", 3, SCRATCH, 0)
    program.e.word(encode(3, xd=True, rd=4))
    e.s("sd", BUFFER, 1, 300)
    e.s("sd", BUFFER, 1, 304)
    e.i("addi", 0, 0, 0)
    e.csr("csrrs", 1, MCAUSE, 0)
    program.registers[1] = LOAD_ACCESS
    e.csr("csrrs", 2, MTVAL, 0)
    program.registers[2] = 0x4000_0000
    bench = Bench(program.finish(), Timing(memory_latency=4), seed=5).run()
    assert bench.commands == []
    assert bench.exceptions == 1
    assert not any(address in (BASE + RESULTS + 300, BASE + RESULTS + 304) for _, address, _ in bench.stores)
    assert bench.memory[BASE + RESULTS + 8] == LOAD_ACCESS
    assert bench.memory[BASE + RESULTS + 16] == 0x4000_0000


@pytest.mark.parametrize("bits", [0b001, 0b101])
def test_rs2_without_rs1_is_illegal(bits: int) -> None:
    program = Program()
    program.prologue(interrupts=False)
    e = program.e
    e.pc_relative(SCRATCH, 4 * 4)
    e.csr("csrrw", 0, MTVEC, SCRATCH)
    e.word(0x0B | bits << 12 | 4 << 7)
    e.i("addi", 0, 0, 0)
    e.csr("csrrs", 1, MCAUSE, 0)
    bench = Bench(program.finish(), Timing(), seed=6).run()
    assert bench.commands == []
    assert bench.memory[BASE + RESULTS + 8] == 2
