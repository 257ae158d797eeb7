"""Programs from ELF files."""

from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError as _FormatError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from sim.protocol import MEMORY_FILL, Segment

RAM_ADDRESS = 0x8000_0000
MAX_RAM_MIB = 1024
DEFAULT_RAM = 16 << 20
"""Bytes."""


class ElfError(ValueError):
    """The file is no program for this machine; the message names file and reason."""


@dataclass(frozen=True)
class Elf:
    """A program: its RAM, ready to load, where HTIF's words are, and address and bytes of each symbol with a size."""

    ram: Segment
    tohost: int | None
    fromhost: int | None
    symbols: dict[str, tuple[int, int]]


def load(path: str | Path, ram_bytes: int = DEFAULT_RAM, ram_address: int = RAM_ADDRESS) -> Elf:
    """Load a 64-bit little-endian RISC-V executable into RAM of ``ram_bytes`` at ``ram_address``.

    Raises ElfError when it is none, when a segment lies outside of RAM, or when it does not start where the core does.
    """
    try:
        with open(path, "rb") as stream:
            return _load(str(path), ELFFile(stream), ram_bytes, ram_address)
    except OSError as error:
        raise ElfError(f"{path}: {error.strerror}") from None
    # pyelftools lets some errors of truncated files through as they are
    except (_FormatError, ValueError, KeyError, IndexError, AttributeError, OverflowError, UnicodeError) as error:
        if isinstance(error, ElfError):
            raise
        raise ElfError(f"{path}: not a readable ELF file ({str(error) or type(error).__name__})") from None


def _load(path: str, elf: ELFFile, ram_bytes: int, ram_address: int) -> Elf:
    header = elf.header
    if header["e_machine"] != "EM_RISCV" or elf.elfclass != 64 or not elf.little_endian:
        raise ElfError(f"{path}: machine {header['e_machine']}, {elf.elfclass} bits: need 64-bit little-endian RISC-V")
    if header["e_type"] != "ET_EXEC":
        raise ElfError(f"{path}: type {header['e_type']}: need an executable at fixed addresses (ET_EXEC)")
    if header["e_entry"] != ram_address:
        raise ElfError(f"{path}: entry point {header['e_entry']:#x}: the core starts at {ram_address:#x}")
    content = bytearray()
    for segment in elf.iter_segments("PT_LOAD"):
        start, size = segment["p_paddr"] - ram_address, segment["p_memsz"]
        if not size:
            continue
        if start < 0 or start + size > ram_bytes:
            raise ElfError(
                f"{path}: segment of {size} bytes at {segment['p_paddr']:#x} is outside of RAM "
                f"({ram_bytes} bytes at {ram_address:#x}); the program needs {-(-(start + size) >> 20)} MiB (--ram)"
            )
        content += bytes([MEMORY_FILL]) * (start + size - len(content))
        data = segment.data()
        if len(data) != segment["p_filesz"]:
            raise ElfError(f"{path}: truncated: the segment at {segment['p_paddr']:#x} is incomplete")
        content[start : start + size] = data + bytes(size - len(data))
    if not content:
        raise ElfError(f"{path}: nothing to load")
    words = dict.fromkeys(("tohost", "fromhost"))
    symbols: dict[str, tuple[int, int]] = {}
    for section in elf.iter_sections():
        if isinstance(section, SymbolTableSection):
            symbols |= {s.name: (s["st_value"], s["st_size"]) for s in section.iter_symbols() if s["st_size"]}
            for name in words:
                for symbol in section.get_symbol_by_name(name) or ():
                    words[name] = symbol["st_value"]
    ram = Segment("ram", ram_address, ram_bytes, bytes(content), write=True)
    return Elf(ram, words["tohost"], words["fromhost"], symbols)
