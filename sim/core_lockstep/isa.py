"""RV64IM_Zicsr_Zifencei as a table: encoding for the random streams, decoding for counting what ran."""

from collections.abc import Callable
from functools import cache

_R = {
    "add": (0x33, 0, 0),
    "sub": (0x33, 0, 0x20),
    "sll": (0x33, 1, 0),
    "slt": (0x33, 2, 0),
    "sltu": (0x33, 3, 0),
    "xor": (0x33, 4, 0),
    "srl": (0x33, 5, 0),
    "sra": (0x33, 5, 0x20),
    "or": (0x33, 6, 0),
    "and": (0x33, 7, 0),
    "addw": (0x3B, 0, 0),
    "subw": (0x3B, 0, 0x20),
    "sllw": (0x3B, 1, 0),
    "srlw": (0x3B, 5, 0),
    "sraw": (0x3B, 5, 0x20),
    "mul": (0x33, 0, 1),
    "mulh": (0x33, 1, 1),
    "mulhsu": (0x33, 2, 1),
    "mulhu": (0x33, 3, 1),
    "div": (0x33, 4, 1),
    "divu": (0x33, 5, 1),
    "rem": (0x33, 6, 1),
    "remu": (0x33, 7, 1),
    "mulw": (0x3B, 0, 1),
    "divw": (0x3B, 4, 1),
    "divuw": (0x3B, 5, 1),
    "remw": (0x3B, 6, 1),
    "remuw": (0x3B, 7, 1),
}
_I = {
    "addi": (0x13, 0),
    "slti": (0x13, 2),
    "sltiu": (0x13, 3),
    "xori": (0x13, 4),
    "ori": (0x13, 6),
    "andi": (0x13, 7),
    "addiw": (0x1B, 0),
    "lb": (0x03, 0),
    "lh": (0x03, 1),
    "lw": (0x03, 2),
    "ld": (0x03, 3),
    "lbu": (0x03, 4),
    "lhu": (0x03, 5),
    "lwu": (0x03, 6),
    "jalr": (0x67, 0),
}
_SHIFT = {
    "slli": (0x13, 1, 0),
    "srli": (0x13, 5, 0),
    "srai": (0x13, 5, 0x400),
    "slliw": (0x1B, 1, 0),
    "srliw": (0x1B, 5, 0),
    "sraiw": (0x1B, 5, 0x400),
}
_S = {"sb": 0, "sh": 1, "sw": 2, "sd": 3}
_B = {"beq": 0, "bne": 1, "blt": 4, "bge": 5, "bltu": 6, "bgeu": 7}
_U = {"lui": 0x37, "auipc": 0x17}
_CSR = {"csrrw": 1, "csrrs": 2, "csrrc": 3, "csrrwi": 5, "csrrsi": 6, "csrrci": 7}
_WORDS = {"ecall": 0x00000073, "ebreak": 0x00100073, "mret": 0x30200073, "wfi": 0x10500073}

BRANCHES = tuple(_B)
TRAPPING = ("ecall", "ebreak")
"""Instructions that never retire."""
MNEMONICS = (*_R, *_I, *_SHIFT, *_S, *_B, *_U, "jal", *_CSR, "fence", "fence.i", *_WORDS)
"""Every instruction of the core but the custom ones."""


def _signed(value: int, bits: int, what: str) -> int:
    if not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise ValueError(f"{what} must fit {bits} bits, not {value}")
    return value & ((1 << bits) - 1)


