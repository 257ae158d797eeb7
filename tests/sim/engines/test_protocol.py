import pytest

from golden.isa import Funct, encode
from sim.protocol.accelerator import Command
from sim.protocol.base import Segment
from sim.protocol.timing import MemoryTiming


def test_command_asks_for_a_response_only_with_rd() -> None:
    assert Command.of(Funct.SIZES, 8, 16).inst == encode(0)
    assert Command.of(Funct.COUNTER, 2, rd=5).inst == encode(7, xd=True, rd=5)


def test_timing_limits_are_named() -> None:
    with pytest.raises(ValueError, match="latency must be in 1..10000, not 0"):
        MemoryTiming(latency=0)
    with pytest.raises(ValueError, match="order must be 'fifo' or 'random', not 'lifo'"):
        MemoryTiming(order="lifo")  # type: ignore[arg-type]


def test_segment_limits_are_named() -> None:
    with pytest.raises(ValueError, match="segment x: 9 bytes of data in a segment of 8"):
        Segment("x", 0, 8, bytes(9))
    with pytest.raises(ValueError, match="leaves the address space"):
        Segment("x", 2**64 - 8, 16)
