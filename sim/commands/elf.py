"""``python -m sim.run elf FILE``: run any bare-metal RISC-V program on the SoC, or on the core alone.

The program's console goes to stdout as it comes, and its exit code becomes the command's. When it does not come to
that, one line says why and at which pc: exit code 1 when the program is at fault, 2 when it could not be run at all.
"""

import json
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, TaskID

from golden.config import CoreConfig, SocConfig
from sim.commands.twin import SPIKE, run_twin
from sim.digits.program import check_program
from sim.engines import registry
from sim.engines.build_cache import verilog_sha256
from sim.options import (
    JsonOption,
    MemTraceOption,
    PresetOption,
    RamOption,
    StallsOption,
    WaveOption,
    window,
)
from sim.protocol import core as core_program
from sim.protocol import elf
from sim.protocol.base import Design, WaveRequest
from sim.protocol.core import ProgramJob, ProgramOutcome
from sim.protocol.signature import GRANULARITY, NAME, signature_range, signature_text
from sim.protocol.soc import SocJob, SocOutcome
from sim.protocol.timing import AxiTiming, MemoryTiming
from sim.results.environment import versions
from software.cli import UserError, check_outputs, write_all
from software.options import ConfigOption, SetOption, accelerator
from software.places import whole
from software.progress import bars
from software.provenance import commit

SCHEMA = "elstm.program/1"
SYSTEMS = ("soc", "core")
AT_THE_END = 2000
"""Cycles of a waveform of the end of a run."""


def result(path: Path, program: elf.Elf, design: Design, outcome: ProgramOutcome, preset: str) -> dict[str, object]:
    """What the JSON file holds: the outcome, and what it came from; preset: name of the SoC's accelerator."""
    wall = outcome.wall_seconds
    content: dict[str, object] = {
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
        "verilog_sha256": verilog_sha256(design),
        "commit": commit(),
        "versions": versions(program),
        "system": design.top,
    }
    if isinstance(outcome, SocOutcome):
        content |= {
            "violations": outcome.violations,
            "read_bursts": outcome.read_bursts,
            "write_bursts": outcome.write_bursts,
            "busy_cycles": outcome.busy_cycles,
            "preset": preset,
            "config": asdict(design.config),
        }
    return content


def _tick(bar: Progress, task: TaskID, cycles: int) -> None:
    bar.update(task, completed=cycles)


class _Stdout:
    """Shows a console as it comes."""

    def __init__(self) -> None:
        self._shown = 0

    def line(self, text: bytes) -> None:
        sys.stdout.buffer.write(text)
        sys.stdout.flush()
        self._shown += len(text)

    def rest(self, console: bytes) -> None:
        self.line(console[self._shown :])


