"""The engines that compile the design to a program with the clock loop, host and memory model in C++."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from sim.engines.build_cache import compiler, executable, scratch, verilog_sha256
from sim.engines.wire import decode_outcome, encode_job
from sim.protocol.accelerator import AcceleratorJob, Design, EngineError, Outcome, Progress, WaveRequest, refuse_choice

Console = Callable[[bytes], None]
"""Called with what a program printed, when it ended a line."""


_running: set["subprocess.Popen[str]"] = set()


def stop_programs() -> None:
    """End the simulators that other threads of this process wait for."""
    for process in tuple(_running):
        process.kill()


def run_program(program: Path, job: bytes, progress: Progress | None = None, console: Console | None = None) -> bytes:
    """Run a compiled simulator on a job file; returns its outcome file.

    The simulator prints the cycles simulated so far on lines of its own, and what comes on the console in hexadecimal
    behind a ``>``. It is killed if this process is interrupted.
    """
    with scratch() as directory:
        job_path, outcome_path = directory / "job", directory / "outcome"
        job_path.write_bytes(job)
        command = [str(program), str(job_path), str(outcome_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            _running.add(process)
            try:
                assert process.stdout and process.stderr
                for line in process.stdout:
                    if line.startswith(">"):
                        if console:
                            console(bytes.fromhex(line[1:]))
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
            raise EngineError(f"the simulator failed ({process.returncode}): {errors.strip()}")
        return outcome_path.read_bytes()


class NativeEngine:
    """The fast default: a program of plain C++ that ``sim.native`` makes of the netlist, built once a design."""

    name = "native"
    backend: Literal["native", "cxxrtl"] = "native"

    def missing(self) -> str | None:
        return None if compiler() else "no C++ compiler: install g++ or clang++, or pip install ziglang"

    def verilog_sha256(self, design: Design) -> str:
        return verilog_sha256(design)

    def program(self, design: Design, wave: WaveRequest | None = None) -> Path:
        """The compiled simulator of the design, able to write that waveform."""
        signals = wave.signals if wave else ()
        return executable(
            design, "accelerator.cc", waves=wave is not None, backend=self.backend, signals=signals
        )

    def run(self, design: Design, job: AcceleratorJob, progress: Progress | None = None) -> Outcome:
        content = run_program(self.program(design, job.wave), encode_job(job), progress)
        return decode_outcome(content, job)


class CxxrtlEngine(NativeEngine):
    """The same program around a model that Yosys' CXXRTL makes: slower to build and to run, but not ours."""

    name = "cxxrtl"
    backend = "cxxrtl"

    def program(self, design: Design, wave: WaveRequest | None = None) -> Path:
        refuse_choice(self.name, wave)
        return super().program(design, wave)
