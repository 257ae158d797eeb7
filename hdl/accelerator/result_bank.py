"""The result bank: 16 lanes of 32-bit sums with an adder each, one value word a cycle in any order."""

from functools import reduce
from itertools import product as product_of
from operator import or_

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from golden.config import BANK_LANES
from hdl.common.component import Component
from hdl.common.ram import Ram

CROSSBAR_PRODUCTS = 4
"""Products of a word that any lane may take."""


class ResultBank(Component):
    """Adds the products of a word to the sums of their rows, a word a cycle; lane = row mod 16.

    Parameters:
        depth: row groups in each memory.
        memories: independent memories behind the one set of adders.
        products: of a word, 4 or 8.
        crossbar: each of the first four products may go to any lane (eSELL). Without it, and always for the others,
            lane l takes product l mod ``products`` only (the stream formats: of a word of fewer streams than
            ``products`` each entry comes again as many entries further on).
        streams: each product has a row group of its own and may be none, and sums are cleared instead of overwritten.
        pairs: with streams, two row groups are read and cleared at once, an even one and the next; ``depth`` is even.

    ``fetch`` comes one cycle before ``products``, and with it ``memory``, ``lanes``, ``addr``, one or one for each
    product, and ``first`` (overwrite instead of add; only with a crossbar). With streams ``used`` beside them says
    which products are any, and lane l is fetched at address l mod ``products``: the addresses of a word of eSELL are
    all the same. No two different products of a word are for one sum. Consecutive words may hit the same rows: sums
    on their way to the memory are forwarded.

    ``read`` gives another reader the row group ``read_addr`` of ``read_memory``: ``read_data`` follows one cycle after
    ``read`` and holds until the memory is used again. It must not come in the same cycle as a fetch from the same
    memory. With streams ``read_clears`` beside it makes quarters of the row group, 4 lanes for each of its bits, zero
    in the cycle after, in which they must be neither fetched nor read. With ``pairs`` ``read_addr`` is even, and all of
    this is meant of the row group after it, too, whose sums follow in ``read_data``.

    With streams ``clear_start`` makes ``clear_rows`` row groups from ``clear_addr`` of ``clear_memory`` zero, one in
    each cycle in which that memory is not written otherwise; ``clearing`` is high from the next cycle until all are.
    ``clear_start`` must not come while it is, and until it falls none of these row groups may be fetched or read. With
    ``pairs`` two become zero at once, and ``clear_addr`` and ``clear_rows`` are even.

    ``overflow`` pulses a cycle after a sum left the 32-bit range.
    """

    def __init__(
        self,
        depth: int,
        *,
        memories: int = 1,
        products: int = 4,
        crossbar: bool = True,
        streams: bool = False,
        pairs: bool = False,
    ) -> None:
        if products not in (4, 8):
            raise ValueError(f"products must be 4 or 8, not {products!r}")
        if not (crossbar or streams):
            raise ValueError("a bank without a crossbar is for streams")
        if pairs and (depth % 2 or not streams):
            raise ValueError(f"a bank that reads pairs must be for streams and of an even depth, not {depth}")
        self.pairs, self.sides = pairs, 2 if pairs else 1
        self.depth, self.memories, self.crossbar, self.streams = depth, memories, crossbar, streams
        self.addresses = products if streams else 1
        memory = range(max(2, memories))
        addr = range(max(2, depth))
        ports = {
            "fetch": In(1),
            "memory": In(memory),
            "addr": In(addr).array(self.addresses),
            "lanes": In(data.ArrayLayout(unsigned(4), products)),
            "products": In(signed(32)).array(products),
            "read": In(1),
            "read_memory": In(memory),
            "read_addr": In(addr),
            "read_data": Out(signed(32)).array(2 * BANK_LANES if pairs else BANK_LANES),
            "overflow": Out(1),
        }
        if crossbar:
            ports["first"] = In(1)
        if streams:
            ports |= {
                "used": In(products),
                "read_clears": In(4),
                "clear_start": In(1),
                "clear_memory": In(memory),
                "clear_addr": In(addr),
                "clear_rows": In(range(depth + 1)),
                "clearing": Out(1),
            }
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        products = len(self.products)
        # Stage 1 presents the address and finds out which sums each product goes to, and which of them the word before
        # is just adding to; stage 2 adds and writes.
        memory = Signal.like(self.memory)
        addr = [Signal.like(each, name=f"addr_{i}") for i, each in enumerate(self.addr)]
        read_memory = Signal.like(self.read_memory)
        m.d.sync += [
            memory.eq(self.memory),
            *(mine.eq(each) for mine, each in zip(addr, self.addr, strict=True)),
        ]
        with m.If(self.read):
            m.d.sync += read_memory.eq(self.read_memory)
        same_row = Signal(len(addr))
        m.d.comb += same_row.eq(
            Cat((self.memory == memory) & (new == old) for new, old in zip(self.addr, addr, strict=True))
        )

        reading = [self.read & (self.read_memory == i) for i in range(self.memories)]
        zeros_next, zeros, zero_addr = self._zeros(m) if self.streams else (Const(0), [], addr[0])
        # whether a word overwrites sums; in an only memory that is how they become zero, too
        anew = Signal()
        ways = [self.first] if self.crossbar else []
        if self.streams and self.memories == 1:
            ways.append(zeros_next)
        m.d.comb += anew.eq(Cat(ways).any())
        written = Signal(BANK_LANES)
        forwarded = Signal(BANK_LANES)
        # of the last sums: two terms of one sign, and that sign
        alike = Signal(BANK_LANES)
        negative = Signal(BANK_LANES)
        overflows = Signal(BANK_LANES)
        for lane in range(BANK_LANES):
            own = lane % products
            taken = sorted({own, *(range(CROSSBAR_PRODUCTS) if self.crossbar else ())})
            place = own if self.streams else 0
            product = Signal(signed(32), name=f"product_{lane}")
            hits = Signal(len(taken), name=f"hits_{lane}")
            meant = [self.fetch & (self.lanes[i] == lane) & (self.used[i] if self.streams else 1) for i in taken]
            terms = [Mux(hits[j], self.products[i], 0).as_signed() for j, i in enumerate(taken)]
            # where the sum so far is: on its way, or in a memory
            recently = Signal(name=f"recently_{lane}")
            stored = Signal(self.memories * self.sides, name=f"stored_{lane}")
            m.d.comb += recently.eq(written[lane] & same_row[place])
            m.d.sync += [
                hits.eq(Cat(meant)),
                forwarded[lane].eq(recently & ~anew),
                stored.eq(
                    Cat(
                        self._of_side(~recently & ~anew & (self.memory == i), self.addr[place], side)
                        for i in range(self.memories)
                        for side in range(self.sides)
                    )
                ),
            ]
            m.d.comb += [written[lane].eq(hits.any()), product.eq(reduce(or_, terms))]
            rams = []
            total = Signal(signed(32), name=f"sum_{lane}")
            recent = Signal(signed(32), name=f"recent_{lane}")
            for i, side in product_of(range(self.memories), range(self.sides)):
                m.submodules[f"sums_{i}_{lane}_{side}" if self.pairs else f"sums_{i}_{lane}"] = ram = Ram(
                    32, self.depth // self.sides
                )
                rams.append(ram.read_data.as_signed())
                m.d.comb += [
                    ram.read_en.eq(reading[i] | (self.fetch & (self.memory == i))),
                    ram.read_addr.eq(Mux(reading[i], self._row(self.read_addr), self._row(self.addr[place]))),
                    ram.write_en.eq(self._of_side(written[lane] & (memory == i), addr[place], side)),
                    ram.write_addr.eq(self._row(addr[place])),
                    ram.write_data.eq(total),
                ]
                if self.streams:
                    with m.If(zeros[i][lane // 4]):
                        m.d.comb += [ram.write_en.eq(1), ram.write_addr.eq(self._row(zero_addr))]
                        if self.memories > 1:
                            m.d.comb += ram.write_data.eq(0)
            sources = [(forwarded[lane], recent), *zip(stored, rams, strict=True)]
            previous = Signal(signed(32), name=f"previous_{lane}")
            m.d.comb += [
                *(
                    self.read_data[BANK_LANES * side + lane].eq(Array(rams[side :: self.sides])[read_memory])
                    for side in range(self.sides)
                ),
                previous.eq(reduce(or_, (Mux(source, each, 0).as_signed() for source, each in sources))),
                total.eq(previous + product),
                overflows[lane].eq(alike[lane] & (negative[lane] ^ recent[-1])),
            ]
            # the sign of the sum comes last, and is looked at in the next cycle
            m.d.sync += [
                recent.eq(total),
                alike[lane].eq(written[lane] & ~(previous[-1] ^ product[-1])),
                negative[lane].eq(product[-1]),
            ]
        m.d.comb += self.overflow.eq(overflows.any())
        return m

    def _row(self, addr: Value) -> Value:
        """Where a row group lies in its memories; with pairs the even ones and the odd ones have theirs."""
        return addr[1:] if self.pairs else addr

    def _of_side(self, condition: Value, addr: Value, side: int) -> Value:
        """The condition, where a row group is one of those of a side: with pairs of the even or odd ones."""
        return condition & (addr[0] == side) if self.pairs else condition

    def _zeros(self, m: Module) -> tuple[Value, list[Value], Value]:
        """For each memory whether quarters of a row group become zero in the next cycle, which do in this one, and of
        which row group: one that was read, or else one of those to clear."""
        zeros_next = Signal(self.memories)
        zeros: list[Value] = [Signal(4, name=f"zeros_{i}") for i in range(self.memories)]
        zero_addr = Signal.like(self.read_addr)
        rows_left = Signal.like(self.clear_rows)
        next_memory = Signal.like(self.clear_memory)
        next_addr = Signal.like(self.clear_addr)
        clears = Signal()
        cleared = Signal()
        read_clears = self.read & self.read_clears.any()
        m.d.comb += [
            clears.eq((rows_left != 0) & ~read_clears & ~(self.fetch & (self.memory == next_memory))),
            self.clearing.eq((rows_left != 0) | cleared),
        ]
        for i in range(self.memories):
            m.d.comb += zeros_next[i].eq(Mux(read_clears, self.read_memory == i, clears & (next_memory == i)))
        m.d.sync += [
            cleared.eq(clears),
            *(
                quarters.eq(Mux(zeros_next[i], Mux(read_clears, self.read_clears, ~0), 0))
                for i, quarters in enumerate(zeros)
            ),
            zero_addr.eq(Mux(read_clears, self.read_addr, next_addr)),
        ]
        with m.If(clears):
            m.d.sync += [rows_left.eq(rows_left - self.sides), next_addr.eq(next_addr + self.sides)]
        with m.If(self.clear_start):
            m.d.sync += [
                rows_left.eq(self.clear_rows),
                next_memory.eq(self.clear_memory),
                next_addr.eq(self.clear_addr),
            ]
        return zeros_next, zeros, zero_addr
