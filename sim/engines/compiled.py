"""The engines that compile a design to a program with the clock loop, host and memory model in C++."""

import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from sim.engines.build_cache import NO_COMPILER, compiler, executable, scratch, verilog_sha256
from sim.engines.verilator import tool as verilator
from sim.engines.wire import accelerator, core, soc
from sim.engines.wire.base import Reader, read_ranges
from sim.protocol.accelerator import AcceleratorJob, Outcome
from sim.protocol.base import Console, Design, EngineError, Progress, WaveRequest, refuse_choice
from sim.protocol.core import ProgramJob, ProgramOutcome
from sim.protocol.soc import SocJob, SocOutcome, config_of

Coverage = Callable[[str], None]
"""Called with what the Verilator model of a run counted, the text of Verilator's file."""

_running: set["subprocess.Popen[str]"] = set()


def stop_programs() -> None:
    """End the simulators that other threads of this process wait for."""
    for process in tuple(_running):
        process.kill()


def run_program(
    program: Path,
    job: bytes,
    progress: Progress | None = None,
    console: Console | None = None,
    coverage: Coverage | None = None,
) -> bytes:
    """Run a compiled simulator on a job file; returns its outcome file.

    The simulator prints the cycles simulated so far on lines of its own, and what comes on the console in hexadecimal
    behind a ``>``. It is killed if this process is interrupted. ``coverage`` gets what a program built for it counted.
    """
    with scratch() as directory:
        job_path, outcome_path = directory / "job", directory / "outcome"
        job_path.write_bytes(job)
        command, told = [str(program), str(job_path), str(outcome_path)], ""
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            _running.add(process)
            try:
                assert process.stdout and process.stderr
                for line in process.stdout:
                    if line.startswith(">"):
                        if console:
                            console(bytes.fromhex(line[1:]))
                    elif line.startswith("%"):
                        # Verilator's run time ends a program so
                        told = line
                    elif progress:
                        progress(int(line))
                errors = process.stderr.read()
            except BaseException:
                process.kill()
                raise
            finally:
                _running.discard(process)
        if process.returncode == -signal.SIGINT:
            # Ctrl-C reaches the simulator too, perhaps before this process
            raise KeyboardInterrupt
        if process.returncode:
            raise EngineError(f"the simulator failed ({process.returncode}): {(told + errors).strip()}")
        if coverage:
            coverage(outcome_path.with_name("outcome.coverage").read_text(errors="replace"))
        return outcome_path.read_bytes()


class Compiled:
    """What the compiled engines of all tops have in common. ``native``, the fast default: plain C++ that
    ``sim.engines.native`` makes of the netlist, built once a design. ``verilator``: the same harness around the model
    that Verilator makes of the emitted Verilog, which is not ours; with ``coverage`` it counts lines and toggles."""

    def __init__(self, backend: Literal["native", "verilator"] = "native", coverage: Coverage | None = None) -> None:
        self._backend, self._coverage = backend, coverage
        self.name: str = backend

    def missing(self) -> str | None:
        if self._backend == "verilator" and verilator.find() is None:
            return verilator.MISSING
        return None if compiler() else NO_COMPILER

    def verilog_sha256(self, design: Design) -> str:
        return verilog_sha256(design)

    def _executable(self, design: Design, harness: str, wave: WaveRequest | None, **defines: str) -> Path:
        """The compiled simulator of the design, able to write that waveform."""
        if self._backend == "verilator":
            refuse_choice(self.name, wave)
        signals = wave.signals if wave else ()
        counted = self._coverage is not None
        return executable(design, harness, defines, wave is not None, self._backend, signals, counted)


class CompiledAccelerator(Compiled):
    """Runs jobs of the bare accelerator."""

    def program(self, design: Design, wave: WaveRequest | None = None) -> Path:
        """The compiled simulator of the design, able to write that waveform."""
        return self._executable(design, "accelerator.cc", wave)

    def run(
        self, design: Design, job: AcceleratorJob, progress: Progress | None = None, console: Console | None = None
    ) -> Outcome:
        content = run_program(
            self.program(design, job.wave), accelerator.encode_job(job), progress, None, self._coverage
        )
        return accelerator.decode_outcome(content, job)


class CompiledCore(Compiled):
    """Runs programs on the bare core, which needs its trace port (``sim.protocol.core.DESIGN``)."""

    def run(
        self, design: Design, job: ProgramJob, progress: Progress | None = None, console: Console | None = None
    ) -> ProgramOutcome:
        if job.tohost is not None and job.tohost % 8:
            raise EngineError(f"tohost must be a multiple of 8, not {job.tohost:#x}")
        program = self._executable(design, "core/program.cc", job.wave)
        reader = Reader(run_program(program, core.encode_job(job), progress, console, self._coverage))
        return replace(core.decode_outcome(reader), memory=read_ranges(reader, job.keep))


class CompiledSoc(Compiled):
    """Runs programs on the SoC."""

    def run(
        self, design: Design, job: SocJob, progress: Progress | None = None, console: Console | None = None
    ) -> SocOutcome:
        config = config_of(design)
        traced = config.core.rvfi
        if job.trace and not traced:
            raise EngineError("a trace of instructions needs the core's trace port (rvfi)")
        program = self._executable(design, "soc.cc", job.wave, **({"RVFI": "1"} if traced else {}))
        content = run_program(program, soc.encode_job(job, config), progress, console, self._coverage)
        return soc.decode_outcome(content, job, traced)
