from typing import Any

import pytest
from amaranth.hdl import Shape

from golden.isa import encode
from hdl.rocc import InstructionLayout, MemoryCommand, MemorySignature, RoccSignature


def test_instruction_layout_is_the_encoding_of_the_table() -> None:
    inst: Any = InstructionLayout.from_bits(encode(7, xd=True, xs2=False, rd=31))
    assert (inst.funct, inst.rs2, inst.rs1, inst.xd, inst.xs1, inst.xs2, inst.rd, inst.opcode) == (
        7, 2, 1, 1, 1, 0, 31, 0x0B,
    )  # fmt: skip
    assert InstructionLayout.size == 32


def test_memory_commands_are_rockets() -> None:
    assert (MemoryCommand.LOAD.value, MemoryCommand.STORE.value) == (0, 1)
    assert Shape.cast(MemoryCommand).width == 5


def test_tag_width_is_checked_and_compared() -> None:
    with pytest.raises(ValueError, match="tag_bits must be at least 1, not 0"):
        MemorySignature(0)
    assert MemorySignature(6) == MemorySignature(6)
    assert MemorySignature(6) != MemorySignature(7)
    assert RoccSignature(6).members["mem"].signature.flip() == MemorySignature(6)
