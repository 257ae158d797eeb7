"""Jobs of the bare accelerator: commands at its RoCC port, with a memory behind it."""

from dataclasses import dataclass, field
from itertools import pairwise

from golden.isa import Funct, encode
from sim.protocol.base import Segment, WaveRequest, Write
from sim.protocol.timing import MemoryTiming

_TIMING = MemoryTiming()


@dataclass(frozen=True)
class Command:
    """Issue one RoCC command: ``valid`` is held until it is accepted.

    With ``gap`` the host waits that many cycles first. ``withdraw`` > 0 raises valid for that many cycles, takes it
    back for one cycle if it was not accepted by then, and starts over, as a core with interrupts does.
    """

    inst: int
    rs1: int = 0
    rs2: int = 0
    gap: int = 0
    withdraw: int = 0

    @classmethod
    def of(cls, funct: Funct, rs1: int = 0, rs2: int = 0, *, rd: int = 0, gap: int = 0) -> "Command":
        """A command of the accelerator; with ``rd`` it asks for a response."""
        return cls(encode(funct, xd=rd != 0, rd=rd), rs1, rs2, gap)


@dataclass(frozen=True)
class WaitIdle:
    """Wait until ``busy`` is low (and at least one cycle)."""


@dataclass(frozen=True)
class WaitCycles:
    """Wait a fixed number of cycles."""

    cycles: int


@dataclass(frozen=True)
class WaitReads:
    """Wait until the memory has accepted that many loads in all (to act in the middle of a run)."""

    reads: int


Step = Command | WaitIdle | WaitCycles | WaitReads


@dataclass(frozen=True)
class AcceleratorJob:
    """Commands to the bare accelerator with a memory behind it.

    ``max_cycles`` ends the run as a time-out; ``stuck_cycles`` ends it when nothing is transferred on any port for
    that long although a step is unfinished. ``response_stall_permille`` is the probability, in 1/1000, that the
    host does not take a RoCC response in a cycle.
    """

    segments: tuple[Segment, ...]
    steps: tuple[Step, ...]
    timing: MemoryTiming = _TIMING
    max_cycles: int = 10**10
    stuck_cycles: int = 100_000
    wave: WaveRequest | None = None
    log_writes: bool = False
    response_stall_permille: int = 0

    def __post_init__(self) -> None:
        ordered = sorted(self.segments, key=lambda s: s.address)
        for below, above in pairwise(ordered):
            if below.address + below.size > above.address:
                raise ValueError(f"segments {below.name} and {above.name} overlap")


@dataclass(frozen=True)
class Response:
    """One RoCC response and the cycle in which it was taken."""

    rd: int
    data: int
    cycle: int


@dataclass
class Outcome:
    """What came back.

    Attributes:
        cycles: clock cycles simulated after reset.
        busy_cycles: for each period of ``busy``, the cycles from its rise to its fall.
        memory: final contents of each writable segment, by name.
        reads, writes: requests accepted.
        violations: what the design did that its contract forbids (a request outside every segment, a tag reused
            before its response, a response nobody asked for); at most 20 are kept.
        interrupt_cycles: cycles in which ``interrupt`` was high.
        stopped: None if all steps were done, else what the run waited for when it was ended.
        wall_seconds: time of the simulation itself.
    """

    cycles: int = 0
    busy_cycles: list[int] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)
    memory: dict[str, bytes] = field(default_factory=dict)
    reads: int = 0
    writes: int = 0
    write_log: list[Write] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    interrupt_cycles: int = 0
    stopped: str | None = None
    wall_seconds: float = 0.0
