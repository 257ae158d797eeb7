"""What all job and outcome files are made of: little-endian 64-bit words, strings and blobs as a length and their
bytes. ``harness/files.h`` and each harness' reader are the other end."""

import struct

from sim.protocol.base import EngineError, Segment, WaveRequest
from sim.protocol.core import MemoryRange
from sim.protocol.timing import MemoryTiming

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
    """How memory behaves, in a job file."""
    out.u64(timing.latency, timing.jitter, timing.order == "fifo", timing.stall_permille, timing.seed)


def write_wave(out: Writer, wave: WaveRequest | None) -> None:
    """The waveform that is wanted, in a job file."""
    out.blob(wave.path.encode() if wave else b"")
    out.u64(wave.first if wave else 0, wave.last if wave else 0)


def write_segments(out: Writer, segments: tuple[Segment, ...]) -> None:
    """What is in memory, in a job file."""
    out.u64(len(segments))
    for s in segments:
        read_error = NOWHERE if s.read_error is None else s.read_error
        write_error = NOWHERE if s.write_error is None else s.write_error
        out.u64(s.address, s.size, s.write, read_error, write_error)
        out.blob(s.data)


def write_ranges(out: Writer, ranges: tuple[MemoryRange, ...]) -> None:
    """What to bring back, in a job file."""
    out.u64(len(ranges))
    for kept in ranges:
        out.u64(kept.address, kept.size)


def read_ranges(reader: Reader, ranges: tuple[MemoryRange, ...]) -> dict[str, bytes]:
    """What came back, by name."""
    return {kept.name: reader.bytes(kept.size) for kept in ranges}
