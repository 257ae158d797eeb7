"""Random instruction streams for the core: self-contained programs that use every instruction and take every trap.

A stream is a loop over a body of random *units*, short sequences that are safe to run with any register contents.
Registers x1..x26 hold random values; the others have fixed jobs (below). Traps go to a handler that reads mepc, mcause
and mtval and goes on behind the trapping instruction. A timer interrupt is pending all the time and is taken whenever
the stream enables it; the handler disables it again.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from sim.core_lockstep.isa import Encoder

BASE = 0x8000_0000
DATA_BYTES = 4096
FREE = range(1, 27)
ROUNDS, LOOP, LINK, SCRATCH, DATA = 27, 28, 29, 30, 31
NOWHERE = 0x4000_0
"""Upper 20 bits of an address without memory."""

MSTATUS, MISA, MIE, MTVEC, MSCRATCH, MEPC, MCAUSE, MTVAL, MIP = 0x300, 0x301, 0x304, 0x305, 0x340, *range(0x341, 0x345)
MINSTRET, INSTRET, MVENDORID, MIMPID, MHARTID = 0xB02, 0xC02, 0xF11, 0xF13, 0xF14
MTIE = 0x80

# the program's layout: in words the jump over the trap vector, the vector, the first instruction; then in bytes
VECTOR, FIRST = 16, 48
TOHOST_OFFSET, DATA_OFFSET = 0x4_0000, 0x4_1000
SPECIAL = (0, 1, 2**64 - 1, 2**63, 2**63 - 1, 2**31, 2**32 - 1, 0xFFFF_FFFF_8000_0000)

ALU_R = ("add", "sub", "sll", "slt", "sltu", "xor", "srl", "sra", "or", "and", "addw", "subw", "sllw", "srlw", "sraw")
ALU_I = ("addi", "slti", "sltiu", "xori", "ori", "andi", "addiw")
SHIFT_I = ("slli", "srli", "srai")
SHIFT_IW = ("slliw", "srliw", "sraiw")
MUL_DIV = ("mul", "mulh", "mulhsu", "mulhu", "mulw", "div", "divu", "rem", "remu", "divw", "divuw", "remw", "remuw")
BRANCHES = ("beq", "bne", "blt", "bge", "bltu", "bgeu")
LOADS = {"lb": 1, "lh": 2, "lw": 4, "ld": 8, "lbu": 1, "lhu": 2, "lwu": 4}
STORES = {"sb": 1, "sh": 2, "sw": 4, "sd": 8}
CSR_OPS = ("csrrw", "csrrs", "csrrc", "csrrwi", "csrrsi", "csrrci")


@dataclass(frozen=True)
class Stream:
    """A program: its memory from BASE on, and the addresses of HTIF's words."""

    content: bytes
    tohost: int
    fromhost: int


