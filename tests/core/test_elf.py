"""Programs that cannot run here: what the file says of itself, and what to do about it."""

import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from sim.protocol import elf
from sim.results import environment
from software.firmware import build

RAM = elf.RAM_ADDRESS
ADVICE = "build it with -march=rv64im_zicsr_zifencei -mabi=lp64"


def attributes(architecture: str, damage: int | None = None) -> tuple[str, int, bytes]:
    """.riscv.attributes that say so; ``damage``: the byte to overwrite with 0."""
    text = b"\x05" + architecture.encode() + b"\0"
    group = b"\x01" + struct.pack("<I", 5 + len(text)) + text
    content = b"A" + struct.pack("<I", 4 + 6 + len(group)) + b"riscv\0" + group
    if damage is not None:
        content = content[:damage] + b"\0" + content[damage + 1 :]
    return ".riscv.attributes", 0x7000_0003, content


def image(flags: int = 0, section: tuple[str, int, bytes] | None = None, address: int = RAM, size: int = 8) -> bytes:
    """An ELF with one segment of ``size`` bytes of memory at ``address`` and a section: name, type and content."""
    code = struct.pack("<II", 0x0000006F, 0x00000013)
    name, kind, extra = section or ("", 0, b"")
    names = b"\0" + name.encode() + b"\0.shstrtab\0"
    at = 120 + len(code)
    sections = [
        (0,) * 10,
        (1, kind, 0, 0, at, len(extra), 0, 0, 1, 0),
        (len(name) + 2, 3, 0, 0, at + len(extra), len(names), 0, 0, 1, 0),
    ]
    table = at + len(extra) + len(names) if section else 0
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 243, 1, RAM, 64, table, flags, 64, 56, 1, 64, 3 * bool(table), 2
    )
    load = struct.pack("<IIQQQQQQ", 1, 7, 120, address, address, len(code), size, 8)
    content = header + load + code
    if section:
        content += extra + names + b"".join(struct.pack("<IIQQQQIIQQ", *fields) for fields in sections)
    return content


def refused(path: Path, content: bytes, **options: int) -> str:
    path.write_bytes(content)
    with pytest.raises(elf.ElfError) as error:
        elf.load(path, **options)
    return str(error.value)


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        (1, "e_flags 0x1 say compressed instructions (C)"),
        (2, "e_flags 0x2 say the single-precision floating-point ABI"),
        (4, "e_flags 0x4 say the double-precision floating-point ABI"),
        (6, "e_flags 0x6 say the quad-precision floating-point ABI"),
        (5, "e_flags 0x5 say compressed instructions (C) and the double-precision floating-point ABI"),
    ],
)
def test_what_the_core_cannot_execute_is_refused_by_its_flags(flags: int, what: str, tmp_path: Path) -> None:
    path = tmp_path / "p.elf"
    assert refused(path, image(flags)) == f"{path}: {what}, which the core does not have: {ADVICE}"
    named = refused(path, image(flags, attributes("rv64i2p1_f2p2_c2p0")))
    assert named == f"{path}: {what}, its attributes rv64i2p1_f2p2_c2p0, which the core does not have: {ADVICE}"


@pytest.mark.parametrize(
    ("architecture", "extensions"),
    [
        ("rv64i2p1_m2p0_a2p1_f2p2_d2p2_zicsr2p0", "A, F, D"),
        ("rv64ima", "A"),
        ("rv64im_zba_zicsr", "Zba"),
        ("rv64gc_xthead1p0", "G, C, Xthead"),
        ("rv64i2p1_m2p0_zicsr2p0_zifencei2p0_zmmul1p0_zicntr2p0", None),
    ],
)
def test_what_the_compiler_was_allowed_to_use_is_a_warning(
    architecture: str, extensions: str | None, tmp_path: Path
) -> None:
    """Such a program may well do without: riscv-tests are built as rv64g."""
    path = tmp_path / "p.elf"
    path.write_bytes(image(0, attributes(architecture)))
    said = elf.load(path).warning
    if extensions is None:
        assert said is None
    else:
        told = f"its attributes say {architecture}; an instruction of {extensions} is illegal here: if it ends in one, "
        assert said == f"{path}: {told}{ADVICE}"


@pytest.mark.parametrize("damage", range(1, 16))
def test_damaged_attributes_are_read_in_bounded_time(damage: int, tmp_path: Path) -> None:
    path = tmp_path / "p.elf"
    path.write_bytes(image(0, attributes("rv64ima", damage)))
    assert elf.load(path).ram.data


