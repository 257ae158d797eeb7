"""The memory model in Python, for the simulators that run in it; ``harness/memory.h`` is the same model in C++.

For the same requests and seed both answer in exactly the same cycles (docs/simulation.md has the rules).
"""

from collections import deque
from enum import IntEnum
from heapq import heappop, heappush
from typing import NamedTuple

from sim.protocol.base import MEMORY_FILL, Segment
from sim.protocol.timing import MemoryTiming

_MASK64 = 2**64 - 1


class Random:
    """splitmix64; the streams of one seed are independent."""

    def __init__(self, seed: int, stream: int) -> None:
        self._state = (seed ^ stream * 0xD1B54A32D192ED03) & _MASK64
        self.next()

    def next(self) -> int:
        self._state = z = (self._state + 0x9E3779B97F4A7C15) & _MASK64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _MASK64
        z = (z ^ z >> 27) * 0x94D049BB133111EB & _MASK64
        return z ^ z >> 31

    def below(self, bound: int) -> int:
        """A number in 0 .. bound - 1, bound < 2**32."""
        return (self.next() >> 32) * bound >> 32


class Stream(IntEnum):
    """What each stream of random numbers is for."""

    STALL = 1
    JITTER = 2
    RESPONSE = 3


class Violation(IntEnum):
    """What a design may do against its contract; the numbers are those of ``harness/violations.h``."""

    OUTSIDE = 0
    READ_ONLY = 1
    MISALIGNED = 2
    TAG_REUSED = 3
    NOT_BUSY = 4
    LEFT_OUTSTANDING = 5
    UNASKED_RESPONSE = 6
    WRONG_RD = 7
    UNKNOWN_VALUE = 8
    AXI_CHANGED = 9
    AXI_NOT_READY = 10
    AXI_ID_REUSED = 11
    AXI_NO_WLAST = 12
    AXI_WLAST = 13
    AXI_ATTRIBUTES = 14
    AXI_BEATS = 15
    AXI_CROSSES = 16


UNKNOWN_NAMES = (
    "cmd.ready", "resp.valid", "resp.rd", "resp.data", "mem.req_valid", "mem.req_addr", "mem.req_tag",
    "mem.req_cmd", "mem.req_size", "mem.req_data", "mem.req_mask", "busy", "interrupt",
)  # fmt: skip
"""Outputs that a four-valued simulator checks; Violation.UNKNOWN_VALUE gives the index."""

_CHANNELS = ("aw", "w", "ar")

VIOLATIONS_KEPT = 20


def describe(kind: int, cycle: int, a: int, b: int) -> str:
    """A violation in words."""
    match Violation(kind):
        case Violation.OUTSIDE:
            text = f"{'store' if b else 'load'} outside every segment, address {a:#x}"
        case Violation.READ_ONLY:
            text = f"store to a read-only segment, address {a:#x}"
        case Violation.MISALIGNED:
            text = f"access of {b} bytes at address {a:#x}"
        case Violation.TAG_REUSED:
            text = f"tag {a} used again before its response"
        case Violation.NOT_BUSY:
            text = f"memory request with busy low, address {a:#x}"
        case Violation.LEFT_OUTSTANDING:
            text = f"busy fell with {a} memory requests unanswered"
        case Violation.UNASKED_RESPONSE:
            text = f"RoCC response nobody asked for, rd {a}, data {b:#x}"
        case Violation.WRONG_RD:
            text = f"RoCC response for rd {a} where rd {b} was due"
        case Violation.AXI_CHANGED:
            text = f"{_CHANNELS[a]} changed or went away before it was taken"
        case Violation.AXI_NOT_READY:
            text = f"{'rb'[a]}ready is low"
        case Violation.AXI_ID_REUSED:
            text = f"arid {a} is used again before its last beat"
        case Violation.AXI_NO_WLAST:
            text = f"no wlast at beat {a}"
        case Violation.AXI_WLAST:
            text = f"wlast at beat {a} of {b}"
        case Violation.AXI_ATTRIBUTES:
            size, burst, cache, prot = b.to_bytes(4, "little")
            text = f"{_CHANNELS[a]} with size {size}, burst {burst}, cache {cache}, prot {prot}"
        case Violation.AXI_BEATS:
            text = f"{_CHANNELS[a]} asks for {b} beats"
        case Violation.AXI_CROSSES:
            text = f"burst of {b} beats at {a:#x} crosses a 4 KiB boundary"
        case Violation.UNKNOWN_VALUE:
            text = f"output {UNKNOWN_NAMES[a]} is unknown (X)"
    return f"cycle {cycle}: {text}"


class Violations(list[str]):
    """The first few violations, in words."""

    def note(self, kind: Violation, cycle: int, a: int, b: int = 0) -> None:
        if len(self) < VIOLATIONS_KEPT:
            self.append(describe(kind, cycle, a, b))


