"""RoCC: the port between a RISC-V core and a coprocessor, as Rocket has it, with its contract in words.

``cmd`` carries a custom instruction with the values of its operands. The core may withdraw ``valid`` before
``ready`` (it does when an interrupt is taken), so a coprocessor must not rely on ``valid`` staying up; a transfer
happens in a cycle in which both are high. ``ready`` may depend on ``valid`` and ``inst``.

``resp`` returns exactly one value for every accepted command with xd = 1, none for others, in order.

``mem``: every accepted request, load or store, is answered by exactly one response with its tag, in any order;
responses are always accepted. A tag is not reused before its response. A coprocessor forgets in reset what it has
asked for, so reset must not end before the last response to requests from before it, unless memory forgets them too.

``busy`` is high while memory may still be touched; a core's ``fence`` waits for it to fall. ``interrupt`` is a
level. ``exception`` tells the coprocessor that the core trapped.
"""

from amaranth.lib import enum
from amaranth.lib.wiring import In, Out, Signature

from golden.isa import INSTRUCTION_LAYOUT
from hdl.common.struct import struct

__all__ = [
    "CommandSignature",
    "InstructionLayout",
    "MemoryCommand",
    "MemorySignature",
    "ResponseSignature",
    "RoccSignature",
]

InstructionLayout = struct(INSTRUCTION_LAYOUT)
"""Fields of the 32-bit instruction, lowest first."""


class MemoryCommand(enum.Enum, shape=5):
    """``mem.cmd``, Rocket's M_XRD and M_XWR."""

    LOAD = 0
    STORE = 1


class CommandSignature(Signature):
    """Commands, seen from the core: instruction word, operand values, mstatus."""

    def __init__(self) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "ready": In(1),
                "inst": Out(32),
                "rs1": Out(64),
                "rs2": Out(64),
                "status": Out(64),
            }
        )


class ResponseSignature(Signature):
    """Responses, seen from the coprocessor: destination register and value."""

    def __init__(self) -> None:
        super().__init__({"valid": Out(1), "ready": In(1), "rd": Out(5), "data": Out(64)})


class MemorySignature(Signature):
    """Memory requests of at most one 64-bit word, seen from the coprocessor.

    Parameters:
        tag_bits: width of the tag, bits; 2**tag_bits requests may be outstanding.

    ``size`` is log2 of the bytes, ``mask`` one bit a byte (stores); ``addr`` in bytes.
    """

    def __init__(self, tag_bits: int) -> None:
        if tag_bits < 1:
            raise ValueError(f"tag_bits must be at least 1, not {tag_bits!r}")
        self.tag_bits = tag_bits
        super().__init__(
            {
                "req_valid": Out(1),
                "req_ready": In(1),
                "req_addr": Out(64),
                "req_tag": Out(tag_bits),
                "req_cmd": Out(MemoryCommand),
                "req_size": Out(2),
                "req_data": Out(64),
                "req_mask": Out(8),
                "resp_valid": In(1),
                "resp_tag": In(tag_bits),
                "resp_data": In(64),
                "resp_error": In(1),
            }
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MemorySignature) and other.tag_bits == self.tag_bits

    def __hash__(self) -> int:
        return hash(self.tag_bits)


class RoccSignature(Signature):
    """The whole port, seen from the core (a coprocessor has it as ``In``)."""

    def __init__(self, tag_bits: int = 6) -> None:
        super().__init__(
            {
                "cmd": Out(CommandSignature()),
                "resp": In(ResponseSignature()),
                "mem": In(MemorySignature(tag_bits)),
                "busy": In(1),
                "interrupt": In(1),
                "exception": Out(1),
            }
        )
