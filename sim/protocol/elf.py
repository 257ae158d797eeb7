"""Programs from ELF files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import SEEK_END
from pathlib import Path

from elftools.common.exceptions import ELFError as _FormatError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from elftools.elf.segments import Segment as ElfSegment

from sim.protocol.base import MEMORY_FILL, Segment
from software.firmware.build import MABI, MARCH, MAX_MEMORY

RAM_ADDRESS = 0x8000_0000
MAX_RAM_MIB = MAX_MEMORY >> 20
DEFAULT_RAM = 16 << 20
"""Bytes."""


_COMPRESSED = 1
_FLOAT_ABIS = {2: "single-precision", 4: "double-precision", 6: "quad-precision"}
_FLOAT_ABI = 6
# Tag_RISCV_arch and its text; no walk along the lengths of a section that may be damaged
_TAG_ARCH = re.compile(rb"\x05(rv\d+\w+)\0")
_COMPILERS = (
    (re.compile(r"GCC: \(.*\) (\S+)"), "gcc {}"),
    (re.compile(r"clang version (\S+) \(\S*ziglang"), "clang {} (zig)"),
    (re.compile(r".*clang version (\S+)"), "clang {}"),
)
"""What compilers write into .comment, and how they are called here."""
_EXECUTED = frozenset(("i", "m", "zicsr", "zifencei", "zicntr", "zmmul"))
_BUILD = f"build it with -march={MARCH} -mabi={MABI}"


class ElfError(ValueError):
    """The file is no program for this machine; the message names file and reason."""


@dataclass(frozen=True)
class Elf:
    """A program.

    Attributes:
        ram: its RAM, ready to load.
        tohost, fromhost: addresses of HTIF's words; None if the program has none.
        symbols: address and bytes of each symbol with a size.
        labels: address of every named symbol.
        loaded: address and bytes of each segment that is loaded.
        compiler: name and version of what compiled it, as "gcc 12.2.0"; None if the file does not say.
        warning: why the program may end in an illegal instruction, in one line; None if nothing in the file says so.
    """

    ram: Segment
    tohost: int | None
    fromhost: int | None
    symbols: dict[str, tuple[int, int]]
    labels: dict[str, int]
    loaded: tuple[tuple[int, int], ...] = ()
    compiler: str | None = None
    warning: str | None = None

    def place(self, name: str, size: int | None = None) -> tuple[int, int]:
        """Address and bytes of an object of the program, by its symbol.

        Raises ElfError when there is none with a size, when it has another size than ``size``, or when it does not lie
        in a segment that is loaded.
        """
        if name not in self.symbols:
            why = "" if self.labels else ": it has no symbol table (stripped?)"
            raise ElfError(f"the program has no symbol {name!r} with a size{why}")
        address, found = self.symbols[name]
        if size is not None and found != size:
            raise ElfError(f"the program's symbol {name!r} has {found} bytes, must have {size}")
        if not any(start <= address and address + found <= start + length for start, length in self.loaded):
            raise ElfError(
                f"the program's symbol {name!r}, {found} bytes at {address:#x}, is in no segment that is loaded"
            )
        return address, found

    def holding(self, objects: Mapping[str, bytes]) -> "Elf":
        """The program with other initial contents of these objects, of the same size. Raises ElfError as ``place``."""
        data = bytearray(self.ram.data)
        for name, content in objects.items():
            at = self.place(name, len(content))[0] - self.ram.address
            data[at : at + len(content)] = content
        return replace(self, ram=replace(self.ram, data=bytes(data)))


def load(path: str | Path, ram_bytes: int = DEFAULT_RAM, ram_address: int = RAM_ADDRESS) -> Elf:
    """Load a 64-bit little-endian RISC-V executable into RAM of ``ram_bytes`` at ``ram_address``.

    Raises ElfError when it is none, when it is for another instruction set, when a segment lies outside of RAM, or when
    it does not start where the core does.
    """
    try:
        with open(path, "rb") as stream:
            return _load(str(path), ELFFile(stream), ram_bytes, ram_address)
    except OSError as error:
        raise ElfError(f"{path}: {error.strerror}") from None
    except MemoryError:
        raise ElfError(f"{path}: not a readable ELF file (it claims to hold more than memory does)") from None
    # pyelftools lets some errors of truncated files through as they are
    except (_FormatError, ValueError, KeyError, IndexError, AttributeError, OverflowError, UnicodeError) as error:
        if isinstance(error, ElfError):
            raise
        raise ElfError(f"{path}: not a readable ELF file ({str(error) or type(error).__name__})") from None


def _extensions(arch: str) -> list[str]:
    """The extensions in an architecture's name: ["i", "m", "zicsr"] of rv64i2p1_m2p0_zicsr2p0 and of rv64im_zicsr."""
    found = []
    for part in re.sub(r"^rv\d+", "", arch.lower()).split("_"):
        name = re.sub(r"\d+p\d+", "", part)
        found += [name] if name[:1] in ("z", "s", "x") else list(name)
    return found


def _architecture(elf: ELFFile) -> str:
    """What .riscv.attributes call the instruction set; empty if they do not."""
    for section in elf.iter_sections("SHT_RISCV_ATTRIBUTES"):
        if found := _TAG_ARCH.search(section.data()):
            return found[1].decode()
    return ""


