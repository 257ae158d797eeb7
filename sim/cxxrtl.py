"""The default engine: the design compiled to a program with the clock loop, host and memory model in C++."""

import subprocess
from pathlib import Path

from sim import designs
from sim.build_cache import compiler, executable, scratch, verilog_sha256
from sim.protocol import AcceleratorJob, Design, EngineError, Outcome, Progress
from sim.wire import decode_outcome, encode_job


def run_program(program: Path, job: bytes, progress: Progress | None = None) -> bytes:
    """Run a compiled simulator on a job file; returns its outcome file.

    The program prints the cycles simulated so far on lines of its own. It is killed if this process is interrupted.
    """
    with scratch() as directory:
        job_path, outcome_path = directory / "job", directory / "outcome"
        job_path.write_bytes(job)
        command = [str(program), str(job_path), str(outcome_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout and process.stderr
                for line in process.stdout:
                    if progress:
                        progress(int(line))
                errors = process.stderr.read()
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise EngineError(f"the simulator failed ({process.returncode}): {errors.strip()}")
        return outcome_path.read_bytes()


class CxxrtlEngine:
    """Simulates at about a million cycles a second; builds a program for each design once."""

    name = "cxxrtl"

    def missing(self) -> str | None:
        return None if compiler() else "no C++ compiler: install g++ or clang++, or pip install ziglang"

    def verilog_sha256(self, design: Design) -> str:
        return verilog_sha256(design)

    def program(self, design: Design, waves: bool = False) -> Path:
        """The compiled simulator of the design."""
        defines = {"TOP": f"cxxrtl_design::p_{designs.module_name(design).replace('_', '__')}"}
        return executable(design, "accelerator.cc", defines, waves)

    def run(self, design: Design, job: AcceleratorJob, progress: Progress | None = None) -> Outcome:
        content = run_program(self.program(design, job.wave is not None), encode_job(job), progress)
        return decode_outcome(content, job)
