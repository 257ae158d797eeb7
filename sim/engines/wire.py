"""Job and outcome files between the engine and the compiled simulator: little-endian 64-bit words, strings and blobs
as a length and their bytes. ``harness/files.h`` and each harness' reader are the other end."""

import struct

from sim.host.accelerator import stop_text
from sim.host.memory import describe
from sim.protocol.accelerator import (
    AcceleratorJob,
    Command,
    EngineError,
    MemoryTiming,
    Outcome,
    Response,
    Segment,
    Step,
    WaitCycles,
    WaitIdle,
    WaitReads,
    WaveRequest,
    Write,
)

NOWHERE = 2**64 - 1


class Writer:
    """Builds a file."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def u64(self, *values: int) -> None:
        self._parts.append(struct.pack(f"<{len(values)}Q", *values))

    def blob(self, value: bytes) -> None:
        self.u64(len(value))
        self._parts.append(value)

    def content(self) -> bytes:
        return b"".join(self._parts)


class Reader:
    """Takes a file apart. Raises EngineError when it ends too early."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def bytes(self, count: int) -> bytes:
        if self._at + count > len(self._content):
            raise EngineError("the simulator's outcome file is truncated")
        self._at += count
        return self._content[self._at - count : self._at]

    def u64(self) -> int:
        return int.from_bytes(self.bytes(8), "little")

    def rows(self, width: int) -> list[tuple[int, ...]]:
        """A count, then that many rows of ``width`` words."""
        count = self.u64()
        return list(struct.iter_unpack(f"<{width}Q", self.bytes(8 * width * count)))


def write_timing(out: Writer, timing: MemoryTiming) -> None:
    out.u64(timing.latency, timing.jitter, timing.order == "fifo", timing.stall_permille, timing.seed)


def write_wave(out: Writer, wave: WaveRequest | None) -> None:
    out.blob(wave.path.encode() if wave else b"")
    out.u64(wave.first if wave else 0, wave.last if wave else 0)


def write_segments(out: Writer, segments: tuple[Segment, ...]) -> None:
    out.u64(len(segments))
    for s in segments:
        read_error = NOWHERE if s.read_error is None else s.read_error
        write_error = NOWHERE if s.write_error is None else s.write_error
        out.u64(s.address, s.size, s.write, read_error, write_error)
        out.blob(s.data)


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
    """The job file of ``harness/accelerator.cc``."""
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
    """The outcome file of ``harness/accelerator.cc``."""
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