@pytest.mark.parametrize(
    ("address", "size", "message"),
    [
        (RAM, 20 << 20, "; the program needs 20 MiB (--ram)"),
        (RAM + (1 << 30) - 8, 8, "; the program needs 1024 MiB (--ram)"),
        (RAM + (1 << 30) - 8, 9, "; the program needs 1025 MiB, and RAM has at most 1024 MiB (--ram)"),
        (RAM + (3 << 30), 8, "; the program needs 3073 MiB, and RAM has at most 1024 MiB (--ram)"),
        (0x1000, 8, ": it begins below RAM; link the program at 0x80000000"),
        (RAM - 4096, 8192, ": it begins below RAM; link the program at 0x80000000"),
    ],
)
def test_a_segment_outside_of_ram(address: int, size: int, message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.elf"
    where = f"{path}: segment of {size} bytes at {address:#x} is outside of RAM (16777216 bytes at 0x80000000)"
    assert refused(path, image(address=address, size=size)) == where + message


def test_a_segment_that_begins_with_the_files_headers(tmp_path: Path) -> None:
    """As GNU ld makes of ``-Ttext=0x80000000``: a page before it, for the headers."""
    content = bytearray(image(address=RAM - 120, size=128))
    content[72:80] = bytes(8)
    told = refused(tmp_path / "p.elf", bytes(content))
    assert told.endswith("link the program at 0x80000000 without the file's headers (GNU ld: -n)")


@pytest.mark.skipif(not build.toolchains(), reason="needs a C compiler for the core: gcc or zig")
def test_the_command_says_it_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "p.elf"
    command = [sys.executable, "-m", "sim.run", "elf", "--system", "core", str(path), "--max-cycles", "100"]
    path.write_bytes(image(1))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("error: ") and ADVICE in done.stderr
    path.write_bytes(image(0, attributes("rv64ima")))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    first, second = done.stderr.splitlines()
    assert done.returncode == 1 and "an instruction of A is illegal here" in first and "no exit within" in second


@pytest.mark.parametrize("tools", build.toolchains(), ids=lambda tools: tools.name)
def test_a_program_names_its_compiler(tools: build.Toolchain, tmp_path: Path) -> None:
    path = build.build(build.sources("hello"), tmp_path / "hello.elf", tools)
    program = elf.load(path)
    version = program.compiler or ""
    assert re.fullmatch({"gcc": r"gcc \d+\.\d+\.\d+", "zig": r"clang \d+\.\d+\.\d+ \(zig\)"}[tools.name], version)
    assert environment.versions(program)["riscv_compiler"] == version
    # it is in the file, not in the core's memory
    assert version.split()[1].encode() in path.read_bytes()
    assert b"GCC" not in program.ram.data and b"clang" not in program.ram.data


@pytest.mark.parametrize(
    ("texts", "compiler"),
    [
        (["GCC: (12.2.0-14+deb12u1+11+b2) 12.2.0"], "gcc 12.2.0"),
        (["GCC: (GNU) 13.2.0", "GCC: (GNU) 13.2.0", "Linker: LLD 19.1.7"], "gcc 13.2.0"),
        (["clang version 19.1.7 (https://github.com/ziglang/zig-bootstrap de1b01a8)"], "clang 19.1.7 (zig)"),
        (["Debian clang version 14.0.6", "GCC: (GNU) 13.2.0"], "clang 14.0.6, gcc 13.2.0"),
        (["rustc version 1.80.0"], None),
    ],
)
def test_names_of_compilers(texts: list[str], compiler: str | None, tmp_path: Path) -> None:
    path = tmp_path / "p.elf"
    comment = b"\0".join(text.encode() for text in texts) + b"\0"
    path.write_bytes(image(section=(".comment", 1, comment)))
    program = elf.load(path)
    assert program.compiler == compiler
    assert environment.versions(program)["riscv_compiler"] == (compiler or "unknown")
    assert "riscv_compiler" not in environment.versions()


@pytest.mark.parametrize("tools", build.toolchains(), ids=lambda tools: tools.name)
def test_a_program_of_atomic_instructions_is_warned_of_and_stopped(tools: build.Toolchain, tmp_path: Path) -> None:
    source = tmp_path / "atomic.S"
    start = '.attribute arch, "rv64ima"\n.section .text.start, "ax"\n.globl _start\n_start:'
    source.write_text(f"{start} la t0, _start\n amoadd.d t1, t2, (t0)\n j .\n")
    path = build.build(build.sources(str(source)), tmp_path / "atomic.elf", tools)
    command = [sys.executable, "-m", "sim.run", "elf", "--system", "core", str(path), "--max-cycles", "1000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    warning, reason = done.stderr.splitlines()
    assert done.returncode == 1
    assert "an instruction of A is illegal here" in warning and ADVICE in warning
    assert f"{path}: illegal instruction at pc 0x80000008" in reason


@pytest.mark.parametrize("tools", build.toolchains(), ids=lambda tools: tools.name)
def test_our_own_programs_have_nothing_to_warn_of(tools: build.Toolchain, tmp_path: Path) -> None:
    assert elf.load(build.build(build.sources("softfloat"), tmp_path / "s.elf", tools)).warning is None


OBJECTS = """
.section .text.start, "ax"
.globl _start
_start: j _start
.section .rodata, "a"
.globl blob, bare
.type blob, @object
.size blob, 16
.balign 8
blob: .dword 1, 2
bare: .dword 3
.section .noinit, "aw", @nobits
.globl room
.type room, @object
.size room, 8
room: .space 8
.globl far, over
.type far, @object
.size far, 8
far = 0x80400000
.type over, @object
.size over, 1 << 20
over = 0x80000000
"""


def objects(folder: Path, *flags: str) -> elf.Elf:
    source = folder / "objects.S"
    source.write_text(OBJECTS)
    return elf.load(build.build([source], folder / "objects.elf", flags=flags))


def test_objects_are_changed_by_the_address_of_their_symbols(tmp_path: Path) -> None:
    program = objects(tmp_path)
    address, size = program.place("blob")
    assert size == 16
    # no search: the bytes of blob are those of no other place, and another object of the same bytes stays
    changed = program.holding({"blob": struct.pack("<QQ", 3, 4), "room": b"\x11" * 8})
    at = address - RAM
    assert changed.ram.data[at : at + 24] == struct.pack("<QQQ", 3, 4, 3)
    assert program.ram.data[at : at + 24] == struct.pack("<QQQ", 1, 2, 3)
    room = changed.place("room")[0] - RAM
    assert changed.ram.data[room : room + 8] == b"\x11" * 8
    assert len(changed.ram.data) == len(program.ram.data)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("blobs", 16, "the program has no symbol 'blobs' with a size"),
        ("bare", 8, "the program has no symbol 'bare' with a size"),
        ("blob", 24, "the program's symbol 'blob' has 16 bytes, must have 24"),
        ("far", 8, "the program's symbol 'far', 8 bytes at 0x80400000, is in no segment that is loaded"),
        ("over", 1 << 20, "the program's symbol 'over', 1048576 bytes at 0x80000000, is in no segment that is loaded"),
    ],
)
def test_an_object_that_cannot_be_changed_is_refused(name: str, size: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(elf.ElfError) as error:
        objects(tmp_path).holding({name: bytes(size)})
    assert str(error.value) == message


def test_a_stripped_program_says_so(tmp_path: Path) -> None:
    with pytest.raises(elf.ElfError) as error:
        objects(tmp_path, "-Wl,-s").place("blob")
    assert str(error.value) == "the program has no symbol 'blob' with a size: it has no symbol table (stripped?)"


def test_headers_that_claim_what_the_file_has_not_are_one_line(tmp_path: Path) -> None:
    """They name sizes that no memory has; nothing may try to read them."""
    path, huge = tmp_path / "p.elf", struct.pack("<Q", 1 << 45)
    whole = image(section=attributes("rv64im"))
    table = struct.unpack_from("<Q", whole, 40)[0]
    file_size = whole[:96] + huge + whole[104:]
    assert refused(path, file_size) == f"{path}: truncated: the segment at {RAM:#x} is incomplete"
    shrunk = whole[:104] + struct.pack("<Q", 4) + whole[112:]
    assert refused(path, shrunk) == f"{path}: the segment at {RAM:#x} has 8 bytes in the file, 4 in memory"
    size_of_attributes = table + 64 + 32
    section = whole[:size_of_attributes] + huge + whole[size_of_attributes + 8 :]
    assert refused(path, section) == f"{path}: truncated: section 1 has {1 << 45} bytes, the file {len(whole)}"
    memory = whole[:104] + huge + whole[112:]
    assert "is outside of RAM" in refused(path, memory)
