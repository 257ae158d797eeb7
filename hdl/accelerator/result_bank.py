"""The result bank: 16 lanes of 32-bit sums with an adder each, one value word a cycle in any order."""

from amaranth import Array, Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from golden.config import BANK_LANES
from hdl.common.arith import add_wrapping
from hdl.common.component import Component
from hdl.common.ram import Ram


class ResultBank(Component):
    """Adds four products a cycle to the sums of one row group; lane = row mod 16.

    Parameters:
        depth: row groups in each memory.
        memories: independent memories behind the one set of adders.

    ``fetch`` with ``memory`` and ``addr`` comes one cycle before ``products``, ``lanes`` and ``first`` (overwrite
    instead of add). Consecutive words may hit the same rows: sums on their way to the memory are forwarded.

    ``read`` gives another reader the row group ``read_addr`` of ``read_memory``: ``read_data`` follows one cycle after
    ``read`` and holds until the memory is used again. It must not come in the same cycle as a fetch from the same
    memory.

    ``overflow`` pulses a cycle after a sum left the 32-bit range.
    """

    def __init__(self, depth: int, *, memories: int = 1) -> None:
        self.depth, self.memories = depth, memories
        memory = range(max(2, memories))
        addr = range(max(2, depth))
        super().__init__(
            {
                "fetch": In(1),
                "memory": In(memory),
                "addr": In(addr),
                "first": In(1),
                "lanes": In(data.ArrayLayout(unsigned(4), 4)),
                "products": In(signed(32)).array(4),
                "read": In(1),
                "read_memory": In(memory),
                "read_addr": In(addr),
                "read_data": Out(signed(32)).array(BANK_LANES),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Stage 1 presents the address, stage 2 adds and writes.
        adding = Signal()
        memory = Signal.like(self.memory)
        addr = Signal.like(self.addr)
        read_memory = Signal.like(self.read_memory)
        m.d.sync += [adding.eq(self.fetch), memory.eq(self.memory), addr.eq(self.addr)]
        with m.If(self.read):
            m.d.sync += read_memory.eq(self.read_memory)

        # The last sums written, which a read one cycle earlier has missed.
        recent_lanes = Signal(BANK_LANES)
        recent_memory = Signal.like(memory)
        recent_addr = Signal.like(addr)
        same_row = Signal()
        m.d.comb += same_row.eq((recent_memory == memory) & (recent_addr == addr))

        reading = [self.read & (self.read_memory == i) for i in range(self.memories)]
        written = Signal(BANK_LANES)
        overflows = Signal(BANK_LANES)
        for lane in range(BANK_LANES):
            hits = [self.lanes[i] == lane for i in range(4)]
            product = Signal(signed(32), name=f"product_{lane}")
            hit = Signal(name=f"hit_{lane}")
            terms = [Mux(hits[i], self.products[i], 0).as_signed() for i in range(4)]
            m.d.comb += [
                hit.eq(Cat(hits).any()),
                product.eq(terms[0] | terms[1] | terms[2] | terms[3]),
            ]
            rams = []
            total = Signal(signed(32), name=f"sum_{lane}")
            recent = Signal(signed(32), name=f"recent_{lane}")
            for i in range(self.memories):
                m.submodules[f"sums_{i}_{lane}"] = ram = Ram(32, self.depth)
                rams.append(ram.read_data.as_signed())
                m.d.comb += [
                    ram.read_en.eq(reading[i] | (self.fetch & (self.memory == i))),
                    ram.read_addr.eq(Mux(reading[i], self.read_addr, self.addr)),
                    ram.write_en.eq(written[lane] & (memory == i)),
                    ram.write_addr.eq(addr),
                    ram.write_data.eq(total),
                ]
            previous = Mux(same_row & recent_lanes[lane], recent, Array(rams)[memory]).as_signed()
            added, overflow = add_wrapping(previous, product)
            m.d.comb += [
                self.read_data[lane].eq(Array(rams)[read_memory]),
                total.eq(Mux(self.first, product, added)),
                written[lane].eq(adding & hit),
            ]
            m.d.sync += [recent.eq(total), overflows[lane].eq(written[lane] & ~self.first & overflow)]
        m.d.comb += self.overflow.eq(overflows.any())
        m.d.sync += [
            recent_lanes.eq(written),
            recent_memory.eq(memory),
            recent_addr.eq(addr),
        ]
        return m
