"""Files of ``harness/accelerator.cc``."""

from sim.engines.wire.base import Reader, Writer, write_segments, write_timing, write_wave
from sim.host.accelerator import stop_text
from sim.host.memory import describe
from sim.protocol.accelerator import (
    AcceleratorJob,
    Command,
    Outcome,
    Response,
    Step,
    WaitCycles,
    WaitIdle,
    WaitReads,
)
from sim.protocol.base import Segment, Write


def _step_words(step: Step) -> tuple[int, ...]:
    match step:
        case Command():
            return 0, step.inst, step.rs1, step.rs2, step.gap, step.withdraw
        case WaitIdle():
            return 1, 0, 0, 0, 0, 0
        case WaitCycles():
            return 2, step.cycles, 0, 0, 0, 0
        case WaitReads():
            return 3, step.reads, 0, 0, 0, 0


def encode_job(job: AcceleratorJob) -> bytes:
    """The job file."""
    out = Writer()
    write_timing(out, job.timing)
    out.u64(job.max_cycles, job.stuck_cycles, job.response_stall_permille, job.log_writes)
    write_wave(out, job.wave)
    out.u64(len(job.steps))
    for step in job.steps:
        out.u64(*_step_words(step))
    write_segments(out, job.segments)
    return out.content()


def read_memory(reader: Reader, segments: tuple[Segment, ...]) -> dict[str, bytes]:
    """Final contents of the writable segments, by name."""
    return {s.name: reader.bytes(s.size) for s in segments if s.write}


def decode_outcome(content: bytes, job: AcceleratorJob) -> Outcome:
    """The outcome file."""
    reader = Reader(content)
    cycles, stop, step, reads, writes, interrupts, nanoseconds = (reader.u64() for _ in range(7))
    busy = [row[0] for row in reader.rows(1)]
    responses = [Response(*row) for row in reader.rows(3)]
    violations = [describe(*row) for row in reader.rows(4)]
    log = [Write(*row) for row in reader.rows(4)]
    return Outcome(
        cycles=cycles,
        busy_cycles=busy,
        responses=responses,
        memory=read_memory(reader, job.segments),
        reads=reads,
        writes=writes,
        write_log=log,
        violations=violations,
        interrupt_cycles=interrupts,
        stopped=stop_text(stop, step, job, cycles),
        wall_seconds=nanoseconds / 1e9,
    )
