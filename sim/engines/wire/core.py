"""Files of ``harness/core/program.cc``."""

from sim.engines.wire.base import NOWHERE, Reader, Writer, write_ranges, write_segments, write_timing, write_wave
from sim.protocol.core import RESET_ADDRESS, ProgramJob, ProgramOutcome, Stop, Trap


def encode_job(job: ProgramJob) -> bytes:
    """The job file."""
    out = Writer()
    write_timing(out, job.fetch)
    write_timing(out, job.data)
    out.u64(job.max_cycles, job.stuck_cycles, RESET_ADDRESS)
    out.u64(*(NOWHERE if word is None else word for word in (job.tohost, job.fromhost)))
    out.blob((job.trace or "").encode())
    write_wave(out, job.wave)
    write_ranges(out, job.keep)
    write_segments(out, job.segments)
    return out.content()


def decode_outcome(reader: Reader) -> ProgramOutcome:
    """The outcome file, or the head of a longer one."""
    cycles, retired, stop, tohost, nanoseconds, pc, next_pc, insn, trapped, *trap = (reader.u64() for _ in range(12))
    return ProgramOutcome(
        stop=Stop(stop),
        cycles=cycles,
        retired=retired,
        tohost=tohost,
        pc=pc,
        next_pc=next_pc,
        insn=insn,
        trap=Trap(*trap) if trapped else None,
        console=reader.bytes(reader.u64()),
        wall_seconds=nanoseconds / 1e9,
    )