class Answer(NamedTuple):
    """What a load or store is answered with."""

    data: int
    error: bool


_ERROR = Answer(_MASK64, True)


class Image:
    """What memory holds: segments of bytes; anything outside them does not exist."""

    def __init__(self, segments: tuple[Segment, ...], violations: Violations) -> None:
        self._violations = violations
        self._segments = [(s, bytearray(s.data.ljust(s.size, bytes([MEMORY_FILL])))) for s in segments]
        self._last = self._segments[0] if segments else None

    def contents(self) -> dict[str, bytes]:
        """Contents of the writable segments, by name."""
        return {s.name: bytes(content) for s, content in self._segments if s.write}

    def exists(self, address: int) -> bool:
        """Whether the byte is in a segment."""
        return self._find(address) is not None

    def word(self, address: int) -> int | None:
        """The aligned 64-bit word that holds a byte, None where nothing exists; never an error on purpose."""
        if (found := self._find(address)) is None:
            return None
        at = address - found[0].address & ~7
        return int.from_bytes(found[1][at : at + 8], "little")

    def put_word(self, address: int, value: int) -> None:
        """Change the aligned 64-bit word that holds a byte, from outside of the design."""
        if (found := self._find(address)) is not None:
            at = address - found[0].address & ~7
            found[1][at : at + 8] = value.to_bytes(8, "little")

    def load(self, address: int, log_bytes: int, cycle: int) -> Answer:
        """The aligned 64-bit word that holds the ``2**log_bytes`` bytes at ``address``."""
        found = self._find(address)
        if self._misaligned(address, log_bytes, cycle):
            return _ERROR
        if found is None:
            self._violations.note(Violation.OUTSIDE, cycle, address, 0)
            return _ERROR
        segment, content = found
        offset = address - segment.address & ~7
        if offset == segment.read_error:
            return _ERROR
        return Answer(int.from_bytes(content[offset : offset + 8], "little"), False)

    def store(self, address: int, log_bytes: int, data: int, mask: int, cycle: int) -> Answer:
        """Store; data and mask are byte lanes of the aligned 64-bit word."""
        found = self._find(address)
        if self._misaligned(address, log_bytes, cycle):
            return _ERROR
        if found is None or not found[0].write:
            self._violations.note(Violation.READ_ONLY if found else Violation.OUTSIDE, cycle, address, 1)
            return _ERROR
        segment, content = found
        offset = address - segment.address & ~7
        if offset == segment.write_error:
            return _ERROR
        for lane in range(8):
            if mask >> lane & 1:
                content[offset + lane] = data >> 8 * lane & 0xFF
        return Answer(_MASK64, False)

    def _find(self, address: int) -> tuple[Segment, bytearray] | None:
        for found in (self._last, *self._segments):
            if found and 0 <= address - found[0].address < found[0].size:
                self._last = found
                return found
        return None

    def _misaligned(self, address: int, log_bytes: int, cycle: int) -> bool:
        size = 1 << log_bytes
        if not address & size - 1:
            return False
        self._violations.note(Violation.MISALIGNED, cycle, address, size)
        return True


class Responder:
    """When requests are accepted and answered.

    One response a cycle: the one due first and, of those due together, the one accepted first.
    """

    def __init__(self, timing: MemoryTiming) -> None:
        self._timing = timing
        self._stalls = Random(timing.seed, Stream.STALL)
        self._jitters = Random(timing.seed, Stream.JITTER)
        self._coming: list[tuple[int, int, int, Answer]] = []
        self._ready: deque[tuple[int, Answer]] = deque()
        self._last_due = 0
        self._accepted = 0

    @property
    def outstanding(self) -> int:
        return len(self._coming) + len(self._ready)

    def accepts(self) -> bool:
        """Does memory accept a request in this cycle? To be asked exactly once a cycle."""
        permille = self._timing.stall_permille
        return not permille or self._stalls.below(1000) >= permille

    def accept(self, tag: int, answer: Answer, cycle: int) -> None:
        """A request accepted in this cycle."""
        due = cycle + self._timing.latency
        if self._timing.jitter:
            due += self._jitters.below(self._timing.jitter + 1)
        if self._timing.order == "fifo":
            self._last_due = due = max(due, self._last_due)
        heappush(self._coming, (due, self._accepted, tag, answer))
        self._accepted += 1

    def respond(self, cycle: int) -> tuple[int, Answer] | None:
        """Tag and answer of this cycle, if any. To be called exactly once a cycle, before ``accept``."""
        while self._coming and self._coming[0][0] <= cycle:
            _, _, tag, answer = heappop(self._coming)
            self._ready.append((tag, answer))
        return self._ready.popleft() if self._ready else None
