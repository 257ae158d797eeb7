"""Cycles per instruction of the firmware's programs on the core: ``python -m sim.core_cpi [--toolchain gcc|zig]``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sim import core_program, elf
from sim.build_cache import scratch
from sim.protocol import EngineError, MemoryTiming
from software.cli import UserError, run
from software.firmware import build

PROGRAMS = {
    "sort": "quicksort of 2,000 64-bit numbers",
    "crc": "CRC-32 of 8 KiB, bit by bit and by table",
    "matrix": "40 x 40 product of 64-bit integers",
    "softfloat": "1,000 steps of double arithmetic in software",
    "strings": "copy, length and comparison of strings, byte by byte",
}
LATENCIES = (1, 2, 4)


def measure(path: Path, latency: int) -> core_program.ProgramOutcome:
    """Run a program to its exit, start-up included. Raises UserError when it does not exit with 0."""
    program = elf.load(path)
    timing = MemoryTiming(latency=latency)
    job = core_program.ProgramJob((program.ram,), program.tohost, program.fromhost, fetch=timing, data=timing)
    outcome = core_program.run(job)
    if outcome.exit_code != 0:
        raise UserError(f"{path.stem}: {outcome.reason() or f'exit code {outcome.exit_code}'}")
    return outcome


def main(
    tools: Annotated[
        str | None, typer.Option("--toolchain", help="gcc or zig; the first installed if not given.")
    ] = None,
) -> None:
    """Print instructions and cycles per instruction of each program, at memories of several latencies."""
    compiler = build.toolchain(tools)
    table = Table(title=f"cycles per instruction ({compiler.name} -O2)")
    for column in ("program", "what it does", "instructions", *(f"latency {n}" for n in LATENCIES)):
        table.add_column(column, justify="left" if column[0] in "pw" else "right")
    try:
        with scratch() as directory:
            for name, what in PROGRAMS.items():
                path = build.build(build.sources(name), directory / f"{name}.elf", compiler)
                outcomes = [measure(path, latency) for latency in LATENCIES]
                table.add_row(name, what, f"{outcomes[0].retired:,}", *(f"{outcome.cpi:.2f}" for outcome in outcomes))
    except EngineError as error:
        raise UserError(str(error)) from None
    Console(width=110).print(table)


if __name__ == "__main__":
    run(main)
