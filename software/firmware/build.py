"""Builds bare-metal programs for the core: with Debian's gcc when it is installed, else with zig from PyPI."""

import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from software.cli import UserError, write_all
from software.places import compiler_environment, scratch

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
SUPPORT = ("crt0.S", "htif.c", "trap.c", "string.c")
NETWORK_SUPPORT = "packed.c"
"""What programs need that run a packed network (``packed.h``), beside the network itself."""

RAM = 0x8000_0000
MARCH = "rv64im_zicsr_zifencei"
MABI = "lp64"
"""What the core executes, as compilers name it."""
MAX_MEMORY = 1 << 30
"""Bytes of RAM that the simulators can have."""

_COMMON = (
    f"-mabi={MABI}",
    "-mcmodel=medany",
    "-O2",
    "-Wall",
    "-ffreestanding",
    "-fno-builtin",
    "-nostdlib",
    f"-I{HERE}",
    f"-I{HERE.parent}",
)
# gcc: no loop of memset may become a call of memset. Plain .text.start must come first, so no --gc-sections either.
_GCC = (
    # exactly one of gcc's own library variants, else it links the wrong one; C names what CSRs and fence.i need at
    # their use, assembly files have it all
    "-march=rv64im",
    f"-Wa,-march={MARCH}",
    "-nostartfiles",
    "-fno-tree-loop-distribute-patterns",
    "-Wl,--no-warn-rwx-segments",
)
_ZIG = (
    "-target",
    "riscv64-freestanding-none",
    "-mcpu=generic_rv64+m+zicsr+zifencei",
    "-g0",
    # .eh_frame would take the reset address
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    "-fno-sanitize=undefined",
    "-rtlib=compiler-rt",
)


class FirmwareError(UserError):
    """There is no compiler, no such program, or the compiler refused it; the message says which."""


@dataclass(frozen=True)
class Toolchain:
    """A C compiler for the core: its command with the flags for compiling, and what goes after the sources."""

    name: str
    command: tuple[str, ...]
    libraries: tuple[str, ...] = ()


def toolchains() -> list[Toolchain]:
    """The ones installed, the preferred one first."""
    found = []
    if gcc := shutil.which("riscv64-unknown-elf-gcc"):
        found.append(Toolchain("gcc", (gcc, *_GCC, *_COMMON), ("-lgcc",)))
    if find_spec("ziglang"):
        found.append(Toolchain("zig", (sys.executable, "-m", "ziglang", "cc", *_ZIG, *_COMMON)))
    return found


def toolchain(name: str | None = None) -> Toolchain:
    """The preferred toolchain, or the one of that name ("gcc" or "zig"). Raises FirmwareError when there is none."""
    if name not in (None, "gcc", "zig"):
        raise FirmwareError(f"no toolchain {name!r}; there are: gcc, zig")
    for found in toolchains():
        if name in (None, found.name):
            return found
    ways = {"gcc": "apt install gcc-riscv64-unknown-elf", "zig": "pip install ziglang"}
    wanted = ways.values() if name is None else [ways[name]]
    raise FirmwareError(f"no RISC-V C compiler{f' {name}' if name else ''}: {' or '.join(wanted)}")


def names() -> list[str]:
    """The programs that come with the firmware."""
    return sorted(path.stem for path in PROGRAMS.iterdir() if path.suffix in (".c", ".S"))


def sources(program: str) -> list[Path]:
    """The sources of a program: a name from `names`, or the path of a C or assembly file, plus the support files.

    An assembly file stands alone: it has its own ``_start``.
    """
    for suffix in (".c", ".S"):
        if (path := PROGRAMS / f"{program}{suffix}").exists():
            return [*(HERE / name for name in SUPPORT), path]
    path = Path(program)
    if path.suffix not in (".c", ".S") or not path.is_file():
        raise FirmwareError(f"no program {program!r}; there are: {', '.join(names())}, or the path of a .c or .S file")
    return [path] if path.suffix == ".S" else [*(HERE / name for name in SUPPORT), path]


def build(files: Sequence[Path], output: Path, tools: Toolchain | None = None, flags: Sequence[str] = ()) -> Path:
    """Compile and link ``files`` to the ELF ``output``, which is written whole or not at all. Raises FirmwareError."""
    tools = tools or toolchain()
    with scratch() as directory:
        made = directory / "program.elf"
        command = [*tools.command, *flags, "-T", str(HERE / "link.ld"), *map(str, files)]
        done = subprocess.run(
            [*command, *tools.libraries, "-o", str(made)],
            env=compiler_environment(directory),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise FirmwareError(f"{tools.name} failed:\n{done.stderr.strip()}")
        if (needed := memory_bytes(made)) > MAX_MEMORY:
            raise FirmwareError(
                f"{output.name} needs {-(-needed >> 20)} MiB of memory, the limit is {MAX_MEMORY >> 20} MiB"
            )
        write_all({output: made.read_bytes()})
    return output


def memory_bytes(elf: Path) -> int:
    """Bytes of RAM, from its start, that a built program needs, its stack included."""
    with elf.open("rb") as stream:
        header = stream.read(64)
        (table,), (size, count) = struct.unpack_from("<Q", header, 32), struct.unpack_from("<HH", header, 54)
        end = RAM
        for index in range(count):
            stream.seek(table + index * size)
            kind, _, _, _, address, _, length = struct.unpack("<IIQQQQQ", stream.read(48))
            if kind == 1:
                end = max(end, address + length)
    return end - RAM