def run_elf(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A 64-bit RISC-V executable, entered at 0x80000000.")],
    system: Annotated[
        str, typer.Option(metavar="NAME", help="soc, or core: that alone, without accelerator and cache.")
    ] = "soc",
    engine: Annotated[
        str,
        typer.Option(metavar="NAME", help=f"Simulator: {', '.join(registry.names('soc'))}; or {SPIKE}, the twin."),
    ] = registry.DEFAULT,
    preset: PresetOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    max_cycles: Annotated[
        int, typer.Option(metavar="N", min=1, help="End the run as a failure after that many cycles.")
    ] = 10**8,
    json_path: JsonOption = None,
    trace: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a line for each instruction, as Spike does.")
    ] = None,
    mem_trace: MemTraceOption = None,
    wave: WaveOption = None,
    wave_window: Annotated[
        str,
        typer.Option(
            metavar="FIRST:LAST", help="Cycles of --wave, or end: the last 2000.", show_default="the whole run"
        ),
    ] = "",
    ram: RamOption = 16,
    latency: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=1000, help="Cycles from a request to its response; 8, core: 1."),
    ] = None,
    stalls: StallsOption = 0,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of the memory's random numbers.")] = 1,
    signature: Annotated[
        Path | None,
        typer.Option(
            "--signature", "+signature", metavar="FILE", help="Write memory from begin_signature to end_signature."
        ),
    ] = None,
    granularity: Annotated[
        int,
        typer.Option(
            "--signature-granularity", "+signature-granularity", metavar="N", min=1, max=4096, help="Bytes of a line."
        ),
    ] = GRANULARITY,
) -> None:
    """Run a bare-metal program on the RTL; exits with the program's own code.

    Its console goes to stdout as it comes. A program that is caught in a loop, or leaves the memory, is ended with one
    line that says why and at which pc.

    \b
    Examples:
      python -m sim.run elf build/firmware/mnist-l1.elf
      python -m sim.run elf build/firmware/network.elf --preset mnist --set group_list=true
      python -m sim.run elf mine.elf --trace build/mine.log --wave build/mine.vcd --wave-window end
      python -m sim.run elf mine.elf --system core --latency 4
      python -m sim.run elf +signature=build/mine.signature +signature-granularity=4 mine.elf
    """
    check_outputs(json_path, trace, mem_trace, wave, signature)
    if system not in SYSTEMS:
        raise UserError(f"no system {system!r}; there are: {', '.join(SYSTEMS)}")
    if engine == SPIKE:
        if system != "soc" or any((json_path, trace, mem_trace, wave, signature)):
            without = "--json, --trace, --mem-trace, --wave and --signature"
            raise UserError(f"--engine {SPIKE} is for --system soc, without {without}")
        run_twin(file, ram=ram, preset=preset, config=config, settings=settings)
        return
    if system == "core" and (mem_trace or engine != "native" or wave_window == "end"):
        raise UserError("--mem-trace, --engine and --wave-window end are for --system soc")
    if system == "core" and (config or settings):
        raise UserError("--config and --set are of the accelerator, for --system soc")
    asked = accelerator(preset, config, settings)
    cycles = window(wave_window) if wave_window not in ("", "end") else (0, 2**63 - 1)
    stdout = _Stdout()
    try:
        with whole(trace, mem_trace, wave) as parts:
            trace_file, reads_file, wave_file = (str(part.absolute()) if part else None for part in parts)
            shown = WaveRequest(wave_file, *cycles) if wave_file else None
            program = elf.load(file, ram << 20)
            if system == "soc":
                check_program(program, file, asked)
            if program.warning:
                print(program.warning, file=sys.stderr)
            keep = (signature_range(program, file),) if signature else ()
            outcome: ProgramOutcome
            if system == "soc":
                design = Design("soc", SocConfig(asked.config, CoreConfig(rvfi=True)))
                simulator = registry.get("soc", engine)
                timing = AxiTiming(latency=latency or 8, stall_permille=stalls, seed=seed)
                job = SocJob.of(
                    program,
                    timing=timing,
                    max_cycles=max_cycles,
                    wave=shown,
                    trace=trace_file,
                    mem_trace=reads_file,
                    keep=keep,
                )
                with bars(redirect_stdout=sys.stdout.isatty()) as bar:
                    task = bar.add_task("cycles", total=None)
                    tick = partial(_tick, bar, task)
                    if wave_file and wave_window == "end":
                        first = simulator.run(design, replace(job, wave=None, trace=None), tick).cycles - AT_THE_END
                        job = replace(job, wave=WaveRequest(wave_file, max(0, first)))
                    outcome = simulator.run(design, job, tick, stdout.line)
            else:
                design = core_program.DESIGN
                core_job = _core_job(program, latency or 1, stalls, seed, max_cycles, trace_file, shown)
                outcome = registry.get("core").run(design, replace(core_job, keep=keep))
            stdout.rest(outcome.console)
        files = {}
        if json_path:
            files[json_path] = json.dumps(result(file, program, design, outcome, asked.name), indent=1).encode() + b"\n"
        # of a program that was ended half-way there is no signature, not even half of one
        if signature and outcome.exit_code is not None:
            files[signature] = signature_text(outcome.memory[NAME], granularity)
        write_all(files)
    except (elf.ElfError, ValueError) as error:
        raise UserError(str(error)) from None
    for path in (trace, mem_trace, wave, *files):
        if path:
            # stdout is the program's
            print(f"wrote {path}", file=sys.stderr)
    _finish(file, program, outcome)


def _core_job(
    program: elf.Elf, latency: int, stall: int, seed: int, max_cycles: int, trace: str | None, wave: WaveRequest | None
) -> ProgramJob:
    return ProgramJob(
        (program.ram,),
        tohost=program.tohost,
        fromhost=program.fromhost,
        fetch=MemoryTiming(latency=latency, stall_permille=stall, seed=2 * seed),
        data=MemoryTiming(latency=latency, stall_permille=stall, seed=2 * seed + 1),
        max_cycles=max_cycles,
        trace=trace,
        wave=wave,
    )


def _finish(file: Path, program: elf.Elf, outcome: ProgramOutcome) -> None:
    """Say how it ended, and exit."""
    violations = outcome.violations if isinstance(outcome, SocOutcome) else []
    for violation in violations:
        print(f"the SoC broke a rule of its port: {violation}", file=sys.stderr)
    if outcome.exit_code is None:
        hint = "" if program.tohost is not None else " (the program has no symbol tohost, so it cannot exit)"
        print(f"{file}: {outcome.reason()}{hint}", file=sys.stderr)
        raise typer.Exit(1)
    text = f"{outcome.cycles} cycles, {outcome.retired} instructions, CPI {outcome.cpi:.3f}"
    # the same source takes other cycles with another compiler
    print(f"{text}; built with {program.compiler}" if program.compiler else text, file=sys.stderr)
    raise typer.Exit(1 if violations else outcome.exit_code)
