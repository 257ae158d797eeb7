"""Files of ``harness/soc.cc``."""

from golden.config import SocConfig
from sim.engines.wire.base import NOWHERE, Reader, Writer, read_ranges, write_ranges, write_segments, write_wave
from sim.engines.wire.core import decode_outcome as decode_head
from sim.host.memory import describe
from sim.protocol.base import Write
from sim.protocol.soc import SocJob, SocOutcome


def encode_job(job: SocJob, config: SocConfig) -> bytes:
    """The job file."""
    out, timing, ram = Writer(), job.timing, config.ram
    order = ("fifo", "bursts", "beats").index(timing.order)
    writes = ("together", "address first", "data first").index(timing.writes)
    out.u64(timing.latency, timing.jitter, order, timing.stall_permille, writes, timing.seed)
    out.u64(ram.start, ram.stop, job.max_cycles, job.stuck_cycles, job.log_writes)
    out.u64(config.core.reset_address)
    out.u64(*(NOWHERE if word is None else word for word in (job.tohost, job.fromhost)))
    out.blob((job.trace or "").encode())
    out.blob((job.mem_trace or "").encode())
    write_wave(out, job.wave)
    write_ranges(out, job.keep)
    write_segments(out, job.segments)
    return out.content()


def decode_outcome(content: bytes, job: SocJob, traced: bool) -> SocOutcome:
    """The outcome file."""
    reader = Reader(content)
    head = decode_head(reader)
    reads, writes = reader.u64(), reader.u64()
    busy = [cycles for (cycles,) in reader.rows(1)]
    violations = [describe(*row) for row in reader.rows(4)]
    log = [Write(*row) for row in reader.rows(4)]
    return SocOutcome(
        **vars(head) | {"memory": read_ranges(reader, job.keep)},
        read_bursts=reads,
        write_bursts=writes,
        busy_cycles=busy,
        violations=violations,
        write_log=log,
        traced=traced,
    )
