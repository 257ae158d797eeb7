"""What goes into axi_ram_bench and what comes out; importable without cocotb."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Job:
    """What to run.

    Attributes:
        image: contents of the RAM from ``base`` on.
        done: a store to this address ends the program.
        pause_permille: probability that a channel makes the other side wait in a cycle.
        interleave: beats of different read bursts in any order, each after up to ``latency`` cycles; else the RAM of
            the package answers burst by burst.
        read_error, write_error: address of a word whose loads, stores are answered with SLVERR.
        missing: addresses from here on are answered with DECERR.
    """

    image: bytes
    base: int
    done: int
    pause_permille: int = 0
    interleave: bool = False
    latency: int = 0
    read_error: int | None = None
    write_error: int | None = None
    missing: int | None = None
    seed: int = 1
    max_cycles: int = 20_000


@dataclass
class Result:
    """What happened. ``interleaved``: how often a beat came between two beats of another burst; ``lengths``: of read
    bursts, in beats."""

    memory: bytes = b""
    cycles: int = 0
    ended: bool = False
    interleaved: int = 0
    lengths: list[int] = field(default_factory=list)