class Encoder:
    """Appends instruction words; register operands are numbers, offsets are bytes from the instruction itself."""

    def __init__(self, append: Callable[[int], None]) -> None:
        self.word = append

    def r(self, name: str, rd: int, rs1: int, rs2: int) -> None:
        opcode, funct3, funct7 = _R[name]
        self.word(funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode)

    def i(self, name: str, rd: int, rs1: int, value: int) -> None:
        """Also loads, shifts and jalr."""
        if name in _SHIFT:
            opcode, funct3, high = _SHIFT[name]
            value |= high
        else:
            opcode, funct3 = _I[name]
        self.word(_signed(value, 12, name) << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode)

    def s(self, name: str, base: int, source: int, offset: int) -> None:
        v = _signed(offset, 12, name)
        self.word(v >> 5 << 25 | source << 20 | base << 15 | _S[name] << 12 | (v & 31) << 7 | 0x23)

    def b(self, name: str, rs1: int, rs2: int, offset: int) -> None:
        v = _signed(offset, 13, name)
        high = v >> 12 << 31 | (v >> 5 & 63) << 25
        self.word(high | rs2 << 20 | rs1 << 15 | _B[name] << 12 | (v >> 1 & 15) << 8 | (v >> 11 & 1) << 7 | 0x63)

    def u(self, name: str, rd: int, upper: int) -> None:
        self.word(upper << 12 | rd << 7 | _U[name])

    def jal(self, rd: int, offset: int) -> None:
        v = _signed(offset, 21, "jal")
        fields = v >> 20 << 31 | (v >> 1 & 0x3FF) << 21 | (v >> 11 & 1) << 20 | (v >> 12 & 0xFF) << 12
        self.word(fields | rd << 7 | 0x6F)

    def csr(self, name: str, rd: int, address: int, source: int) -> None:
        """``source`` is a register or, for the -i forms, a number 0..31."""
        self.word(address << 20 | source << 15 | _CSR[name] << 12 | rd << 7 | 0x73)

    def pc_relative(self, rd: int, offset: int) -> None:
        """auipc and addi: rd = address of the auipc + offset."""
        low = (offset + 0x800 & 0xFFF) - 0x800
        self.u("auipc", rd, offset - low >> 12 & 0xFFFFF)
        self.i("addi", rd, rd, low)


def _table() -> dict[tuple[int, int], dict[int, str]]:
    """{(opcode, mask): {word & mask: name}}."""
    table: dict[tuple[int, int], dict[int, str]] = {}

    def add(name: str, mask: int, match: int) -> None:
        table.setdefault((match & 0x7F, mask), {})[match] = name

    for name, (opcode, funct3, funct7) in _R.items():
        add(name, 0xFE00707F, funct7 << 25 | funct3 << 12 | opcode)
    for name, (opcode, funct3) in _I.items():
        add(name, 0x707F, funct3 << 12 | opcode)
    for name, (opcode, funct3, high) in _SHIFT.items():
        # the -W forms have five bits of shift amount, the others six
        add(name, 0xFE00707F if opcode == 0x1B else 0xFC00707F, high << 20 | funct3 << 12 | opcode)
    for group, opcode in ((_S, 0x23), (_B, 0x63), (_CSR, 0x73)):
        for name, funct3 in group.items():
            add(name, 0x707F, funct3 << 12 | opcode)
    for name, opcode in _U.items():
        add(name, 0x7F, opcode)
    add("jal", 0x7F, 0x6F)
    add("fence", 0x707F, 0x000F)
    add("fence.i", 0x707F, 0x100F)
    for name, word in _WORDS.items():
        add(name, 0xFFFFFFFF, word)
    return table


_TABLE = _table()


@cache
def mnemonic(word: int) -> str:
    """Name of a legal instruction; "illegal" for anything else."""
    for (opcode, mask), names in _TABLE.items():
        if opcode == word & 0x7F and (name := names.get(word & mask)):
            return name
    return "illegal"


@cache
def operands(word: int) -> tuple[int, int, int]:
    """(rd, rs1, rs2) of a legal instruction; 0 for one that it does not have."""
    name = mnemonic(word)
    rd, rs1, rs2 = word >> 7 & 31, word >> 15 & 31, word >> 20 & 31
    if name in _S or name in _B:
        return 0, rs1, rs2
    if name in _R:
        return rd, rs1, rs2
    if name in _U or name == "jal" or name in ("csrrwi", "csrrsi", "csrrci"):
        return rd, 0, 0
    if name in _I or name in _SHIFT or name in _CSR:
        return rd, rs1, 0
    return 0, 0, 0
