"""Jobs of the bare core: a program in memory, from reset until it exits."""

from dataclasses import dataclass, field
from enum import IntEnum

from golden.config import CoreConfig
from sim.protocol.base import Design, Segment, WaveRequest
from sim.protocol.timing import MemoryTiming

SINGLE_CYCLE = MemoryTiming(latency=1)
"""Memory that answers in the next cycle, always."""

_CONFIG = CoreConfig(rvfi=True)
DESIGN = Design("core", _CONFIG)
"""The core with its trace port, from which the reasons for stopping come."""
RESET_ADDRESS = _CONFIG.reset_address

CAUSES = {
    0: "instruction address misaligned",
    1: "instruction access fault",
    2: "illegal instruction",
    3: "breakpoint",
    4: "load address misaligned",
    5: "load access fault",
    6: "store address misaligned",
    7: "store access fault",
    11: "environment call",
}
"""What mcause says of exceptions."""


@dataclass(frozen=True)
class MemoryRange:
    """Bytes of memory by a name of one's own."""

    name: str
    address: int
    size: int


@dataclass(frozen=True)
class ProgramJob:
    """A program in memory, to run from reset.

    Attributes:
        segments: memory, with the program in it.
        tohost, fromhost: addresses of the HTIF words; None if the program has none.
        fetch, data: how memory behaves on the instruction and on the data port; responses stay in order.
        max_cycles: ends the run.
        stuck_cycles: ends the run when no instruction has retired for that long.
        trace: file that gets a line for each retired instruction and each trap, in the form of Spike's commit log.
        keep: what of memory to bring back.
    """

    segments: tuple[Segment, ...]
    tohost: int | None = None
    fromhost: int | None = None
    fetch: MemoryTiming = SINGLE_CYCLE
    data: MemoryTiming = SINGLE_CYCLE
    max_cycles: int = 10**9
    stuck_cycles: int = 1_000_000
    trace: str | None = None
    wave: WaveRequest | None = None
    keep: tuple[MemoryRange, ...] = ()

    def __post_init__(self) -> None:
        if "random" in (self.fetch.order, self.data.order):
            raise ValueError("the core's ports need responses in order")


class Stop(IntEnum):
    """Why a run ended."""

    EXITED = 0
    MAX_CYCLES = 1
    STUCK = 2
    TRAP_LOOP = 3
    BAD_HTIF = 4
    BAD_RVFI = 5


@dataclass(frozen=True)
class Trap:
    """The last trap taken: the instruction's pc, mcause and mtval."""

    pc: int
    cause: int
    tval: int

    def __str__(self) -> str:
        name = CAUSES.get(self.cause, f"cause {self.cause}")
        return f"{name} at pc {self.pc:#x} (mtval {self.tval:#x})"


@dataclass(frozen=True)
class ProgramOutcome:
    """What came back.

    Attributes:
        tohost: the last value written to tohost that was not 0.
        retired: instructions that retired (traps are not counted).
        pc, next_pc, insn: the last instruction that retired or trapped, and where control went; before the first one
            both pcs are the reset address.
        console: what the program printed.
        memory: what was to be kept, by name.
    """

    stop: Stop
    cycles: int
    retired: int
    tohost: int
    pc: int
    next_pc: int
    insn: int
    trap: Trap | None
    console: bytes
    wall_seconds: float
    memory: dict[str, bytes] = field(default_factory=dict)

    @property
    def exit_code(self) -> int | None:
        """The program's own, 0..255; None if it did not exit."""
        return self.tohost >> 1 & 0xFF if self.stop == Stop.EXITED else None

    @property
    def cpi(self) -> float:
        """Cycles per instruction."""
        return self.cycles / max(self.retired, 1)

    def reason(self) -> str | None:
        """Why the program did not exit, in one line; None when it did."""
        after = f"; last trap: {self.trap}" if self.trap else ""
        match self.stop:
            case Stop.EXITED:
                return None
            case Stop.MAX_CYCLES:
                return f"no exit within {self.cycles} cycles; pc {self.next_pc:#x}{after}"
            case Stop.STUCK:
                return f"nothing retires any more; waiting at pc {self.next_pc:#x}{after}"
            case Stop.TRAP_LOOP:
                return f"{self.trap}, and the trap vector {self.next_pc:#x} traps itself"
            case Stop.BAD_HTIF:
                return f"tohost was written with {self.tohost:#x}, which is no known request; pc {self.pc:#x}"
            case Stop.BAD_RVFI:
                return f"the core is broken: its trace contradicts itself at pc {self.pc:#x}"
