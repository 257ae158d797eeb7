"""``python -m sim.run elf FILE``: run any bare-metal RISC-V program on the core.

The program's console goes to stdout, and its exit code becomes the command's. When it does not come to that, one line
says why and at which pc: exit code 1 when the program is at fault, 2 when it could not be run at all.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sim import core_program, elf
from sim.build_cache import verilog_sha256
from sim.environment import commit, versions
from sim.protocol import MemoryTiming, WaveRequest
from sim.result import write_whole
from software.cli import UserError

SCHEMA = "elstm.program/1"
MAX_RAM_MIB = 1024


def result(path: Path, outcome: core_program.ProgramOutcome) -> dict[str, object]:
    """What the JSON file holds: the outcome, and what it came from."""
    wall = outcome.wall_seconds
    return {
        "schema": SCHEMA,
        "file": str(path),
        "exit_code": outcome.exit_code,
        "stop": outcome.stop.name.lower(),
        "reason": outcome.reason(),
        "cycles": outcome.cycles,
        "retired": outcome.retired,
        "cpi": outcome.cpi,
        "pc": outcome.pc,
        "trap": asdict(outcome.trap) if outcome.trap else None,
        "console": outcome.console.decode(errors="replace"),
        "wall_seconds": wall,
        "cycles_per_second": outcome.cycles / wall if wall else 0.0,
        "verilog_sha256": verilog_sha256(core_program.DESIGN),
        "commit": commit(),
        "versions": versions(),
    }


def run_elf(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A 64-bit RISC-V executable, entered at 0x80000000.")],
    max_cycles: Annotated[int, typer.Option(min=1, help="End the run as a failure after that many cycles.")] = 10**8,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the outcome there.")] = None,
    trace: Annotated[Path | None, typer.Option(help="Write a line for each instruction there, as Spike does.")] = None,
    wave: Annotated[Path | None, typer.Option(help="Write a VCD waveform there (slow and large).")] = None,
    ram: Annotated[int, typer.Option(min=1, max=MAX_RAM_MIB, help="Size of the memory at 0x80000000, MiB.")] = 16,
    latency: Annotated[int, typer.Option(min=1, max=1000, help="Cycles from a request to its response.")] = 1,
    stall: Annotated[int, typer.Option(min=0, max=999, help="How often memory takes no request, in 1/1000.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of those.")] = 1,
) -> None:
    """Run a bare-metal program on the core; exits with the program's own code."""
    for path in (json_path, trace, wave):
        if path and path.is_dir():
            raise UserError(f"cannot write {path}: it is a directory")
        if path and not path.parent.is_dir():
            raise UserError(f"cannot write {path}: there is no directory {path.parent}")
    try:
        program = elf.load(file, ram << 20)
        job = core_program.ProgramJob(
            (program.ram,),
            tohost=program.tohost,
            fromhost=program.fromhost,
            fetch=MemoryTiming(latency=latency, stall_permille=stall, seed=2 * seed),
            data=MemoryTiming(latency=latency, stall_permille=stall, seed=2 * seed + 1),
            max_cycles=max_cycles,
            trace=str(trace.absolute()) if trace else None,
            wave=WaveRequest(str(wave.absolute())) if wave else None,
        )
        outcome = core_program.run(job)
        sys.stdout.buffer.write(outcome.console)
        sys.stdout.flush()
        if json_path:
            write_whole(json_path, json.dumps(result(file, outcome), indent=1).encode() + b"\n")
    except elf.ElfError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"cannot write {error.filename}: {error.strerror}") from None
    if outcome.exit_code is None:
        hint = "" if program.tohost is not None else " (the program has no symbol tohost, so it cannot exit)"
        print(f"{file}: {outcome.reason()}{hint}", file=sys.stderr)
        raise typer.Exit(1)
    print(f"{outcome.cycles} cycles, {outcome.retired} instructions, CPI {outcome.cpi:.3f}", file=sys.stderr)
    raise typer.Exit(outcome.exit_code)