def _compiler(elf: ELFFile) -> str | None:
    """What compiled the program, by its .comment; several if there were."""
    section = elf.get_section_by_name(".comment")
    texts = section.data().decode(errors="replace").split("\0") if section else []
    found = []
    for text in texts:
        for pattern, name in _COMPILERS:
            if match := pattern.match(text):
                found.append(name.format(match[1]))
                break
    return ", ".join(dict.fromkeys(found)) or None


def _check_instructions(path: str, elf: ELFFile) -> str | None:
    """The warning of an Elf. Raises ElfError when the file cannot do with what the core executes.

    e_flags are about what is in the file, attributes only about what its compiler was allowed to use.
    """
    flags, architecture = elf.header["e_flags"], _architecture(elf)
    lacking = ["compressed instructions (C)"] if flags & _COMPRESSED else []
    if (abi := _FLOAT_ABIS.get(flags & _FLOAT_ABI)) is not None:
        lacking.append(f"the {abi} floating-point ABI")
    named = f", its attributes {architecture}" if architecture else ""
    if lacking:
        what = " and ".join(lacking)
        raise ElfError(f"{path}: e_flags {flags:#x} say {what}{named}, which the core does not have: {_BUILD}")
    unknown = [name for name in _extensions(architecture) if name not in _EXECUTED]
    if not unknown:
        return None
    what = ", ".join(name.upper() if len(name) == 1 else name.capitalize() for name in unknown)
    return (
        f"{path}: its attributes say {architecture}; an instruction of {what} is illegal here: "
        f"if it ends in one, {_BUILD}"
    )


def _check_extents(path: str, elf: ELFFile) -> None:
    """Raises ElfError when a header speaks of more bytes than the file has: nobody shall try to read them."""
    end = elf.stream.seek(0, SEEK_END)
    for segment in elf.iter_segments("PT_LOAD"):
        if segment["p_filesz"] and segment["p_offset"] + segment["p_filesz"] > end:
            raise ElfError(f"{path}: truncated: the segment at {segment['p_paddr']:#x} is incomplete")
        if segment["p_filesz"] > segment["p_memsz"]:
            sizes = f"{segment['p_filesz']} bytes in the file, {segment['p_memsz']} in memory"
            raise ElfError(f"{path}: the segment at {segment['p_paddr']:#x} has {sizes}")
    for number, section in enumerate(elf.iter_sections()):
        if section["sh_type"] not in ("SHT_NULL", "SHT_NOBITS") and section["sh_offset"] + section["sh_size"] > end:
            raise ElfError(f"{path}: truncated: section {number} has {section['sh_size']} bytes, the file {end}")


def _outside(path: str, segment: ElfSegment, ram_bytes: int, ram_address: int) -> ElfError:
    """Of a segment that does not lie in RAM: what to do about it."""
    address, size = segment["p_paddr"], segment["p_memsz"]
    text = f"{path}: segment of {size} bytes at {address:#x} is outside of RAM ({ram_bytes} bytes at {ram_address:#x})"
    needed = -(-(address + size - ram_address) >> 20)
    if address < ram_address:
        headers = " without the file's headers (GNU ld: -n)" if segment["p_offset"] == 0 else ""
        return ElfError(f"{text}: it begins below RAM; link the program at {ram_address:#x}{headers}")
    if needed > MAX_RAM_MIB:
        return ElfError(f"{text}; the program needs {needed} MiB, and RAM has at most {MAX_RAM_MIB} MiB (--ram)")
    return ElfError(f"{text}; the program needs {needed} MiB (--ram)")


def _load(path: str, elf: ELFFile, ram_bytes: int, ram_address: int) -> Elf:
    header = elf.header
    if header["e_machine"] != "EM_RISCV" or elf.elfclass != 64 or not elf.little_endian:
        raise ElfError(f"{path}: machine {header['e_machine']}, {elf.elfclass} bits: need 64-bit little-endian RISC-V")
    if header["e_type"] != "ET_EXEC":
        raise ElfError(f"{path}: type {header['e_type']}: need an executable at fixed addresses (ET_EXEC)")
    if header["e_entry"] != ram_address:
        raise ElfError(f"{path}: entry point {header['e_entry']:#x}: the core starts at {ram_address:#x}")
    _check_extents(path, elf)
    warning = _check_instructions(path, elf)
    content = bytearray()
    loaded = []
    for segment in elf.iter_segments("PT_LOAD"):
        start, size = segment["p_paddr"] - ram_address, segment["p_memsz"]
        if not size:
            continue
        if start < 0 or start + size > ram_bytes:
            raise _outside(path, segment, ram_bytes, ram_address)
        content += bytes([MEMORY_FILL]) * (start + size - len(content))
        data = segment.data()
        loaded.append((segment["p_paddr"], size))
        content[start : start + size] = data + bytes(size - len(data))
    if not content:
        raise ElfError(f"{path}: nothing to load")
    symbols: dict[str, tuple[int, int]] = {}
    labels: dict[str, int] = {}
    for section in elf.iter_sections():
        if isinstance(section, SymbolTableSection):
            for symbol in section.iter_symbols():
                # what is only referred to has no address
                if symbol.name and symbol["st_shndx"] != "SHN_UNDEF":
                    labels[symbol.name] = symbol["st_value"]
                    if symbol["st_size"]:
                        symbols[symbol.name] = (symbol["st_value"], symbol["st_size"])
    ram = Segment("ram", ram_address, ram_bytes, bytes(content), write=True)
    return Elf(
        ram, labels.get("tohost"), labels.get("fromhost"), symbols, labels, tuple(loaded), _compiler(elf), warning
    )