class _Generator:
    def __init__(self, seed: int, units: int, rounds: int) -> None:
        self.random = random.Random(seed)
        self.units = units
        self.rounds = rounds
        self.words: list[int] = []
        self.recent = [1, 2]
        self.e = Encoder(self.words.append)

    # ---- operands

    def source(self) -> int:
        """A register to read: often one that was just written."""
        roll = self.random.random()
        if roll < 0.45:
            return self.recent[-1]
        if roll < 0.65:
            return self.recent[-2]
        return self.random.choice((0, DATA, *FREE))

    def target(self) -> int:
        """A register to write: now and then x0."""
        rd = 0 if self.random.random() < 0.04 else self.random.choice(FREE)
        self.recent = [self.recent[-1], rd]
        return rd

    def immediate(self) -> int:
        return self.random.choice((0, 1, -1, 2047, -2048, self.random.randint(-2048, 2047)))

    # ---- units of one instruction

    def alu(self) -> None:
        kind: tuple[str, ...] = self.random.choice((ALU_R, ALU_R, ALU_I, SHIFT_I, SHIFT_IW))
        name = self.random.choice(kind)
        if kind is ALU_R:
            a, b = self.source(), self.source()
            self.e.r(name, self.target(), a, b)
        else:
            a = self.source()
            limit = 64 if kind is SHIFT_I else 32
            value = self.immediate() if kind is ALU_I else self.random.randrange(limit)
            self.e.i(name, self.target(), a, value)

    def multiply_divide(self) -> None:
        a, b = self.source(), self.source()
        self.e.r(self.random.choice(MUL_DIV), self.target(), a, b)

    def upper(self) -> None:
        value = self.random.choice((0, 1, 0x7FFFF, 0x80000, 0xFFFFF, self.random.randrange(1 << 20)))
        self.e.u(self.random.choice(("lui", "auipc")), self.target(), value)

    def offset(self, size: int) -> int:
        return self.random.randrange(-2048, 2048 - size + 1, size)

    def load(self) -> None:
        name = self.random.choice(tuple(LOADS))
        self.e.i(name, self.target(), DATA, self.offset(LOADS[name]))

    def store(self) -> None:
        name = self.random.choice(tuple(STORES))
        self.e.s(name, DATA, self.source(), self.offset(STORES[name]))

    def simple(self) -> None:
        """Any one instruction that falls through."""
        self.random.choices((self.alu, self.multiply_divide, self.upper, self.load, self.store), (50, 12, 8, 22, 10))[
            0
        ]()

    # ---- units of several

    def addressed(self) -> None:
        """A load or store at an address that was just computed."""
        a = self.source()
        self.e.i("andi", SCRATCH, a, 0x7F8)
        self.e.r("add", SCRATCH, SCRATCH, DATA)
        if self.random.random() < 0.6:
            self.e.i(self.random.choice(tuple(LOADS)), self.target(), SCRATCH, 8 * self.random.randrange(-8, 1))
        else:
            self.e.s(self.random.choice(tuple(STORES)), SCRATCH, self.source(), 8 * self.random.randrange(-8, 1))

    def through_memory(self) -> None:
        """A store and a load of the same word, of any sizes."""
        offset = self.offset(8)
        self.e.s(self.random.choice(tuple(STORES)), DATA, self.source(), offset)
        self.e.i(self.random.choice(tuple(LOADS)), self.target(), DATA, offset)

    def branch(self) -> None:
        skipped = self.random.randrange(0, 4)
        a, b = self.source(), self.source()
        self.e.b(self.random.choice(BRANCHES), a, b, 4 * (skipped + 1))
        for _ in range(skipped):
            self.simple()

    def loop(self) -> None:
        body = self.random.randrange(1, 4)
        self.e.i("addi", LOOP, 0, self.random.randrange(1, 4))
        for _ in range(body):
            self.simple()
        self.e.i("addi", LOOP, LOOP, -1)
        self.e.b("bne", LOOP, 0, -4 * (body + 1))

    def jump(self) -> None:
        skipped = self.random.randrange(0, 3)
        if self.random.random() < 0.5:
            self.e.jal(self.target(), 4 * (skipped + 1))
        else:
            self.e.u("auipc", SCRATCH, 0)
            # bit 0 of the target is ignored
            self.e.i("jalr", self.target(), SCRATCH, 4 * (skipped + 2) + self.random.randrange(2))
        for _ in range(skipped):
            self.simple()

    def fence(self) -> None:
        self.e.word(self.random.choice((0x0FF0000F, 0x0330000F, 0x0000100F)))

    # ---- traps

    def environment(self) -> None:
        self.e.word(self.random.choice((0x00000073, 0x00100073)))

    def illegal(self) -> None:
        r = self.random
        self.e.word(
            r.choice(
                (
                    0,
                    0xFFFFFFFF,
                    0x10200073,  # sret: no supervisor mode
                    r.randrange(32) << 15 | 0x12000073,  # sfence.vma
                    0x7B200073,  # dret
                    0xC0001073 | r.randrange(32) << 15,  # csrrw to cycle
                    0x5C002073,  # a CSR that does not exist
                    0x18002073,  # satp
                    0x00004073,  # SYSTEM, funct3 4
                    0x00002007,  # flw
                    0x00000053,  # fadd.s
                    0x02001013 | r.randrange(32) << 7 | 1 << 31,  # slli with reserved bits
                    0x0200101B,  # slliw by 32
                    0x42000033 | r.randrange(32) << 7,  # OP, funct7 0x21
                    0x0200103B,  # OP-32, funct7 1, funct3 1
                    0x00007003 | r.randrange(32) << 7,  # LOAD, funct3 7
                    0x00004023,  # STORE, funct3 4
                    0x00002063,  # BRANCH, funct3 2
                    0x00001067,  # JALR, funct3 1
                    0x0000200F,  # MISC-MEM, funct3 2
                    0x1000202F,  # atomics
                )
            )
        )

    def misaligned_access(self) -> None:
        name, size = self.random.choice([(n, s) for n, s in (LOADS | STORES).items() if s > 1])
        offset = self.offset(8) + self.random.choice([i for i in range(8) if i % size])
        if name in LOADS:
            self.e.i(name, self.target(), DATA, offset)
        else:
            self.e.s(name, DATA, self.source(), offset)

    def access_fault(self) -> None:
        self.e.u("lui", SCRATCH, NOWHERE)
        offset = 8 * self.random.randrange(-256, 256)
        # another access behind it must not happen, or happen only after the trap
        if self.random.random() < 0.5:
            self.e.i(self.random.choice(tuple(LOADS)), self.target(), SCRATCH, offset)
        else:
            self.e.s(self.random.choice(tuple(STORES)), SCRATCH, self.source(), offset)
        self.random.choice((self.store, self.load, self.alu, self.csr))()

    def misaligned_jump(self) -> None:
        kind = self.random.randrange(3)
        if kind == 0:
            a, b = self.source(), self.source()
            self.e.b(self.random.choice(BRANCHES), a, b, 6)
            self.simple()
        elif kind == 1:
            self.e.jal(self.target(), 6)
        else:
            self.e.u("auipc", SCRATCH, 0)
            self.e.i("jalr", self.target(), SCRATCH, self.random.choice((2, 3, 10, 11)))

    def fetch_fault(self) -> None:
        self.e.u("lui", SCRATCH, NOWHERE)
        self.e.i("jalr", LINK, SCRATCH, 4 * self.random.randrange(16))

    # ---- CSRs and interrupts

    def csr(self) -> None:
        r = self.random
        name = r.choice(CSR_OPS)
        address = r.choice((MSCRATCH,) * 6 + (MTVAL, MEPC, MINSTRET, MIE, MCAUSE, MTVEC, MISA, MVENDORID, MHARTID))
        if address in (MIE, MTVEC, MISA, MVENDORID, MIMPID, MHARTID):
            # only read, or only written with what it holds: the stream depends on them
            self.e.csr("csrrs" if r.random() < 0.5 else "csrrc", self.target(), address, 0)
        elif address == MCAUSE:
            # legal causes only
            self.e.csr(r.choice(("csrrwi", "csrrsi", "csrrci")), self.target(), address, r.randrange(16))
        elif name.endswith("i"):
            self.e.csr(name, self.target(), address, r.randrange(32))
        else:
            a = self.source()
            self.e.csr(name, self.target(), address, a)
        if address == MINSTRET:
            for _ in range(r.randrange(3)):
                self.simple()
            self.e.csr("csrrs", self.target(), r.choice((MINSTRET, INSTRET)), 0)

    def interrupt_enable(self) -> None:
        r = self.random
        # mstatus goes to SCRATCH only, where nobody reads it: its XS field differs from the reference
        match r.randrange(5):
            case 0:
                self.e.csr("csrrsi", r.choice((0, SCRATCH)), MSTATUS, 8)
            case 1:
                self.e.csr("csrrci", r.choice((0, SCRATCH)), MSTATUS, 8)
            case 2:
                self.e.i("addi", SCRATCH, 0, MTIE)
                self.e.csr("csrrs", self.target(), MIE, SCRATCH)
            case 3:
                self.e.csr(r.choice(("csrrsi", "csrrci")), self.target(), MTVEC, 1)
            case 4:
                self.e.csr("csrrs", self.target(), MIP, 0)

    def mret(self) -> None:
        skipped = self.random.randrange(2)
        self.e.u("auipc", SCRATCH, 0)
        self.e.i("addi", SCRATCH, SCRATCH, 16 + 4 * skipped)
        self.e.csr("csrrw", 0, MEPC, SCRATCH)
        self.e.word(0x30200073)
        for _ in range(skipped):
            self.simple()

    def wfi(self) -> None:
        self.e.csr("csrrci", 0, MSTATUS, 8)
        self.e.i("addi", SCRATCH, 0, MTIE)
        self.e.csr("csrrs", 0, MIE, SCRATCH)
        self.e.word(0x10500073)
        self.e.csr("csrrc", 0, MIE, SCRATCH)

    # ---- the program

    def handler(self) -> None:
        """At the trap vector: eight entries, of which exceptions use the first and the timer the last."""
        for i in range(8):
            self.e.jal(0, 4 * (8 - i))
        self.e.csr("csrrs", SCRATCH, MTVAL, 0)
        self.e.csr("csrrs", SCRATCH, MEPC, 0)
        self.e.csr("csrrs", SCRATCH, MCAUSE, 0)
        self.e.b("bge", SCRATCH, 0, 16)
        self.e.i("addi", SCRATCH, 0, MTIE)
        self.e.csr("csrrc", 0, MIE, SCRATCH)
        self.e.word(0x30200073)
        # a fetch from nowhere goes on where the jump came from, everything else behind the instruction
        self.e.i("addi", SCRATCH, SCRATCH, -1)
        self.e.b("beq", SCRATCH, 0, 20)
        self.e.csr("csrrs", SCRATCH, MEPC, 0)
        self.e.i("addi", SCRATCH, SCRATCH, 4)
        self.e.csr("csrrw", 0, MEPC, SCRATCH)
        self.e.word(0x30200073)
        self.e.csr("csrrw", 0, MEPC, LINK)
        self.e.word(0x30200073)

    UNITS: tuple[tuple[Callable[["_Generator"], None], int], ...] = (
        (simple, 100),
        (addressed, 8),
        (through_memory, 8),
        (branch, 24),
        (loop, 4),
        (jump, 8),
        (fence, 3),
        (environment, 2),
        (illegal, 2),
        (misaligned_access, 3),
        (access_fault, 3),
        (misaligned_jump, 3),
        (fetch_fault, 1),
        (csr, 20),
        (interrupt_enable, 8),
        (mret, 2),
        (wfi, 1),
    )

    def generate(self) -> Stream:
        e, words = self.e, self.words
        e.jal(0, 4 * FIRST)
        while len(words) < VECTOR:
            e.i("addi", 0, 0, 0)
        self.handler()
        while len(words) < FIRST:
            e.i("addi", 0, 0, 0)
        e.pc_relative(DATA, DATA_OFFSET + DATA_BYTES // 2 - 4 * len(words))
        e.pc_relative(SCRATCH, 4 * (VECTOR - len(words)))
        e.csr("csrrw", 0, MTVEC, SCRATCH)
        e.csr("csrrwi", 0, MIE, 0)
        for register in range(1, SCRATCH):
            e.i("ld", register, DATA, 8 * register)
        e.i("addi", ROUNDS, 0, self.rounds)
        for register, address in enumerate((MINSTRET, MSCRATCH, MTVAL, MEPC), start=1):
            e.csr("csrrw", 0, address, register)
        e.csr("csrrwi", 0, MCAUSE, 0)
        top = len(words)
        units, weights = zip(*self.UNITS, strict=True)
        for unit in self.random.choices(units, weights, k=self.units):
            unit(self)
        e.i("addi", ROUNDS, ROUNDS, -1)
        e.b("beq", ROUNDS, 0, 8)
        e.jal(0, 4 * (top - len(words)))
        # exit with code 0
        e.pc_relative(LINK, TOHOST_OFFSET - 4 * len(words))
        e.i("addi", SCRATCH, 0, 1)
        e.s("sd", LINK, SCRATCH, 0)
        e.jal(0, 0)
        code = b"".join(word.to_bytes(4, "little") for word in words)
        if len(code) > TOHOST_OFFSET:
            raise ValueError(f"units must give at most {TOHOST_OFFSET} bytes of code, not {len(code)}")
        r = self.random
        numbers = [r.choice((r.choice(SPECIAL), r.getrandbits(64), r.getrandbits(16))) for _ in range(DATA_BYTES // 8)]
        data = b"".join(number.to_bytes(8, "little") for number in numbers)
        return Stream(code.ljust(DATA_OFFSET, bytes(1)) + data, BASE + TOHOST_OFFSET, BASE + TOHOST_OFFSET + 64)


def generate(seed: int, units: int = 3000, rounds: int = 20) -> Stream:
    """A program of ``units`` random units, run ``rounds`` times; the seed decides everything."""
    return _Generator(seed, units, rounds).generate()
