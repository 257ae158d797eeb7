"""The engine protocol: what a simulator is asked to do and what it answers. Every engine implements exactly this.

A *job* is data: memory contents, what the host does, how memory behaves. An engine builds the design, runs the job
against the one memory model (docs/simulation.md) and returns an *outcome*: what came back, what memory holds, what
was counted. Engines never see expected values; comparing is done by the caller. Each top has jobs and outcomes of its
own: ``sim.protocol.accelerator``, ``core`` and ``soc``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from golden.config import AcceleratorConfig, CoreConfig, SocConfig
from software.errors import UserError

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


@dataclass(frozen=True)
class WaveRequest:
    """A waveform of the cycles ``first`` .. ``last``: a VCD file, from Icarus an FST file, from pysim the whole run.

    ``signals``: full names below the top, dots between levels, of the only ones wanted; () is all. The engine
    ``native`` alone can choose; for a path that ends in .npy it writes an array of NumPy's, an element a cycle with a
    field for each signal.
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
class Write:
    """One store, in the order of acceptance."""

    cycle: int
    address: int
    data: int
    mask: int


Progress = Callable[[int], None]
"""Called now and then with the cycles simulated so far."""

Console = Callable[[bytes], None]
"""Called with what a program printed, when it ended a line."""

Job_contra = TypeVar("Job_contra", contravariant=True)
Outcome_co = TypeVar("Outcome_co", covariant=True)


class Engine(Protocol[Job_contra, Outcome_co]):
    """A simulator behind the protocol, for the jobs of one top. All engines of a top take the same cycles for a job."""

    name: str

    def missing(self) -> str | None:
        """What is not installed, in one line that says how to get it; None when the engine can run."""
        ...

    def verilog_sha256(self, design: Design) -> str:
        """Checksum of the emitted Verilog of the design that this engine simulates."""
        ...

    def run(
        self, design: Design, job: Job_contra, progress: Progress | None = None, console: Console | None = None
    ) -> Outcome_co:
        """Run one job from reset; ``console`` gets what a program prints as it comes.

        Raises EngineError; a job that does not end is an outcome that says so.
        """
        ...
