"""Programs on the SoC: the job, what came back, and the engines that run it."""

from dataclasses import dataclass, field
from typing import Literal, Protocol

from golden.config import SocConfig
from sim.engines.build_cache import executable
from sim.engines.compiled import Console, NativeEngine, run_program
from sim.engines.wire import NOWHERE, Reader, Writer, write_segments, write_wave
from sim.host.axi import AxiTiming
from sim.host.memory import describe
from sim.protocol.accelerator import Design, EngineError, Progress, Segment, WaveRequest, Write
from sim.protocol.core import MemoryRange, ProgramOutcome, Stop, decode, read_ranges, write_ranges
from sim.protocol.elf import Elf, ElfError

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
        """Run a program and keep ``symbols``; ``fields`` are further fields. ElfError when there is no such symbol."""
        for name in symbols:
            if name not in program.symbols:
                raise ElfError(f"the program has no symbol {name!r} with a size")
        keep = tuple(MemoryRange(name, *program.symbols[name]) for name in symbols)
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


class SocEngine(Protocol):
    """A simulator of the SoC. All take the same cycles for the same job."""

    name: str

    def missing(self) -> str | None: ...

    def run(
        self, design: Design, job: SocJob, progress: Progress | None = None, console: Console | None = None
    ) -> SocOutcome:
        """Run one program from reset; ``console`` gets what it prints as it comes. Raises EngineError."""
        ...


def config_of(design: Design) -> SocConfig:
    """Raises EngineError when the design is no SoC."""
    if not isinstance(design.config, SocConfig):
        raise EngineError(f"design {design.top!r} is no SoC")
    return design.config


def encode(job: SocJob, config: SocConfig) -> bytes:
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
    head = decode(reader)
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


class NativeSoc:
    """The compiled engines, by the names they have for the accelerator: native and cxxrtl."""

    def __init__(self, backend: Literal["native", "cxxrtl"] = "native") -> None:
        self._backend = backend
        self.name: str = backend

    def missing(self) -> str | None:
        return NativeEngine().missing()

    def run(
        self, design: Design, job: SocJob, progress: Progress | None = None, console: Console | None = None
    ) -> SocOutcome:
        config = config_of(design)
        traced = config.core.rvfi
        if job.trace and not traced:
            raise EngineError("a trace of instructions needs the core's trace port (rvfi)")
        defines = {"RVFI": "1"} if traced else {}
        program = executable(design, "soc_program.cc", defines, job.wave is not None, self._backend)
        return decode_outcome(run_program(program, encode(job, config), progress, console), job, traced)
