"""Cycles per instruction of the firmware's programs, on the core alone and in the default SoC:
``python -m sim.core_cpi [--toolchain gcc|zig]``."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from golden.config import CoreConfig, SocConfig, preset
from sim.engines import registry
from sim.engines.build_cache import scratch
from sim.options import JsonOption
from sim.protocol import core as core_program
from sim.protocol import elf
from sim.protocol.base import Design
from sim.protocol.core import ProgramOutcome
from sim.protocol.soc import SocJob
from sim.protocol.timing import AxiTiming, MemoryTiming
from sim.results.environment import RISCV_COMPILER
from software.cli import UserError, check_outputs, run, write_all
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
"""Of the bare core's memory, cycles; that of the SoC is AxiTiming's."""
SOC = Design("soc", SocConfig(preset("default"), CoreConfig(rvfi=True)))
"""The default SoC with the trace port, which counts instructions and costs no cycle."""
SOC_TIMING = AxiTiming()


@dataclass(frozen=True)
class Row:
    """A program's instructions and cycles, alone by latency of the memory and in the SoC."""

    program: str
    retired: int
    cycles_by_latency: dict[str, int]
    soc_retired: int
    soc_cycles: int


def _ended(path: Path, outcome: ProgramOutcome) -> ProgramOutcome:
    """Raises UserError when it did not exit with 0."""
    if outcome.exit_code != 0:
        raise UserError(f"{path.stem}: {outcome.reason() or f'exit code {outcome.exit_code}'}")
    return outcome


def measure(path: Path, latency: int) -> ProgramOutcome:
    """Run a program on the core alone to its exit, start-up included. Raises UserError when it does not exit with 0."""
    program = elf.load(path)
    timing = MemoryTiming(latency=latency)
    job = core_program.ProgramJob((program.ram,), program.tohost, program.fromhost, fetch=timing, data=timing)
    return _ended(path, registry.get("core").run(core_program.DESIGN, job))


def measure_soc(path: Path, design: Design = SOC) -> ProgramOutcome:
    """The same in the SoC, behind its instruction cache and AXI4 port."""
    job = SocJob.of(elf.load(path), timing=SOC_TIMING)
    return _ended(path, registry.get("soc", registry.DEFAULT).run(design, job))


def main(
    tools: Annotated[
        str | None, typer.Option("--toolchain", metavar="NAME", help="gcc or zig; else the first that is installed.")
    ] = None,
    json_path: JsonOption = None,
) -> None:
    """Measure instructions and cycles per instruction of each program, on the core alone at memories of several
    latencies and in the default SoC.

    The core alone has a port for instructions and one for data; in the SoC each load and store waits for memory behind
    the AXI4 port.

    \b
    Examples:
      python -m sim.core_cpi
      python -m sim.core_cpi --toolchain zig --json build/cpi.json
    """
    check_outputs(json_path)
    compiler = build.toolchain(tools)
    rows: list[Row] = []
    made_by = ""
    with scratch() as directory, bars() as bar:
        task = bar.add_task("runs", total=len(PROGRAMS) * (len(LATENCIES) + 1))
        for name in PROGRAMS:
            path = build.build(build.sources(name), directory / f"{name}.elf", compiler)
            made_by = elf.load(path).compiler or compiler.name
            cycles = {}
            for latency in LATENCIES:
                alone = measure(path, latency)
                cycles[str(latency)] = alone.cycles
                bar.advance(task)
            inside = measure_soc(path)
            bar.advance(task)
            rows.append(Row(name, alone.retired, cycles, inside.retired, inside.cycles))
    Console(width=110).print(_table(rows, made_by))
    if json_path:
        content = {
            "schema": "elstm.cpi/1", "toolchain": compiler.name, RISCV_COMPILER: made_by,
            "soc_latency": SOC_TIMING.latency, "programs": [asdict(row) for row in rows],
        }  # fmt: skip
        write_all({json_path: json.dumps(content, indent=1).encode() + b"\n"})
        print(f"wrote {json_path}")


def _table(rows: list[Row], made_by: str) -> Table:
    table = Table(title=f"cycles per instruction ({made_by} -O2)")
    for column in ("program", "what it does", "instructions"):
        table.add_column(column, justify="left" if column[0] in "pw" else "right")
    for latency in LATENCIES:
        table.add_column(f"core, {latency}", justify="right")
    table.add_column(f"default SoC, {SOC_TIMING.latency}", justify="right")
    for row in rows:
        alone = (f"{cycles / row.retired:.2f}" for cycles in row.cycles_by_latency.values())
        inside = f"{row.soc_cycles / row.soc_retired:.2f}"
        table.add_row(row.program, PROGRAMS[row.program], f"{row.retired:,}", *alone, inside)
    table.caption = "columns: system and latency of its memory in cycles"
    return table


if __name__ == "__main__":
    run(main)
