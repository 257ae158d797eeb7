"""Memories, each in a module of its own with a plain one-read one-write interface, so that a macro can replace it."""

from amaranth import Module, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out


class Ram(wiring.Component):
    """``depth`` rows of ``width`` bits; one synchronous read and one write a cycle.

    Parameters:
        lane_bits: width of the pieces that ``write_en`` enables one by one; by default the whole row.
        init: contents at power-up, for read-only tables; without it contents are undefined until written.

    ``read_data`` holds the row at ``read_addr`` one cycle after ``read_en``, and keeps it while ``read_en`` is low.
    A row that is written in the cycle in which it is read returns undefined data; users forward or avoid it.
    """

    def __init__(self, width: int, depth: int, *, lane_bits: int | None = None, init: list[int] | None = None) -> None:
        lane_bits = width if lane_bits is None else lane_bits
        if width < 1 or depth < 1:
            raise ValueError(f"a memory needs at least one row and one bit, not {depth} rows of {width} bits")
        if width % lane_bits:
            raise ValueError(f"width must be a multiple of lane_bits = {lane_bits}, not {width}")
        self.width, self.depth, self.lane_bits = width, depth, lane_bits
        self.init = [] if init is None else init
        addr = range(max(depth, 2))
        super().__init__(
            {
                "read_en": In(1),
                "read_addr": In(addr),
                "read_data": Out(width),
                "write_en": In(width // lane_bits),
                "write_addr": In(addr),
                "write_data": In(width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = rows = memory.Memory(shape=unsigned(self.width), depth=self.depth, init=self.init)
        read = rows.read_port(domain="sync")
        m.d.comb += [read.addr.eq(self.read_addr), read.en.eq(self.read_en), self.read_data.eq(read.data)]
        if not self.init:
            write = rows.write_port(granularity=self.lane_bits)
            m.d.comb += [
                write.addr.eq(self.write_addr),
                write.en.eq(self.write_en),
                write.data.eq(self.write_data),
            ]
        return m
