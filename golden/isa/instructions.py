"""The instructions and their operands, all but START's."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from golden.fields import Layout

CUSTOM_0 = 0x0B
"""Opcode of every instruction of the accelerator."""

VERSION = 1
"""Value of counter 1, bits 15:0: grows when a program could tell the difference."""

INSTRUCTION_LAYOUT = Layout(
    {"opcode": 7, "rd": 5, "xs2": 1, "xs1": 1, "xd": 1, "rs1": 5, "rs2": 5, "funct": 7},
)
"""An instruction word."""

STREAMS_LAYOUT = Layout(
    {"w_gap_bits": 4, "w_unit": 2, "unused_6": 2, "u_gap_bits": 4, "u_unit": 2, "unused_14": 2}
)  # fmt: skip
"""Parameters of the stream formats: the width of a gap, and the columns of a unit less 1, of W and of U."""

GROUP_SIZES = 16
"""Sizes of groups that a list has at most."""

GROUP_SIZE_BITS = 6
"""Width of each."""

GROUPS_RS1_BITS = 64 // GROUP_SIZE_BITS * GROUP_SIZE_BITS
"""Bits of GROUPS' rs1 that sizes fill; the others are in rs2."""


class Funct(IntEnum):
    """funct7 of each instruction."""

    SIZES = 0
    STEPS = 1
    WEIGHTS = 2
    FUSION = 3
    DATA = 4
    START = 5
    EXTENSION = 6
    COUNTER = 7
    ABORT = 8
    STREAMS = 9
    GROUPS = 10
    EVENTS = 11


@dataclass(frozen=True)
class Instruction:
    """One row of the instruction table; an operand that is None is not read and its xs bit may be 0."""

    funct: Funct
    rs1: str | None
    rs2: str | None
    effect: str


INSTRUCTIONS: tuple[Instruction, ...] = (
    Instruction(Funct.SIZES, "X, elements", "H, elements", "set the sizes of the layer"),
    Instruction(Funct.STEPS, "threshold, fp32 bits", "T", "set the pruning threshold and the number of time steps"),
    Instruction(Funct.WEIGHTS, "address of W", "address of the bias", "set the addresses of W and of the bias"),
    Instruction(Funct.FUSION, "address of U's column offsets", "N_fuse", "set U's offsets and the fusion factor"),
    Instruction(Funct.DATA, "address of x", "address of h", "set the addresses of input and output"),
    Instruction(Funct.START, "address of U", "flags", "check everything set so far and start; returns at once"),
    Instruction(
        Funct.EXTENSION, "address of W's column offsets or 0", "address of the state or 0", "set the optional addresses"
    ),
    Instruction(Funct.COUNTER, "counter index", None, "read a counter; never waits for a run"),
    Instruction(Funct.ABORT, None, None, "stop the run, clear all registers and errors; never waits for a run"),
    Instruction(
        Funct.STREAMS,
        "gap bits and units of W and U",
        "address of the tables or 0",
        "say how stream formats are packed",
    ),
    Instruction(Funct.GROUPS, "group sizes 0 to 9", "group sizes 10 to 15", "set the list of group sizes, 6 bits each"),
    Instruction(Funct.EVENTS, "threshold of x, fp32 bits", None, "set the threshold that changes of x must reach"),
)


def group_words(sizes: Sequence[int]) -> tuple[int, int]:
    """rs1 and rs2 of GROUPS: sizes of groups in time steps, the last of which repeats.

    Raises ValueError for none, too many, or one that does not fit.
    """
    if not 1 <= len(sizes) <= GROUP_SIZES:
        raise ValueError(f"a list has 1 to {GROUP_SIZES} group sizes, not {len(sizes)}")
    for size in sizes:
        if not 1 <= size < 1 << GROUP_SIZE_BITS:
            raise ValueError(f"a group size must be in 1..{(1 << GROUP_SIZE_BITS) - 1}, not {size}")
    word = sum(size << GROUP_SIZE_BITS * place for place, size in enumerate(sizes))
    return word & (1 << GROUPS_RS1_BITS) - 1, word >> GROUPS_RS1_BITS


def group_sizes(rs1: int, rs2: int) -> tuple[int, ...]:
    """The sizes that the operands of GROUPS hold: those before the first 0."""
    word = rs1 & (1 << GROUPS_RS1_BITS) - 1 | rs2 << GROUPS_RS1_BITS
    sizes = [word >> GROUP_SIZE_BITS * place & (1 << GROUP_SIZE_BITS) - 1 for place in range(GROUP_SIZES)]
    return tuple(sizes[: sizes.index(0)] if 0 in sizes else sizes)


def streams_word(w_gap_bits: int, w_unit_cols: int, u_gap_bits: int, u_unit_cols: int) -> int:
    """The parameters of W and U in a word; 0 gap bits and units of 4 columns where a format has none."""
    return STREAMS_LAYOUT.pack(
        w_gap_bits=w_gap_bits, w_unit=w_unit_cols - 1, u_gap_bits=u_gap_bits, u_unit=u_unit_cols - 1
    )


def encode(
    funct: int, *, xd: bool = False, xs1: bool = True, xs2: bool = True, rd: int = 0, opcode: int = CUSTOM_0
) -> int:
    """The 32-bit instruction word, rs1 and rs2 as registers x1 and x2."""
    return INSTRUCTION_LAYOUT.pack(opcode=opcode, rd=rd, xs2=xs2, xs1=xs1, xd=xd, rs1=1, rs2=2, funct=funct)
