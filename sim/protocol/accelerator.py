"""The engine protocol: what a simulator is asked to do and what it answers. Every engine implements exactly this.

A *job* is data: memory contents, what the host does, how memory behaves. An engine builds the design, runs the job
against the one memory model (docs/simulation.md) and returns an *outcome*: what came back, what memory holds, what
was counted. Engines never see expected values; comparing is done by the caller.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, Protocol

from golden.config import AcceleratorConfig, CoreConfig, SocConfig
from golden.isa import CUSTOM_0, Funct, encode
from software.cli import UserError

MEMORY_FILL = 0xFF
"""Byte that memory holds wherever no segment was loaded: a NaN in fp16, fp32 and fp64."""


class EngineError(UserError):
    """The engine could not run the job: not installed, build failed, or the simulator itself broke."""


@dataclass(frozen=True)
class Design:
    """What to simulate: a top level and its configuration."""

    top: Literal["accelerator", "core", "soc"]
    config: AcceleratorConfig | CoreConfig | SocConfig


@dataclass(frozen=True)
class Segment:
    """A range of memory that exists, ``size`` bytes at ``address``, both multiples of 8.

    Attributes:
        data: initial contents, at most ``size`` bytes; the rest is MEMORY_FILL.
        write: stores are allowed; otherwise they are answered with an error and counted as a violation.
        read_error, write_error: offset in bytes of one word whose loads, stores are answered with an error on purpose.
    """

    name: str
    address: int
    size: int
    data: bytes = b""
    write: bool = False
    read_error: int | None = None
    write_error: int | None = None

    def __post_init__(self) -> None:
        if self.size < len(self.data):
            raise ValueError(f"segment {self.name}: {len(self.data)} bytes of data in a segment of {self.size}")
        if self.address % 8 or self.size % 8:
            raise ValueError(f"segment {self.name}: {self.address:#x} + {self.size} is not made of 8-byte words")
        if self.address < 0 or self.address + self.size > 2**64:
            raise ValueError(f"segment {self.name}: {self.address:#x} + {self.size} leaves the address space")


def check_timing(latency: int, jitter: int, stall_permille: int) -> None:
    """Raise ValueError naming the number that no memory here can have."""
    for name, value, low, high in (
        ("latency", latency, 1, 10_000),
        ("jitter", jitter, 0, 10_000),
        ("stall_permille", stall_permille, 0, 999),
    ):
        if not low <= value <= high:
            raise ValueError(f"{name} must be in {low}..{high}, not {value}")


@dataclass(frozen=True)
class MemoryTiming:
    """How memory behaves.

    Attributes:
        latency: cycles from a request's acceptance to its response, at least 1.
        jitter: up to that many cycles are added to each response, at random.
        order: "fifo" keeps responses in order; "random" lets jitter reorder them. One response per cycle either way.
        stall_permille: probability, in 1/1000, that a cycle accepts no request.
        seed: of all of the above.
    """

    latency: int = 8
    jitter: int = 0
    order: Literal["fifo", "random"] = "fifo"
    stall_permille: int = 0
    seed: int = 1

    def __post_init__(self) -> None:
        check_timing(self.latency, self.jitter, self.stall_permille)
        if self.order not in ("fifo", "random"):
            raise ValueError(f"order must be 'fifo' or 'random', not {self.order!r}")


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
class WaveRequest:
    """A waveform of the cycles ``first`` .. ``last``: a VCD file, from Icarus an FST file, from pysim the whole run.

    ``signals``: full names below the top, dots between levels, of the only ones wanted; () is all. The engine
    ``native`` alone can choose; for a path that ends in .rows it writes what ``sim.engines.native.vcd.read_rows``
    reads.
    """

    path: str
    first: int = 0
    last: int = 2**63 - 1
    signals: tuple[str, ...] = ()


def refuse_choice(engine: str, wave: WaveRequest | None) -> None:
    """Raise EngineError when a waveform of chosen signals is wanted of an engine that writes all."""
    if wave and wave.signals:
        raise EngineError(f"engine {engine} writes waveforms of all signals; native can choose")


@dataclass(frozen=True)
class AcceleratorJob:
    """Commands to the bare accelerator with a memory behind it.

    ``max_cycles`` ends the run as a time-out; ``stuck_cycles`` ends it when nothing is transferred on any port for
    that long although a step is unfinished. ``response_stall_permille`` is the probability, in 1/1000, that the
    host does not take a RoCC response in a cycle.
    """

    segments: tuple[Segment, ...]
    steps: tuple[Step, ...]
    timing: MemoryTiming = MemoryTiming()
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


@dataclass(frozen=True)
class Write:
    """One store, in the order of acceptance."""

    cycle: int
    address: int
    data: int
    mask: int


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


Progress = Callable[[int], None]
"""Called now and then with the cycles simulated so far."""


class Engine(Protocol):
    """A simulator behind the protocol."""

    name: str

    def missing(self) -> str | None:
        """What is not installed, in one line that says how to get it; None when the engine can run."""
        ...

    def verilog_sha256(self, design: Design) -> str:
        """Checksum of the emitted Verilog of the design that this engine simulates."""
        ...

    def run(self, design: Design, job: AcceleratorJob, progress: Progress | None = None) -> Outcome:
        """Run one job from reset. Raises EngineError; a job that does not end is an outcome with ``stopped``."""
        ...


__all__ = [
    "CUSTOM_0",
    "MEMORY_FILL",
    "AcceleratorJob",
    "Command",
    "Design",
    "Engine",
    "EngineError",
    "MemoryTiming",
    "Outcome",
    "Progress",
    "Response",
    "Segment",
    "Step",
    "WaitCycles",
    "WaitIdle",
    "WaitReads",
    "WaveRequest",
    "Write",
    "check_timing",
    "refuse_choice",
]
