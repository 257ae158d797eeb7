"""Jobs of the SoC: a program in the memory behind its AXI4 port, from reset until it exits."""

from dataclasses import dataclass, field

from golden.config import SocConfig
from sim.protocol.base import Design, EngineError, Segment, WaveRequest, Write
from sim.protocol.core import MemoryRange, ProgramOutcome, Stop
from sim.protocol.elf import Elf
from sim.protocol.timing import AxiTiming

_TIMING = AxiTiming()


@dataclass(frozen=True)
class SocJob:
    """A program in the SoC's memory, to run from reset.

    Attributes:
        segments: memory, with the program in it. What is addressed in the design's RAM and in no segment is answered
            with DECERR; anything else outside is also a violation.
        tohost, fromhost: addresses of the HTIF words; None if the program has none. Only the core's stores count.
        timing: how memory behaves.
        keep: what of memory to bring back.
        max_cycles: ends the run.
        stuck_cycles: ends the run when nothing was transferred, and no instruction retired, for that long.
        log_writes: bring back the accelerator's stores.
        mem_trace: file that gets a line for each burst the accelerator loads: cycle, address, words.
        trace: file that gets a line for each retired instruction and each trap; needs the trace port.
    """

    segments: tuple[Segment, ...]
    tohost: int | None = None
    fromhost: int | None = None
    timing: AxiTiming = _TIMING
    keep: tuple[MemoryRange, ...] = ()
    max_cycles: int = 10**9
    stuck_cycles: int = 1_000_000
    log_writes: bool = False
    mem_trace: str | None = None
    trace: str | None = None
    wave: WaveRequest | None = None

    def __post_init__(self) -> None:
        if self.tohost is not None and self.tohost % 8:
            raise ValueError(f"tohost must be a multiple of 8, not {self.tohost:#x}")

    @classmethod
    def of(cls, program: Elf, symbols: tuple[str, ...] = (), **fields: object) -> "SocJob":
        """Run a program and keep ``symbols``; ``fields`` are further fields. Raises ElfError as ``Elf.place``."""
        keep = tuple(MemoryRange(name, *program.place(name)) for name in symbols)
        given = {"segments": (program.ram,), "tohost": program.tohost, "fromhost": program.fromhost, "keep": keep}
        return cls(**(given | fields))  # type: ignore[arg-type]


@dataclass(frozen=True)
class SocOutcome(ProgramOutcome):
    """What came back. Without the trace port nothing is known of instructions: none retired, the core is where it
    started, and nothing trapped.

    Attributes:
        read_bursts, write_bursts: accepted at the port, the core's and the accelerator's.
        busy_cycles: for each period of the SoC's ``busy``, the cycles from its rise to its fall, counted by the host.
        violations: what the design did that the port's contract forbids.
        write_log: the accelerator's stores, one a word, in the order and cycle of their answers.
        traced: the design has the trace port.
    """

    read_bursts: int = 0
    write_bursts: int = 0
    busy_cycles: list[int] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    write_log: list[Write] = field(default_factory=list)
    traced: bool = False

    def reason(self) -> str | None:
        """Why the program did not exit, in one line; None when it did."""
        if self.traced or self.stop == Stop.EXITED:
            return super().reason()
        if self.stop == Stop.STUCK:
            return f"nothing moves any more at the memory port, cycle {self.cycles}"
        if self.stop == Stop.BAD_HTIF:
            return f"tohost was written with {self.tohost:#x}, which is no known request; cycle {self.cycles}"
        return f"no exit within {self.cycles} cycles"


def config_of(design: Design) -> SocConfig:
    """Raises EngineError when the design is no SoC."""
    if not isinstance(design.config, SocConfig):
        raise EngineError(f"design {design.top!r} is no SoC")
    return design.config
