"""A small first-in first-out queue with stream interfaces."""

from typing import Any

from amaranth import Module, Signal, Value
from amaranth.hdl import Shape, ShapeLike
from amaranth.lib import memory, stream
from amaranth.lib.wiring import In, Out

from hdl.common.component import Component


class Queue(Component):
    """``depth`` payloads (a power of two); what enters at ``i`` in one cycle may leave at ``o`` in the next.

    ``room`` is the number of payloads that still fit, for producers that look ahead.
    """

    def __init__(self, shape: ShapeLike, depth: int) -> None:
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"depth must be a power of two and at least 2, not {depth!r}")
        self.shape, self.depth = shape, depth
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "room": Out(range(depth + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # few rows, read without a clock: registers or distributed RAM
        rows: Any = memory.Memory(shape=Shape.cast(self.shape), depth=self.depth, init=[])
        m.submodules.rows = rows
        write = rows.write_port()
        read = rows.read_port(domain="comb")
        head = Signal(range(self.depth))
        tail = Signal(range(self.depth))
        level = Signal(range(self.depth + 1))
        push = self.i.valid & self.i.ready
        pop = self.o.valid & self.o.ready
        m.d.comb += [
            self.i.ready.eq(level != self.depth),
            self.o.valid.eq(level != 0),
            read.addr.eq(head),
            Value.cast(self.o.payload).eq(read.data),
            write.addr.eq(tail),
            write.data.eq(self.i.payload),
            write.en.eq(push),
            self.room.eq(self.depth - level),
        ]
        with m.If(push):
            m.d.sync += tail.eq(tail + 1)
        with m.If(pop):
            m.d.sync += head.eq(head + 1)
        m.d.sync += level.eq(level + push - pop)
        return m
