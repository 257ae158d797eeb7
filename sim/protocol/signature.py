"""The signature of a test of the architecture, as Spike and riscof have it: the memory between the labels
``begin_signature`` and ``end_signature`` when the program has ended, as text."""

from sim.protocol.core import MemoryRange
from sim.protocol.elf import Elf, ElfError

NAME = "signature"
GRANULARITY = 16
"""Bytes of a line, unless told otherwise: Spike's; riscof asks for 4."""
_LABELS = ("begin_signature", "end_signature")


def signature_range(program: Elf, file: object) -> MemoryRange:
    """Where the signature is. Raises ElfError, naming ``file``, when there is none or it is outside of RAM."""
    missing = [label for label in _LABELS if label not in program.labels]
    if missing:
        raise ElfError(f"{file}: no signature: the program has no symbol {' and no '.join(missing)}")
    begin, end = (program.labels[label] for label in _LABELS)
    ram = range(program.ram.address, program.ram.address + program.ram.size)
    if not (begin < end and begin in ram and end - 1 in ram):
        raise ElfError(
            f"{file}: no signature: begin_signature {begin:#x} and end_signature {end:#x} must be in RAM "
            f"({ram.start:#x} to {ram.stop:#x}) and in this order"
        )
    return MemoryRange(NAME, begin, end - begin)


def signature_text(memory: bytes, granularity: int = GRANULARITY) -> bytes:
    """Lines of ``granularity`` bytes in hexadecimal, the one of the highest address first; the last line is filled up
    with zeros."""
    padded = memory.ljust(-(-len(memory) // granularity) * granularity, b"\0")
    lines = (padded[at : at + granularity][::-1].hex() for at in range(0, len(padded), granularity))
    return "".join(f"{line}\n" for line in lines).encode()
