"""Jobs for the fake unit."""

from dataclasses import replace
from typing import Any

from golden.isa import Funct
from sim.protocol.accelerator import AcceleratorJob, Command, Step, WaitIdle
from sim.protocol.base import Segment
from sim.protocol.timing import MemoryTiming

SOURCE, TARGET = 0x1000, 0x8000_0000


def copy_job(words: int = 40, timing: MemoryTiming = MemoryTiming(), fault: int = 0, **fields: Any) -> AcceleratorJob:
    """Copy ``words`` words 7, 10, 13, ... from SOURCE to TARGET, then read counters 0..3 into registers 1..4."""
    source = b"".join((7 + 3 * i).to_bytes(8, "little") for i in range(words))
    steps: tuple[Step, ...] = (
        Command.of(Funct.STEPS, 0, words),
        Command.of(Funct.DATA, SOURCE, TARGET),
        Command.of(Funct.START, 0, fault),
        WaitIdle(),
        *(Command.of(Funct.COUNTER, index, rd=index + 1) for index in range(4)),
    )
    segments = (Segment("source", SOURCE, 8 * words, source), Segment("target", TARGET, 8 * words + 8, write=True))
    return replace(AcceleratorJob(segments, steps, timing, stuck_cycles=300), **fields)


def copied(words: int = 40) -> bytes:
    """What TARGET holds after ``copy_job``, the word after it included."""
    return b"".join((8 + 3 * i).to_bytes(8, "little") for i in range(words)) + b"\xff" * 8
