"""Cycles per instruction of the firmware's programs on the core: ``python -m sim.core_cpi [--toolchain gcc|zig]``."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sim import core_program, elf
from sim.build_cache import scratch
from sim.options import JsonOption, writable
from sim.protocol import MemoryTiming
from software.cli import UserError, run, write_all
from software.firmware import build
from software.progress import bars

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
        str | None, typer.Option("--toolchain", metavar="NAME", help="gcc or zig; else the first that is installed.")
    ] = None,
    json_path: JsonOption = None,
) -> None:
    """Measure instructions and cycles per instruction of each program on the core, at memories of several latencies.

    \b
    Examples:
      python -m sim.core_cpi
      python -m sim.core_cpi --toolchain zig --json build/cpi.json
    """
    writable(json_path)
    compiler = build.toolchain(tools)
    rows = []
    table = Table(title=f"cycles per instruction ({compiler.name} -O2)")
    for column in ("program", "what it does", "instructions", *(f"latency {n}" for n in LATENCIES)):
        table.add_column(column, justify="left" if column[0] in "pw" else "right")
    with scratch() as directory, bars() as bar:
        task = bar.add_task("runs", total=len(PROGRAMS) * len(LATENCIES))
        for name, what in PROGRAMS.items():
            path = build.build(build.sources(name), directory / f"{name}.elf", compiler)
            outcomes = []
            for latency in LATENCIES:
                outcomes.append(measure(path, latency))
                bar.advance(task)
            table.add_row(name, what, f"{outcomes[0].retired:,}", *(f"{outcome.cpi:.2f}" for outcome in outcomes))
            cycles = {str(latency): outcome.cycles for latency, outcome in zip(LATENCIES, outcomes, strict=True)}
            rows.append({"program": name, "retired": outcomes[0].retired, "cycles_by_latency": cycles})
    Console(width=110).print(table)
    if json_path:
        content = {"schema": "elstm.cpi/1", "toolchain": compiler.name, "programs": rows}
        write_all({json_path: json.dumps(content, indent=1).encode() + b"\n"})
        print(f"wrote {json_path}")


if __name__ == "__main__":
    run(main)
